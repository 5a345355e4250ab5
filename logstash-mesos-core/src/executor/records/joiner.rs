//! Joins the pieces into which the daemon splits long lines.

use super::{Channel, Record};
use crate::event::Blob;
use crate::source::{Content, Flush};

/// Keeps the beginnings of lines whose ends have not come yet, one for each channel.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    parts: [Option<Part>; 2],
}

/// The beginning of a line.
#[derive(Debug)]
struct Part {
    // Where it starts in what the decoder was given.
    at: u64,
    first: Record,
    content: Vec<u8>,
}

/// A line is passed on in pieces of this size, whatever the daemon does.
const MOST_JOINED: usize = 64 << 20;

impl Joiner {
    /// Takes a piece that stands at `at`; `whole` when it ends its line.
    pub(super) fn add(&mut self, at: u64, piece: Record, whole: bool, emit: &mut dyn FnMut(Record)) {
        let kept = &mut self.parts[usize::from(piece.channel == Some(Channel::Stderr))];
        match kept {
            None if whole => emit(piece),
            None => *kept = Some(Part { at, content: piece.content.as_bytes().to_vec(), first: piece }),
            Some(part) => {
                part.content.extend_from_slice(piece.content.as_bytes());
                if (whole || part.content.len() >= MOST_JOINED)
                    && let Some(part) = kept.take()
                {
                    emit(part.end());
                }
            }
        }
    }

    /// Where the first kept line starts.
    pub(super) fn kept_from(&self) -> Option<u64> {
        self.parts.iter().flatten().map(|part| part.at).min()
    }

    /// At the end of the stream what is kept is a line; the next file goes on with it.
    pub(super) fn flush(&mut self, reason: Flush, emit: &mut dyn FnMut(Record)) -> bool {
        if reason == Flush::End {
            for part in self.parts.iter_mut().filter_map(Option::take) {
                emit(part.end());
            }
        }
        self.kept_from().is_some()
    }
}

impl Part {
    fn end(self) -> Record {
        Record { content: Content::Bytes(Blob::from(self.content)), ..self.first }
    }
}
