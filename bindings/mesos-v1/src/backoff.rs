//! How long to wait before the next attempt.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

/// A source of random numbers, evenly spread over 0 (included) to 1 (not included).
///
/// An argument everywhere, so that a test can choose them.
#[derive(Clone)]
pub struct Random(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Random {
    /// Uses `source`, whose results are clamped to 0..=1.
    pub fn new(source: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// Returns a duration between nothing and `longest`.
    pub fn up_to(&self, longest: Duration) -> Duration {
        let part = (self.0)();
        longest.mul_f64(if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 })
    }
}

impl Default for Random {
    /// Draws from the seeds the standard library gives its hash maps: good enough to spread clients
    /// over time, which is all this is for.
    fn default() -> Self {
        Self::new(|| {
            let bits = RandomState::new().build_hasher().finish() >> 11;
            bits as f64 / (1u64 << 53) as f64
        })
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

/// The bounds given to a [`Backoff`] make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("back-off needs 0 < first ({first:?}) <= longest ({longest:?})")]
pub struct InvalidBackoff {
    first: Duration,
    longest: Duration,
}

/// Full-jitter back-off: the n-th wait is random between nothing and `first · 2ⁿ`, at most `longest`.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    ceiling: Duration,
    random: Random,
}

impl Backoff {
    /// Makes a back-off whose first wait is at most `first`.
    ///
    /// # Errors
    ///
    /// [`InvalidBackoff`] unless `first` is above zero and not above `longest`.
    pub fn new(first: Duration, longest: Duration, random: Random) -> Result<Self, InvalidBackoff> {
        if first.is_zero() || first > longest {
            return Err(InvalidBackoff { first, longest });
        }
        Ok(Self { first, longest, ceiling: first, random })
    }

    /// Returns the next wait.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.random.up_to(self.ceiling);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.longest);
        wait
    }

    /// Starts over, after something has worked for a while.
    pub fn reset(&mut self) {
        self.ceiling = self.first;
    }

    /// Returns the longest wait there can be.
    pub fn longest(&self) -> Duration {
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_longest_and_starts_over() {
        let mut backoff = Backoff::new(secs(1), secs(5), Random::new(|| 1.0)).unwrap();
        let waits: Vec<_> = (0..5).map(|_| backoff.next_wait()).collect();
        assert_eq!(waits, [secs(1), secs(2), secs(4), secs(5), secs(5)]);
        backoff.reset();
        assert_eq!(backoff.next_wait(), secs(1));
    }

    #[test]
    fn bounds_are_checked_when_made() {
        assert!(Backoff::new(Duration::ZERO, secs(1), Random::default()).is_err());
        assert!(Backoff::new(secs(2), secs(1), Random::default()).is_err());
    }

    #[test]
    fn waits_are_spread_over_the_whole_range() {
        let random = Random::default();
        let waits: Vec<_> = (0..200).map(|_| random.up_to(secs(10))).collect();
        assert!(waits.iter().all(|wait| *wait < secs(10)));
        assert!(waits.iter().any(|wait| *wait < secs(3)) && waits.iter().any(|wait| *wait > secs(7)));
    }

    #[test]
    fn a_broken_random_source_does_no_harm() {
        for value in [f64::NAN, f64::INFINITY, -1.0, 7.0] {
            assert!(Random::new(move || value).up_to(secs(1)) <= secs(1));
        }
    }
}
