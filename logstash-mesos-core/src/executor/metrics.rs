//! What an executor says about itself, as Prometheus reads it.

use std::collections::BTreeMap;

use super::report::{DockerReport, PipelineReport, Report};
use crate::telemetry::{Exposition, table};

/// The numbers of a report. Ids of streams and containers are no labels: there would be too many.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = Exposition::default();
    out.one(&table::READING, flag(report.waiting.is_empty()));
    match report.docker {
        DockerReport::Unused => {}
        DockerReport::Connected => out.one(&table::DOCKER_CONNECTED, 1.0),
        DockerReport::Unreachable(_) => out.one(&table::DOCKER_CONNECTED, 0.0),
    }
    let unread =
        report.streams.iter().filter(|stream| stream.method.is_empty() && !stream.reason.is_empty()).count();
    let read = report.streams.len() - unread;
    out.many(&table::STREAMS, [(["read"], read as f64), (["unread"], unread as f64)]);
    out.one(&table::LAG, number(report.streams.iter().map(|stream| stream.lag_bytes).sum()));
    let oldest = report.streams.iter().map(|stream| stream.lag_secs).max();
    out.one(&table::LAG_AGE, number(oldest.unwrap_or(0)));
    out.one(&table::READ, number(report.sum.streams.read_bytes + report.sum.pipelines.read_bytes));
    out.many(&table::LOST, report.sum.lost().into_iter().map(|(reason, bytes)| ([reason], number(bytes))));
    out.one(&table::ENDED_EARLY, number(report.sum.ended_early()));
    pipelines(&report.pipelines, &mut out);
    out.one(&table::LEFT_QUEUES, report.left_queues.len() as f64);
    out.one(&table::LEFT_QUEUE_SIZE, number(report.left_queues.iter().map(|left| left.bytes).sum()));
    out.one(&table::MEMORY, number(report.memory_bytes));
    out.text()
}

/// Serves the numbers of the last report at `GET /metrics`, until it is dropped. An address that is taken is tried again for
/// ever: it may be that of a process that is about to end.
#[cfg(feature = "metrics")]
pub async fn serve(
    address: crate::telemetry::MetricsAddress,
    reports: tokio::sync::watch::Receiver<std::sync::Arc<Report>>,
) {
    crate::telemetry::server::serve(address, move || {
        let report = reports.borrow().clone();
        text(&report)
    })
    .await;
}

fn pipelines(pipelines: &[PipelineReport], out: &mut Exposition) {
    let named: Vec<_> = pipelines.iter().map(|one| (one.label(), one)).collect();
    let each = |get: fn(&PipelineReport) -> u64| {
        named.iter().map(move |(name, one)| ([name.as_str()], number(get(one))))
    };
    let events = named.iter().flat_map(|(name, one)| {
        let (total, outputs) = (&one.total, one.total.all_outputs());
        [
            ("in", total.events_in),
            ("out", total.events_out),
            ("delivered", outputs.delivered),
            ("dropped", total.dropped),
            ("unanswered", total.unanswered),
            ("dead", total.dead),
            ("unparsed", total.unparsed),
        ]
        .map(|(at, count)| ([name.as_str(), at], number(count)))
    });
    out.many(&table::PIPELINE_EVENTS, events);
    out.many(&table::PIPELINE_DELIVERED, each(|one| one.total.all_outputs().delivered_bytes));
    out.many(&table::PIPELINE_FAILURES, each(|one| one.failures));
    // Two plugins of a pipeline may have one id, and two outputs may be of one kind.
    let mut plugins = BTreeMap::<_, [u64; 3]>::new();
    let mut outputs = BTreeMap::<_, (u64, u64, bool)>::new();
    for (name, one) in &named {
        for plugin in &one.plugins {
            let sums = plugins.entry([name.as_str(), &plugin.name, &plugin.id]).or_default();
            let more = [plugin.events_in, plugin.events_out, plugin.busy_ms];
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
        for output in &one.outputs {
            let (pending, aside, failing) = outputs.entry([name.as_str(), &output.name]).or_default();
            *pending += output.pending;
            *aside += output.aside;
            *failing |= output.error.is_some();
        }
    }
    let events = plugins.iter().flat_map(|([pipeline, name, id], [taken, given, _])| {
        [("in", taken), ("out", given)].map(|(at, count)| ([*pipeline, *name, *id, at], number(*count)))
    });
    out.many(&table::PLUGIN_EVENTS, events);
    let busy = plugins.iter().map(|(labels, [.., busy_ms])| (*labels, number(*busy_ms) / 1000.0));
    out.many(&table::PLUGIN_BUSY, busy);
    out.many(
        &table::OUTPUT_PENDING,
        outputs.iter().map(|(labels, (pending, ..))| (*labels, number(*pending))),
    );
    out.many(&table::OUTPUT_ASIDE, outputs.iter().map(|(labels, (_, aside, _))| (*labels, number(*aside))));
    out.many(&table::OUTPUT_FAILING, outputs.iter().map(|(labels, (.., failing))| (*labels, flag(*failing))));
    let letters = named.iter().flat_map(|(name, one)| {
        let letters = &one.dead_letters;
        let states = [("waiting", letters.waiting.letters), ("on_their_way", letters.on_their_way.letters)];
        states.map(|(state, count)| ([name.as_str(), state], number(count)))
    });
    out.many(&table::DEAD_LETTERS, letters);
    out.many(&table::DEAD_LETTER_SIZE, each(|one| one.dead_letters.waiting.bytes));
    out.many(&table::DEAD_LETTERS_DROPPED, each(|one| one.total.dead_dropped));
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// Prometheus has no other numbers. Above 2⁵³ the last digits are lost.
fn number(count: u64) -> f64 {
    count as f64
}
