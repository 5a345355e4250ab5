//! How much somebody who looks gets: as much as can be read, and as a connection carries without being noticed.

use std::time::{Duration, Instant};

/// What is left of somebody's share of bytes. It fills up with time.
#[derive(Debug)]
pub(super) struct Share {
    left: f64,
    at: Instant,
}

/// Bytes a second.
const RATE: f64 = 48.0 * 1024.0;
/// What has gathered in a quiet time.
const MOST: f64 = 2.0 * RATE;
/// Nobody reads more than 24 events a second, however small they are.
const LEAST_EVENT: f64 = 2048.0;

impl Default for Share {
    fn default() -> Self {
        Self { left: MOST, at: Instant::now() }
    }
}

impl Share {
    /// Whether an event may be shown now.
    pub(super) fn is_left(&mut self) -> bool {
        let now = Instant::now();
        self.pass(now.duration_since(self.at));
        self.at = now;
        self.left > 0.0
    }

    fn pass(&mut self, time: Duration) {
        self.left = MOST.min(self.left + RATE * time.as_secs_f64());
    }

    /// Takes for an event of so many bytes. The next one waits if this was more than there is.
    pub(super) fn take(&mut self, bytes: usize) {
        #[expect(clippy::cast_precision_loss, reason = "an event has far fewer than 2^52 bytes")]
        let bytes = bytes as f64;
        // What is too large to be shown costs no more than the largest that is.
        self.left -= bytes.clamp(LEAST_EVENT, super::MOST_BYTES as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_rate_with_what_has_gathered_before() {
        let mut share = Share::default();
        let mut shown = 0;
        while share.left > 0.0 {
            share.take(100);
            shown += 1;
        }
        assert_eq!(shown, 48);
        share.pass(Duration::from_secs(1));
        share.take(40 << 20);
        assert!((share.left - 16384.0).abs() < 1.0, "{}", share.left);
        share.pass(Duration::from_secs(3600));
        assert!((share.left - MOST).abs() < 1.0, "{}", share.left);
    }
}
