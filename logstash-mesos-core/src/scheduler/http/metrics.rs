//! Numbers for Prometheus.

use super::super::sessions::{Executor, Key};
use super::super::shared::{Shared, now_ms};
use super::super::task::Phase;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(super) async fn get(State(shared): State<Arc<Shared>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text(&shared)).into_response()
}

fn text(shared: &Shared) -> String {
    let link = shared.link().clone();
    let state = shared.state();
    let sessions = shared.sessions.lock();
    let counters = state.counters();
    let now = now_ms();
    let mut out = String::new();
    let mut one = |name: &str, kind: &str, help: &str, values: &[(&str, f64)]| {
        // A String takes everything.
        let _ = writeln!(out, "# HELP logstash_mesos_{name} {help}\n# TYPE logstash_mesos_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(out, "logstash_mesos_{name}{labels} {value}");
        }
    };
    let counter = |n: u64| n as f64;
    one("leader", "gauge", "1 when this scheduler leads.", &[("", 1.0)]);
    one("connected", "gauge", "1 when a subscription holds.", &[("", f64::from(u8::from(link.connected)))]);
    let age = counter(now.saturating_sub(link.since_ms)) / 1000.0;
    one("stream_age_seconds", "gauge", "Since the last change of the subscription.", &[("", age)]);
    let since = state.reconciliation().finished_ms().map(|at| counter(now.saturating_sub(at)) / 1000.0);
    if let Some(since) = since {
        one("reconciliation_age_seconds", "gauge", "Since the last complete reconciliation.", &[("", since)]);
    }
    let unanswered = state.reconciliation().pending() as f64;
    one("reconciliation_unanswered", "gauge", "Tasks the master has not answered for.", &[("", unanswered)]);
    one("offers_total", "counter", "Offers received.", &[("", counter(counters.offers))]);
    one("offers_declined_total", "counter", "Offers declined.", &[("", counter(counters.declined))]);
    one(
        "offers_rescinded_total",
        "counter",
        "Offers that the master took back while they were held.",
        &[("", counter(counters.rescinded))],
    );
    one(
        "launches_stale_total",
        "counter",
        "Launches on offers that were no longer valid.",
        &[("", counter(counters.stale))],
    );
    one("launches_total", "counter", "Tasks launched.", &[("", counter(counters.launches))]);
    one("task_failures_total", "counter", "Tasks that failed.", &[("", counter(counters.failures))]);
    one("task_updates_total", "counter", "Updates of tasks received.", &[("", counter(counters.updates))]);
    one(
        "unknown_tasks_total",
        "counter",
        "Tasks that were not on record.",
        &[("", counter(counters.strangers))],
    );
    let calls = shared.calls.load(Ordering::Relaxed);
    one("calls_total", "counter", "Calls made to the master.", &[("", counter(calls))]);
    let errors = shared.call_errors.load(Ordering::Relaxed);
    one("call_errors_total", "counter", "Calls that failed.", &[("", counter(errors))]);
    let tasks: Vec<_> = Phase::ALL
        .into_iter()
        .map(|phase| (format!("{{state=\"{}\"}}", phase.name()), state.tasks_in(phase) as f64))
        .collect();
    let tasks: Vec<_> = tasks.iter().map(|(labels, n)| (labels.as_str(), *n)).collect();
    one("tasks", "gauge", "Tasks by state.", &tasks);
    let waiting = state.agents().values().filter(|a| a.failures.retry_at_ms > now).count();
    one("agents_backing_off", "gauge", "Agents where the next launch waits.", &[("", waiting as f64)]);
    let uncovered = state.agents().keys().filter(|id| state.task_on(id).is_none()).count();
    one("agents_without_executor", "gauge", "Agents that have no task.", &[("", uncovered as f64)]);
    let connected = sessions.values().filter(|e| e.is_connected()).count();
    one("executors_connected", "gauge", "Executors with a session.", &[("", connected as f64)]);
    let wakes = counter(shared.sessions.wakes());
    one("wakes_total", "counter", "Messages to executors that have no session yet.", &[("", wakes)]);
    let mut lost = BTreeMap::<String, f64>::new();
    let (mut events_in, mut events_out, mut failed, mut lag) = (0_u64, 0_u64, 0_u64, 0_u64);
    let (mut unanswered, mut letters, mut letter_bytes, mut on_their_way, mut dropped) = (0, 0, 0, 0, 0);
    for executor in sessions.values() {
        if let Some(status) = &executor.status {
            events_in += status.events_in;
            events_out += status.events_out;
            failed += status.events_failed;
            for pipeline in &status.pipelines {
                unanswered += pipeline.unanswered;
                letters += pipeline.dead_letters;
                letter_bytes += pipeline.dead_letter_bytes;
                on_their_way += pipeline.dead_letters_on_their_way;
                dropped += pipeline.dead_letters_dropped;
            }
        }
        let pipelines = executor.status.iter().flat_map(|status| &status.pipelines);
        lag += executor.streams.values().map(|stream| stream.lag_bytes).sum::<u64>();
        let losses = executor.streams.values().map(|stream| &stream.lost);
        for lost_here in losses.chain(pipelines.map(|pipeline| &pipeline.lost)) {
            for (reason, count) in lost_here {
                *lost.entry(format!("{{reason=\"{}\"}}", plain(reason))).or_default() += counter(*count);
            }
        }
    }
    let events = [
        ("{at=\"in\"}", events_in),
        ("{at=\"out\"}", events_out),
        ("{at=\"failed\"}", failed),
        ("{at=\"unanswered\"}", unanswered),
    ];
    one(
        "executor_events",
        "gauge",
        "Events of the executors connected now.",
        &events.map(|(l, n)| (l, counter(n))),
    );
    let letters = [
        ("{state=\"waiting\"}", letters),
        ("{state=\"on_their_way\"}", on_their_way),
        ("{state=\"dropped\"}", dropped),
    ];
    let letters = letters.map(|(labels, n)| (labels, counter(n)));
    one("executor_dead_letters", "gauge", "Dead letters of the executors connected now.", &letters);
    one(
        "executor_dead_letter_bytes",
        "gauge",
        "Bytes of the dead letters that wait.",
        &[("", counter(letter_bytes))],
    );
    one("executor_lag_bytes", "gauge", "Bytes not delivered yet.", &[("", counter(lag))]);
    let oldest =
        sessions.values().flat_map(|executor| executor.streams.values()).map(|s| s.lag_seconds).max();
    one(
        "executor_lag_seconds",
        "gauge",
        "Since the oldest byte that is not delivered yet was first seen.",
        &[("", counter(oldest.unwrap_or(0)))],
    );
    let lost: Vec<_> = lost.iter().map(|(labels, n)| (labels.as_str(), *n)).collect();
    one("executor_lost", "gauge", "Known losses by reason.", &lost);
    let counted = Counted::of(&sessions);
    for (name, help, values) in [
        (
            "executor_events_total",
            "Events by what became of them, over restarts of the executor.",
            counted.events,
        ),
        ("executor_bytes_total", "Bytes read and delivered, over restarts of the executor.", counted.bytes),
        ("executor_lost_bytes_total", "Bytes lost by reason, over restarts of the executor.", counted.lost),
    ] {
        let values: Vec<_> = values.iter().map(|(labels, n)| (labels.as_str(), counter(*n))).collect();
        one(name, "counter", help, &values);
    }
    out
}

/// What executors have counted since their data directories were made: by agent, so that one that is away takes nothing from
/// the counters of others.
#[derive(Default)]
struct Counted {
    events: Vec<(String, u64)>,
    bytes: Vec<(String, u64)>,
    lost: Vec<(String, u64)>,
}

impl Counted {
    fn of(sessions: &BTreeMap<Key, Executor>) -> Self {
        let mut all = Self::default();
        for ((agent, _), executor) in sessions {
            let Some(totals) = executor.status.as_ref().and_then(|status| status.totals.as_ref()) else {
                continue;
            };
            let label = |name: &str, value: &str| format!("{{agent=\"{agent}\",{name}=\"{value}\"}}");
            let mut lost = BTreeMap::<&str, u64>::new();
            if let Some(counted) = &totals.pipelines {
                let events = [
                    ("in", counted.events_in),
                    ("out", counted.events_out),
                    ("delivered", counted.delivered),
                    ("dropped", counted.dropped),
                    ("unanswered", counted.unanswered),
                    ("dead", counted.dead),
                ];
                all.events.extend(events.map(|(at, count)| (label("at", at), count)));
                all.bytes.push((label("at", "delivered"), counted.delivered_bytes));
                counted.lost.iter().for_each(|(reason, bytes)| *lost.entry(reason).or_default() += bytes);
            }
            if let Some(streams) = &totals.streams {
                all.bytes.push((label("at", "read"), streams.read_bytes));
                streams.lost.iter().for_each(|(reason, bytes)| *lost.entry(reason).or_default() += bytes);
            }
            all.lost.extend(lost.into_iter().map(|(reason, bytes)| (label("reason", &plain(reason)), bytes)));
        }
        all
    }
}

/// As a label may have it.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '"' | '\\' | '\n')).collect()
}
