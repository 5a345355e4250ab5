//! The state store, as whoever leads may use it.

use crate::store::{Expect, Result, StateKey, StateStore, StoreError, Version, Versioned};
use async_trait::async_trait;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A store that takes writes only while the lead is held.
///
/// A write that the end of the lead meets under way is given up: like any that got no answer, it may have taken
/// effect. One that took effect while the lead ended is not reported as done either, so that nobody is told of
/// success by a scheduler that others may have replaced already. What such a write could still spoil is fenced by
/// the versions that [`Records::take_over`](super::records::Records::take_over) changes.
#[derive(Debug)]
pub(super) struct LeadersStore {
    store: Arc<dyn StateStore>,
    lost: CancellationToken,
}

impl LeadersStore {
    pub(super) fn new(store: Arc<dyn StateStore>, lost: CancellationToken) -> Self {
        Self { store, lost }
    }

    async fn while_leading<T>(&self, key: &StateKey, write: impl Future<Output = Result<T>>) -> Result<T> {
        let done = self.lost.run_until_cancelled(write).await;
        if self.lost.is_cancelled() {
            return Err(StoreError::NotLeading { backend: self.name(), key: key.clone() });
        }
        done.expect("only the end of the lead cancels it")
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl StateStore for LeadersStore {
    fn name(&self) -> String {
        self.store.name()
    }

    async fn get(&self, key: &StateKey) -> Result<Option<Versioned>> {
        self.store.get(key).await
    }

    async fn put(&self, key: &StateKey, value: Vec<u8>, expect: Expect) -> Result<Version> {
        self.while_leading(key, async { self.store.put(key, value, expect).await }).await
    }

    async fn delete(&self, key: &StateKey, expect: Expect) -> Result<()> {
        self.while_leading(key, async { self.store.delete(key, expect).await }).await
    }

    async fn list(&self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>> {
        self.store.list(prefix).await
    }

    async fn tidy(&self) -> Result<()> {
        self.store.tidy().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn without_the_lead_nothing_is_written() {
        let (inner, lost) = (Arc::new(MemoryStore::default()), CancellationToken::new());
        let store = LeadersStore::new(inner.clone(), lost.clone());
        let key = StateKey::new("k").expect("a plain name");
        let version = store.put(&key, b"1".to_vec(), Expect::Absent).await.expect("leads");
        lost.cancel();
        let refused = store.put(&key, b"2".to_vec(), Expect::Version(version)).await;
        assert!(matches!(refused, Err(StoreError::NotLeading { .. })), "{refused:?}");
        let refused = store.delete(&key, Expect::Any).await;
        assert!(matches!(refused, Err(StoreError::NotLeading { .. })), "{refused:?}");
        assert_eq!(store.get(&key).await.expect("may be read").map(|v| v.value), Some(b"1".to_vec()));
    }
}
