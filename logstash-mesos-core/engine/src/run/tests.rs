//! Events on their way through filters.

use std::sync::Arc;

use logstash_mesos_regex::Regex;

use super::*;
use crate::event::{Clock, Event, FieldReference, Origin, StreamKey, Text, Timestamp, Value};
use crate::plugin::{Decoration, Filter, FilterContext, PART};

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
    let (graph, mut worker) = worker(vec![slot("t", Triple), slot("m", Mark("", "!")), slot("u", Triple)]);
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
