//! How a stream is ended, and how it came to its end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio_util::sync::CancellationToken;

/// Ends a stream, in one of three ways.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Stop now. An unfinished line is not passed on; it is read again the next time.
    pub now: CancellationToken,
    /// The source has ended: pass on all that is there, with the unfinished last line.
    pub at_end: CancellationToken,
    /// While it is set: end when the name leads to nothing and all that is held has arrived.
    pub when_gone: Arc<AtomicBool>,
}

/// How a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was stopped by [`Stop::now`].
    Stopped,
    /// By [`Stop::at_end`]: everything has been passed on.
    Finished,
    /// The pipeline takes nothing any more.
    PipelineGone,
    /// Nothing came for [`Follow::close_after`](super::Follow::close_after).
    Quiet,
    /// By [`Stop::at_end`], but not everything could be read; the status says why.
    Failed,
}
