//! The longest line of a pipeline, and what was cut because of it.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::warn;

use crate::time::Seldom;

/// How much of a line is kept: the rest is left out without being held, its event has a tag, and it is counted here.
///
/// Everything that finds lines in a stream shares the one of its pipeline.
#[derive(Debug)]
pub struct LineLimit {
    max_bytes: usize,
    lines: AtomicU64,
    bytes: AtomicU64,
    said: Seldom,
}

impl LineLimit {
    /// The setting of a pipeline.
    pub const SETTING: &'static str = "pipeline.max_line_bytes";
    /// Its value unless something else is said: 10 MiB, as in beats.
    pub const DEFAULT_BYTES: usize = 10 << 20;
    /// The least it may be.
    pub const LEAST_BYTES: usize = 64;
    /// The most it may be.
    pub const MOST_BYTES: usize = 1 << 30;
    /// The tag of an event whose line was cut.
    pub const TAG: &'static str = "_linetoolong";

    /// Keeps at most `max_bytes` of a line.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, lines: AtomicU64::new(0), bytes: AtomicU64::new(0), said: Seldom::default() }
    }

    /// A value of the setting, if it can be right.
    #[must_use]
    pub fn parse(text: &str) -> Option<usize> {
        text.parse().ok().filter(|bytes| (Self::LEAST_BYTES..=Self::MOST_BYTES).contains(bytes))
    }

    /// The most bytes of a line, its end not counted.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Counts a line of which `bytes` were left out, and says so from time to time.
    pub fn cut(&self, bytes: u64) {
        let lines = self.lines.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.said.is_due() {
            warn!(
                lines,
                lost_bytes = bytes,
                setting = Self::SETTING,
                "Lines are too long, the rest of each is left out"
            );
        }
    }

    /// Lines that were cut.
    #[must_use]
    pub fn lines_cut(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Bytes of them that were left out.
    #[must_use]
    pub fn bytes_cut(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Default for LineLimit {
    fn default() -> Self {
        Self::new(Self::DEFAULT_BYTES)
    }
}
