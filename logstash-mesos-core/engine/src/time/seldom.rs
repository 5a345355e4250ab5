//! What happens often and is said from time to time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Says when something may be said: at once, and then every 15 seconds at most.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Option<Instant>>);

const EVERY: Duration = Duration::from_secs(15);

impl Seldom {
    /// Whether it is to be said now: whoever asks says it then.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|at| at.elapsed() >= EVERY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}
