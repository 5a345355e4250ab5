//! Where the state is kept, as it is written on a command line.

use super::{FileStore, MemoryStore, Result, StateStore};
use crate::election::{Election, FileElection, MemoryElection};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;

/// A checked value of `--state`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateUrl {
    /// `memory`
    Memory,
    /// `file:DIR`
    File(PathBuf),
}

/// Why a value of `--state` is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateUrlError {
    /// A backend that this version does not have.
    #[error(
        "asks for {service}, which this version does not support yet; use `file:DIR` on a disk that outlives the \
         scheduler"
    )]
    NotYet {
        /// ZooKeeper or etcd.
        service: &'static str,
    },
    /// Nothing that is known.
    #[error("is no kind of state; use `file:DIR`, or `memory` to keep nothing")]
    Unknown,
    /// `file:` without a directory.
    #[error("names no directory; write for example `file:/var/lib/logstash-mesos/state`")]
    NoDirectory,
}

impl FromStr for StateUrl {
    type Err = StateUrlError;

    fn from_str(text: &str) -> Result<Self, StateUrlError> {
        if text == "memory" {
            return Ok(Self::Memory);
        }
        if let Some(path) = text.strip_prefix("file:") {
            // `file:///a/b` is the same place as `file:/a/b`.
            let path = if path.starts_with("///") { &path[2..] } else { path };
            return if path.is_empty() {
                Err(StateUrlError::NoDirectory)
            } else {
                Ok(Self::File(path.into()))
            };
        }
        for (scheme, service) in [("zk://", "ZooKeeper"), ("etcd://", "etcd")] {
            if text.starts_with(scheme) {
                return Err(StateUrlError::NotYet { service });
            }
        }
        Err(StateUrlError::Unknown)
    }
}

/// What the schedulers of one framework share: their records, and which of them leads.
#[derive(Clone, Debug)]
pub struct SharedState {
    /// The records.
    pub store: Arc<dyn StateStore>,
    /// Who may change what it knows of agents and executors in them.
    pub election: Arc<dyn Election>,
}

impl StateUrl {
    /// Opens the store, and the election beside it. Needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// See [`FileStore::open`].
    pub async fn open(&self) -> Result<SharedState> {
        Ok(match self {
            Self::Memory => SharedState {
                store: Arc::new(MemoryStore::default()),
                election: Arc::new(MemoryElection::default()),
            },
            Self::File(dir) => SharedState {
                store: Arc::new(FileStore::open(dir).await?),
                election: Arc::new(FileElection::new(dir)),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_places_are_read() {
        assert_eq!("memory".parse(), Ok(StateUrl::Memory));
        for text in ["file:/a/b", "file:///a/b"] {
            assert_eq!(text.parse(), Ok(StateUrl::File("/a/b".into())), "{text}");
        }
        assert_eq!("file:state".parse(), Ok(StateUrl::File("state".into())));
    }

    #[test]
    fn others_are_refused_with_what_works() {
        for text in ["zk://u:secret@h:2181/p", "etcd://u:secret@h:2379/p", "file:", "redis://h", ""] {
            let error = text.parse::<StateUrl>().expect_err(text).to_string();
            assert!(error.contains("file:"), "{error}");
        }
    }
}
