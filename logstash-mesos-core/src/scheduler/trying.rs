//! A configuration tried on a few lines, before anybody relies on it. For REST and gRPC.

use crate::configs::Complaint;
use crate::event::{Clock, Event, Text, write_json_map};
use crate::pipeline::plugin::EcsCompatibility;
use crate::pipeline::{FilterGraph, FilterWorker, Graph, Node, compile};
use logstash_mesos_engine::run::FilterSlot;
use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;
use utoipa::ToSchema;

/// Why nothing was tried, or not to its end.
#[derive(Debug, Error)]
pub(super) enum TrialError {
    /// The configuration does not compile: at least one complaint.
    #[error("the configuration does not compile")]
    Refused(Vec<Complaint>),
    #[error("the trial took longer than {} seconds", LIMIT.as_secs())]
    Late,
    #[error("the trial ended early: {0}")]
    Failed(#[from] tokio::task::JoinError),
}

/// Runs the filters over the lines beside everything else, as they may think for long about one.
pub(super) async fn on_lines(
    input: String,
    lines: Vec<String>,
    ecs: EcsCompatibility,
) -> Result<Tried, TrialError> {
    let work = tokio::task::spawn_blocking(move || run(&input, &lines, ecs));
    let done = tokio::time::timeout(LIMIT, work).await.map_err(|_| TrialError::Late)?;
    done?.map_err(TrialError::Refused)
}

/// What became of the lines.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tried {
    #[schema(value_type = Vec<Object>)]
    pub(super) events: Vec<Box<RawValue>>,
    /// The same line by line, after each filter.
    pub(super) lines: Vec<Vec<Step>>,
    pub(super) warnings: Vec<String>,
}

/// What there was of one line behind one filter, or behind a condition with those that it holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TriedStep)]
pub(super) struct Step {
    /// Name of the filter.
    pub(super) after: String,
    #[schema(value_type = Vec<Object>)]
    pub(super) events: Vec<Box<RawValue>>,
}

/// A filter at work, or a condition.
struct Stage {
    name: String,
    worker: FilterWorker,
}

impl Stage {
    fn of(node: Node<FilterSlot>, clock: Clock) -> Self {
        let graph = Graph { nodes: vec![node] };
        let mut names = Vec::new();
        graph.for_each(&mut |slot: &FilterSlot| names.push(slot.name));
        let conditional = matches!(graph.nodes[..], [Node::If { .. }]);
        let name = if conditional { format!("if … {}", names.join(", ")) } else { names.concat() };
        Self { name, worker: FilterGraph { graph, clock }.fork() }
    }

    fn run(&mut self, events: Vec<Event>, warnings: &mut Vec<String>) -> Vec<Event> {
        let mut events = self.worker.run(events);
        events.retain(|event| !event.is_cancelled());
        for broken in self.worker.take_broken() {
            warnings.push(format!("{} failed: {}", broken.plugin_id, broken.panic));
        }
        events
    }
}

/// Runs the filters over the lines, or says what is wrong with the configuration.
pub(super) fn run(input: &str, given: &[String], ecs: EcsCompatibility) -> Result<Tried, Vec<Complaint>> {
    let options = super::check::options("trial", ecs);
    let compiled =
        compile(input, &options).map_err(|diagnostics| super::check::complaints(&diagnostics).errors)?;
    let complaints = super::check::complaints(&compiled.warnings).warnings;
    let mut warnings: Vec<_> = complaints.iter().map(ToString::to_string).collect();
    if given.len() > MAX_LINES {
        warnings.push(format!("only the first {MAX_LINES} of {} lines were tried", given.len()));
    }
    let FilterGraph { graph, clock } = compiled.filters;
    let mut stages: Vec<_> = graph.nodes.into_iter().map(|node| Stage::of(node, clock)).collect();
    let mut tried = Tried { events: vec![], lines: vec![], warnings: vec![] };
    for line in given.iter().take(MAX_LINES) {
        let mut events = vec![Event::from_message(Text::from(line.as_str()), Clock::System.now())];
        let mut steps = Vec::with_capacity(stages.len());
        for stage in &mut stages {
            events = stage.run(events, &mut warnings);
            steps.push(Step { after: stage.name.clone(), events: events.iter().map(json).collect() });
        }
        tried.events.extend(events.iter().map(json));
        tried.lines.push(steps);
    }
    // What filters have kept comes last, and goes through those behind them.
    let mut kept = Vec::new();
    for stage in &mut stages {
        kept = stage.run(kept, &mut warnings);
        kept.append(&mut stage.worker.flush(true));
    }
    tried.events.extend(kept.iter().filter(|event| !event.is_cancelled()).map(json));
    Ok(Tried { warnings, ..tried })
}

fn json(event: &Event) -> Box<RawValue> {
    let mut text = Vec::new();
    write_json_map(event.fields(), &mut text);
    RawValue::from_string(String::from_utf8_lossy(&text).into_owned()).expect("the engine writes JSON")
}

const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);
const MAX_LINES: usize = 1000;
