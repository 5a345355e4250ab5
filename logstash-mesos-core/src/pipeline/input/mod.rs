//! The inputs, one file each, named after the plugin.

mod accept;
pub(crate) mod beats;
pub(crate) mod common;
mod datagrams;
pub(crate) mod docker;
pub(crate) mod file;
pub(crate) mod generator;
pub(crate) mod heartbeat;
#[cfg(feature = "http")]
pub(crate) mod http;
pub(crate) mod keeper;
pub(crate) mod keeping;
mod making;
pub(crate) mod net;
pub(crate) mod pipeline;
mod room;
pub(crate) mod sandbox;
pub(crate) mod stdin;
pub(crate) mod stream;
pub(crate) mod syslog;
pub(crate) mod tcp;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod udp;
pub(crate) mod unix;
