//! What Java decides in Logstash: the order of hashes, numbers as text, the patterns of dates.

pub(crate) mod hash;
pub mod joda;
mod number;
pub(crate) mod time;

pub use number::{write_java_decimal, write_java_double};
