//! How much all queues of a program take on disk together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A number of bytes that queues share.
#[derive(Debug)]
pub(crate) struct Budget {
    most: u64,
    taken: AtomicU64,
    // The directories of the queues that are open.
    open: Mutex<BTreeSet<PathBuf>>,
}

/// What one of them has of it; given back when it goes.
#[derive(Debug)]
pub(super) struct Taken {
    budget: Arc<Budget>,
    dir: PathBuf,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(most_bytes: u64) -> Self {
        Self { most: most_bytes, taken: AtomicU64::new(0), open: Mutex::default() }
    }

    #[cfg(test)]
    pub(super) fn more_is_left(self: &Arc<Self>, bytes: u64) -> bool {
        self.taken(Path::new("")).more(bytes)
    }

    /// Nothing yet, for the queue in `dir`, which is open from now on.
    pub(super) fn taken(self: &Arc<Self>, dir: &Path) -> Taken {
        self.open().insert(dir.to_owned());
        Taken { budget: Arc::clone(self), dir: dir.to_owned(), bytes: 0 }
    }

    /// The directories of the queues that are open.
    pub(super) fn open(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Takes so many more, if they are left.
    pub(super) fn more(&mut self, bytes: u64) -> bool {
        let most = self.budget.most;
        let taken = |taken: u64| taken.checked_add(bytes).filter(|taken| *taken <= most);
        let took = self.budget.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok();
        if took {
            self.bytes += bytes;
        }
        took
    }

    /// It is so many, whatever is left: they are on disk.
    pub(super) fn set(&mut self, bytes: u64) {
        self.budget.taken.fetch_add(bytes, Ordering::Relaxed);
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.set(0);
        self.budget.open().remove(&self.dir);
    }
}
