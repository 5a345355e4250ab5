//! The current time, or a fixed one for repeatable results.

use crate::time::Timestamp;

/// Where "now" comes from: the system, or a fixed instant (`pipeline eval --clock`).
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The wall clock of the machine.
    #[default]
    System,
    /// Always the same instant.
    Fixed(Timestamp),
}

impl Clock {
    /// The current time by this clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Fixed(instant) => *instant,
        }
    }
}
