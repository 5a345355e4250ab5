//! Ships logs through Logstash configurations: the library.

pub mod event;
pub mod pipeline;
#[cfg(feature = "grpc")]
pub mod protocol;
pub mod sink;
