//! What the console shows all the time: an event stream of overviews, and the history behind the charts.

use super::error;
use crate::scheduler::history::Point;
use crate::scheduler::overview;
use crate::scheduler::shared::Shared;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::time::sleep_until;
use utoipa::{IntoParams, ToSchema};

/// Figures, and what is wrong, the most urgent first.
#[utoipa::path(get, path = "/api/overview", tag = "status", responses((status = 200, body = overview::Overview)))]
pub(super) async fn get(State(shared): State<Arc<Shared>>) -> Response {
    shared.sessions().watch();
    ([(header::CONTENT_TYPE, "application/json")], overview::json(&shared)).into_response()
}

/// An overview now and every second, until the lead or the login ends, or nobody listens any more. First it says what who
/// listens may do.
#[utoipa::path(get, path = "/api/events", tag = "status",
    responses((status = 200, body = String, content_type = "text/event-stream",
        description = "Server-sent events: `viewer` with `may_write` and `why_not`, then `overview` now and every second.")))]
pub(super) async fn events(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let pulse = shared.overviews();
    shared.sessions().watch();
    let viewer = serde_json::to_string(&shared.access().viewer(&headers)).unwrap_or_default();
    let first = [Event::default().event("viewer").data(viewer), overview_event(&overview::json(&shared))];
    let (stop, login_ends) = (shared.lead_ends(), shared.access().login_ends(&headers));
    let over = async move {
        match login_ends {
            Some(end) => {
                stop.run_until_cancelled(sleep_until(end.into())).await;
            }
            None => stop.cancelled().await,
        }
    };
    let following = stream::unfold(pulse, |mut pulse| async move {
        pulse.changed().await.ok()?;
        let event = overview_event(&pulse.borrow_and_update().clone());
        Some((event, pulse))
    });
    let all = stream::iter(first).chain(following).map(Ok::<_, Infallible>).take_until(Box::pin(over));
    // nginx would keep them back until it has enough.
    ([("x-accel-buffering", "no")], Sse::new(all)).into_response()
}

fn overview_event(overview: &str) -> Event {
    Event::default().event("overview").data(overview)
}

/// Behind the question mark.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Span {
    /// The last quarter of an hour if not given.
    #[serde(default)]
    #[param(value_type = Option<SpanName>, inline)]
    span: String,
}

/// How far back.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it is there for the document")]
enum SpanName {
    Quarter,
    Hour,
    Day,
}

/// What went through, as rows.
#[derive(Serialize, ToSchema)]
struct Rows {
    /// What stands where in a row.
    columns: [&'static str; 6],
    /// Rates are null where they are not known.
    #[schema(value_type = Vec<Vec<Option<f64>>>)]
    points: Vec<Point>,
}

/// How much went through in the last quarter of an hour, hour or day.
#[utoipa::path(get, path = "/api/history", tag = "status", params(Span), responses((status = 200, body = Rows)))]
pub(super) async fn history(State(shared): State<Arc<Shared>>, Query(asked): Query<Span>) -> Response {
    let name = if asked.span.is_empty() { "quarter" } else { &asked.span };
    let points = shared.history().span(name);
    match points {
        Some(points) => {
            let columns = ["at_ms", "in_per_second", "out_per_second", "lag_bytes", "lost", "failed"];
            Json(Rows { columns, points }).into_response()
        }
        None => error(StatusCode::BAD_REQUEST, "span is neither quarter, hour nor day"),
    }
}
