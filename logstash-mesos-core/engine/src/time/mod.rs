//! Instants: how they are held, written and read.

pub(crate) mod calendar;
mod clock;
pub(crate) mod iso8601;
pub(crate) mod timestamp;

pub use clock::Clock;
pub use timestamp::Timestamp;
