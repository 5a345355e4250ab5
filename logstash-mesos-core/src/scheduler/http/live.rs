//! `GET /api/live`: events as they pass, each with what the filters made of it, as server-sent events.
//!
//! Events hold log data. So they are for those who may write.

use super::error;
use crate::protocol::{LiveEvent, LiveFate, TailEvents, TailRequest, TailResponse, tail_response};
use crate::scheduler::explain::Moment;
use crate::scheduler::live::{LiveError, tail};
use crate::scheduler::shared::Shared;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::time::sleep_until;
use utoipa::IntoParams;

/// Behind the question mark.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// A container: its id or the beginning of it, its name, its image, or a path that is read of it; or a configuration.
    #[serde(default)]
    q: String,
    /// Only events of this configuration.
    #[serde(default)]
    configuration: String,
    /// Only those of the agent with this id.
    #[serde(default)]
    agent: String,
    /// Only those of the stream with this id.
    #[serde(default)]
    stream: String,
}

/// Events as they pass: `subject` first, then `events` again and again, and `ended` for each executor that has gone.
#[utoipa::path(get, path = "/api/live", tag = "status", params(Parameters),
    responses((status = 200, body = String, content_type = "text/event-stream",
        description = "Server-sent events: `subject` with what is looked at, then `events` again and again, `ended` for an executor that has gone.")))]
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(asked): Query<Parameters>,
) -> Response {
    let question = TailRequest {
        query: asked.q,
        configuration: asked.configuration,
        agent_id: asked.agent,
        stream_id: asked.stream,
    };
    let seen = match tail(&shared, &question) {
        Ok(seen) => seen,
        Err(why) => {
            let status = match why {
                LiveError::Nothing => StatusCode::BAD_REQUEST,
                LiveError::NotFound(_) => StatusCode::NOT_FOUND,
                LiveError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            return error(status, &why.to_string());
        }
    };
    let login_ends = shared.access().login_ends(&headers);
    let over = async move {
        match login_ends {
            Some(end) => sleep_until(end.into()).await,
            None => std::future::pending().await,
        }
    };
    let events = seen.map(|seen| Ok::<_, Infallible>(sent(seen))).take_until(Box::pin(over));
    // Whoever has gone is noticed when something is sent to him.
    ([("x-accel-buffering", "no")], Sse::new(events).keep_alive(KeepAlive::default())).into_response()
}

fn sent(seen: TailResponse) -> Event {
    let (name, data) = match seen.message {
        Some(tail_response::Message::Subject(subject)) => {
            let places: Vec<_> = subject.places.iter().map(|place| {
                json!({"agent_id": place.agent_id, "hostname": place.hostname, "container_id": some(&place.container_id),
                       "container_name": some(&place.container_name)})
            }).collect();
            let data =
                json!({"kind": subject.kind, "name": subject.name, "places": places, "found": subject.found});
            ("subject", data)
        }
        Some(tail_response::Message::Events(events)) => ("events", passed(&events)),
        Some(tail_response::Message::Ended(ended)) => {
            ("ended", json!({"agent_id": ended.agent_id, "hostname": ended.hostname, "reason": ended.reason}))
        }
        None => ("none", Value::Null),
    };
    Event::default().event(name).data(data.to_string())
}

fn passed(seen: &TailEvents) -> Value {
    let events: Vec<_> = seen.events.iter().map(event).collect();
    json!({"agent_id": seen.agent_id, "hostname": seen.hostname, "events": events, "left_out": seen.left_out})
}

fn event(event: &LiveEvent) -> Value {
    // What an executor sends is not believed to be JSON.
    let parsed = |text: &String| serde_json::from_str(text).unwrap_or(Value::Null);
    json!({
        "at": Moment(event.at_ms),
        "configuration": event.configuration,
        "fate": match event.fate() {
            LiveFate::Passed | LiveFate::Unspecified => "passed",
            LiveFate::Dropped => "dropped",
            LiveFate::Kept => "kept",
            LiveFate::DeadLetter => "dead_letter",
        },
        "reason": some(&event.reason),
        "bytes": event.size_bytes,
        "before": parsed(&event.before),
        "after": event.after.iter().map(parsed).collect::<Vec<_>>(),
    })
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_with_what_became_of_it() {
        let seen = LiveEvent {
            at_ms: 1_800_000_000_000,
            configuration: "docker/a".to_owned(),
            before: "{\"message\":\"x\"}".to_owned(),
            after: vec!["no JSON".to_owned()],
            fate: LiveFate::DeadLetter.into(),
            reason: "why".to_owned(),
            size_bytes: 15,
        };
        assert_eq!(
            event(&seen),
            json!({"at": "2027-01-15T08:00:00.000Z", "configuration": "docker/a", "fate": "dead_letter", "reason": "why", "bytes": 15,
                   "before": {"message": "x"}, "after": [null]})
        );
    }
}
