//! What there is to say about the cluster.

mod rest;

pub(super) use rest::{StatusAnswer, Stream, answer};

use super::clock::now_ms;
use super::sessions::Executor;
use super::shared::Shared;
use super::state::State;
use super::task::{Agent, Task};
use crate::configs::{ConfigKey, Kind, Snapshot};
use crate::ids::AgentId;
use crate::offer::Reason;
use crate::protocol::{
    AgentStatus, ClusterStatus, ConfigKind, Configuration, ConfigurationStatus, Decline, ExecutorStatus,
    FrameworkStatus, SharedDestination, Status, StatusPage, Texts,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Bound;
use utoipa::IntoParams;

/// Which agents a status is about.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// How many agents at most, 10,000 if more; 1,000 if it is not given.
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
    let executors = shared.sessions().lock();
    let (agents, next) = page.agents(&state);
    let agents = agents.into_iter().map(|(agent_id, agent)| {
        let task = state.task_on(agent_id);
        let executor = task.and_then(|t| executors.get(&(agent_id.clone(), t.executor_id.clone())));
        agent_status(agent_id, agent, task, executor, state.expects_nothing(agent))
    });
    ClusterStatus {
        leader: true,
        leader_url: shared.url().to_owned(),
        framework: Some(FrameworkStatus {
            id: state.framework_id().map(ToString::to_string).unwrap_or_default(),
            name: shared.framework_name().to_owned(),
            connected: link.connected,
            error: if link.store_error.is_empty() { link.trouble() } else { link.store_error },
            master: link.master,
        }),
        configurations: configurations(shared, &executors, Texts::LeftOut),
        agents: agents.collect(),
        next: next.unwrap_or_default(),
        shared_destinations: shared_destinations(&shared.registry().snapshot()),
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
    let snapshot = shared.registry().snapshot();
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

/// To what a configuration applies.
pub(super) fn kind_of(configuration: &Configuration) -> Kind {
    configuration.kind().known().unwrap_or(Kind::Docker)
}

/// Some of our messages say nothing with an empty text.
fn named(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// Agents on a page when nobody says how many.
const PAGE_DEFAULT: usize = 1_000;
const PAGE_LARGEST: usize = 10_000;
/// What the master lists is told when no offer says more than it.
const SILENCE_MS: u64 = 60_000;
