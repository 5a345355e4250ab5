//! Ships logs through Logstash configurations: the library.

pub mod event;
pub mod pipeline;
pub mod sink;
