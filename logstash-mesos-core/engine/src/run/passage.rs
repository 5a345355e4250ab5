//! The way of events through a graph of filters.

use tracing::warn;

use super::broken::Broken;
use super::condition::{Condition, EvaluationError};
use super::graph::{Graph, Node};
use super::slot::FilterSlot;
use crate::event::{Clock, Event};
use crate::plugin::{Emitting, PART};

/// Where events are in a graph, and what has become of them.
#[derive(Debug)]
pub(super) struct Passage {
    clock: Clock,
    emitted: Vec<Event>,
    emitting: Option<Emitting>,
    // Where in the graph the events at hand are, and what goes on from where when they have gone.
    place: Place,
    later: Vec<Later>,
    ordinal: u32,
    pub(super) unanswered: Vec<(Event, EvaluationError)>,
    pub(super) dropped: u64,
    said: bool,
    pub(super) flush: Flush,
    pub(super) broken: Vec<Broken>,
}

/// A node in a graph: the numbers of the nodes that it is in, each with which of its arms that is, and its own.
type Place = Vec<(usize, usize)>;

/// What goes on with the node of a place.
struct Later {
    place: Place,
    events: Emitting,
    // They have no ordinals yet.
    is_new: bool,
}

impl std::fmt::Debug for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Later").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Whether filters give out what they keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flush {
    No,
    Regular,
    /// For good.
    Last,
}

impl Passage {
    /// At the beginning.
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            emitted: Vec::new(),
            emitting: None,
            place: Place::new(),
            later: Vec::new(),
            ordinal: 0,
            unanswered: Vec::new(),
            dropped: 0,
            said: false,
            flush: Flush::No,
            broken: Vec::new(),
        }
    }

    /// Forgets the events on their way.
    pub(super) fn clear(&mut self) {
        self.emitted.clear();
        self.emitting = None;
        self.place.clear();
        self.later.clear();
        self.flush = Flush::No;
    }

    /// Whether events wait that were put off.
    pub(super) fn has_more(&self) -> bool {
        !self.later.is_empty()
    }

    /// Sends an event through the graph; `list` is empty, and holds what came of it.
    pub(super) fn begin(&mut self, graph: &mut Graph<FilterSlot>, event: Event, list: &mut Vec<Event>) {
        self.ordinal = 0;
        list.push(event);
        self.through(graph, 0, list);
    }

    /// Goes on with some of what was put off last. Tells whether there was any.
    pub(super) fn resume(&mut self, graph: &mut Graph<FilterSlot>, list: &mut Vec<Event>) -> bool {
        let Some(later) = self.later.last_mut() else { return false };
        list.extend(later.events.0.by_ref().take(PART));
        if later.is_new {
            number(list, &mut self.ordinal);
        }
        let place = match list.len() {
            PART => later.place.clone(),
            _ => self.later.pop().map(|later| later.place).unwrap_or_default(),
        };
        self.go_on(graph, &place, list);
        true
    }

    /// Sends the events through the nodes from that with the number `from` on.
    pub(super) fn through(&mut self, graph: &mut Graph<FilterSlot>, from: usize, list: &mut Vec<Event>) {
        let depth = self.place.len();
        self.place.push((from, 0));
        for (at, node) in graph.nodes.iter_mut().enumerate().skip(from) {
            if list.is_empty() && self.flush == Flush::No {
                break;
            }
            self.place[depth].0 = at;
            match node {
                Node::Plugin(slot) => self.apply(slot, list),
                Node::If { arms, otherwise } => self.branch(arms, otherwise, list),
            }
            if list.len() > PART && self.flush == Flush::No {
                self.put_off(at + 1, Emitting(Box::new(list.split_off(PART).into_iter())), false);
            }
        }
        self.place.truncate(depth);
    }

    /// Sends the events through the node of a place and what is behind it.
    fn go_on(&mut self, graph: &mut Graph<FilterSlot>, place: &[(usize, usize)], list: &mut Vec<Event>) {
        let Some(((at, arm), inner)) = place.split_first() else { return };
        if let (false, Some(Node::If { arms, otherwise })) = (inner.is_empty(), graph.nodes.get_mut(*at)) {
            let graph = arms.get_mut(*arm).map_or(otherwise, |(_, graph)| graph);
            self.place.push((*at, *arm));
            self.go_on(graph, inner, list);
            self.place.pop();
        }
        self.through(graph, if inner.is_empty() { *at } else { at + 1 }, list);
    }

    fn apply(&mut self, slot: &mut FilterSlot, list: &mut Vec<Event>) {
        let mut at = 0;
        while at < list.len() {
            if let Err(panic) = slot.filter(&mut list[at], &mut self.emitted, &mut self.emitting, self.clock)
            {
                self.emitted.clear();
                self.emitting = None;
                let event = Some(list.remove(at));
                self.broken.push(slot.broken(panic, event));
                continue;
            }
            let mut next = at + 1;
            if !self.emitted.is_empty() {
                number(&mut self.emitted, &mut self.ordinal);
                next += self.emitted.len();
                list.splice(at + 1..at + 1, self.emitted.drain(..));
            }
            at = next;
            let emitting = self.emitting.take();
            if emitting.is_some() || at > PART {
                let this = self.place.last().map_or(0, |(at, _)| *at);
                if self.flush == Flush::No && at < list.len() {
                    self.put_off(this, Emitting(Box::new(list.split_off(at).into_iter())), false);
                }
                if let Some(events) = emitting {
                    self.put_off(this + 1, events, true);
                }
            }
        }
        if self.flush != Flush::No && slot.flushes() {
            let last = self.flush == Flush::Last;
            if let Err(panic) = slot.flush(&mut self.emitted, &mut self.emitting, self.clock, last) {
                self.broken.push(slot.broken(panic, None));
            }
            list.append(&mut self.emitted);
            list.extend(self.emitting.take().into_iter().flat_map(|Emitting(events)| events));
        }
        let before = list.len();
        list.retain(|event| !event.is_cancelled());
        if list.len() < before && !slot.keeps_events() {
            self.dropped += (before - list.len()) as u64;
        }
        slot.passed += list.len() as u64;
    }

    fn branch(
        &mut self,
        arms: &mut [(Condition, Graph<FilterSlot>)],
        otherwise: &mut Graph<FilterSlot>,
        list: &mut Vec<Event>,
    ) {
        // One event and nothing to flush: no list but the one at hand is needed.
        if list.len() == 1 && self.flush == Flush::No {
            for (arm, (condition, graph)) in arms.iter_mut().enumerate() {
                match condition.holds(&list[0]) {
                    Ok(true) => return self.inside(graph, arm, list),
                    Ok(false) => {}
                    Err(error) => {
                        self.end_unanswered(list.drain(..), &error);
                        return;
                    }
                }
            }
            return self.inside(otherwise, arms.len(), list);
        }
        let mut rest = std::mem::take(list);
        for (arm, (condition, graph)) in arms.iter_mut().enumerate() {
            let mut taken = Vec::new();
            let mut left = Vec::new();
            for event in rest {
                match condition.holds(&event) {
                    Ok(true) => taken.push(event),
                    Ok(false) => left.push(event),
                    Err(error) => self.end_unanswered([event], &error),
                }
            }
            rest = left;
            self.inside(graph, arm, &mut taken);
            list.append(&mut taken);
        }
        self.inside(otherwise, arms.len(), &mut rest);
        list.append(&mut rest);
    }

    /// Sends the events through an arm of the node at hand.
    fn inside(&mut self, graph: &mut Graph<FilterSlot>, arm: usize, list: &mut Vec<Event>) {
        if let Some((_, at)) = self.place.last_mut() {
            *at = arm;
        }
        self.through(graph, 0, list);
    }

    fn end_unanswered(&mut self, events: impl IntoIterator<Item = Event>, error: &EvaluationError) {
        if !self.said {
            self.said = true;
            warn!(%error, "Condition has no answer for an event, which ends there; further ones are only counted");
        }
        self.unanswered.extend(events.into_iter().map(|event| (event, error.clone())));
    }

    /// `events` go on with the node `from` of the graph at hand, before all that was put off earlier.
    fn put_off(&mut self, from: usize, events: Emitting, is_new: bool) {
        let mut place = self.place.clone();
        place.last_mut().into_iter().for_each(|(at, _)| *at = from);
        self.later.push(Later { place, events, is_new });
    }
}

/// Events that come of one have ordinals in the order in which they were made.
fn number(events: &mut [Event], last: &mut u32) {
    for origin in events.iter_mut().filter_map(|event| event.origin.as_mut()) {
        *last += 1;
        origin.ordinal = *last;
    }
}
