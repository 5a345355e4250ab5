//! What is known of a file that was found, and whether it is opened again.

use std::fs::Metadata;

use tokio::task;

use super::archive::{Broken, Stamp, stamp_of};
use crate::source::StreamPositions;

/// A file that was found.
#[derive(Debug)]
pub(super) enum State {
    /// It is read, by this task.
    Open(task::Id),
    /// Closed, or left out as too old: opened again when size or time of change differ.
    Resting(Option<Stamp>),
    /// A compressed file that is not whole: it may still be copied. Opened again in the same case.
    Broken(Broken),
    /// It could not be read to its end, and is tried again.
    Failed,
    /// Read to its end. Opened again if more is in it then, or another file has its name.
    Done(StreamPositions),
}

/// What is known of a file when its reading has ended.
#[derive(Debug)]
pub(super) enum After {
    /// What it is from now on, for the next look at its pattern.
    Known(State),
    /// Nothing that is remembered.
    Nothing,
    /// That it was not read to its end, or has changed since.
    Changed,
}

impl State {
    /// Whether it may be read, by what the system says of it now.
    pub(super) fn wants(&self, file: &Metadata) -> bool {
        match self {
            Self::Open(_) => false,
            Self::Done(positions) => !has_all_of(positions, file),
            Self::Resting(before) | Self::Broken(Broken { stamp: before, .. }) => *before != stamp_of(file),
            Self::Failed => true,
        }
    }
}

/// Whether the file behind the name is the one that was read, and everything in it has arrived.
pub(super) fn has_all_of(positions: &StreamPositions, file: &Metadata) -> bool {
    positions.newest().is_some_and(|read| read.is_all_of(file))
}
