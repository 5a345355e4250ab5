//! Where the state is kept, as it is written on a command line.

use super::{FileStore, MemoryStore, Result, StateStore};
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
        "state `{url}`: {service} is not supported by this version yet; use `file:DIR` on a disk that \
         outlives the scheduler"
    )]
    NotYet {
        /// As written, without credentials.
        url: String,
        /// ZooKeeper or etcd.
        service: &'static str,
    },
    /// Nothing that is known.
    #[error("state `{url}` is not known; use `file:DIR`, or `memory` to keep nothing")]
    Unknown {
        /// As written.
        url: String,
    },
    /// `file:` without a directory.
    #[error("state `file:` names no directory; write for example `file:/var/lib/logstash-mesos/state`")]
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
            if let Some(rest) = text.strip_prefix(scheme) {
                let rest = rest.rsplit_once('@').map_or(rest, |(_, after)| after);
                return Err(StateUrlError::NotYet { url: format!("{scheme}{rest}"), service });
            }
        }
        Err(StateUrlError::Unknown { url: text.to_owned() })
    }
}

impl StateUrl {
    /// Opens the store. `holder` names this process to others who find it in use.
    ///
    /// # Errors
    ///
    /// See [`FileStore::open`].
    pub async fn open(&self, holder: &str) -> Result<Arc<dyn StateStore>> {
        Ok(match self {
            Self::Memory => Arc::new(MemoryStore::default()),
            Self::File(dir) => Arc::new(FileStore::open(dir, holder).await?),
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
    fn others_are_refused_with_what_works_and_without_secrets() {
        for text in ["zk://u:secret@h:2181/p", "etcd://u:secret@h:2379/p", "file:", "redis://h", ""] {
            let error = text.parse::<StateUrl>().expect_err(text).to_string();
            assert!(error.contains("file:"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
