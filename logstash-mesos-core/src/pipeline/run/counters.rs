//! What a pipeline and its plugins have done so far, while they run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use logstash_mesos_engine::run::PluginCounters;

/// What a pipeline has done so far.
#[derive(Debug, Default)]
pub struct PipelineCounters {
    pub(super) events_in: AtomicU64,
    pub(super) events_out: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) failed_inputs: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) failures: AtomicU64,
    last_failure: Mutex<Option<String>>,
}

impl PipelineCounters {
    /// How often a plugin has panicked. Its event is in the dead letters, or is read again.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// The last thing that went wrong in a plugin and was no fault of an event, of a server or of a file: a panic,
    /// or an input that can never work.
    #[must_use]
    pub fn last_failure(&self) -> Option<String> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A plugin has panicked; `what` says where, and what it said.
    pub(super) fn failed(&self, what: String) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.set_failure(what);
    }

    /// Keeps the last thing that went wrong in a plugin.
    pub(super) fn set_failure(&self, what: String) {
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    /// Events that a condition had no answer for, such as `if [a] > 5` for a text: they are in the dead letters.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Events that filters have dropped, as they were told to.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Inputs that said that they can never work.
    #[must_use]
    pub fn failed_inputs(&self) -> u64 {
        self.failed_inputs.load(Ordering::Relaxed)
    }

    /// Events taken from inputs.
    #[must_use]
    pub fn events_in(&self) -> u64 {
        self.events_in.load(Ordering::Relaxed)
    }

    /// Events that came out of the filters.
    #[must_use]
    pub fn events_out(&self) -> u64 {
        self.events_out.load(Ordering::Relaxed)
    }

    /// Batches taken from inputs.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }
}

/// What an output has done so far.
#[derive(Clone, Debug)]
pub struct OutputStatus {
    /// The plugin's id.
    pub id: Arc<str>,
    /// [`crate::sink::LogSink::name`] of its sink.
    pub sink: String,
    /// Records that arrived.
    pub delivered: u64,
    /// The bytes of the records that were delivered, as they were encoded.
    pub delivered_bytes: u64,
    /// Records that were refused and became dead letters.
    pub rejected: u64,
    /// Records that wait on disk.
    pub on_disk: u64,
    /// What they take there, in bytes.
    pub bytes_on_disk: u64,
    /// Records that the destination does not take now, though it takes others: they wait aside.
    pub aside: u64,
    /// Why: what it said last of one of them.
    pub aside_reason: Option<String>,
    /// Records that waited on disk, were damaged there and are lost.
    pub damaged: u64,
    /// Deliveries that had to be tried again.
    pub retries: u64,
    /// Why nothing arrives at the moment; it is tried again.
    pub trouble: Option<String>,
}

/// The counters of one plugin: its id, its name, what it has done.
pub type FilterStatus = (Arc<str>, &'static str, Arc<PluginCounters>);
