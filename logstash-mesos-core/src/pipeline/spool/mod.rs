//! What waits for an output on disk: `queue/<pipeline>/<output>/` in the data directory.
//!
//! No crate keeps such a queue: `yaque` writes its state when it is dropped, and a kill leaves it to a recovery; `queue-file`
//! keeps one file without a checksum for each record; neither lets several batches be on their way and arrive in any order.

mod budget;
mod home;
mod left;
mod queue;
mod ranges;
mod record;
mod segment;
mod window;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use home::{Home, Lease, Owner};
pub use left::{LeftQueue, LeftQueues};
pub(crate) use queue::{Damage, DiskQueue, Limits};
pub(crate) use window::Ticket;

use budget::Budget;

use super::directory_name::directory_name;

/// Where pipelines keep what their outputs do not take; by default nowhere. Clones share the room.
#[derive(Clone, Debug, Default)]
pub struct Spools(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    budget: Arc<Budget>,
    leases: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Spools {
    /// In the directory `root`, which one process uses at a time, with `most_bytes` for all queues together. Nothing
    /// is made before it is needed.
    #[must_use]
    pub fn new(root: &Path, most_bytes: u64) -> Self {
        let budget = Arc::new(Budget::new(most_bytes));
        Self(Some(Arc::new(Inner { root: root.to_owned(), budget, leases: Mutex::default() })))
    }

    /// Those of the pipeline `pipeline_id`, if there is a place for them.
    pub(crate) fn home(&self, pipeline_id: &str, limits: Limits) -> Option<Home> {
        let inner = self.0.as_ref()?;
        let mut leases = inner.leases.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Home {
            dir: inner.root.join(directory_name(pipeline_id)),
            limits,
            budget: Arc::clone(&inner.budget),
            lease: Arc::clone(leases.entry(pipeline_id.to_owned()).or_default()),
        })
    }
}

#[cfg(test)]
mod model_tests;
