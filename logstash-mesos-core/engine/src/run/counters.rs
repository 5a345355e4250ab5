//! What plugins have done.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a plugin has done so far, over all workers.
#[derive(Debug, Default)]
pub struct PluginCounters {
    events_in: AtomicU64,
    events_out: AtomicU64,
    nanos: AtomicU64,
}

impl PluginCounters {
    /// Events it was given.
    #[must_use]
    pub fn events_in(&self) -> u64 {
        self.events_in.load(Ordering::Relaxed)
    }

    /// Events it passed on.
    #[must_use]
    pub fn events_out(&self) -> u64 {
        self.events_out.load(Ordering::Relaxed)
    }

    /// The time it took, in nanoseconds: that of the first [`SAMPLE_EVERY`] events, and from then on estimated
    /// from one event in so many.
    #[must_use]
    pub fn nanos(&self) -> u64 {
        self.nanos.load(Ordering::Relaxed)
    }

    /// Adds to the counts.
    pub fn add(&self, events_in: u64, events_out: u64, nanos: u64) {
        self.events_in.fetch_add(events_in, Ordering::Relaxed);
        self.events_out.fetch_add(events_out, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Reading the clock twice costs more than many a filter: one event in so many is timed.
pub const SAMPLE_EVERY: u64 = 64;
