//! The status as REST has it. The document of the API is made from these types.

use super::{Page, cluster, kind_of, named, offers_missing};
use crate::configs::Kind;
use crate::ids::AgentId;
use crate::protocol::{
    Configuration, ConfigurationStatus, Counted, DockerState, ExecutorStatus, ForbiddenRead, LeftQueue,
    OutputStatus, PipelineStatus, RefusedLabels, SourceKind, Status, StreamStatus, StreamTotals, Totals,
};
use crate::scheduler::clock::time;
use crate::scheduler::sessions::{Executor, Key};
use crate::scheduler::shared::Shared;
use crate::scheduler::state::State;
use crate::scheduler::task::{Phase, Task};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// The framework, its configurations, and one page of its agents with what they read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(in super::super) struct StatusAnswer {
    /// Always true: a scheduler that follows passes the question on.
    leader: bool,
    /// Where the leader is reached.
    url: String,
    framework: Framework,
    /// Without their texts, sorted by kind and name.
    configurations: Vec<ConfigurationUse>,
    /// In the order of their ids.
    agents: Vec<Agent>,
    /// What the agents of this page read.
    streams: Vec<Stream>,
    /// The places that several configurations write to.
    shared_destinations: Vec<DestinationShared>,
    reconciliation: Reconciliation,
    /// Whether the master is asked for offers.
    offers_wanted: bool,
    /// Why none come, as far as their absence tells; null while they do.
    offers_missing: Option<String>,
    rollout: Rollout,
    totals: Counts,
    /// With which `after` the next agents come; null if these were the last.
    next: Option<String>,
}

/// A place that several configurations write to.
#[derive(Debug, Serialize, ToSchema)]
struct DestinationShared {
    /// The output with what tells its places apart, without secrets.
    destination: String,
    /// Each with its kind and its name: `docker/nginx*`.
    configurations: Vec<String>,
}

/// The framework in Mesos.
#[derive(Debug, Serialize, ToSchema)]
struct Framework {
    /// Null before the first subscription.
    id: Option<String>,
    name: String,
    /// Whether a subscription holds.
    connected: bool,
    /// The master, as host:port.
    master: Option<String>,
    /// Why it is not connected.
    error: Option<String>,
}

/// A configuration and where it is in use.
#[derive(Debug, Serialize, ToSchema)]
struct ConfigurationUse {
    name: String,
    kind: Kind,
    /// Changes with the content; empty for a file that was never good.
    version: String,
    /// Who manages it: `rest` or `directory`.
    source: String,
    /// Further conditions for containers.
    r#match: BTreeMap<String, String>,
    /// Why it is not in use somewhere, or nowhere.
    error: Option<String>,
    /// How many streams it reads.
    streams: usize,
    /// On how many agents it reads something.
    agents: usize,
    /// Executors that took its present version.
    applied_by: usize,
    /// Executors that refused its present version.
    refused_by: usize,
}

/// An agent of the cluster.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AgentStatus)]
struct Agent {
    agent_id: String,
    hostname: String,
    /// Null while it has none.
    executor: Option<ExecutorShown>,
    /// Why offers were declined, newest first.
    declined: Vec<Declined>,
}

/// Why an offer was declined.
#[derive(Debug, Serialize, ToSchema)]
struct Declined {
    /// What it lacked, in words.
    reason: String,
    #[schema(format = DateTime)]
    at: String,
}

/// The executor of an agent. What it has not said yet is left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Executor)]
struct ExecutorShown {
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

/// What came out of streams, over restarts.
#[derive(Debug, Serialize, ToSchema)]
struct StreamSum {
    read_bytes: u64,
    events: u64,
    /// Bytes that will never become an event, by reason.
    lost: BTreeMap<String, u64>,
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
    /// Records that outputs have confirmed.
    delivered: u64,
    /// The bytes of these records.
    delivered_bytes: u64,
    /// Bytes that will never become an event, by reason.
    lost: BTreeMap<String, u64>,
}

/// A stream of bytes that is read.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Stream {
    agent_id: String,
    /// Null for a file of the host.
    container_id: Option<String>,
    /// The name of the container.
    name: String,
    image: Option<String>,
    /// `stdout` or `stderr`; left out for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'static str>,
    /// The path of the file; left out for standard streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// How it is read; empty while it is not.
    method: String,
    /// Why it is read that way, or why it cannot be read.
    reason: Option<String>,
    /// The place of the first byte that no output has yet.
    offset: u64,
    /// How many bytes there are from it on.
    lag_bytes: u64,
    /// Seconds since the oldest byte that no output has yet was first seen.
    lag_seconds: u64,
    events: u64,
    /// Bytes that will never become an event, by reason.
    lost: BTreeMap<String, u64>,
    total: Option<StreamSum>,
    configurations: Vec<String>,
}

/// How far the master has answered for our tasks.
#[derive(Debug, Serialize, ToSchema)]
struct Reconciliation {
    complete: bool,
    /// Tasks that it has not answered for.
    unanswered: usize,
    #[schema(format = DateTime)]
    finished: Option<String>,
}

/// How far executors of another definition are replaced.
#[derive(Debug, Serialize, ToSchema)]
struct Rollout {
    /// Names the definition that all agents are to have.
    executor_id: String,
    /// `complete`, `running` or `stopped`.
    state: &'static str,
    /// Executors that are still to be replaced.
    outdated: usize,
    /// Whose turn it is.
    agents: Vec<String>,
    /// Replacements that failed since the roll-out began.
    failures: u32,
    /// Why it has stopped.
    reason: Option<String>,
}

/// How many there are of all agents, whichever page is shown.
#[derive(Debug, Serialize, ToSchema)]
struct Counts {
    agents: usize,
    /// Tasks that are known, in any state.
    tasks: usize,
    /// Tasks that run.
    running: usize,
    /// Executors that have a session.
    connected: usize,
}

/// The status with the agents of one page.
pub(in super::super) fn answer(shared: &Shared, page: &Page) -> StatusAnswer {
    let status = cluster(shared, page);
    let framework = status.framework.unwrap_or_default();
    let (state, executors) = (shared.state(), shared.sessions().lock());
    let configurations = configurations(status.configurations, &executors);
    let (mut streams, mut agents) = (Vec::new(), Vec::new());
    for agent in status.agents {
        let id = AgentId::from(agent.agent_id.as_str());
        let task = state.task_on(&id);
        let session = task.and_then(|t| executors.get(&(id.clone(), t.executor_id.clone())));
        if let Some(status) = agent.executor.as_ref().and_then(|e| e.status.as_ref()) {
            streams.extend(status.streams.iter().map(|one| Stream::of(&agent.agent_id, one)));
        }
        let declined = agent.declined.into_iter().map(|d| Declined { reason: d.reason, at: time(d.at_ms) });
        agents.push(Agent {
            agent_id: agent.agent_id,
            hostname: agent.hostname,
            executor: agent.executor.map(|executor| ExecutorShown::of(executor, task, session)),
            declined: declined.collect(),
        });
    }
    let shared_destinations = status.shared_destinations.into_iter().map(|shared| DestinationShared {
        destination: shared.destination,
        configurations: shared.configurations,
    });
    let reconciliation = state.reconciliation();
    StatusAnswer {
        leader: status.leader,
        url: status.leader_url,
        framework: Framework {
            id: named(framework.id),
            name: framework.name,
            connected: framework.connected,
            master: named(framework.master),
            error: named(framework.error),
        },
        configurations,
        agents,
        streams,
        shared_destinations: shared_destinations.collect(),
        reconciliation: Reconciliation {
            complete: reconciliation.is_complete(),
            unanswered: reconciliation.pending(),
            finished: reconciliation.finished_ms().map(time),
        },
        offers_wanted: !state.is_suppressed(),
        offers_missing: offers_missing(&state),
        rollout: Rollout::of(&state),
        totals: Counts {
            agents: state.agents().len(),
            tasks: state.task_count(),
            running: state.tasks_in(Phase::Running),
            connected: executors.values().filter(|e| e.is_connected()).count(),
        },
        next: named(status.next),
    }
}

fn configurations(
    all: Vec<ConfigurationStatus>,
    executors: &BTreeMap<Key, Executor>,
) -> Vec<ConfigurationUse> {
    let all: Vec<_> = all.into_iter().filter_map(|one| Some((one.configuration?, one.error))).collect();
    let versions =
        all.iter().map(|(one, _)| ((kind_of(one), one.name.as_str()), one.version.as_str())).collect();
    let uses = uses(executors, &versions);
    let in_use: Vec<_> = all
        .iter()
        .map(|(one, _)| uses.get(&(kind_of(one), one.name.as_str())).copied().unwrap_or_default())
        .collect();
    all.into_iter()
        .zip(in_use)
        .map(|((one, error), in_use)| ConfigurationUse::of(one, error, in_use))
        .collect()
}

impl ConfigurationUse {
    fn of(one: Configuration, error: String, in_use: Use) -> Self {
        Self {
            kind: kind_of(&one),
            name: one.name,
            version: one.version,
            source: one.source,
            r#match: one.r#match.into_iter().collect(),
            error: named(error),
            streams: in_use.streams,
            agents: in_use.agents,
            applied_by: in_use.applied_by,
            refused_by: in_use.refused_by,
        }
    }
}

impl Rollout {
    fn of(state: &State) -> Self {
        let rollout = state.rollout();
        let word = match (&rollout.stopped, state.outdated() + rollout.agents.len()) {
            (Some(_), _) => "stopped",
            (None, 0) => "complete",
            (None, _) => "running",
        };
        Self {
            executor_id: rollout.executor_id.to_string(),
            state: word,
            outdated: state.outdated(),
            agents: rollout.agents.iter().map(ToString::to_string).collect(),
            failures: rollout.failures,
            reason: rollout.stopped.clone(),
        }
    }
}

impl ExecutorShown {
    fn of(executor: ExecutorStatus, task: Option<&Task>, session: Option<&Executor>) -> Self {
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

impl StreamSum {
    fn of(total: &StreamTotals) -> Self {
        Self { read_bytes: total.read_bytes, events: total.events, lost: total.lost.clone() }
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
            delivered: counted.delivered,
            delivered_bytes: counted.delivered_bytes,
            lost: counted.lost.clone(),
        }
    }
}

impl Stream {
    /// A stream of an agent.
    pub(in super::super) fn of(agent_id: &str, stream: &StreamStatus) -> Self {
        let (standard, path) = match stream.source() {
            SourceKind::Stdout => (Some("stdout"), None),
            SourceKind::Stderr => (Some("stderr"), None),
            _ => (None, Some(stream.path.clone())),
        };
        Self {
            agent_id: agent_id.to_owned(),
            container_id: named(stream.container_id.clone()),
            name: stream.name.clone(),
            image: named(stream.image.clone()),
            stream: standard,
            path,
            method: stream.method.clone(),
            reason: named(stream.reason.clone()),
            offset: stream.offset,
            lag_bytes: stream.lag_bytes,
            lag_seconds: stream.lag_seconds,
            events: stream.events,
            lost: stream.lost.clone(),
            total: stream.total.as_ref().map(StreamSum::of),
            configurations: stream.configurations.clone(),
        }
    }
}

/// What a configuration is in use for.
#[derive(Clone, Copy, Default)]
struct Use {
    streams: usize,
    /// On which it reads something.
    agents: usize,
    /// Executors that took its present version, and that refused it.
    applied_by: usize,
    refused_by: usize,
}

/// The use of every configuration, by kind and name.
fn uses<'a>(
    executors: &'a BTreeMap<Key, Executor>,
    versions: &BTreeMap<(Kind, &str), &str>,
) -> BTreeMap<(Kind, &'a str), Use> {
    let mut uses: BTreeMap<(Kind, &str), Use> = BTreeMap::new();
    for executor in executors.values() {
        let mut here = BTreeSet::new();
        for stream in executor.streams.values() {
            let kind = if stream.container_id.is_empty() { Kind::Host } else { Kind::Docker };
            for name in &stream.configurations {
                uses.entry((kind, name)).or_default().streams += 1;
                here.insert((kind, name.as_str()));
            }
        }
        for key in here {
            uses.entry(key).or_default().agents += 1;
        }
        for result in executor.applied.iter().flat_map(|applied| &applied.results) {
            let kind = result.kind().known().unwrap_or(Kind::Docker);
            if versions.get(&(kind, result.name.as_str())) == Some(&result.version.as_str()) {
                let one = uses.entry((kind, &result.name)).or_default();
                if result.error.is_empty() { one.applied_by += 1 } else { one.refused_by += 1 }
            }
        }
    }
    uses
}
