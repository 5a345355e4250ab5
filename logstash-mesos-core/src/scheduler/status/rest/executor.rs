//! What is said of an executor.

use super::super::named;
use super::stream::StreamSum;
use crate::configs::Kind;
use crate::protocol::{
    Counted, DockerState, ExecutorStatus, ForbiddenRead, LeftQueue, OutputStatus, PipelineStatus,
    RefusedLabels, Status, Totals,
};
use crate::scheduler::clock::time;
use crate::scheduler::sessions::Executor;
use crate::scheduler::task::Task;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The executor of an agent. What it has not said yet is left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Executor)]
pub(super) struct ExecutorShown {
    executor_id: String,
    task_id: Option<String>,
    /// `intended`, `staging`, `starting`, `running`, `killing` or `unreachable`.
    state: String,
    /// Ports that it listens on without having them from Mesos.
    ports_not_offered: Vec<u32>,
    /// When its task came into this state.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// The version of its program.
    version: Option<String>,
    /// Whether its session holds.
    connected: bool,
    /// When it was last heard of.
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    /// Directory on the host that holds positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<String>,
    /// As the Docker daemon calls itself.
    docker_daemon_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<Applied>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipelines: Option<Vec<Pipeline>>,
    /// Why nothing is read.
    waiting: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    docker: Option<Docker>,
    /// Why sandboxes cannot be seen.
    sandboxes_error: Option<String>,
    /// Containers some of whose labels mean nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_labels: Option<Vec<LabelsRefused>>,
    /// What the policy keeps from being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    forbidden: Option<Vec<Forbidden>>,
    /// Queues on disk that no output takes any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_queues: Option<Vec<QueueLeft>>,
    /// Events that the sources gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    events_in: Option<u64>,
    /// Events that an output has, or that a filter dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    events_out: Option<u64>,
    /// Events that an output refused for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    events_failed: Option<u64>,
    /// Resident memory of its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Vec<Output>>,
    /// What was counted over restarts.
    totals: Option<ExecutorTotals>,
}

/// Which set of configurations an executor took.
#[derive(Debug, Serialize, ToSchema)]
struct Applied {
    set_version: String,
    configurations: Vec<AppliedConfiguration>,
}

/// What became of one configuration.
#[derive(Debug, Serialize, ToSchema)]
struct AppliedConfiguration {
    name: String,
    version: String,
    /// Why it is not in use; the version before goes on then.
    error: Option<String>,
}

/// What a pipeline has done since it was started.
#[derive(Debug, Serialize, ToSchema)]
struct Pipeline {
    /// Its kind and its name: `docker/nginx*`.
    configuration: String,
    /// Events that came from its inputs.
    events_in: u64,
    /// Events that went to its outputs.
    events_out: u64,
    /// How often a plugin broke down.
    failures: u64,
    /// What the last such failure was, or why an input can never work.
    failure: Option<String>,
    /// Its filters and outputs, in order.
    plugins: Vec<PluginCounts>,
    /// Events that a condition had no answer for.
    unanswered: u64,
    /// What was counted over restarts.
    total: Option<PipelineTotals>,
    dead_letters: LetterCounts,
}

/// What one plugin has done.
#[derive(Debug, Serialize, ToSchema)]
struct PluginCounts {
    id: String,
    name: String,
    events_in: u64,
    events_out: u64,
    /// Milliseconds that it worked, over all workers; estimated from some of the events.
    busy_ms: u64,
}

/// The dead letters of a pipeline.
#[derive(Debug, Serialize, ToSchema)]
struct LetterCounts {
    /// How many there are.
    waiting: u64,
    /// How many bytes of the disk they take.
    bytes: u64,
    /// How many of them are on their way back to their outputs.
    on_their_way: u64,
    /// How many were dropped, for want of room or for their age, since the executor began.
    dropped: u64,
}

/// How it stands with the Docker daemon.
#[derive(Debug, Serialize, ToSchema)]
struct Docker {
    /// `connected`, `unreachable` or `unused`.
    state: &'static str,
    error: Option<String>,
}

/// A container some of whose labels mean nothing.
#[derive(Debug, Serialize, ToSchema)]
struct LabelsRefused {
    container_id: String,
    name: String,
    image: Option<String>,
    /// The labels that mean nothing, each with the reason.
    labels: BTreeMap<String, String>,
}

/// A container that a configuration would read, were it not for the policy.
#[derive(Debug, Serialize, ToSchema)]
struct Forbidden {
    container_id: String,
    name: String,
    image: Option<String>,
    /// The rule that forbids it, as it is written.
    rule: String,
    configuration: String,
    kind: Option<Kind>,
}

/// A queue on disk that no output takes any more.
#[derive(Debug, Serialize, ToSchema)]
struct QueueLeft {
    /// Its directory on the agent.
    path: String,
    configuration: String,
    /// Name of the plugin.
    r#type: String,
    /// Where its events were to go.
    place: String,
    /// How many bytes wait in it.
    bytes: u64,
}

/// An output of a configuration, and how it stands with its server.
#[derive(Debug, Serialize, ToSchema)]
struct Output {
    configuration: String,
    /// Name of the plugin.
    r#type: String,
    /// `ok`, `retrying`, `failed` or `unspecified`.
    state: String,
    error: Option<String>,
    /// Events that it has not confirmed.
    pending: u64,
    /// Beside these, events that its server does not take now, though it takes others.
    aside: u64,
    /// What the server said last of one of these.
    aside_reason: Option<String>,
}

/// What was counted over restarts.
#[derive(Debug, Serialize, ToSchema)]
struct ExecutorTotals {
    streams: Option<StreamSum>,
    pipelines: Option<PipelineTotals>,
}

/// What became of events, over restarts.
#[derive(Debug, Serialize, ToSchema)]
struct PipelineTotals {
    /// Bytes of files that inputs of its own read.
    read_bytes: u64,
    events_in: u64,
    events_out: u64,
    /// Events that a filter dropped.
    dropped: u64,
    /// Events that a condition had no answer for.
    unanswered: u64,
    /// Events that became dead letters.
    dead: u64,
    /// Dead letters that were dropped, for want of room or for their age.
    dead_dropped: u64,
    /// Texts that were not parsed, as their values would have taken too much memory.
    unparsed: u64,
    /// Events of inputs of its own that ended early, as there was no memory to keep them until their end.
    ended_early: u64,
    /// Records that outputs have confirmed.
    delivered: u64,
    /// The bytes of these records.
    delivered_bytes: u64,
    /// Bytes that will never become an event, by reason.
    lost: BTreeMap<String, u64>,
}

impl ExecutorShown {
    pub(super) fn of(executor: ExecutorStatus, task: Option<&Task>, session: Option<&Executor>) -> Self {
        let hello = session.and_then(|session| session.hello.as_ref());
        let applied = session.and_then(|session| session.applied.as_ref());
        let result = |result: &crate::protocol::ConfigResult| AppliedConfiguration {
            name: result.name.clone(),
            version: result.version.clone(),
            error: named(result.error.clone()),
        };
        let status = executor.status.as_ref();
        Self {
            task_id: task.map(|task| task.task_id.to_string()),
            state: executor.state,
            ports_not_offered: executor.ports_not_offered,
            since: task.map(|task| time(task.since_ms)),
            version: named(executor.version),
            connected: session.is_some_and(Executor::is_connected),
            last_seen: (executor.last_seen_ms > 0).then(|| time(executor.last_seen_ms)),
            executor_id: executor.executor_id,
            data_dir: hello.map(|hello| hello.data_dir.clone()),
            docker_daemon_id: hello.and_then(|hello| named(hello.docker_daemon_id.clone())),
            pid: hello.map(|hello| hello.pid),
            applied: applied.map(|applied| Applied {
                set_version: applied.set_version.clone(),
                configurations: applied.results.iter().map(result).collect(),
            }),
            pipelines: status.map(|status| status.pipelines.iter().map(Pipeline::of).collect()),
            waiting: status.and_then(|status| named(status.waiting.clone())),
            docker: status.map(Docker::of),
            sandboxes_error: status.and_then(|status| named(status.sandboxes_error.clone())),
            refused_labels: status
                .map(|status| status.refused_labels.iter().map(LabelsRefused::of).collect()),
            forbidden: status.map(|status| status.forbidden.iter().map(Forbidden::of).collect()),
            left_queues: status.map(|status| status.left_queues.iter().map(QueueLeft::of).collect()),
            events_in: status.map(|status| status.events_in),
            events_out: status.map(|status| status.events_out),
            events_failed: status.map(|status| status.events_failed),
            memory_bytes: status.map(|status| status.memory_bytes),
            outputs: status.map(|status| status.outputs.iter().map(Output::of).collect()),
            totals: status.and_then(|status| status.totals.as_ref()).map(ExecutorTotals::of),
        }
    }
}

impl Pipeline {
    fn of(one: &PipelineStatus) -> Self {
        let plugin = |plugin: &crate::protocol::PluginStatus| PluginCounts {
            id: plugin.id.clone(),
            name: plugin.name.clone(),
            events_in: plugin.events_in,
            events_out: plugin.events_out,
            busy_ms: plugin.busy_ms,
        };
        Self {
            configuration: one.configuration.clone(),
            events_in: one.events_in,
            events_out: one.events_out,
            failures: one.failures,
            failure: named(one.failure.clone()),
            plugins: one.plugins.iter().map(plugin).collect(),
            unanswered: one.unanswered,
            total: one.total.as_ref().map(PipelineTotals::of),
            dead_letters: LetterCounts {
                waiting: one.dead_letters,
                bytes: one.dead_letter_bytes,
                on_their_way: one.dead_letters_on_their_way,
                dropped: one.dead_letters_dropped,
            },
        }
    }
}

impl Docker {
    fn of(status: &Status) -> Self {
        let state = match status.docker() {
            DockerState::Connected => "connected",
            DockerState::Unreachable => "unreachable",
            DockerState::Unused | DockerState::Unspecified => "unused",
        };
        Self { state, error: named(status.docker_error.clone()) }
    }
}

impl LabelsRefused {
    fn of(one: &RefusedLabels) -> Self {
        Self {
            container_id: one.container_id.clone(),
            name: one.name.clone(),
            image: named(one.image.clone()),
            labels: one.labels.iter().map(|one| (one.label.clone(), one.reason.clone())).collect(),
        }
    }
}

impl Forbidden {
    fn of(one: &ForbiddenRead) -> Self {
        Self {
            container_id: one.container_id.clone(),
            name: one.name.clone(),
            image: named(one.image.clone()),
            rule: one.rule.clone(),
            configuration: one.configuration.clone(),
            kind: one.kind().known(),
        }
    }
}

impl QueueLeft {
    fn of(one: &LeftQueue) -> Self {
        Self {
            path: one.path.clone(),
            configuration: one.configuration.clone(),
            r#type: one.r#type.clone(),
            place: one.place.clone(),
            bytes: one.bytes,
        }
    }
}

impl Output {
    fn of(one: &OutputStatus) -> Self {
        Self {
            configuration: one.configuration.clone(),
            r#type: one.r#type.clone(),
            state: one.state().as_str_name().trim_start_matches("OUTPUT_STATE_").to_ascii_lowercase(),
            error: named(one.error.clone()),
            pending: one.pending,
            aside: one.aside,
            aside_reason: named(one.aside_reason.clone()),
        }
    }
}

impl ExecutorTotals {
    fn of(totals: &Totals) -> Self {
        Self {
            streams: totals.streams.as_ref().map(StreamSum::of),
            pipelines: totals.pipelines.as_ref().map(PipelineTotals::of),
        }
    }
}

impl PipelineTotals {
    fn of(counted: &Counted) -> Self {
        Self {
            read_bytes: counted.read_bytes,
            events_in: counted.events_in,
            events_out: counted.events_out,
            dropped: counted.dropped,
            unanswered: counted.unanswered,
            dead: counted.dead,
            dead_dropped: counted.dead_dropped,
            unparsed: counted.unparsed,
            ended_early: counted.ended_early,
            delivered: counted.delivered,
            delivered_bytes: counted.delivered_bytes,
            lost: counted.lost.clone(),
        }
    }
}
