//! How a stream is followed.

use std::time::Duration;

use super::Framing;

/// Where a file is begun that is seen for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartPosition {
    /// At its first byte.
    #[default]
    Beginning,
    /// At its present end. Files that follow by rotation are read from their first byte.
    End,
}

/// How a file is followed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TailSettings {
    /// How it is cut into lines.
    pub framing: Framing,
    /// Where it is begun.
    pub start: StartPosition,
    /// How long after the last growth of a file that was renamed or removed it is asked whether somebody still
    /// has it open for writing. Where nobody has, it has ended.
    pub rotate_wait: Duration,
    /// The same where that cannot be found out: then quiet is all there is to go by.
    pub unseen_wait: Duration,
    /// Whether to take over the position that another stream of the same [`super::Checkpoints`] left for
    /// the file: for readers whose streams are names, where a rotated file comes back under the next name.
    pub adopt: bool,
    /// Whether positions of finished files are kept, so that they are not read again under another name.
    pub keep_finished: bool,
}

impl Default for TailSettings {
    fn default() -> Self {
        Self {
            framing: Framing::default(),
            start: StartPosition::default(),
            rotate_wait: Duration::from_secs(5),
            unseen_wait: Duration::from_secs(3600),
            adopt: false,
            keep_finished: false,
        }
    }
}
