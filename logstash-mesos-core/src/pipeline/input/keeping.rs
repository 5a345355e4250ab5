//! What codecs keep of files, out of the memory of all pipelines.
//!
//! A file may end in the middle of an event for ever, so nobody waits for this memory: an event for which there is no
//! room ends early. What comes of it later is in events of its own. Up to [`FREE_BYTES`] an event needs no room, and one
//! at a time goes on without, as long as its codec lets it: so a single long event stays whole.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use logstash_mesos_engine::time::Seldom;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use crate::memory::{Account, Held, Memory};

/// The memory for what is kept of the files of some streams. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Keeping(Arc<Shared>, Option<Arc<Path>>);

#[derive(Debug)]
struct Shared {
    memory: Memory,
    // Opened when something is kept: an account that nobody uses leaves less to the others.
    account: OnceLock<Account>,
    alone: Arc<Semaphore>,
    short_since: Mutex<Option<Instant>>,
    ended: AtomicU64,
    said: Seldom,
}

/// What is kept for one event.
#[derive(Debug)]
pub(crate) struct Share {
    held: Held,
    alone: Option<OwnedSemaphorePermit>,
}

/// So much may be kept for an event without asking.
pub(crate) const FREE_BYTES: usize = 4 << 10;
/// After an event has ended early, others may not keep more than that for as long as nothing comes of them.
const SHORT_FOR: Duration = Duration::from_secs(60);

impl Keeping {
    pub(crate) fn new(memory: &Memory) -> Self {
        let shared = Shared {
            memory: memory.clone(),
            account: OnceLock::new(),
            alone: Arc::new(Semaphore::new(1)),
            short_since: Mutex::default(),
            ended: AtomicU64::new(0),
            said: Seldom::default(),
        };
        Self(Arc::new(shared), None)
    }

    /// The same; what can be put on disk may lie in `dir`.
    pub(crate) fn with_dir(self, dir: &Path) -> Self {
        Self(self.0, Some(Arc::from(dir)))
    }

    /// Where what needs no memory may lie.
    pub(crate) fn dir(&self) -> Option<Arc<Path>> {
        self.1.clone()
    }

    /// For an event that begins.
    pub(crate) fn share(&self) -> Share {
        let account = self.0.account.get_or_init(|| self.0.memory.open());
        Share { held: account.nothing(), alone: None }
    }

    /// `share` is `bytes` from now on; `false` if there is no room, and the event has to end.
    pub(crate) fn resize(&self, share: &mut Share, bytes: usize) -> bool {
        let Share { held, alone } = share;
        if bytes <= FREE_BYTES.max(held.bytes()) {
            held.set(bytes);
            return true;
        }
        if alone.is_none() && !held.grow_within(bytes) {
            let Ok(permit) = Arc::clone(&self.0.alone).try_acquire_owned() else { return false };
            *alone = Some(permit);
        }
        held.charge(bytes);
        true
    }

    /// Whether an event ended early not long ago.
    pub(crate) fn is_short(&self) -> bool {
        let since = *self.0.short_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < SHORT_FOR)
    }

    /// Counts an event that ended early, and says so from time to time.
    pub(crate) fn ended_early(&self, byte_size: usize) {
        *self.0.short_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let count = self.0.ended.fetch_add(1, Ordering::Relaxed) + 1;
        if self.0.said.is_due() {
            warn!(
                count,
                byte_size,
                "Unfinished events of several lines are given out, there is no memory to keep all of them: grant more, or lower `max_bytes` of the codec"
            );
        }
    }
}
