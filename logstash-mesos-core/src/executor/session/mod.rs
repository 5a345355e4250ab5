//! The connection to the leading scheduler: takes configurations, gives the status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{debug, info};

use super::report::{Applied, DockerReport, ForbiddenRead, RefusedLabels, Report, StreamKind, StreamReport};
use super::run::{ShipperError, ShipperHandle};
use super::totals::StreamTotals;
use crate::backoff::Backoff;
use crate::configs::labels::Refusal;
use crate::pipeline::LeftQueue;
use crate::pipeline::run::Counted;
use crate::protocol::control_client::ControlClient;
use crate::protocol::{
    self as wire, AskLastLines, Cleared, ExecutorMessage, Hello, LastLines, SchedulerMessage,
    executor_message, scheduler_message,
};

mod channel;
mod letters;
mod live;

/// Where the scheduler is, and what admits us there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// Where a scheduler may be reached, the best address first.
    pub(crate) urls: Vec<String>,
    pub(crate) token: String,
    /// Who may have signed the certificates there, in PEM; the usual authorities when empty.
    pub(crate) authorities: String,
}

/// Why a session ended.
#[derive(Debug, Error)]
enum SessionEnd {
    #[error("cannot connect to {url}: {reason}")]
    Connect { url: String, reason: String },
    #[error("rejected: {reason}")]
    Rejected { reason: String, token_invalid: bool },
    #[error("it leads with epoch {epoch}, and one with {seen} was seen")]
    Deposed { epoch: u64, seen: u64 },
    #[error("the connection was lost: {0}")]
    Lost(String),
    #[error(transparent)]
    Shipper(#[from] ShipperError),
    #[error("the access to the scheduler has changed")]
    NewAccess,
}

const FULL_STATUS_EVERY: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Details are sent for this long after the last request.
const WATCHED_FOR: Duration = Duration::from_secs(60);
/// Of the end of a stream.
const MOST_LINES: usize = 1_000;
const MOST_MESSAGE_BYTES: usize = 64 << 20;

/// Keeps a session for as long as it is polled; never ends by itself unless the shipper has ended.
pub(crate) async fn keep(hello: Hello, shipper: ShipperHandle, mut access: watch::Receiver<Access>) {
    let mut keeper = Keeper { hello, shipper, epoch: 0 };
    let mut backoff = Backoff::new(Duration::from_millis(200), LONGEST_PAUSE);
    let mut said = String::new();
    loop {
        let now = access.borrow_and_update().clone();
        let mut end = None;
        for url in &now.urls {
            let begun = Instant::now();
            let ended = keeper.session(url, &now, &mut access).await;
            if begun.elapsed() > LONGEST_PAUSE {
                backoff.reset();
            }
            let go_on = matches!(ended, SessionEnd::Connect { .. });
            end = Some(ended);
            if !go_on {
                break;
            }
        }
        let text = end.as_ref().map_or_else(|| "no scheduler is known yet".to_owned(), ToString::to_string);
        match end {
            Some(SessionEnd::NewAccess) => continue,
            Some(SessionEnd::Shipper(_)) => return,
            _ => {}
        }
        if text == said {
            debug!(error = %text, "No session with a scheduler");
        } else {
            info!(error = %text, "No session with a scheduler, the work goes on without");
            said = text;
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_wait()) => {}
            changed = access.changed() => if changed.is_err() { return },
        }
    }
}

struct Keeper {
    hello: Hello,
    shipper: ShipperHandle,
    // The highest leadership seen.
    epoch: u64,
}

impl Keeper {
    async fn session(
        &mut self,
        url: &str,
        known: &Access,
        access: &mut watch::Receiver<Access>,
    ) -> SessionEnd {
        match self.try_session(url, known, access).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn try_session(
        &mut self,
        url: &str,
        known: &Access,
        access: &mut watch::Receiver<Access>,
    ) -> Result<std::convert::Infallible, SessionEnd> {
        let connect = |reason: String| SessionEnd::Connect { url: url.to_owned(), reason };
        let channel = channel::open(url, &known.authorities).await.map_err(connect)?;
        let mut client = ControlClient::new(channel).max_decoding_message_size(MOST_MESSAGE_BYTES);
        let (outgoing, messages) = mpsc::channel(16);
        let say = async |message| {
            let message = ExecutorMessage { message: Some(message) };
            outgoing.send(message).await.map_err(|_| SessionEnd::Lost("the stream is closed".to_owned()))
        };
        let mut hello = self.hello.clone();
        known.token.clone_into(&mut hello.token);
        hello.set_version.clone_from(&self.shipper.report().borrow().set_version);
        say(executor_message::Message::Hello(hello)).await?;
        let mut incoming = client
            .session(ReceiverStream::new(messages))
            .await
            .map_err(|status| SessionEnd::Lost(status.to_string()))?
            .into_inner();
        let mut reports = self.shipper.report();
        let mut sent = Sent::default();
        let mut welcome = false;
        let mut watched_until = Instant::now();
        // Who looks by way of this session looks no longer than it lasts.
        let mut looks = live::Looks::new(self.shipper.clone(), outgoing.clone());
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = incoming.message() => {
                    let message = message.map_err(|status| SessionEnd::Lost(status.to_string()))?;
                    let Some(SchedulerMessage { message }) = message else {
                        return Err(SessionEnd::Lost("the scheduler has ended the stream".to_owned()));
                    };
                    match message {
                        Some(scheduler_message::Message::Welcome(said)) => {
                            if said.leader_epoch < self.epoch {
                                return Err(SessionEnd::Deposed { epoch: said.leader_epoch, seen: self.epoch });
                            }
                            self.epoch = said.leader_epoch;
                            welcome = true;
                            info!(url, scheduler_id = %said.scheduler_id, "Session with the scheduler");
                            sent = Sent::default();
                        }
                        Some(scheduler_message::Message::ConfigSet(set)) => {
                            let applied = self.shipper.apply(set.into()).await?;
                            say(executor_message::Message::Applied(applied_to_wire(applied))).await?;
                        }
                        Some(scheduler_message::Message::ClearData(clear)) => {
                            let cleared = self.shipper.clear(clear.keep_positions).await;
                            let error = cleared.err().map(|error| crate::error_chain(&error)).unwrap_or_default();
                            say(executor_message::Message::Cleared(Cleared { error })).await?;
                        }
                        Some(scheduler_message::Message::AskDeadLetters(asked)) => {
                            // The disk may take its time.
                            let (shipper, outgoing) = (self.shipper.clone(), outgoing.clone());
                            tokio::spawn(async move {
                                let answer = letters::answer(&shipper, asked).await;
                                let message = Some(executor_message::Message::DeadLetters(answer));
                                let _session_ended = outgoing.send(ExecutorMessage { message }).await;
                            });
                        }
                        Some(scheduler_message::Message::AskLastLines(asked)) => {
                            let (shipper, outgoing) = (self.shipper.clone(), outgoing.clone());
                            tokio::spawn(async move {
                                let message = Some(executor_message::Message::LastLines(last_lines(&shipper, asked).await));
                                let _session_ended = outgoing.send(ExecutorMessage { message }).await;
                            });
                        }
                        Some(scheduler_message::Message::Look(look)) => looks.take(look),
                        Some(scheduler_message::Message::Watch(watch)) => {
                            let now = Instant::now();
                            watched_until = if watch.details { now + WATCHED_FOR } else { now };
                        }
                        Some(scheduler_message::Message::Rejected(rejected)) => {
                            let wire::Rejected { reason, token_invalid } = rejected;
                            return Err(SessionEnd::Rejected { reason, token_invalid });
                        }
                        // A newer scheduler may know more.
                        None => {}
                    }
                }
                _ = look.tick(), if welcome => {
                    let report = Arc::clone(&reports.borrow_and_update());
                    let details = Instant::now() < watched_until;
                    if let Some(status) = sent.next(&report, details) {
                        say(executor_message::Message::Status(status)).await?;
                    }
                }
                // While we hold a session the token was good; a new one is for a new scheduler.
                changed = access.changed() => {
                    if changed.is_err() || !access.borrow_and_update().urls.iter().any(|known| known == url) {
                        return Err(SessionEnd::NewAccess);
                    }
                }
            }
        }
    }
}

/// Reads the end of a stream.
async fn last_lines(shipper: &ShipperHandle, asked: AskLastLines) -> LastLines {
    let AskLastLines { request_id, stream_id, limit } = asked;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).clamp(1, MOST_LINES);
    match shipper.last_lines(stream_id, limit).await {
        Ok(lines) => LastLines { request_id, lines, error: String::new() },
        Err(error) => LastLines { request_id, lines: Vec::new(), error: crate::error_chain(&error) },
    }
}

/// What the scheduler knows already.
#[derive(Default)]
struct Sent {
    full_at: Option<Instant>,
    report: Option<Arc<Report>>,
}

impl Sent {
    /// The status to send now, if there is anything to say.
    fn next(&mut self, report: &Arc<Report>, details: bool) -> Option<wire::Status> {
        let due = self.full_at.is_none_or(|at| at.elapsed() >= FULL_STATUS_EVERY);
        let Some(before) = self.report.as_ref().filter(|_| !due) else {
            self.full_at = Some(Instant::now());
            self.report = Some(Arc::clone(report));
            return Some(status(report, report.streams.iter(), false, Vec::new()));
        };
        let known: BTreeMap<&str, &StreamReport> =
            before.streams.iter().map(|stream| (stream.id.as_str(), stream)).collect();
        let changed: Vec<&StreamReport> = report
            .streams
            .iter()
            .filter(|stream| match known.get(stream.id.as_str()) {
                None => true,
                Some(then) if details => then != stream,
                Some(then) => is_news(then, stream),
            })
            .collect();
        let now: BTreeSet<&str> = report.streams.iter().map(|stream| stream.id.as_str()).collect();
        let ended: Vec<String> =
            known.into_keys().filter(|id| !now.contains(id)).map(str::to_owned).collect();
        let about_us = before.docker != report.docker
            || before.sandboxes != report.sandboxes
            || before.refused_labels != report.refused_labels
            || before.forbidden != report.forbidden
            || before.left_queues != report.left_queues
            || before.waiting != report.waiting
            || before.set_version != report.set_version
            || (details && before.pipelines != report.pipelines)
            || troubles(before) != troubles(report);
        if changed.is_empty() && ended.is_empty() && !about_us {
            return None;
        }
        let status = status(report, changed.into_iter(), true, ended);
        self.report = Some(Arc::clone(report));
        Some(status)
    }
}

/// What keeps outputs from delivering, and what went wrong in plugins.
fn troubles(report: &Report) -> Vec<Option<&str>> {
    let outputs = report.pipelines.iter().flat_map(|pipeline| &pipeline.outputs);
    let failures = report.pipelines.iter().map(|pipeline| pipeline.failure.as_deref());
    outputs.map(|output| output.error.as_deref()).chain(failures).collect()
}

/// Whether more than counters differ.
fn is_news(then: &StreamReport, now: &StreamReport) -> bool {
    then.method != now.method
        || then.reason != now.reason
        || then.lost != now.lost
        || then.configurations != now.configurations
}

fn status<'r>(
    report: &Report,
    streams: impl Iterator<Item = &'r StreamReport>,
    partial: bool,
    ended_streams: Vec<String>,
) -> wire::Status {
    let (docker, docker_error) = match &report.docker {
        DockerReport::Unused => (wire::DockerState::Unused, String::new()),
        DockerReport::Connected => (wire::DockerState::Connected, String::new()),
        DockerReport::Unreachable(reason) => (wire::DockerState::Unreachable, reason.clone()),
    };
    let sum = |count: fn(&super::report::PipelineReport) -> u64| report.pipelines.iter().map(count).sum();
    wire::Status {
        streams: streams.map(stream_to_wire).collect(),
        waiting: report.waiting.clone(),
        docker: docker.into(),
        docker_error,
        sandboxes_error: report.sandboxes.clone(),
        refused_labels: report.refused_labels.iter().map(refused_to_wire).collect(),
        forbidden: report.forbidden.iter().map(forbidden_to_wire).collect(),
        left_queues: report.left_queues.iter().map(left_to_wire).collect(),
        events_in: sum(|pipeline| pipeline.events_in),
        events_out: sum(|pipeline| pipeline.events_out),
        events_failed: sum(|pipeline| pipeline.events_failed),
        memory_bytes: report.memory_bytes,
        outputs: report
            .pipelines
            .iter()
            .flat_map(|pipeline| {
                pipeline.outputs.iter().map(|output| wire::OutputStatus {
                    configuration: pipeline.configuration.clone(),
                    r#type: output.name.clone(),
                    state: match output.error {
                        None => wire::OutputState::Ok.into(),
                        Some(_) => wire::OutputState::Retrying.into(),
                    },
                    error: output.error.clone().unwrap_or_default(),
                    pending: output.pending,
                    aside: output.aside,
                    aside_reason: output.aside_reason.clone().unwrap_or_default(),
                })
            })
            .collect(),
        at_ms: u64::try_from(crate::event::Timestamp::now().millis()).unwrap_or(0),
        partial,
        ended_streams,
        set_version: report.set_version.clone(),
        pipelines: report.pipelines.iter().map(pipeline_to_wire).collect(),
        totals: Some(wire::Totals {
            streams: Some(total_to_wire(&report.sum.streams)),
            pipelines: Some(counted_to_wire(&report.sum.pipelines)),
        }),
    }
}

fn pipeline_to_wire(pipeline: &super::report::PipelineReport) -> wire::PipelineStatus {
    wire::PipelineStatus {
        configuration: pipeline.configuration.clone(),
        events_in: pipeline.events_in,
        events_out: pipeline.events_out,
        failures: pipeline.failures,
        failure: pipeline.failure.clone().unwrap_or_default(),
        lost: pipeline.lost.clone(),
        unanswered: pipeline.unanswered,
        dead_letters: pipeline.dead_letters.waiting.letters,
        dead_letter_bytes: pipeline.dead_letters.waiting.bytes,
        dead_letters_on_their_way: pipeline.dead_letters.on_their_way.letters,
        dead_letters_dropped: pipeline.dead_letters.since_start.dropped(),
        total: Some(counted_to_wire(&pipeline.total)),
        plugins: pipeline
            .plugins
            .iter()
            .map(|plugin| wire::PluginStatus {
                id: plugin.id.clone(),
                name: plugin.name.clone(),
                events_in: plugin.events_in,
                events_out: plugin.events_out,
                busy_ms: plugin.busy_ms,
            })
            .collect(),
    }
}

fn forbidden_to_wire(forbidden: &ForbiddenRead) -> wire::ForbiddenRead {
    wire::ForbiddenRead {
        container_id: forbidden.container_id.clone(),
        name: forbidden.container_name.clone(),
        image: forbidden.image.clone(),
        configuration: forbidden.configuration.name.clone(),
        kind: wire::ConfigKind::from(forbidden.configuration.kind).into(),
        rule: forbidden.rule.clone(),
    }
}

fn refused_to_wire(refused: &RefusedLabels) -> wire::RefusedLabels {
    let label = |refusal: &Refusal| wire::RefusedLabel {
        label: refusal.label.clone(),
        reason: refusal.reason.clone(),
    };
    wire::RefusedLabels {
        container_id: refused.container_id.clone(),
        name: refused.container_name.clone(),
        image: refused.image.clone(),
        labels: refused.labels.iter().map(label).collect(),
    }
}

fn left_to_wire(left: &LeftQueue) -> wire::LeftQueue {
    wire::LeftQueue {
        path: left.path.display().to_string(),
        configuration: left.pipeline_id.clone(),
        r#type: left.plugin.clone(),
        place: left.place.clone(),
        bytes: left.bytes,
    }
}

fn counted_to_wire(counted: &Counted) -> wire::Counted {
    let outputs = counted.all_outputs();
    wire::Counted {
        events_in: counted.events_in,
        events_out: counted.events_out,
        dropped: counted.dropped,
        unanswered: counted.unanswered,
        dead: counted.dead,
        dead_dropped: counted.dead_dropped,
        unparsed: counted.unparsed,
        ended_early: counted.ended_early,
        delivered: outputs.delivered,
        delivered_bytes: outputs.delivered_bytes,
        lost: counted.lost.clone(),
        read_bytes: counted.read_bytes,
    }
}

fn total_to_wire(total: &StreamTotals) -> wire::StreamTotals {
    let StreamTotals { read_bytes, events, ended_early, ref lost } = *total;
    wire::StreamTotals { read_bytes, events, ended_early, lost: lost.clone() }
}

fn stream_to_wire(stream: &StreamReport) -> wire::StreamStatus {
    wire::StreamStatus {
        id: stream.id.clone(),
        container_id: stream.container_id.clone(),
        name: stream.container_name.clone(),
        image: stream.image.clone(),
        source: match stream.kind {
            StreamKind::ContainerFile => wire::SourceKind::Path.into(),
            StreamKind::ContainerOutput => wire::SourceKind::Stdout.into(),
            StreamKind::HostFile => wire::SourceKind::HostPath.into(),
        },
        path: stream.path.clone(),
        method: stream.method.clone(),
        reason: stream.reason.clone(),
        offset: stream.offset,
        lag_bytes: stream.lag_bytes,
        events: stream.events,
        lost: stream.lost.clone(),
        configurations: stream.configurations.iter().map(|key| key.name.clone()).collect(),
        lag_seconds: stream.lag_secs,
        total: Some(total_to_wire(&stream.total)),
    }
}

fn applied_to_wire(applied: Applied) -> wire::Applied {
    wire::Applied {
        set_version: applied.set_version,
        results: applied
            .results
            .into_iter()
            .map(|result| wire::ConfigResult {
                name: result.key.name,
                kind: wire::ConfigKind::from(result.key.kind).into(),
                version: result.version,
                error: result.error.map(|error| crate::error_chain(&*error)).unwrap_or_default(),
            })
            .collect(),
    }
}
