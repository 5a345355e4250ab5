//! Where etcd is, and a client of it.

#[cfg(feature = "etcd")]
mod client;
mod url;

#[cfg(feature = "etcd")]
pub(crate) use client::{Etcd, is_refusal, was_never_sent};
pub use url::{EtcdTls, EtcdUrl, EtcdUrlError};
