//! The way of a container's lines: from its agent's shipper over configuration, input and filters to the outputs.
//!
//! It is made of what executors report anyway. They report what they read, so a container that no configuration
//! matches is not known here.

use super::agent::{self, AgentFacts};
use super::words::{self, plain};
use super::{Explanation, Step, Subject, Verdict, View};
use crate::configs::Kind;
use crate::ids::AgentId;
use crate::protocol::{ForbiddenRead, OutputState, OutputStatus, PipelineStatus, RefusedLabel, StreamStatus};
use crate::scheduler::sessions::{Executor, Key};
use crate::scheduler::stream::{is_unread, losses, what};
use std::collections::{BTreeMap, BTreeSet};

/// A container of which something is read or forbidden to be read, or which has labels that are refused.
#[derive(Debug)]
pub(super) struct Container<'a> {
    pub(super) agent_id: &'a AgentId,
    executor: &'a Executor,
    /// Id, name and image.
    pub(super) called: [&'a str; 3],
    streams: Vec<&'a StreamStatus>,
    refused: &'a [RefusedLabel],
    forbidden: Vec<&'a ForbiddenRead>,
}

/// Whether a container that is called so is meant, or one of which this path is read.
type Way<'a> = &'a dyn Fn([&str; 3], &str) -> bool;

/// Containers by id or its beginning, by name, by image, with or without its tag, or by a path that is read of them; by
/// the first of these that leads to any.
pub(super) fn found<'a>(executors: &'a BTreeMap<Key, Executor>, query: &str) -> Vec<Container<'a>> {
    let ways: [Way<'_>; 4] = [
        &|[id, _, _], _| query.len() >= SHORT_ID && id.starts_with(query),
        &|[_, name, _], _| name == query,
        &|[_, _, image], _| image == query || image.rsplit_once(':').is_some_and(|(name, _)| name == query),
        &|_, path| path == query,
    ];
    for way in ways {
        let mut all = Vec::new();
        for ((agent_id, _), executor) in executors {
            let mut here = known(agent_id, executor);
            here.retain(|container| {
                let paths = container.streams.iter().map(|stream| stream.path.as_str());
                paths.chain([""]).any(|path| way(container.called, path))
            });
            all.append(&mut here);
        }
        if !all.is_empty() {
            return all;
        }
    }
    vec![]
}

/// All containers that an executor tells of, by their ids.
fn known<'a>(agent_id: &'a AgentId, executor: &'a Executor) -> Vec<Container<'a>> {
    let mut known: BTreeMap<&str, Container<'a>> = BTreeMap::new();
    let container = |called| Container {
        agent_id,
        executor,
        called,
        streams: Vec::new(),
        refused: &[],
        forbidden: Vec::new(),
    };
    for stream in executor.streams.values().filter(|stream| !stream.container_id.is_empty()) {
        let called = [&*stream.container_id, &stream.name, &stream.image];
        known.entry(called[0]).or_insert_with(|| container(called)).streams.push(stream);
    }
    for one in executor.status.iter().flat_map(|status| &status.refused_labels) {
        let called = [&*one.container_id, &one.name, &one.image];
        known.entry(called[0]).or_insert_with(|| container(called)).refused = &one.labels;
    }
    for one in executor.status.iter().flat_map(|status| &status.forbidden) {
        let called = [&*one.container_id, &one.name, &one.image];
        known.entry(called[0]).or_insert_with(|| container(called)).forbidden.push(one);
    }
    known.into_values().collect()
}

/// The way step by step. Where it ends already on the agent, it still says what is known of the rest.
pub(super) fn explanation(container: &Container<'_>, facts: &AgentFacts<'_>, view: &View<'_>) -> Explanation {
    let [id, name, image] = container.called.map(str::to_owned);
    let names: BTreeSet<&str> =
        container.streams.iter().flat_map(|stream| &stream.configurations).map(String::as_str).collect();
    let mut steps = shipper(facts, view, &names);
    let host = &facts.agent.hostname;
    steps.push(plain(
        "container",
        Verdict::Ok,
        format!("`{name}` of the image `{image}` is on {host}"),
        None,
        None,
    ));
    let listed = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
    if names.is_empty() {
        steps.push(plain("matched", Verdict::Unknown, "nothing of it is read".to_owned(), None, None));
    } else {
        steps.push(plain("matched", Verdict::Ok, format!("by the configuration {listed}"), None, None));
    }
    steps.extend(container.forbidden.iter().map(|one| forbidden(one)));
    steps.extend(container.refused.iter().map(refused));
    steps.extend(container.streams.iter().map(|stream| read(stream)));
    let status = container.executor.status.as_ref();
    let pipelines = status.iter().flat_map(|status| &status.pipelines);
    steps.extend(pipelines.filter(|one| names.contains(one.configuration.as_str())).map(filters));
    let outputs = status.iter().flat_map(|status| &status.outputs);
    steps.extend(
        outputs
            .filter(|one| one.configuration.is_empty() || names.contains(one.configuration.as_str()))
            .map(output),
    );
    let state = Verdict::of(steps.iter().map(|step| step.state));
    let events: u64 = container.streams.iter().map(|stream| stream.events).sum();
    let summary = match steps.iter().find(|step| step.state == state) {
        Some(worst) if state != Verdict::Ok => worst.text.clone(),
        _ => format!("is read, {events} events so far"),
    };
    Explanation { kind: Subject::Container, id, name, state, summary, steps }
}

/// What keeps the agent's shipper from its work, but for what concerns other configurations; or that it works.
fn shipper(facts: &AgentFacts<'_>, view: &View<'_>, names: &BTreeSet<&str>) -> Vec<Step> {
    let found = agent::findings(facts, &view.surroundings);
    let wrong: Vec<_> = found
        .into_iter()
        .filter(|finding| {
            finding.verdict() != Verdict::Ok
                && finding.configuration().is_none_or(|name| names.contains(name))
        })
        // Those of this container have steps of their own.
        .filter(|finding| !finding.is_about_work())
        .collect();
    if wrong.is_empty() {
        let text = format!("the shipper of {} runs and is connected", facts.agent.hostname);
        let since = facts.tasks.first().map(|task| task.since_ms);
        return vec![plain("shipper", Verdict::Ok, text, since, None)];
    }
    words::agent(facts, &wrong, &view.surroundings).steps
}

fn refused(label: &RefusedLabel) -> Step {
    let text = format!("its label `{}` means nothing: {}", label.label, label.reason);
    let next = "mend the label, or allow it with --executor-setting labels.allow=…";
    plain("labels", Verdict::Problem, text, None, Some(next))
}

fn forbidden(one: &ForbiddenRead) -> Step {
    let key = format!("{}/{}", one.kind().known().map_or("", Kind::name), one.configuration);
    let text = format!("the policy forbids `{key}` to read it: `{}`", one.rule);
    let next = "change the rule in the file that --policy-file names, if it is to be read";
    plain("policy", Verdict::Problem, text, None, Some(next))
}

fn read(stream: &StreamStatus) -> Step {
    let what = what(stream);
    let lost = losses(stream);
    let why = if stream.reason.is_empty() { String::new() } else { format!(": {}", stream.reason) };
    let mut step = if is_unread(stream) {
        plain("read", Verdict::Problem, format!("`{what}` is not read: {}", stream.reason), None, None)
    } else if !lost.is_empty() {
        let text = format!("`{what}` is read by {}, and has lost {lost}", stream.method);
        plain(
            "read",
            Verdict::Problem,
            text,
            None,
            Some("what is lost stays lost; see why, and whether it goes on"),
        )
    } else if stream.events == 0 && stream.offset == 0 && stream.lag_bytes == 0 {
        let next = "see whether the container writes there; a file that does not exist yet is waited for";
        plain(
            "read",
            Verdict::Unknown,
            format!("`{what}` is looked at, and nothing came of it yet{why}"),
            None,
            Some(next),
        )
    } else {
        plain("read", Verdict::Ok, format!("`{what}` is read by {}{why}", stream.method), None, None)
    };
    step.figures.insert("events".to_owned(), stream.events as f64);
    step.figures.insert("lag_bytes".to_owned(), stream.lag_bytes as f64);
    step
}

/// The counters are those of the agent, over all containers that the configuration reads there.
fn filters(pipeline: &PipelineStatus) -> Step {
    let name = &pipeline.configuration;
    let mut step = if pipeline.failure.is_empty() {
        plain(
            "filters",
            Verdict::Ok,
            format!("`{name}` works, on this agent for all its containers together"),
            None,
            None,
        )
    } else {
        let next = "the events are dead letters or are read again; mend the configuration";
        plain("filters", Verdict::Problem, format!("`{name}` failed: {}", pipeline.failure), None, Some(next))
    };
    step.figures.insert("events_in".to_owned(), pipeline.events_in as f64);
    step.figures.insert("events_out".to_owned(), pipeline.events_out as f64);
    step.figures.insert("failures".to_owned(), pipeline.failures as f64);
    step.figures.insert("lost_bytes".to_owned(), pipeline.lost.values().sum::<u64>() as f64);
    step
}

fn output(output: &OutputStatus) -> Step {
    let kind = &output.r#type;
    let mut step = match output.state() {
        OutputState::Ok if output.aside > 0 => {
            plain("output", Verdict::Problem, words::waits_aside(output), None, Some(words::NEXT_ASIDE))
        }
        OutputState::Ok => plain("output", Verdict::Ok, format!("{kind} takes events"), None, None),
        OutputState::Retrying => {
            let next = "see to the server it writes to; nothing is lost meanwhile, reading waits";
            plain(
                "output",
                Verdict::Problem,
                format!("{kind} does not deliver: {}", output.error),
                None,
                Some(next),
            )
        }
        OutputState::Failed => plain(
            "output",
            Verdict::Problem,
            format!("{kind} cannot work: {}", output.error),
            None,
            Some("mend the configuration"),
        ),
        OutputState::Unspecified => {
            plain("output", Verdict::Unknown, format!("{kind} has not said how it is"), None, None)
        }
    };
    step.figures.insert("pending_events".to_owned(), output.pending as f64);
    step.figures.insert("aside_events".to_owned(), output.aside as f64);
    step
}

/// So many characters of an id can be no name.
const SHORT_ID: usize = 6;
