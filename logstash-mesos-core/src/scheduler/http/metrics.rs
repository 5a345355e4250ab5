//! Numbers for Prometheus.

use super::super::clock::now_ms;
use super::super::sessions::{Executor, Key};
use super::super::shared::Shared;
use super::super::state;
use super::super::task::Phase;
use crate::telemetry::{CONTENT_TYPE, Exposition, Metric, table};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Numbers for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operation", responses((status = 200, body = String)))]
pub(super) async fn get(State(shared): State<Arc<Shared>>) -> Response {
    answer(text(&shared))
}

/// The numbers as Prometheus wants to have them.
pub(super) fn answer(numbers: Exposition) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], numbers.text()).into_response()
}

fn text(shared: &Shared) -> Exposition {
    let link = shared.link().clone();
    let state = shared.state();
    let sessions = shared.sessions().lock();
    let now = now_ms();
    let mut out = Exposition::default();
    out.one(&table::LEADER, 1.0);
    out.one(&table::CONNECTED, f64::from(u8::from(link.connected)));
    out.one(&table::STREAM_AGE, seconds(now, link.since_ms));
    if let Some(at) = state.reconciliation().finished_ms() {
        out.one(&table::RECONCILIATION_AGE, seconds(now, at));
    }
    out.one(&table::RECONCILIATION_UNANSWERED, state.reconciliation().pending() as f64);
    for (metric, count) in counted(shared, &state) {
        out.one(metric, count as f64);
    }
    out.many(&table::TASKS, Phase::ALL.map(|phase| ([phase.name()], state.tasks_in(phase) as f64)));
    let waiting = state.agents().values().filter(|a| a.failures.retry_at_ms > now).count();
    out.one(&table::AGENTS_BACKING_OFF, waiting as f64);
    let uncovered = state.agents().keys().filter(|id| state.task_on(id).is_none()).count();
    out.one(&table::AGENTS_WITHOUT_EXECUTOR, uncovered as f64);
    let connected = sessions.values().filter(|e| e.is_connected()).count();
    out.one(&table::EXECUTORS_CONNECTED, connected as f64);
    present(&sessions, &mut out);
    Counted::of(&sessions).tell(&mut out);
    out
}

/// Since this scheduler began to lead.
fn counted(shared: &Shared, state: &state::State) -> [(&'static Metric, u64); 12] {
    let counters = state.counters();
    [
        (&table::OFFERS, counters.offers),
        (&table::OFFERS_DECLINED, counters.declined),
        (&table::OFFERS_RESCINDED, counters.rescinded),
        (&table::LAUNCHES, counters.launches),
        (&table::LAUNCHES_STALE, counters.stale),
        (&table::TASK_FAILURES, counters.failures),
        (&table::TASK_UPDATES, counters.updates),
        (&table::UNKNOWN_TASKS, counters.strangers),
        (&table::CALLS, shared.calls()),
        (&table::CALL_ERRORS, shared.failed_calls()),
        (&table::WAKES, shared.sessions().wakes()),
        (&table::WRONG_CREDENTIALS, shared.access().wrong()),
    ]
}

/// What the executors that are known now have at the moment.
fn present(sessions: &BTreeMap<Key, Executor>, out: &mut Exposition) {
    let streams = || sessions.values().flat_map(|executor| executor.streams.values());
    out.one(&table::EXECUTOR_LAG, streams().map(|stream| stream.lag_bytes).sum::<u64>() as f64);
    out.one(&table::EXECUTOR_LAG_AGE, streams().map(|stream| stream.lag_seconds).max().unwrap_or(0) as f64);
    let statuses = || sessions.values().filter_map(|executor| executor.status.as_ref());
    let outputs = || statuses().flat_map(|status| &status.outputs);
    let on_disk: u64 = outputs().map(|output| output.pending).sum();
    let aside: u64 = outputs().map(|output| output.aside).sum();
    out.many(&table::EXECUTOR_WAITING, [(["disk"], on_disk as f64), (["aside"], aside as f64)]);
    let left = || statuses().flat_map(|status| &status.left_queues);
    out.one(&table::EXECUTOR_LEFT_QUEUES, left().count() as f64);
    out.one(&table::EXECUTOR_LEFT_QUEUE_SIZE, left().map(|queue| queue.bytes).sum::<u64>() as f64);
    let (mut waiting, mut on_their_way, mut bytes) = (0, 0, 0);
    for pipeline in statuses().flat_map(|status| &status.pipelines) {
        waiting += pipeline.dead_letters;
        on_their_way += pipeline.dead_letters_on_their_way;
        bytes += pipeline.dead_letter_bytes;
    }
    let letters = [(["waiting"], waiting as f64), (["on_their_way"], on_their_way as f64)];
    out.many(&table::EXECUTOR_DEAD_LETTERS, letters);
    out.one(&table::EXECUTOR_DEAD_LETTER_SIZE, bytes as f64);
}

/// What executors have counted since their data directories were made: by agent, so that one that is away takes nothing from
/// the counters of others.
#[derive(Default)]
struct Counted<'a> {
    events: Vec<([&'a str; 2], f64)>,
    bytes: Vec<([&'a str; 2], f64)>,
    lost: Vec<([&'a str; 2], f64)>,
    letters_dropped: Vec<([&'a str; 1], f64)>,
}

impl<'a> Counted<'a> {
    fn of(sessions: &'a BTreeMap<Key, Executor>) -> Self {
        let mut all = Self::default();
        for ((agent, _), executor) in sessions {
            let agent = agent.as_str();
            let Some(totals) = executor.status.as_ref().and_then(|status| status.totals.as_ref()) else {
                continue;
            };
            let mut lost = BTreeMap::<&str, u64>::new();
            let (mut read, mut ended_early) = (0, 0);
            if let Some(counted) = &totals.pipelines {
                let events = [
                    ("in", counted.events_in),
                    ("out", counted.events_out),
                    ("delivered", counted.delivered),
                    ("dropped", counted.dropped),
                    ("unanswered", counted.unanswered),
                    ("dead", counted.dead),
                    ("unparsed", counted.unparsed),
                ];
                all.events.extend(events.map(|(at, count)| ([agent, at], count as f64)));
                all.bytes.push(([agent, "delivered"], counted.delivered_bytes as f64));
                all.letters_dropped.push(([agent], counted.dead_dropped as f64));
                read += counted.read_bytes;
                ended_early += counted.ended_early;
                counted.lost.iter().for_each(|(reason, bytes)| *lost.entry(reason).or_default() += bytes);
            }
            if let Some(streams) = &totals.streams {
                read += streams.read_bytes;
                ended_early += streams.ended_early;
                streams.lost.iter().for_each(|(reason, bytes)| *lost.entry(reason).or_default() += bytes);
            }
            all.events.push(([agent, "ended_early"], ended_early as f64));
            all.bytes.push(([agent, "read"], read as f64));
            all.lost.extend(lost.into_iter().map(|(reason, bytes)| ([agent, reason], bytes as f64)));
        }
        all
    }

    fn tell(self, out: &mut Exposition) {
        out.many(&table::EXECUTOR_EVENTS, self.events);
        out.many(&table::EXECUTOR_SIZE, self.bytes);
        out.many(&table::EXECUTOR_LOST, self.lost);
        out.many(&table::EXECUTOR_DEAD_LETTERS_DROPPED, self.letters_dropped);
    }
}

fn seconds(now_ms: u64, since_ms: u64) -> f64 {
    now_ms.saturating_sub(since_ms) as f64 / 1000.0
}
