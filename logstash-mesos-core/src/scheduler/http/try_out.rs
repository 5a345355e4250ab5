//! A configuration tried on a few lines, before anybody relies on it.

use super::{error, read};
use crate::configs::Complaint;
use crate::event::{Clock, Event, Text, write_json_map};
use crate::pipeline::plugin::EcsCompatibility;
use crate::pipeline::{FilterGraph, FilterWorker, Graph, Node, compile};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use logstash_mesos_engine::run::FilterSlot;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use utoipa::ToSchema;

/// What to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trial {
    /// The text of the configuration to be tried.
    pub(super) input: String,
    /// Lines, as a log has them.
    #[serde(default)]
    pub(super) lines: Vec<String>,
}

/// Runs the filters of a configuration over lines. Nothing is stored or sent.
#[utoipa::path(post, path = "/api/try", tag = "configurations", request_body = Trial,
    responses(
        (status = 200, body = Tried),
        (status = 422, body = super::configs::Refused, description = "It does not compile."),
    ))]
pub(super) async fn post(State(shared): State<Arc<super::Shared>>, body: Bytes) -> Response {
    let trial: Trial = match read(&body, r#"{"input": "filter { … }", "lines": ["a line", "another"]}"#) {
        Ok(trial) => trial,
        Err(refusal) => return *refusal,
    };
    // Filters may think for long about a line.
    let work = tokio::task::spawn_blocking(move || run(&trial, shared.ecs()));
    match tokio::time::timeout(LIMIT, work).await {
        Ok(Ok(Ok(tried))) => Json(tried).into_response(),
        Ok(Ok(Err(complaints))) => super::configs::refused(&complaints),
        Ok(Err(failed)) => {
            error(StatusCode::INTERNAL_SERVER_ERROR, &format!("the trial ended early: {failed}"))
        }
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "the trial took longer than 10 seconds"),
    }
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
    after: String,
    #[schema(value_type = Vec<Object>)]
    events: Vec<Box<RawValue>>,
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
pub(super) fn run(trial: &Trial, ecs: EcsCompatibility) -> Result<Tried, Vec<Complaint>> {
    let options = super::super::check::options("trial", ecs);
    let compiled = compile(&trial.input, &options)
        .map_err(|diagnostics| super::super::check::complaints(&diagnostics).errors)?;
    let complaints = super::super::check::complaints(&compiled.warnings).warnings;
    let mut warnings: Vec<_> = complaints.iter().map(ToString::to_string).collect();
    if trial.lines.len() > MAX_LINES {
        warnings.push(format!("only the first {MAX_LINES} of {} lines were tried", trial.lines.len()));
    }
    let FilterGraph { graph, clock } = compiled.filters;
    let mut stages: Vec<_> = graph.nodes.into_iter().map(|node| Stage::of(node, clock)).collect();
    let mut tried = Tried { events: vec![], lines: vec![], warnings: vec![] };
    for line in trial.lines.iter().take(MAX_LINES) {
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
