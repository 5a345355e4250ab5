//! The status as REST has it. The document of the API is made from these types.

mod configurations;
mod executor;
mod stream;

pub(in crate::scheduler) use self::stream::Stream;

use self::configurations::{ConfigurationUse, configurations};
use self::executor::ExecutorShown;
use super::{Page, cluster, named, offers_missing};
use crate::ids::AgentId;
use crate::scheduler::clock::time;
use crate::scheduler::shared::Shared;
use crate::scheduler::state::State;
use crate::scheduler::task::Phase;
use serde::Serialize;
use utoipa::ToSchema;

/// The framework, its configurations, and one page of its agents with what they read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(in crate::scheduler) struct StatusAnswer {
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
pub(in crate::scheduler) fn answer(shared: &Shared, page: &Page) -> StatusAnswer {
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
