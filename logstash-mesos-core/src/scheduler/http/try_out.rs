//! A configuration tried on a few lines, before anybody relies on it.

use super::error;
use crate::configs::Complaint;
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
pub(super) struct Trial {
    /// The configuration.
    pub(super) input: String,
    /// Lines, as a log has them.
    #[serde(default)]
    pub(super) lines: Vec<String>,
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
        Ok(Ok(Ok(tried))) => tried.into_response(),
        Ok(Ok(Err(complaints))) => super::configs::refused(&complaints),
        Ok(Err(failed)) => {
            error(StatusCode::INTERNAL_SERVER_ERROR, &format!("the trial ended early: {failed}"))
        }
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "the trial took longer than 10 seconds"),
    }
}

/// What became of the lines.
#[derive(Debug)]
pub(super) struct Tried {
    /// As JSON.
    pub(super) events: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Runs the filters over the lines, or says what is wrong with the configuration.
pub(super) fn run(trial: &Trial, ecs: EcsCompatibility) -> Result<Tried, Vec<Complaint>> {
    let options = super::super::check::options("trial", ecs);
    let compiled = compile(&trial.input, &options)
        .map_err(|diagnostics| super::super::check::complaints(&diagnostics).errors)?;
    let lines = trial.lines.iter().take(MAX_LINES);
    let events =
        lines.map(|line| Event::from_message(Text::from(line.as_str()), Clock::System.now())).collect();
    let mut worker = compiled.filters.fork();
    let mut results = worker.run(events);
    results.append(&mut worker.flush(true));
    let json = |event: &Event| {
        let mut text = Vec::new();
        write_json_map(event.fields(), &mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    let warnings = super::super::check::complaints(&compiled.warnings).warnings;
    Ok(Tried {
        events: results.iter().filter(|event| !event.is_cancelled()).map(json).collect(),
        warnings: warnings.iter().map(ToString::to_string).collect(),
    })
}

impl IntoResponse for Tried {
    fn into_response(self) -> Response {
        let mut body = format!("{{\"events\":[{}],\"warnings\":[", self.events.join(",")).into_bytes();
        for (n, warning) in self.warnings.iter().enumerate() {
            if n > 0 {
                body.push(b',');
            }
            write_json_string(warning, &mut body);
        }
        body.extend_from_slice(b"]}\n");
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);
const MAX_LINES: usize = 1000;
