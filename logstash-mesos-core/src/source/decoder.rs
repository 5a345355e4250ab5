//! What makes the events of a stream.

use std::time::Duration;

use super::Lines;
use crate::event::Batch;

/// Why a decoder is asked for what it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Nothing has come for [`Decoder::idle_flush`].
    Idle,
    /// The file has ended; the stream goes on in another one.
    Rotated,
    /// The stream has ended.
    End,
}

/// What a decoder has taken in that is in no event yet: the position stays in front of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The offset of the first such byte, in the file that the lines are from.
    pub from: Option<u64>,
    /// Whether some of it is in a file before that one.
    pub earlier: bool,
}

impl Kept {
    /// Nothing is kept.
    pub const NOTHING: Self = Self { from: None, earlier: false };

    /// Whether anything is kept.
    #[must_use]
    pub fn is_something(self) -> bool {
        self.earlier || self.from.is_some()
    }

    /// What is kept by this and by `other`.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let from = match (self.from, other.from) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self { from, earlier: self.earlier || other.earlier }
    }
}

/// Turns the lines of one stream into events.
pub trait Decoder: Send {
    /// Puts the events of `lines` into `batch` (whose acknowledgement is set by the caller). Returns what is
    /// kept for later, as the first part of a joined event.
    fn decode(&mut self, lines: Lines, batch: &mut Batch) -> Kept;

    /// About how many bytes the events of a byte of lines take. One, where they are made later.
    fn expansion(&self) -> usize {
        1
    }

    /// How many bytes may come out with the next lines that are neither theirs nor in memory.
    fn aside(&mut self) -> usize {
        0
    }

    /// Puts what is kept into `batch`, as far as it shall not wait any longer. Returns what is still kept: at
    /// [`Flush::Rotated`] it is all in an earlier file from now on, at [`Flush::End`] nothing may be.
    fn flush(&mut self, reason: Flush, batch: &mut Batch) -> Kept {
        let _ = (reason, batch);
        Kept::NOTHING
    }

    /// After how long without lines [`Flush::Idle`] is wanted.
    fn idle_flush(&self) -> Option<Duration> {
        None
    }

    /// Forgets what is kept: it will be read again.
    fn reset(&mut self) {}

    /// Nothing has come for some time, and nothing is kept: gives back what can be made again when something comes.
    fn rest(&mut self) {}
}
