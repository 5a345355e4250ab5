//! The configurations as they are stored, for whoever does not change them.

use super::Snapshot;
use crate::store::{StateStore, StoreError};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Reads the configurations whenever somebody asks, and never answers with what was read before that.
///
/// One reading runs at a time: those who ask meanwhile share the next one, so that many who ask cost the store no
/// more than one who asks again and again.
#[derive(Debug)]
pub struct SnapshotReader {
    store: Arc<dyn StateStore>,
    /// When the last reading began, and what it found.
    last: Mutex<Option<(Instant, Arc<Snapshot>)>>,
}

impl SnapshotReader {
    /// Reads from `store`, which somebody else writes.
    pub fn new(store: Arc<dyn StateStore>) -> Self {
        Self { store, last: Mutex::default() }
    }

    /// What is stored now. Files that are not in force are not known here: [`Snapshot::problems`] is empty.
    ///
    /// # Cancellation safety
    ///
    /// May be dropped at any await.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn read(&self) -> Result<Arc<Snapshot>, StoreError> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some((_, found)) = last.as_ref().filter(|(began, _)| *began >= asked) {
            return Ok(found.clone());
        }
        let began = Instant::now();
        let found = Arc::new(Snapshot::read(&*self.store).await?);
        *last = Some((began, found.clone()));
        Ok(found)
    }
}
