//! Ships the logs of containers through Logstash configurations, without losing a line: the library behind
//! `logstash-mesos-executor` and `logstash-mesos-scheduler`.
//!
//! ```no_run
//! use logstash_mesos_core::{Configuration, Shipper};
//! use std::time::Duration;
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let shipper = Shipper::builder("/var/lib/my-program")
//!     .configuration(Configuration::docker("nginx*", "input { docker { } }"))
//!     .default_output(r#"output { elasticsearch { hosts => ["http://localhost:9200"] } }"#)
//!     .start()
//!     .await?;
//! tokio::time::sleep(Duration::from_secs(60)).await;
//! shipper.stop(Duration::from_secs(10)).await;
//! # Ok(()) }
//! ```
//!
//! # What do you want to do?
//!
//! | you want to | look at |
//! | --- | --- |
//! | ship the logs of containers or files from your program | [`Shipper::builder`] |
//! | replace its configurations while it runs | [`executor::ShipperHandle::apply`] |
//! | know what it reads, delivers, loses | [`executor::ShipperHandle::report`] |
//! | run a Logstash pipeline with inputs and outputs | [`pipeline::run`] |
//! | only run filters over events, without a runtime | the crate `logstash-mesos-engine` |
//! | bring a filter, codec, input or output | [`pipeline::plugin`], `examples/own_parts.rs` |
//! | find containers elsewhere than at Docker | [`discovery::ContainerDiscovery`] |
//! | deliver to something new | [`sink::LogSink`] |
//! | place shippers on a Mesos cluster from your program | `scheduler::Scheduler::builder`, `examples/own_scheduler.rs` |
//! | keep the scheduler's state in your database | [`store::StateStore`], [`election::Election`] |
//! | choose the agents yourself | `offer::OfferStrategy` |
//! | only speak to Mesos | the crate `mesos-v1` |
//!
//! # The rooms
//!
//! A log line goes from [`discovery`] (which containers) through [`executor`] (which streams), [`source`] (bytes with a
//! position), [`pipeline`] (queue, filters, outputs) to a [`sink`]. `scheduler` places executors with an `offer` strategy,
//! keeps what must survive it in a [`store`], and finds out by an [`election`] who leads. [`configs`] is what both work by,
//! `protocol` what they say to each other.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | brings |
//! | --- | --- |
//! | `docker` | containers of a Docker daemon: discovery, logs API, commands in containers (`bollard`) |
//! | `sandboxes` | what Mesos tasks write into their sandboxes on an agent |
//! | `tls` | TLS for inputs and outputs; the outputs and inputs that need it (`rustls`) |
//! | `http` | input and output `http` (`hyper`), and `tls` |
//! | `elasticsearch` | output `elasticsearch`, and `http` |
//! | `agent` | the executor of a Mesos agent, and `docker`, `grpc`, `tls` |
//! | `scheduler` | the scheduler, and `grpc`, `http`, `local` (`axum`) |
//! | `zookeeper`, `etcd` | state and election there; `etcd` needs `protoc` to build |
//! | `local` | a cluster inside the process, for trying and for tests |
//! | `grpc` | the messages between scheduler and executor (`tonic`) |
//! | `testing` | conformance suites for stores, elections, discoveries and sinks of your own |

mod backoff;
mod checksum;
mod columns;
pub mod configs;
mod confined;
pub mod discovery;
mod dns;
mod durable;
pub mod election;
pub mod etcd;
pub mod event;
pub mod executor;
pub mod ids;
#[cfg(feature = "local")]
pub mod local;
mod lumberjack;
pub mod memory;
#[cfg(feature = "scheduler")]
pub mod offer;
pub mod pipeline;
#[cfg(feature = "grpc")]
pub mod protocol;
#[cfg(feature = "scheduler")]
pub mod scheduler;
pub mod servers;
#[cfg(feature = "settings")]
pub mod settings;
pub mod sink;
pub mod source;
pub mod store;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
pub mod zookeeper;

pub use columns::columns;
pub use configs::{ConfigSet, Configuration};
pub use executor::{Shipper, ShipperBuilder, ShipperError, ShipperHandle, ShipperSettings};
pub use logstash_mesos_engine::grok;
pub use logstash_mesos_engine::tools::error_chain;
pub use logstash_mesos_regex as regex;
#[cfg(feature = "scheduler")]
pub use mesos_v1;
