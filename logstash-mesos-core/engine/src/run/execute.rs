//! Filters at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use thiserror::Error;
use tracing::warn;

use super::condition::{Condition, EvaluationError};
use super::graph::{Graph, Node};
use crate::event::{Clock, Event};
use crate::plugin::{Decoration, Emitting, Filter, FilterContext, PART};

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
    passed: u64,
    nanos: u64,
    turn: u64,
    // So many more events are timed each.
    exact: u64,
}

impl FilterSlot {
    /// A filter with its common options.
    #[must_use]
    pub fn new(id: Arc<str>, name: &'static str, filter: Box<dyn Filter>, decoration: Decoration) -> Self {
        Self {
            id,
            name,
            counters: Arc::default(),
            decoration: Arc::new(decoration),
            filter,
            seen: 0,
            passed: 0,
            nanos: 0,
            turn: 0,
            exact: SAMPLE_EVERY,
        }
    }

    fn fork(&self) -> Self {
        Self {
            id: Arc::clone(&self.id),
            name: self.name,
            counters: Arc::clone(&self.counters),
            decoration: Arc::clone(&self.decoration),
            filter: self.filter.fork(),
            seen: 0,
            passed: 0,
            nanos: 0,
            turn: 0,
            exact: SAMPLE_EVERY,
        }
    }

    /// Lets the filter work on an event. A panic of it is a bug of the plugin, and no other event's business: the
    /// filter is made anew, and the error says what happened.
    fn filter(
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

    fn broken(&self, panic: Panicked, event: Option<Event>) -> Broken {
        let kept_events = self.filter.keeps_events();
        Broken { plugin_id: Arc::clone(&self.id), plugin: self.name, panic, event, kept_events }
    }

    fn report(&mut self) {
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
            clock: self.clock,
            list: Vec::new(),
            events: Vec::new().into_iter(),
            state: State::default(),
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

/// The filters of one worker.
#[derive(Debug)]
pub struct FilterWorker {
    graph: Graph<FilterSlot>,
    clock: Clock,
    /// The events that came of one: kept for its allocation.
    list: Vec<Event>,
    /// Those that have not gone through the filters.
    events: std::vec::IntoIter<Event>,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    emitted: Vec<Event>,
    emitting: Option<Emitting>,
    // Where in the graph the events at hand are, and what goes on from where when they have gone.
    place: Place,
    later: Vec<Later>,
    ordinal: u32,
    unanswered: Vec<(Event, EvaluationError)>,
    dropped: u64,
    said: bool,
    flush: Flush,
    broken: Vec<Broken>,
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

/// An event on which a plugin panicked.
#[derive(Debug)]
pub struct Broken {
    /// The id of the plugin.
    pub plugin_id: Arc<str>,
    /// The name of the plugin: `grok`.
    pub plugin: &'static str,
    /// What it said.
    pub panic: Panicked,
    /// The event, as far as the plugin got; none when it panicked while it was flushed.
    pub event: Option<Event>,
    /// Whether the plugin may have held other events back, which are gone with it.
    pub kept_events: bool,
}

/// A panic of a plugin, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Panicked {
    /// What it said; `no message` if it said nothing that is text.
    pub message: String,
}

/// Runs what a plugin does, so that a panic in it ends nothing but this call.
///
/// # Errors
///
/// [`Panicked`] when it did.
pub fn guarded(work: impl FnOnce()) -> Result<(), Panicked> {
    // What `work` leaves behind is thrown away or made anew by whoever hears of the panic.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Panicked { message: text.unwrap_or_else(|| "no message".to_owned()) }
    })
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flush {
    #[default]
    No,
    Regular,
    Last,
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
        self.state.unanswered.clear();
        self.events = events.into_iter();
        self.part()
    }

    /// What else came of the events; `None` when that was all.
    pub fn more(&mut self) -> Option<Vec<Event>> {
        let is_all = self.events.len() == 0 && self.state.later.is_empty();
        (!is_all).then(|| self.part())
    }

    fn part(&mut self) -> Vec<Event> {
        let Self { graph, clock, list, events, state } = self;
        let mut out = Vec::with_capacity(events.len());
        while out.len() < PART {
            if let Some(later) = state.later.last_mut() {
                list.extend(later.events.0.by_ref().take(PART));
                if later.is_new {
                    number(list, &mut state.ordinal);
                }
                let place = match list.len() {
                    PART => later.place.clone(),
                    _ => state.later.pop().map(|later| later.place).unwrap_or_default(),
                };
                go_on(graph, &place, list, state, *clock);
            } else if let Some(event) = events.find(|event| !event.is_cancelled()) {
                state.ordinal = 0;
                list.push(event);
                through(graph, 0, list, state, *clock);
            } else {
                break;
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
        self.state.unanswered.clear();
        self.state.flush = if last { Flush::Last } else { Flush::Regular };
        through(&mut self.graph, 0, &mut out, &mut self.state, self.clock);
        self.state.flush = Flush::No;
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
        self.graph.for_each(&mut |slot| any |= slot.filter.flushes());
        any
    }

    /// Whether any filter may hold events back until a flush.
    #[must_use]
    pub fn keeps_events(&self) -> bool {
        let mut any = false;
        self.graph.for_each(&mut |slot| any |= slot.filter.keeps_events());
        any
    }

    /// The events on which plugins have panicked since this was last asked.
    #[must_use]
    pub fn take_broken(&mut self) -> Vec<Broken> {
        std::mem::take(&mut self.state.broken)
    }

    /// How many events filters have dropped since this was last asked. Those that a filter keeps for later are none.
    #[must_use]
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.state.dropped)
    }

    /// Forgets the events at hand, after a panic outside of a filter.
    pub fn clear(&mut self) {
        self.list.clear();
        self.events = Vec::new().into_iter();
        self.state.emitted.clear();
        self.state.emitting = None;
        self.state.place.clear();
        self.state.later.clear();
        self.state.flush = Flush::No;
    }

    /// The events of the last [`FilterWorker::run`] or [`FilterWorker::flush`] that a condition had no answer for. Where
    /// nobody asks for them they are dropped, as Logstash drops them.
    #[must_use]
    pub fn take_unanswered(&mut self) -> Vec<(Event, EvaluationError)> {
        std::mem::take(&mut self.state.unanswered)
    }

    fn report(&mut self) {
        self.graph.for_each_mut(&mut FilterSlot::report);
    }
}

/// Sends the events through the nodes from that with the number `from` on.
fn through(
    graph: &mut Graph<FilterSlot>,
    from: usize,
    list: &mut Vec<Event>,
    state: &mut State,
    clock: Clock,
) {
    let depth = state.place.len();
    state.place.push((from, 0));
    for (at, node) in graph.nodes.iter_mut().enumerate().skip(from) {
        if list.is_empty() && state.flush == Flush::No {
            break;
        }
        state.place[depth].0 = at;
        match node {
            Node::Plugin(slot) => apply(slot, list, state, clock),
            Node::If { arms, otherwise } => branch(arms, otherwise, list, state, clock),
        }
        if list.len() > PART && state.flush == Flush::No {
            state.put_off(at + 1, Emitting(Box::new(list.split_off(PART).into_iter())), false);
        }
    }
    state.place.truncate(depth);
}

/// Sends the events through the node of a place and what is behind it.
fn go_on(
    graph: &mut Graph<FilterSlot>,
    place: &[(usize, usize)],
    list: &mut Vec<Event>,
    state: &mut State,
    clock: Clock,
) {
    let Some(((at, arm), inner)) = place.split_first() else { return };
    if let (false, Some(Node::If { arms, otherwise })) = (inner.is_empty(), graph.nodes.get_mut(*at)) {
        let graph = arms.get_mut(*arm).map_or(otherwise, |(_, graph)| graph);
        state.place.push((*at, *arm));
        go_on(graph, inner, list, state, clock);
        state.place.pop();
    }
    through(graph, if inner.is_empty() { *at } else { at + 1 }, list, state, clock);
}

impl State {
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

fn apply(slot: &mut FilterSlot, list: &mut Vec<Event>, state: &mut State, clock: Clock) {
    let mut at = 0;
    while at < list.len() {
        if let Err(panic) = slot.filter(&mut list[at], &mut state.emitted, &mut state.emitting, clock) {
            state.emitted.clear();
            state.emitting = None;
            let event = Some(list.remove(at));
            state.broken.push(slot.broken(panic, event));
            continue;
        }
        let mut next = at + 1;
        if !state.emitted.is_empty() {
            number(&mut state.emitted, &mut state.ordinal);
            next += state.emitted.len();
            list.splice(at + 1..at + 1, state.emitted.drain(..));
        }
        at = next;
        let emitting = state.emitting.take();
        if emitting.is_some() || at > PART {
            let this = state.place.last().map_or(0, |(at, _)| *at);
            if state.flush == Flush::No && at < list.len() {
                state.put_off(this, Emitting(Box::new(list.split_off(at).into_iter())), false);
            }
            if let Some(events) = emitting {
                state.put_off(this + 1, events, true);
            }
        }
    }
    if state.flush != Flush::No && slot.filter.flushes() {
        let last = state.flush == Flush::Last;
        let State { emitted, emitting, .. } = state;
        let mut cx = FilterContext { decoration: &slot.decoration, emitted, later: emitting, clock };
        if let Err(panic) = guarded(|| slot.filter.flush(&mut cx, last)) {
            slot.filter = slot.filter.fork();
            state.broken.push(slot.broken(panic, None));
        }
        list.append(&mut state.emitted);
        list.extend(state.emitting.take().into_iter().flat_map(|Emitting(events)| events));
    }
    let before = list.len();
    list.retain(|event| !event.is_cancelled());
    if list.len() < before && !slot.filter.keeps_events() {
        state.dropped += (before - list.len()) as u64;
    }
    slot.passed += list.len() as u64;
}

fn branch(
    arms: &mut [(Condition, Graph<FilterSlot>)],
    otherwise: &mut Graph<FilterSlot>,
    list: &mut Vec<Event>,
    state: &mut State,
    clock: Clock,
) {
    // One event and nothing to flush: no list but the one at hand is needed.
    if list.len() == 1 && state.flush == Flush::No {
        for (arm, (condition, graph)) in arms.iter_mut().enumerate() {
            match condition.holds(&list[0]) {
                Ok(true) => return inside(graph, arm, list, state, clock),
                Ok(false) => {}
                Err(error) => {
                    unanswered(list.drain(..), &error, state);
                    return;
                }
            }
        }
        return inside(otherwise, arms.len(), list, state, clock);
    }
    let mut rest = std::mem::take(list);
    for (arm, (condition, graph)) in arms.iter_mut().enumerate() {
        let mut taken = Vec::new();
        let mut left = Vec::new();
        for event in rest {
            match condition.holds(&event) {
                Ok(true) => taken.push(event),
                Ok(false) => left.push(event),
                Err(error) => unanswered([event], &error, state),
            }
        }
        rest = left;
        inside(graph, arm, &mut taken, state, clock);
        list.append(&mut taken);
    }
    inside(otherwise, arms.len(), &mut rest, state, clock);
    list.append(&mut rest);
}

/// Sends the events through an arm of the node at hand.
fn inside(graph: &mut Graph<FilterSlot>, arm: usize, list: &mut Vec<Event>, state: &mut State, clock: Clock) {
    if let Some((_, at)) = state.place.last_mut() {
        *at = arm;
    }
    through(graph, 0, list, state, clock);
}

fn unanswered(events: impl IntoIterator<Item = Event>, error: &EvaluationError, state: &mut State) {
    if !state.said {
        state.said = true;
        warn!(%error, "Condition has no answer for an event, which ends there; further ones are only counted");
    }
    state.unanswered.extend(events.into_iter().map(|event| (event, error.clone())));
}

impl<P> Graph<P> {
    /// Calls `visit` for every plugin that `event` reaches when each node gets it, as outputs do.
    ///
    /// # Errors
    ///
    /// [`EvaluationError`] when a condition has no answer; plugins before it have been visited.
    pub fn route(&mut self, event: &Event, visit: &mut impl FnMut(&mut P)) -> Result<(), EvaluationError> {
        for node in &mut self.nodes {
            match node {
                Node::Plugin(plugin) => visit(plugin),
                Node::If { arms, otherwise } => {
                    let mut chosen = otherwise;
                    for (condition, graph) in arms {
                        if condition.holds(event)? {
                            chosen = graph;
                            break;
                        }
                    }
                    chosen.route(event, visit)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use logstash_mesos_regex::Regex;

    use super::*;
    use crate::event::{FieldReference, Origin, StreamKey, Text, Timestamp, Value};

    /// Emits two more events for each, and one when flushed.
    struct Triple;

    impl Filter for Triple {
        fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
            cx.emit(event.clone());
            cx.emit(event.clone());
        }

        fn fork(&self) -> Box<dyn Filter> {
            Box::new(Self)
        }

        fn flushes(&self) -> bool {
            true
        }

        fn flush(&mut self, cx: &mut FilterContext<'_>, last: bool) {
            cx.emit(Event::from_message(Text::from(if last { "last" } else { "flushed" }), NOW));
        }
    }

    /// Drops events whose message is the text, appends to that of the others.
    struct Mark(&'static str, &'static str);

    impl Filter for Mark {
        fn filter(&mut self, event: &mut Event, _: &mut FilterContext<'_>) {
            let text = message(event);
            if text == self.0 {
                event.cancel();
            }
            event.fields_mut().insert("message", text + self.1);
        }

        fn fork(&self) -> Box<dyn Filter> {
            Box::new(Self(self.0, self.1))
        }
    }

    const NOW: Timestamp = Timestamp::EPOCH;

    fn message(event: &Event) -> String {
        event.get_text(&FieldReference::field("message")).map(ToString::to_string).unwrap_or_default()
    }

    fn slot(id: &str, filter: impl Filter + 'static) -> Node<FilterSlot> {
        Node::Plugin(FilterSlot::new(Arc::from(id), "test", Box::new(filter), Decoration::default()))
    }

    fn worker(nodes: Vec<Node<FilterSlot>>) -> (FilterGraph, FilterWorker) {
        let graph = FilterGraph { graph: Graph { nodes }, clock: Clock::Fixed(NOW) };
        let worker = graph.fork();
        (graph, worker)
    }

    fn line(text: &str, offset: u64) -> Event {
        let mut event = Event::from_message(Text::from(text), NOW);
        event.origin = Some(Origin { stream: StreamKey(Arc::from("s")), offset, ordinal: 0 });
        event
    }

    /// Emits as many events as its text says, in small parts and large ones, and is gone itself.
    struct Many(usize);

    impl Filter for Many {
        fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
            let (child, count) = (event.clone(), self.0);
            event.cancel();
            cx.emit_all((0..count).map(move |number| {
                let mut child = child.clone();
                let text = format!("{}-{number}", message(&child));
                child.fields_mut().insert("message", text);
                child
            }));
        }

        fn fork(&self) -> Box<dyn Filter> {
            Box::new(Self(self.0))
        }
    }

    #[test]
    fn many_events_that_come_of_one_are_the_same_in_parts() {
        let has_two_sevens = Regex::new("77").unwrap();
        let condition = Condition::Matches(FieldReference::field("message"), has_two_sevens);
        let nested = Node::If {
            arms: vec![(condition, Graph { nodes: vec![slot("arm", Many(700))] })],
            otherwise: Graph { nodes: vec![slot("other", Many(3)), slot("last", Triple)] },
        };
        let (_, mut worker) = worker(vec![slot("many", Many(2000)), nested, slot("mark", Mark("x", "!"))]);
        let mut parts = vec![worker.begin(vec![line("a", 1), line("b", 2)])];
        parts.extend(std::iter::from_fn(|| worker.more()));
        // One event may be several at each step, and then they wait.
        let most = parts.iter().map(Vec::len).max();
        assert!(most < Some(5 * PART), "{most:?}");
        let mut found: Vec<_> =
            parts.concat().iter().map(|event| (message(event), event.origin.clone())).collect();
        let mut expected: Vec<_> = (0..2000)
            .flat_map(|number| match number.to_string().contains("77") {
                true => (0..700).map(|inner| format!("{number}-{inner}!")).collect::<Vec<_>>(),
                false => (0..9).map(|inner| format!("{number}-{}!", inner / 3)).collect(),
            })
            .flat_map(|rest| ["a", "b"].map(|first| format!("{first}-{rest}")))
            .collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        expected.sort();
        assert_eq!(
            found.iter().map(|(message, _)| message).collect::<Vec<_>>(),
            expected.iter().collect::<Vec<_>>()
        );
        let mut names: Vec<_> = found
            .into_iter()
            .filter_map(|(_, origin)| Some((origin.as_ref()?.offset, origin?.ordinal)))
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), expected.len(), "each has a name of its own");
    }

    #[test]
    fn new_events_come_after_theirs_and_are_told_apart() {
        let (graph, mut worker) =
            worker(vec![slot("t", Triple), slot("m", Mark("", "!")), slot("u", Triple)]);
        let results = worker.run(vec![line("a", 1), line("b", 2)]);
        let found: Vec<_> =
            results.iter().map(|event| (message(event), event.origin.clone().unwrap().ordinal)).collect();
        assert_eq!(found.len(), 18);
        assert!(found[..9].iter().all(|(text, _)| text == "a!"));
        let mut ordinals: Vec<_> = found[..9].iter().map(|(_, ordinal)| *ordinal).collect();
        ordinals.sort_unstable();
        assert_eq!(ordinals, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let counts: Vec<_> =
            graph.counters().iter().map(|(.., count)| (count.events_in(), count.events_out())).collect();
        assert_eq!(counts, [(2, 6), (6, 6), (6, 18)]);
    }

    #[test]
    fn events_of_the_first_branch_come_first_and_dropped_ones_not_at_all() {
        let field = FieldReference::field("message");
        let is = |text: &'static str| Condition::Equals(field.clone(), Value::from(text));
        let nodes = vec![
            slot("t", Triple),
            slot("d", Mark("gone", "")),
            Node::If {
                arms: vec![(is("b"), Graph { nodes: vec![slot("b", Mark("", "1"))] })],
                otherwise: Graph { nodes: vec![slot("o", Mark("", "2"))] },
            },
        ];
        let (_, mut worker) = worker(nodes);
        let found: Vec<_> = worker.run(vec![line("gone", 1), line("b", 2)]).iter().map(message).collect();
        assert_eq!(found, ["b1", "b1", "b1"]);
    }

    #[test]
    fn flushed_events_go_on_from_where_they_were_kept() {
        let inner = Graph { nodes: vec![slot("t", Triple), slot("i", Mark("", "-inner"))] };
        let nodes = vec![
            slot("f", Mark("", "-first")),
            Node::If { arms: vec![(Condition::Constant(false), inner)], otherwise: Graph::default() },
            slot("l", Mark("", "-after")),
        ];
        let (_, mut worker) = worker(nodes);
        assert!(worker.flushes());
        let found: Vec<_> = worker.flush(true).iter().map(message).collect();
        assert_eq!(found, ["last-inner-after"]);
    }
}
