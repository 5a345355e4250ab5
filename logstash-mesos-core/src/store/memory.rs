//! Records in this process, gone with it.

use super::{Expect, Result, StateKey, StateStore, StoreError, Version, Versioned, check_size};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keeps records in this process.
///
/// For tests, and for trying the thing: a scheduler that keeps its state here starts a new framework
/// each time.
///
/// ```
/// # tokio_test(async {
/// use logstash_mesos_core::store::{Expect, MemoryStore, StateKey, StateStore};
///
/// let store = MemoryStore::default();
/// let key = StateKey::new("framework").expect("a plain name");
/// let version = store.put(&key, b"id".to_vec(), Expect::Absent).await?;
/// assert!(store.put(&key, b"other".to_vec(), Expect::Absent).await.is_err());
/// store.put(&key, b"newer".to_vec(), Expect::Version(version)).await?;
/// # Ok::<(), logstash_mesos_core::store::StoreError>(()) });
/// # fn tokio_test(f: impl std::future::Future<Output = Result<(), logstash_mesos_core::store::StoreError>>) {
/// #     tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(f).expect("works");
/// # }
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore {
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    by_key: BTreeMap<StateKey, Versioned>,
    writes: u64,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, Records> {
        // Every change is one insert or remove: a panic elsewhere leaves nothing half done.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StateStore for MemoryStore {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn get(&self, key: &StateKey) -> Result<Option<Versioned>> {
        Ok(self.lock().by_key.get(key).cloned())
    }

    async fn put(&self, key: &StateKey, value: Vec<u8>, expect: Expect) -> Result<Version> {
        check_size(key, &value)?;
        let mut records = self.lock();
        if !expect.holds(records.by_key.get(key).map(|r| &r.version)) {
            return Err(StoreError::Conflict { backend: self.name(), key: key.clone() });
        }
        records.writes += 1;
        let version = Version::new(records.writes.to_string());
        records.by_key.insert(key.clone(), Versioned { value, version: version.clone() });
        Ok(version)
    }

    async fn delete(&self, key: &StateKey, expect: Expect) -> Result<()> {
        let mut records = self.lock();
        if !expect.holds(records.by_key.get(key).map(|r| &r.version)) {
            return Err(StoreError::Conflict { backend: self.name(), key: key.clone() });
        }
        records.by_key.remove(key);
        Ok(())
    }

    async fn list(&self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>> {
        let records = self.lock();
        Ok(records.by_key.keys().filter(|k| prefix.is_none_or(|p| k.is_below(p))).cloned().collect())
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::state_store;

    #[tokio::test]
    async fn conforms() {
        state_store::conformance(async || MemoryStore::default()).await;
    }
}
