//! What a daemon's file holds that is no record.

use tracing::warn;

use crate::source::Flush;

/// Counts it, once: what was given up is read again.
#[derive(Debug, Default)]
pub(super) struct Damage {
    lost_bytes: u64,
    // In the present file it has been counted up to here.
    counted_to: u64,
}

impl Damage {
    /// Takes note that `lost_bytes` of the `len` bytes at `offset` hold no record.
    pub(super) fn met(&mut self, offset: u64, len: u64, lost_bytes: u64) {
        if offset < self.counted_to || lost_bytes == 0 {
            return;
        }
        self.counted_to = offset + len;
        self.lost_bytes += lost_bytes;
        warn!(offset, lost_bytes, "The daemon's log of a container is damaged, what holds no record is lost");
    }

    /// The next file begins at 0.
    pub(super) fn flush(&mut self, reason: Flush) {
        if reason == Flush::Rotated {
            self.counted_to = 0;
        }
    }

    /// How many bytes were lost since the last call.
    pub(super) fn take(&mut self) -> u64 {
        std::mem::take(&mut self.lost_bytes)
    }
}
