//! What there is to say about the cluster.

use super::clock::{now_ms, time};
use super::sessions::Executor;
use super::shared::Shared;
use super::state::State;
use super::task::{Agent, Phase, Task};
use crate::configs::{ConfigKey, Kind, Snapshot};
use crate::ids::AgentId;
use crate::offer::Reason;
use crate::protocol::{
    AgentStatus, ClusterStatus, ConfigKind, Configuration, ConfigurationStatus, Counted, Decline,
    DockerState, ExecutorStatus, ForbiddenRead, FrameworkStatus, RefusedLabels, SharedDestination,
    SourceKind, Status, StatusPage, StreamStatus, StreamTotals, Texts, Totals,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Which agents a status is about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Page {
    /// How many agents at most; without it, all.
    limit: Option<usize>,
    /// Only agents behind this one: `next` of the page before.
    after: Option<String>,
    /// Only this agent.
    agent: Option<String>,
    /// Only agents on machines with this name.
    host: Option<String>,
    /// Only agents without a task of ours, or only those with one.
    lacking: Option<bool>,
}

impl Page {
    /// The page as an answer may have it.
    pub(super) fn bounded(self) -> Self {
        Self { limit: Some(self.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_LARGEST)), ..self }
    }

    /// The agents of this page, and where the next one begins, if there is one.
    fn agents<'a>(&self, state: &'a State) -> (Vec<(&'a AgentId, &'a Agent)>, Option<String>) {
        let after = self.after.as_deref().map_or(Bound::Unbounded, |id| Bound::Excluded(AgentId::from(id)));
        let mut wanted = state.agents().range((after, Bound::Unbounded)).filter(|(id, agent)| {
            self.agent.as_deref().is_none_or(|wanted| wanted == id.as_str())
                && self.host.as_deref().is_none_or(|wanted| wanted == agent.hostname)
                && self.lacking.is_none_or(|wanted| wanted == state.task_on(id).is_none())
        });
        let page: Vec<_> = wanted.by_ref().take(self.limit.unwrap_or(usize::MAX)).collect();
        let more = wanted.next().is_some();
        let next = page.last().filter(|_| more).map(|(id, _)| id.to_string());
        (page, next)
    }
}

impl From<StatusPage> for Page {
    fn from(page: StatusPage) -> Self {
        let named = |name: String| Some(name).filter(|name| !name.is_empty());
        Self {
            limit: usize::try_from(page.limit).ok().filter(|limit| *limit > 0),
            after: named(page.after),
            agent: named(page.agent_id),
            host: named(page.hostname),
            lacking: page.lacking,
        }
    }
}

/// The status with the agents of one page, as gRPC has it.
pub(super) fn cluster(shared: &Shared, page: &Page) -> ClusterStatus {
    let link = shared.link().clone();
    let state = shared.state();
    let executors = shared.sessions.lock();
    let (agents, next) = page.agents(&state);
    let agents = agents.into_iter().map(|(agent_id, agent)| {
        let task = state.task_on(agent_id);
        let executor = task.and_then(|t| executors.get(&(agent_id.clone(), t.executor_id.clone())));
        agent_status(agent_id, agent, task, executor, state.expects_nothing(agent))
    });
    ClusterStatus {
        leader: true,
        leader_url: shared.url.clone(),
        framework: Some(FrameworkStatus {
            id: state.framework_id().map(ToString::to_string).unwrap_or_default(),
            name: shared.framework_name.clone(),
            connected: link.connected,
            error: if link.store_error.is_empty() { link.trouble() } else { link.store_error },
            master: link.master,
        }),
        configurations: configurations(shared, &executors, Texts::LeftOut),
        agents: agents.collect(),
        next: next.unwrap_or_default(),
        shared_destinations: shared_destinations(&shared.registry.snapshot()),
    }
}

/// The places that several configurations write to, as gRPC has them.
fn shared_destinations(snapshot: &Snapshot) -> Vec<SharedDestination> {
    let all = snapshot.shared_destinations().into_iter();
    all.map(|(place, keys)| SharedDestination {
        destination: place.to_owned(),
        configurations: keys.into_iter().map(ToString::to_string).collect(),
    })
    .collect()
}

fn agent_status(
    id: &AgentId,
    agent: &Agent,
    task: Option<&Task>,
    executor: Option<&Executor>,
    expects_nothing: Option<Reason>,
) -> AgentStatus {
    let mut declined: Vec<_> = agent
        .declined
        .iter()
        // While there is a task, why a second one was not launched is of no interest.
        .filter(|_| task.is_none())
        .map(|d| Decline { reason: d.reason.to_string(), at_ms: d.at_ms })
        .collect();
    let failures = &agent.failures;
    if task.is_none() && failures.count > 0 && !declined.iter().any(|d| d.reason.contains(&failures.reason)) {
        let reason = format!("failed {} times: {}", failures.count, failures.reason);
        declined.insert(0, Decline { reason, at_ms: failures.at_ms });
    }
    let now_ms = now_ms();
    let silent = agent.last_offer_ms.is_none_or(|at| now_ms >= at + SILENCE_MS);
    if let Some(reason) = expects_nothing
        && task.is_none()
        && (silent || agent.standing.excluded.is_some())
    {
        declined.retain(|d| d.reason != reason.to_string());
        declined.insert(0, Decline { reason: reason.to_string(), at_ms: now_ms });
    }
    if task.is_none() && declined.is_empty() {
        let reason = if agent.draining {
            "an operator drains the agent"
        } else if !agent.listed {
            "the master does not list it as active"
        } else {
            "it has made no offer yet: its resources are in use, or go to other roles"
        };
        let at_ms = agent.last_offer_ms.unwrap_or(now_ms);
        declined.push(Decline { reason: reason.to_owned(), at_ms });
    }
    AgentStatus {
        agent_id: id.to_string(),
        hostname: agent.hostname.clone(),
        executor: task.map(|task| executor_status(task, executor)),
        declined,
    }
}

fn executor_status(task: &Task, executor: Option<&Executor>) -> ExecutorStatus {
    let status = executor.and_then(|e| e.status.clone()).map(|status| Status {
        streams: executor.into_iter().flat_map(|e| e.streams.values().cloned()).collect(),
        ..status
    });
    let state = match (task.ending, executor.is_some_and(Executor::is_connected)) {
        (Some(_), _) => "killing",
        (None, _) => task.phase.name(),
    };
    ExecutorStatus {
        executor_id: task.executor_id.to_string(),
        state: state.to_owned(),
        version: executor.and_then(|e| e.hello.as_ref()).map(|h| h.build.clone()).unwrap_or_default(),
        last_seen_ms: executor.and_then(|e| e.last_seen_ms).unwrap_or_default(),
        status,
        ports_not_offered: task.ports_not_offered.iter().copied().map(u32::from).collect(),
    }
}

/// The configurations, with what files and executors said against them.
pub(super) fn configurations(
    shared: &Shared,
    executors: &BTreeMap<super::sessions::Key, Executor>,
    texts: Texts,
) -> Vec<ConfigurationStatus> {
    let snapshot = shared.registry.snapshot();
    let complaints = complaints(executors);
    let mut all: BTreeMap<ConfigKey, ConfigurationStatus> = snapshot
        .entries
        .iter()
        .map(|(id, entry)| {
            let key = (ConfigKind::from(id.kind) as i32, id.name.as_str(), entry.version.as_str());
            let error = complaints.get(&key).cloned().unwrap_or_default();
            let configuration = Some(Configuration::told(entry, texts));
            (id.clone(), ConfigurationStatus { configuration, error })
        })
        .collect();
    for (key, problem) in &snapshot.problems {
        let status = all.entry(key.clone()).or_insert_with(|| ConfigurationStatus {
            configuration: Some(Configuration {
                name: key.name.clone(),
                kind: ConfigKind::from(key.kind).into(),
                source: "directory".to_owned(),
                ..Configuration::default()
            }),
            error: String::new(),
        });
        status.error = format!("{}: {}", problem.path.display(), problem.text);
    }
    all.into_values().collect()
}

/// What executors said against configurations, by kind, name and version: the first complaint about each.
fn complaints(executors: &BTreeMap<super::sessions::Key, Executor>) -> BTreeMap<(i32, &str, &str), String> {
    let mut complaints = BTreeMap::new();
    for ((agent_id, _), executor) in executors {
        let results = executor.applied.iter().flat_map(|applied| &applied.results);
        for result in results.filter(|result| !result.error.is_empty()) {
            complaints.entry((result.kind, &*result.name, &*result.version)).or_insert_with(|| {
                let host = executor.hello.as_ref().map(|h| h.hostname.as_str()).unwrap_or_default();
                format!("on agent {agent_id} ({host}): {}", result.error)
            });
        }
    }
    complaints
}

/// The status as REST has it.
pub(super) fn json(shared: &Shared, page: &Page) -> Value {
    let status = cluster(shared, page);
    let framework = status.framework.unwrap_or_default();
    let (state, executors) = (shared.state(), shared.sessions.lock());
    let configurations = configurations_json(&status.configurations, &executors);
    let mut streams = Vec::new();
    let mut agents = Vec::new();
    for agent in &status.agents {
        let id = AgentId::from(agent.agent_id.as_str());
        let task = state.task_on(&id);
        let executor = task.and_then(|t| executors.get(&(id.clone(), t.executor_id.clone())));
        if let Some(status) = agent.executor.as_ref().and_then(|e| e.status.as_ref()) {
            streams.extend(status.streams.iter().map(|s| stream_json(&agent.agent_id, s)));
        }
        let declined: Vec<_> =
            agent.declined.iter().map(|d| json!({"reason": d.reason, "at": time(d.at_ms)})).collect();
        agents.push(json!({
            "agent_id": agent.agent_id,
            "hostname": agent.hostname,
            "executor": agent.executor.as_ref().map(|e| executor_json(e, task, executor)),
            "declined": declined,
        }));
    }
    let reconciliation = state.reconciliation();
    json!({
        "leader": status.leader,
        "url": status.leader_url,
        "framework": {
            "id": text_or_null(&framework.id),
            "name": framework.name,
            "connected": framework.connected,
            "master": text_or_null(&framework.master),
            "error": text_or_null(&framework.error),
        },
        "configurations": configurations,
        "agents": agents,
        "streams": streams,
        "shared_destinations": status.shared_destinations.iter().map(|shared| {
            json!({"destination": shared.destination, "configurations": shared.configurations})
        }).collect::<Vec<_>>(),
        "reconciliation": {
            "complete": reconciliation.is_complete(),
            "unanswered": reconciliation.pending(),
            "finished": reconciliation.finished_ms().map(time),
        },
        "offers_wanted": !state.is_suppressed(),
        "offers_missing": offers_missing(&state),
        "rollout": rollout_json(&state),
        "totals": {
            "agents": state.agents().len(),
            "tasks": state.task_count(),
            "running": state.tasks_in(Phase::Running),
            "connected": executors.values().filter(|e| e.is_connected()).count(),
        },
        "next": text_or_null(&status.next),
    })
}

fn configurations_json(
    all: &[ConfigurationStatus],
    executors: &BTreeMap<super::sessions::Key, Executor>,
) -> Vec<Value> {
    let known = || all.iter().filter_map(|one| Some((one.configuration.as_ref()?, &one.error)));
    let versions =
        known().map(|(one, _)| ((kind_of(one), one.name.as_str()), one.version.as_str())).collect();
    let uses = uses(executors, &versions);
    let json = |(one, error): (&Configuration, &String)| {
        let kind = kind_of(one);
        let in_use = uses.get(&(kind, one.name.as_str())).copied().unwrap_or_default();
        json!({
            "name": one.name,
            "kind": kind.name(),
            "version": one.version,
            "source": one.source,
            "match": one.r#match,
            "error": text_or_null(error),
            "streams": in_use.streams,
            "agents": in_use.agents,
            "applied_by": in_use.applied_by,
            "refused_by": in_use.refused_by,
        })
    };
    known().map(json).collect()
}

/// Why no offers come, as far as their absence tells.
fn offers_missing(state: &State) -> Option<String> {
    let now_ms = now_ms();
    let minutes = (now_ms - state.without_offers_since(now_ms)?) / 60_000;
    Some(format!(
        "no offer came for {minutes} minutes, and agents without a shipper: {}. The quota of our role may be used up, other \
         frameworks may hold what is free, or a master that took over waits for its agents before it keeps to quotas. See \
         the role's quota and the master's log",
        state.lacking()
    ))
}

fn rollout_json(state: &State) -> Value {
    let rollout = state.rollout();
    let word = match (&rollout.stopped, state.outdated() + rollout.agents.len()) {
        (Some(_), _) => "stopped",
        (None, 0) => "complete",
        (None, _) => "running",
    };
    json!({
        "executor_id": rollout.executor_id,
        "state": word,
        "outdated": state.outdated(),
        "agents": rollout.agents,
        "failures": rollout.failures,
        "reason": rollout.stopped,
    })
}

fn executor_json(executor: &ExecutorStatus, task: Option<&Task>, session: Option<&Executor>) -> Value {
    let mut object = Map::from_iter([
        ("executor_id".to_owned(), json!(executor.executor_id)),
        ("task_id".to_owned(), json!(task.map(|t| t.task_id.as_str()))),
        ("state".to_owned(), json!(executor.state)),
        ("ports_not_offered".to_owned(), json!(executor.ports_not_offered)),
        ("since".to_owned(), json!(task.map(|t| time(t.since_ms)))),
        ("version".to_owned(), text_or_null(&executor.version)),
        ("connected".to_owned(), json!(session.is_some_and(Executor::is_connected))),
        ("last_seen".to_owned(), json!((executor.last_seen_ms > 0).then(|| time(executor.last_seen_ms)))),
    ]);
    if let Some(hello) = session.and_then(|s| s.hello.as_ref()) {
        object.insert("data_dir".to_owned(), json!(hello.data_dir));
        object.insert("docker_daemon_id".to_owned(), text_or_null(&hello.docker_daemon_id));
        object.insert("pid".to_owned(), json!(hello.pid));
    }
    if let Some(applied) = session.and_then(|s| s.applied.as_ref()) {
        let version = |r: &crate::protocol::ConfigResult| json!({"name": r.name, "version": r.version, "error": text_or_null(&r.error)});
        let results: Vec<_> = applied.results.iter().map(version).collect();
        object.insert(
            "applied".to_owned(),
            json!({"set_version": applied.set_version, "configurations": results}),
        );
    }
    if let Some(status) = &executor.status {
        let docker = match status.docker() {
            DockerState::Connected => "connected",
            DockerState::Unreachable => "unreachable",
            DockerState::Unused | DockerState::Unspecified => "unused",
        };
        let outputs: Vec<_> = status
            .outputs
            .iter()
            .map(|o| {
                let state = o.state().as_str_name().trim_start_matches("OUTPUT_STATE_").to_ascii_lowercase();
                json!({"configuration": o.configuration, "type": o.r#type, "state": state,
                       "error": text_or_null(&o.error), "pending": o.pending,
                       "aside": o.aside, "aside_reason": text_or_null(&o.aside_reason)})
            })
            .collect();
        let pipelines: Vec<_> = status
            .pipelines
            .iter()
            .map(|p| {
                let plugins: Vec<_> = p
                    .plugins
                    .iter()
                    .map(|plugin| {
                        json!({"id": plugin.id, "name": plugin.name, "events_in": plugin.events_in,
                               "events_out": plugin.events_out, "busy_ms": plugin.busy_ms})
                    })
                    .collect();
                json!({"configuration": p.configuration, "events_in": p.events_in, "events_out": p.events_out,
                       "failures": p.failures, "failure": text_or_null(&p.failure), "plugins": plugins,
                       "unanswered": p.unanswered, "total": p.total.as_ref().map(counted_json),
                       "dead_letters": {"waiting": p.dead_letters, "bytes": p.dead_letter_bytes,
                                        "on_their_way": p.dead_letters_on_their_way,
                                        "dropped": p.dead_letters_dropped}})
            })
            .collect();
        object.extend([
            ("pipelines".to_owned(), json!(pipelines)),
            ("waiting".to_owned(), text_or_null(&status.waiting)),
            ("docker".to_owned(), json!({"state": docker, "error": text_or_null(&status.docker_error)})),
            ("sandboxes_error".to_owned(), text_or_null(&status.sandboxes_error)),
            ("refused_labels".to_owned(), json!(refused_labels(status))),
            ("forbidden".to_owned(), json!(forbidden(status))),
            ("left_queues".to_owned(), json!(left_queues(status))),
            ("events_in".to_owned(), json!(status.events_in)),
            ("events_out".to_owned(), json!(status.events_out)),
            ("events_failed".to_owned(), json!(status.events_failed)),
            ("memory_bytes".to_owned(), json!(status.memory_bytes)),
            ("outputs".to_owned(), json!(outputs)),
            ("totals".to_owned(), json!(status.totals.as_ref().map(totals_json))),
        ]);
    }
    Value::Object(object)
}

/// The containers with labels that mean nothing, as REST has them.
fn refused_labels(status: &Status) -> Vec<Value> {
    let labels = |refused: &RefusedLabels| -> BTreeMap<String, String> {
        refused.labels.iter().map(|one| (one.label.clone(), one.reason.clone())).collect()
    };
    let refused = status.refused_labels.iter();
    refused
        .map(|one| {
            json!({"container_id": one.container_id, "name": one.name, "image": text_or_null(&one.image),
                   "labels": labels(one)})
        })
        .collect()
}

/// What the policy keeps from being read, as REST has it.
fn forbidden(status: &Status) -> Vec<Value> {
    let json = |one: &ForbiddenRead| {
        json!({"container_id": one.container_id, "name": one.name, "image": text_or_null(&one.image), "rule": one.rule,
               "configuration": one.configuration, "kind": one.kind().known().map(Kind::name)})
    };
    status.forbidden.iter().map(json).collect()
}

/// Queues on disk that no output takes any more, as REST has them.
fn left_queues(status: &Status) -> Vec<Value> {
    let left = status.left_queues.iter();
    left.map(|one| {
        json!({"path": one.path, "configuration": one.configuration, "type": one.r#type, "place": one.place,
               "bytes": one.bytes})
    })
    .collect()
}

/// What was counted over restarts.
fn totals_json(totals: &Totals) -> Value {
    json!({"streams": totals.streams.as_ref().map(stream_totals_json),
           "pipelines": totals.pipelines.as_ref().map(counted_json)})
}

fn stream_totals_json(total: &StreamTotals) -> Value {
    let lost: BTreeMap<_, _> = total.lost.iter().collect();
    json!({"read_bytes": total.read_bytes, "events": total.events, "lost": lost})
}

fn counted_json(counted: &Counted) -> Value {
    let lost: BTreeMap<_, _> = counted.lost.iter().collect();
    json!({"events_in": counted.events_in, "events_out": counted.events_out, "dropped": counted.dropped,
           "unanswered": counted.unanswered, "dead": counted.dead, "dead_dropped": counted.dead_dropped,
           "delivered": counted.delivered, "delivered_bytes": counted.delivered_bytes, "read_bytes": counted.read_bytes,
           "lost": lost})
}

/// A stream as REST has it.
pub(super) fn stream_json(agent_id: &str, stream: &StreamStatus) -> Value {
    let mut object = Map::from_iter([
        ("agent_id".to_owned(), json!(agent_id)),
        ("container_id".to_owned(), text_or_null(&stream.container_id)),
        ("name".to_owned(), json!(stream.name)),
        ("image".to_owned(), text_or_null(&stream.image)),
    ]);
    match stream.source() {
        SourceKind::Stdout => object.insert("stream".to_owned(), json!("stdout")),
        SourceKind::Stderr => object.insert("stream".to_owned(), json!("stderr")),
        _ => object.insert("path".to_owned(), json!(stream.path)),
    };
    let lost: BTreeMap<_, _> = stream.lost.iter().collect();
    object.extend([
        ("method".to_owned(), json!(stream.method)),
        ("reason".to_owned(), text_or_null(&stream.reason)),
        ("offset".to_owned(), json!(stream.offset)),
        ("lag_bytes".to_owned(), json!(stream.lag_bytes)),
        ("lag_seconds".to_owned(), json!(stream.lag_seconds)),
        ("events".to_owned(), json!(stream.events)),
        ("lost".to_owned(), json!(lost)),
        ("total".to_owned(), json!(stream.total.as_ref().map(stream_totals_json))),
        ("configurations".to_owned(), json!(stream.configurations)),
    ]);
    Value::Object(object)
}

/// To what a configuration applies.
pub(super) fn kind_of(configuration: &Configuration) -> Kind {
    configuration.kind().known().unwrap_or(Kind::Docker)
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
    executors: &'a BTreeMap<super::sessions::Key, Executor>,
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

fn text_or_null(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::from(text) }
}

/// Agents on a page when nobody says how many.
const PAGE_DEFAULT: usize = 1_000;
const PAGE_LARGEST: usize = 10_000;
/// What the master lists is told when no offer says more than it.
const SILENCE_MS: u64 = 60_000;
