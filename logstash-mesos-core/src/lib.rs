//! Ships logs through Logstash configurations: the library.

#[cfg(feature = "scheduler")]
pub mod config;
pub mod configs;
pub mod discovery;
pub mod election;
pub mod etcd;
pub mod event;
pub mod executor;
pub mod ids;
#[cfg(feature = "local")]
pub mod local;
mod lumberjack;
#[cfg(feature = "scheduler")]
pub mod offer;
pub mod pipeline;
#[cfg(feature = "grpc")]
pub mod protocol;
#[cfg(feature = "scheduler")]
pub mod scheduler;
pub mod servers;
pub mod sink;
pub mod source;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
pub mod zookeeper;

pub use logstash_mesos_engine::grok;
pub use logstash_mesos_regex as regex;
#[cfg(feature = "scheduler")]
pub use mesos_v1;
