//! A filter in its place.

use std::sync::Arc;
use std::time::Instant;

use super::broken::{Broken, Panicked, guarded};
use super::counters::{PluginCounters, SAMPLE_EVERY};
use crate::event::{Clock, Event};
use crate::plugin::{Decoration, Emitting, Filter, FilterContext};

/// A filter in its place.
pub struct FilterSlot {
    /// The `id` of the plugin, which is unique in its pipeline.
    pub id: Arc<str>,
    /// The name of the plugin: `grok`.
    pub name: &'static str,
    /// What it has done.
    pub counters: Arc<PluginCounters>,
    decoration: Arc<Decoration>,
    filter: Box<dyn Filter>,
    seen: u64,
    // Events that were passed on, since the last report as the others.
    pub(super) passed: u64,
    nanos: u64,
    turn: u64,
    // So many more events are timed each.
    exact: u64,
}

impl FilterSlot {
    /// A filter with its common options.
    #[must_use]
    pub fn new(id: Arc<str>, name: &'static str, filter: Box<dyn Filter>, decoration: Decoration) -> Self {
        Self::with(id, name, Arc::default(), Arc::new(decoration), filter)
    }

    /// The same for another worker.
    pub(super) fn fork(&self) -> Self {
        let (id, counters) = (Arc::clone(&self.id), Arc::clone(&self.counters));
        Self::with(id, self.name, counters, Arc::clone(&self.decoration), self.filter.fork())
    }

    fn with(
        id: Arc<str>,
        name: &'static str,
        counters: Arc<PluginCounters>,
        decoration: Arc<Decoration>,
        filter: Box<dyn Filter>,
    ) -> Self {
        let (seen, passed, nanos, turn, exact) = (0, 0, 0, 0, SAMPLE_EVERY);
        Self { id, name, counters, decoration, filter, seen, passed, nanos, turn, exact }
    }

    /// Whether the filter wants to be flushed.
    pub(super) fn flushes(&self) -> bool {
        self.filter.flushes()
    }

    /// Whether it may hold events back until then.
    pub(super) fn keeps_events(&self) -> bool {
        self.filter.keeps_events()
    }

    /// Lets the filter work on an event. A panic of it is a bug of the plugin, and no other event's business: the
    /// filter is made anew, and the error says what happened.
    pub(super) fn filter(
        &mut self,
        event: &mut Event,
        emitted: &mut Vec<Event>,
        later: &mut Option<Emitting>,
        clock: Clock,
    ) -> Result<(), Panicked> {
        let result = guarded(|| self.filter_one(event, emitted, later, clock));
        if result.is_err() {
            self.filter = self.filter.fork();
        }
        result
    }

    fn filter_one(
        &mut self,
        event: &mut Event,
        emitted: &mut Vec<Event>,
        later: &mut Option<Emitting>,
        clock: Clock,
    ) {
        let mut cx = FilterContext { decoration: &self.decoration, emitted, later, clock };
        self.seen += 1;
        if self.turn == 0 {
            let start = Instant::now();
            self.filter.filter(event, &mut cx);
            // The first ones are slow, and stand for nobody but themselves.
            let stands_for = if self.exact > 0 { 1 } else { SAMPLE_EVERY };
            self.exact = self.exact.saturating_sub(1);
            self.nanos += u64::try_from(start.elapsed().as_nanos()).unwrap_or(0) * stands_for;
            self.turn = stands_for;
        } else {
            self.filter.filter(event, &mut cx);
        }
        self.turn -= 1;
    }

    /// Lets the filter give out what it keeps, for good if it is the `last` time. A panic is as one of
    /// [`FilterSlot::filter`].
    pub(super) fn flush(
        &mut self,
        emitted: &mut Vec<Event>,
        later: &mut Option<Emitting>,
        clock: Clock,
        last: bool,
    ) -> Result<(), Panicked> {
        let mut cx = FilterContext { decoration: &self.decoration, emitted, later, clock };
        let result = guarded(|| self.filter.flush(&mut cx, last));
        if result.is_err() {
            self.filter = self.filter.fork();
        }
        result
    }

    /// What is told of a panic; `event` as far as the filter got with it.
    pub(super) fn broken(&self, panic: Panicked, event: Option<Event>) -> Broken {
        let kept_events = self.filter.keeps_events();
        Broken { plugin_id: Arc::clone(&self.id), plugin: self.name, panic, event, kept_events }
    }

    /// Adds to the counters what was done since the last call.
    pub(super) fn report(&mut self) {
        if self.seen > 0 || self.passed > 0 {
            self.counters.add(self.seen, self.passed, self.nanos);
            (self.seen, self.passed, self.nanos) = (0, 0, 0);
        }
    }
}

impl std::fmt::Debug for FilterSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilterSlot").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}
