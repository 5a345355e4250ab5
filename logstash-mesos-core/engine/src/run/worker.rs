//! Filters at work.

use std::sync::Arc;

use super::broken::Broken;
use super::condition::EvaluationError;
use super::counters::PluginCounters;
use super::graph::Graph;
use super::passage::{Flush, Passage};
use super::slot::FilterSlot;
use crate::event::{Clock, Event};
use crate::plugin::PART;

/// The filters of a pipeline, compiled: what workers are made from.
#[derive(Debug, Default)]
pub struct FilterGraph {
    /// The filters and the conditions between them.
    pub graph: Graph<FilterSlot>,
    /// Where the current time comes from.
    pub clock: Clock,
}

impl FilterGraph {
    /// The filters for one more worker.
    #[must_use]
    pub fn fork(&self) -> FilterWorker {
        FilterWorker {
            graph: self.graph.map(FilterSlot::fork),
            list: Vec::new(),
            events: Vec::new().into_iter(),
            passage: Passage::new(self.clock),
        }
    }

    /// Whether there is no filter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.graph.is_empty()
    }

    /// The counters of every filter, with its id and name, in the order of the configuration.
    #[must_use]
    pub fn counters(&self) -> Vec<(Arc<str>, &'static str, Arc<PluginCounters>)> {
        let mut list = Vec::new();
        self.graph
            .for_each(&mut |slot| list.push((Arc::clone(&slot.id), slot.name, Arc::clone(&slot.counters))));
        list
    }
}

/// The filters as one worker has them. What filters keep in common is shared with the other workers.
#[derive(Debug)]
pub struct FilterWorker {
    graph: Graph<FilterSlot>,
    /// The events that came of one: kept for its allocation.
    list: Vec<Event>,
    /// Those that have not gone through the filters.
    events: std::vec::IntoIter<Event>,
    passage: Passage,
}

impl FilterWorker {
    /// Sends each event through all filters, one after the other, and returns what came of them, in
    /// order. Dropped events are not among it.
    #[must_use]
    pub fn run(&mut self, events: Vec<Event>) -> Vec<Event> {
        let mut all = self.begin(events);
        while let Some(mut more) = self.more() {
            all.append(&mut more);
        }
        all
    }

    /// As [`FilterWorker::run`], and returns when some have come of the events: the others are [to be asked
    /// for](FilterWorker::more). So few are held at a time, however many filters make of one.
    #[must_use]
    pub fn begin(&mut self, events: Vec<Event>) -> Vec<Event> {
        if self.graph.nodes.is_empty() {
            return events;
        }
        self.passage.unanswered.clear();
        self.events = events.into_iter();
        self.part()
    }

    /// What else came of the events; `None` when that was all.
    pub fn more(&mut self) -> Option<Vec<Event>> {
        let is_all = self.events.len() == 0 && !self.passage.has_more();
        (!is_all).then(|| self.part())
    }

    fn part(&mut self) -> Vec<Event> {
        let Self { graph, list, events, passage } = self;
        let mut out = Vec::with_capacity(events.len());
        while out.len() < PART {
            if !passage.resume(graph, list) {
                let Some(event) = events.find(|event| !event.is_cancelled()) else { break };
                passage.begin(graph, event, list);
            }
            out.append(list);
        }
        self.report();
        out
    }

    /// Lets filters give out what they keep; to be called about every five seconds, and with `last` when
    /// the pipeline ends.
    #[must_use]
    pub fn flush(&mut self, last: bool) -> Vec<Event> {
        let mut out = Vec::new();
        self.passage.unanswered.clear();
        self.passage.flush = if last { Flush::Last } else { Flush::Regular };
        self.passage.through(&mut self.graph, 0, &mut out);
        self.passage.flush = Flush::No;
        while let Some(mut more) = self.more() {
            out.append(&mut more);
        }
        self.report();
        out
    }

    /// Whether any filter wants [`FilterWorker::flush`] to be called.
    #[must_use]
    pub fn flushes(&self) -> bool {
        let mut any = false;
        self.graph.for_each(&mut |slot| any |= slot.flushes());
        any
    }

    /// Whether any filter may hold events back until a flush.
    #[must_use]
    pub fn keeps_events(&self) -> bool {
        let mut any = false;
        self.graph.for_each(&mut |slot| any |= slot.keeps_events());
        any
    }

    /// The events on which plugins have panicked since this was last asked.
    #[must_use]
    pub fn take_broken(&mut self) -> Vec<Broken> {
        std::mem::take(&mut self.passage.broken)
    }

    /// How many events filters have dropped since this was last asked. Those that a filter keeps for later are none.
    #[must_use]
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.passage.dropped)
    }

    /// Forgets the events at hand, after a panic outside of a filter.
    pub fn clear(&mut self) {
        self.list.clear();
        self.events = Vec::new().into_iter();
        self.passage.clear();
    }

    /// The events of the last [`FilterWorker::run`] or [`FilterWorker::flush`] that a condition had no answer for. Where
    /// nobody asks for them they are dropped, as Logstash drops them.
    #[must_use]
    pub fn take_unanswered(&mut self) -> Vec<(Event, EvaluationError)> {
        std::mem::take(&mut self.passage.unanswered)
    }

    fn report(&mut self) {
        self.graph.for_each_mut(&mut FilterSlot::report);
    }
}
