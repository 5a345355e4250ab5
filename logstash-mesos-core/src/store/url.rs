//! Where the state is kept, as it is written on a command line.

use super::{FileStore, MemoryStore, Result, StateStore};
use crate::election::{Election, FileElection, MemoryElection};
use crate::etcd::{EtcdUrl, EtcdUrlError};
use crate::servers::ServersError;
use crate::zookeeper::ZooKeeperUrl;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// A checked value of `--state`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateUrl {
    /// `memory`: nothing is kept when the program ends, for tests and trials.
    Memory,
    /// `file:DIR`: files in a directory of this machine, for one scheduler.
    File(PathBuf),
    /// `zk://[USER:PASSWORD@]HOST:PORT,HOST:PORT/PATH`: nodes below a path of ZooKeeper, for several schedulers.
    ZooKeeper(ZooKeeperUrl),
    /// `etcd://[USER:PASSWORD@]HOST:PORT,HOST:PORT/PREFIX`: keys below a prefix of etcd, for several schedulers.
    Etcd(EtcdUrl),
}

/// Why a value of `--state` is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateUrlError {
    /// A backend that this program was built without.
    #[error(
        "asks for {service}, which this program was built without; {remedy}, or use `file:DIR` or another service"
    )]
    NotBuilt {
        /// The service that was asked for, as it is spelled: `ZooKeeper` or `etcd`.
        service: &'static str,
        /// How to have it.
        remedy: &'static str,
    },
    /// Nothing that is known.
    #[error("is no kind of state; use `file:DIR`, `zk://…` or `etcd://…`, or `memory` to keep nothing")]
    Unknown,
    /// `file:` without a directory.
    #[error("names no directory; write for example `file:/var/lib/logstash-mesos/state`")]
    NoDirectory,
    /// ZooKeeper is not named as it is.
    #[error(transparent)]
    ZooKeeper(ServersError),
    /// etcd is not named as it is.
    #[error(transparent)]
    Etcd(EtcdUrlError),
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
        if text.starts_with("zk://") {
            if !cfg!(feature = "zookeeper") {
                let remedy = "build it with `--features zookeeper`";
                return Err(StateUrlError::NotBuilt { service: "ZooKeeper", remedy });
            }
            return text.parse().map(Self::ZooKeeper).map_err(StateUrlError::ZooKeeper);
        }
        if text.starts_with("etcd://") {
            if !cfg!(feature = "etcd") {
                let remedy = "build it with `--features etcd`, which needs protoc (Debian: protobuf-compiler, libprotobuf-dev)";
                return Err(StateUrlError::NotBuilt { service: "etcd", remedy });
            }
            return text.parse().map(Self::Etcd).map_err(StateUrlError::Etcd);
        }
        Err(StateUrlError::Unknown)
    }
}

/// What the schedulers of one framework share: their records, and which of them leads.
#[derive(Clone, Debug)]
pub struct SharedState {
    /// The records that all of them read and the leader writes.
    pub store: Arc<dyn StateStore>,
    /// Who may change what it knows of agents and executors in them.
    pub election: Arc<dyn Election>,
}

/// After which silence a service may take a scheduler for gone, unless somebody says otherwise.
///
/// The next one leads after this and what the service needs to notice: ZooKeeper half a tick to one (`tickTime`), etcd
/// half a second. ZooKeeper grants no less than two ticks.
pub const DEFAULT_SESSION_TIMEOUT: Duration = Duration::from_secs(4);

impl StateUrl {
    /// Opens store and election, with [`DEFAULT_SESSION_TIMEOUT`]. See [`open_with`](Self::open_with).
    ///
    /// # Errors
    ///
    /// Those of [`open_with`](Self::open_with).
    pub async fn open(&self) -> Result<SharedState> {
        self.open_with(DEFAULT_SESSION_TIMEOUT).await
    }

    /// Opens the store, and the election beside it, over one session with the service if there is one. Needs a Tokio
    /// runtime. A service that is away is not waited for: what is asked of it then is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`](super::StoreError::Unusable) for a place that cannot hold the state.
    pub async fn open_with(&self, session_timeout: Duration) -> Result<SharedState> {
        Ok(match self {
            Self::Memory => SharedState {
                store: Arc::new(MemoryStore::default()),
                election: Arc::new(MemoryElection::default()),
            },
            Self::File(dir) => SharedState {
                store: Arc::new(FileStore::open(dir).await?),
                election: Arc::new(FileElection::new(dir)),
            },
            #[cfg(feature = "zookeeper")]
            Self::ZooKeeper(url) => {
                let zookeeper = Arc::new(crate::zookeeper::ZooKeeper::new(url.clone(), session_timeout));
                SharedState {
                    store: Arc::new(super::ZooKeeperStore::new(zookeeper.clone())),
                    election: Arc::new(crate::election::ZooKeeperElection::new(zookeeper)),
                }
            }
            #[cfg(feature = "etcd")]
            Self::Etcd(url) => {
                let etcd = Arc::new(crate::etcd::Etcd::new(url.clone(), session_timeout)?);
                SharedState {
                    store: Arc::new(super::EtcdStore::new(etcd.clone())),
                    election: Arc::new(crate::election::EtcdElection::new(etcd)),
                }
            }
            // A program without the backend does not read its URL either.
            #[cfg(not(all(feature = "zookeeper", feature = "etcd")))]
            other => {
                let _unused = session_timeout;
                return Err(super::StoreError::Unusable {
                    backend: format!("{other:?}"),
                    problem: "this program was built without it".to_owned(),
                    source: None,
                });
            }
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
    #[cfg(feature = "zookeeper")]
    fn a_path_in_zookeeper_is_read() {
        let url: StateUrl = "zk://u:secret@h:2181/p".parse().expect("is known");
        assert_eq!(format!("{url:?}"), "ZooKeeper(zk://h:2181/p)");
    }

    #[test]
    #[cfg(feature = "etcd")]
    fn a_prefix_in_etcd_is_read() {
        let url: StateUrl = "etcd://u:secret@h/p".parse().expect("is known");
        assert_eq!(format!("{url:?}"), "Etcd(etcd://h:2379/p)");
    }

    #[test]
    #[cfg(not(feature = "etcd"))]
    fn etcd_is_refused_with_how_to_have_it() {
        let error = "etcd://u:secret@h:2379/p".parse::<StateUrl>().expect_err("is not built").to_string();
        assert!(error.contains("--features etcd") && error.contains("protobuf-compiler"), "{error}");
    }

    #[test]
    fn others_are_refused_with_what_works() {
        for (text, part) in [
            ("zk://u:secret@h:2181", ""),
            ("etcd://", ""),
            ("file:", "file:/"),
            ("redis://h", "zk://"),
            ("", "file:"),
        ] {
            let error = text.parse::<StateUrl>().expect_err(text).to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{error}");
        }
    }
}
