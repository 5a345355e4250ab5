//! Why a scheduler does not go on.

use super::access::AccessError;
use super::binary::BinaryError;
use crate::configs::directory::DirectoryError;
use crate::store::StoreError;
use std::io;
use std::net::SocketAddr;
use thiserror::Error;

/// Why a scheduler ended other than by being asked to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The state cannot be read or written.
    #[error("the state cannot be used")]
    Store(#[from] StoreError),
    /// The port cannot be had.
    #[error("cannot listen on {address} (--http-bind)")]
    Bind {
        /// What was wanted.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// There is no executor to serve.
    #[error(transparent)]
    Binary(#[from] BinaryError),
    /// The directory of configurations cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The credentials of the HTTP API cannot be read.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Another scheduler has the framework.
    #[error(
        "another scheduler took over framework `{name}`; this one ends, so that the two do not push each other out"
    )]
    FailedOver {
        /// Of the framework.
        name: String,
    },
    /// The state is in use for another framework.
    #[error(
        "{state} is in use for framework `{other}`, by {holder}; give this one another --state, or the same --framework-name"
    )]
    OtherFramework {
        /// The store that holds it, as in `--state`.
        state: String,
        /// Who leads there.
        holder: String,
        /// Of the framework there.
        other: String,
    },
    /// The framework is about to end.
    #[error("framework `{name}` is being uninstalled by {holder}; start again afterwards to begin a new one")]
    BeingUninstalled {
        /// Of the framework.
        name: String,
        /// Who uninstalls it.
        holder: String,
    },
    /// An uninstall was interrupted: the framework is still there.
    #[error("the uninstall was interrupted, and the framework is still there; run it again")]
    Interrupted,
    /// The in-process cluster did not start.
    #[error("the local cluster did not start")]
    Local(#[source] Box<dyn std::error::Error + Send + Sync>),
}
