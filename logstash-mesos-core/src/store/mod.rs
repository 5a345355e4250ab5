//! The few records a scheduler keeps between two starts.

pub(crate) mod error;
#[cfg(feature = "etcd")]
mod etcd;
mod file;
mod json;
mod key;
mod memory;
mod url;
#[cfg(feature = "zookeeper")]
mod zookeeper;

pub use error::{Result, StoreError};
#[cfg(feature = "etcd")]
pub use etcd::EtcdStore;
pub use file::FileStore;
pub use json::JsonStore;
pub use key::StateKey;
pub use memory::MemoryStore;
pub use url::{DEFAULT_SESSION_TIMEOUT, SharedState, StateUrl, StateUrlError};
#[cfg(feature = "zookeeper")]
pub use zookeeper::ZooKeeperStore;

use async_trait::async_trait;
use std::fmt;

/// Keeps the few records a restarted scheduler needs to find its framework again.
///
/// # Contract
///
/// - A write is atomic: a reader sees the old value or the new one, never a mixture.
/// - Once `put` returns `Ok`, every later `get`, from any process, returns that value or a newer one.
/// - `put` and `delete` change nothing unless `expect` holds at the moment of the write.
/// - A version is never used twice for one key, also not after a `delete`.
/// - A record that cannot be read is an error and stays as it is: nothing ever overwrites or skips it.
///
/// # Cancellation safety
///
/// `get` and `list` may be dropped at any await. A dropped `put` or `delete` may or may not have taken
/// effect: read the key again before deciding anything.
///
/// # Errors
///
/// [`StoreError::Conflict`] when `expect` fails, [`StoreError::TooLarge`] above the limit,
/// [`StoreError::Corrupt`] for a record that cannot be read, [`StoreError::Refused`] when the backend wants other
/// credentials, [`StoreError::Unavailable`] when it gave no answer: a write may then have taken effect or not. Only the last is worth repeating; see [`StoreError::is_transient`].
///
/// # Units and limits
///
/// A value holds at most [`MAX_VALUE_BYTES`] bytes. Versions are opaque and compare only for equality.
///
/// # Implementing
///
/// Run `testing::state_store::conformance` against your store from one test.
#[async_trait]
pub trait StateStore: fmt::Debug + Send + Sync + 'static {
    /// A short name of the backend and its place for logs, without secrets: `file:/var/lib/x`.
    fn name(&self) -> String;

    /// Returns the value at `key` with its version, or `None` if there is none.
    async fn get(&self, key: &StateKey) -> Result<Option<Versioned>>;

    /// Writes `value` at `key` if `expect` holds, and returns the new version.
    async fn put(&self, key: &StateKey, value: Vec<u8>, expect: Expect) -> Result<Version>;

    /// Removes `key` if `expect` holds. Removing what is not there is `Ok` under [`Expect::Any`] and
    /// [`Expect::Absent`].
    async fn delete(&self, key: &StateKey, expect: Expect) -> Result<()>;

    /// Returns the keys below `prefix` (whole segments), sorted. All keys for `None`.
    async fn list(&self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>>;

    /// Removes what the backend made to keep records below, if it is empty. Nobody uses the place meanwhile.
    ///
    /// A backend that makes nothing of the kind does nothing.
    async fn tidy(&self) -> Result<()> {
        Ok(())
    }
}

/// Most bytes of a value, in every backend.
pub const MAX_VALUE_BYTES: usize = 262_144;

/// Refuses a value above the limit, as every backend does.
fn check_size(key: &StateKey, value: &[u8]) -> Result<()> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(StoreError::TooLarge { key: key.clone(), bytes: value.len(), limit: MAX_VALUE_BYTES });
    }
    Ok(())
}

/// One state of a record. Opaque: compare for equality, nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// Wraps what a backend uses.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// What the backend uses.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value and the version it was read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The bytes as they were written, at most [`MAX_VALUE_BYTES`].
    pub value: Vec<u8>,
    /// What [`Expect::Version`] takes to change the record only if nobody else did.
    pub version: Version,
}

/// What must hold for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: create or replace.
    Any,
    /// There is no such record.
    Absent,
    /// The record is still at this version.
    Version(Version),
}

impl Expect {
    /// Whether it holds for a record that is at `current`.
    pub fn holds(&self, current: Option<&Version>) -> bool {
        match (self, current) {
            (Self::Any, _) | (Self::Absent, None) => true,
            (Self::Version(expected), Some(current)) => expected == current,
            (Self::Absent, Some(_)) | (Self::Version(_), None) => false,
        }
    }
}
