//! How long to wait before the next try.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that double from one to the next. Each is shorter by up to a half, at random, so that many who wait for the same
/// thing do not come all at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        let first = first.min(longest);
        Self { first, longest, next: first }
    }

    pub(crate) fn next_wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.longest);
        // The standard library draws its seeds well enough for this.
        let random = RandomState::new().hash_one(()) as f64 / u64::MAX as f64;
        wait.mul_f64(1.0 - random / 2.0)
    }

    /// Starts over, after something has worked.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_less_a_random_part() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        for longest in [1, 2, 4, 5, 5].map(Duration::from_secs) {
            let wait = backoff.next_wait();
            assert!(wait <= longest && wait >= longest / 2, "{wait:?} of {longest:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_secs(1));
        let mut waits: Vec<_> =
            (0..100).map(|_| Backoff::new(Duration::from_secs(1), Duration::MAX).next_wait()).collect();
        waits.sort();
        assert!(waits[99] - waits[0] > Duration::from_millis(100), "they are spread: {waits:?}");
    }

    #[test]
    fn the_first_is_never_above_the_longest() {
        let mut backoff = Backoff::new(Duration::from_secs(9), Duration::from_secs(1));
        assert!(backoff.next_wait() <= Duration::from_secs(1));
    }
}
