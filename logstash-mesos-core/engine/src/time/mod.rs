//! Instants: how they are held, written and read; and when what happens often is said.

pub(crate) mod calendar;
mod clock;
pub(crate) mod iso8601;
mod seldom;
pub(crate) mod timestamp;

pub use clock::Clock;
pub use seldom::Seldom;
pub use timestamp::Timestamp;
