//! A configuration tried on a few lines, before anybody relies on it.

use super::error;
use crate::event::{Clock, Event, Text, write_json_map, write_json_string};
use crate::pipeline::compile;
use crate::pipeline::plugin::EcsCompatibility;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;

/// What to try.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trial {
    /// The configuration.
    input: String,
    /// Lines, as a log has them.
    #[serde(default)]
    lines: Vec<String>,
}

pub(super) async fn post(State(shared): State<Arc<super::Shared>>, body: Bytes) -> Response {
    let trial: Trial = match serde_json::from_slice(&body) {
        Ok(trial) => trial,
        Err(e) => {
            let example = r#"{"input": "filter { … }", "lines": ["a line", "another"]}"#;
            return error(
                StatusCode::BAD_REQUEST,
                &format!("the body is not what is expected ({e}); send {example}"),
            );
        }
    };
    // Filters may think for long about a line.
    let work = tokio::task::spawn_blocking(move || run(&trial, shared.ecs));
    match tokio::time::timeout(LIMIT, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(failed)) => {
            error(StatusCode::INTERNAL_SERVER_ERROR, &format!("the trial ended early: {failed}"))
        }
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "the trial took longer than 10 seconds"),
    }
}

fn run(trial: &Trial, ecs: EcsCompatibility) -> Response {
    let options = super::super::check::options("trial", ecs);
    let compiled = match compile(&trial.input, &options) {
        Ok(compiled) => compiled,
        Err(diagnostics) => {
            return super::configs::refused(&super::super::check::complaints(&diagnostics).errors);
        }
    };
    let lines = trial.lines.iter().take(MAX_LINES);
    let events =
        lines.map(|line| Event::from_message(Text::from(line.as_str()), Clock::System.now())).collect();
    let mut worker = compiled.filters.fork();
    let mut results = worker.run(events);
    results.append(&mut worker.flush(true));
    let mut body = b"{\"events\":[".to_vec();
    for (n, event) in results.iter().filter(|e| !e.is_cancelled()).enumerate() {
        if n > 0 {
            body.push(b',');
        }
        write_json_map(event.fields(), &mut body);
    }
    body.extend_from_slice(b"],\"warnings\":[");
    for (n, warning) in super::super::check::complaints(&compiled.warnings).warnings.iter().enumerate() {
        if n > 0 {
            body.push(b',');
        }
        write_json_string(&warning.to_string(), &mut body);
    }
    body.extend_from_slice(b"]}\n");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);
const MAX_LINES: usize = 1000;
