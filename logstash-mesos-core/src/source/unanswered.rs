//! Who does not answer is named: once when it has not for a while, and when there is an answer after all.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

/// Who has not answered for so long is named.
const NAME_AFTER: Duration = Duration::from_secs(5);

/// A question that a mount whose server is away, or the shell of a container, may never answer.
#[derive(Debug)]
pub(super) struct Unanswered {
    since: Instant,
    named: bool,
}

impl Unanswered {
    /// Asked now.
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), named: false }
    }

    /// Names who was asked for `question` at `path`, if it is time. Returns for how many seconds there has been no answer, once it
    /// has been named.
    pub(super) fn name(&mut self, path: &dyn Display, question: &'static str) -> Option<u64> {
        let elapsed = self.since.elapsed();
        if elapsed >= NAME_AFTER && !std::mem::replace(&mut self.named, true) {
            warn!(
                %path,
                question,
                "No answer from the file system, others do not wait for it: see whether a mount hangs, or the shell of \
                 a container"
            );
        }
        self.named.then_some(elapsed.as_secs())
    }

    /// There is an answer. Returns whether it had been named.
    pub(super) fn end(self, path: &dyn Display, question: &'static str) -> bool {
        if self.named {
            info!(%path, question, after_secs = self.since.elapsed().as_secs(), "The file system answers again");
        }
        self.named
    }
}
