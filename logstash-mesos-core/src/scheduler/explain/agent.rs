//! What stands between one agent and its shipper.

use super::Verdict;
use crate::ids::{AgentId, ExecutorId};
use crate::offer::Reason;
use crate::protocol::{ConfigKind, DockerState, LeftQueue, OutputState, OutputStatus, Status};
use crate::scheduler::sessions::Executor;
use crate::scheduler::task::{Agent, Ending, Phase, Task};

/// What is the same for all agents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) now_ms: u64,
    /// A subscription with a master holds.
    pub(super) connected: bool,
    /// The master has listed its agents.
    pub(super) listed: bool,
    pub(super) launch_timeout_ms: u64,
    /// Names the present definition of executors.
    pub(super) executor_id: &'a ExecutorId,
    /// Of the configurations that executors are to have.
    pub(super) set_version: &'a str,
    /// Where executors reach this scheduler.
    pub(super) url: &'a str,
}

/// What is known of one agent.
#[derive(Debug)]
pub(super) struct AgentFacts<'a> {
    pub(super) agent_id: &'a AgentId,
    pub(super) agent: &'a Agent,
    /// The newest first.
    pub(super) tasks: Vec<&'a Task>,
    /// Of the newest task, if it is expected or was here.
    pub(super) executor: Option<&'a Executor>,
    /// Why no offer that could be used is to be expected of an agent without a task.
    pub(super) expects_nothing: Option<Reason>,
    /// Why an executor of an earlier definition is left alone for now.
    pub(super) not_replaced: Option<Reason>,
    /// An offer of it is neither used nor given back yet.
    pub(super) offer_held: bool,
    pub(super) refused_until_ms: Option<u64>,
    pub(super) lacking_since_ms: Option<u64>,
}

/// One step to a shipper that ships, and how it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Finding<'a> {
    /// An operator drains the agent.
    Draining,
    /// The master does not list the agent as active.
    Inactive,
    /// By a rule of ours there is to be no shipper, or none for now.
    NotWanted(&'a Reason),
    /// The same, as an offer showed.
    Declined { reason: &'a Reason, at_ms: u64, count: u64 },
    /// The master's list shows that no offer can be used.
    NothingExpected(&'a Reason),
    /// It failed there, and is tried again.
    Failed { count: u32, retry_at_ms: u64, last: &'a str, at_ms: u64 },
    /// An offer of it is looked at.
    OfferHeld,
    /// The agent makes no offer, for a short or a long time.
    NoOffer { long: bool, last_ms: Option<u64>, since_ms: Option<u64>, refused_until_ms: Option<u64> },
    /// A launch is under way.
    Launching { phase: Phase, since_ms: u64 },
    /// For longer than launches may take.
    Unconfirmed { phase: Phase, since_ms: u64 },
    /// The task works.
    Running { task: &'a Task, outdated: bool },
    /// An executor of an earlier definition is left alone for now.
    NotReplaced(&'a Reason),
    /// Its executor listens on ports that the agent does not offer.
    PortsNotOffered(&'a [u16]),
    /// The task is to end.
    Ending { why: Option<Ending>, since_ms: u64 },
    /// The agent is away, with the task.
    Unreachable { since_ms: u64 },
    /// There is more than one task.
    Several { count: usize },
    /// The executor has a session with this scheduler.
    Connected { build: &'a str },
    /// It had none yet.
    NeverConnected { since_ms: u64, messages: u32, next_ms: u64 },
    /// It had one.
    Disconnected { last_seen_ms: u64 },
    /// It uses the present configurations.
    Applied { version: &'a str, count: usize },
    /// It has not said so yet.
    Applying { version: &'a str },
    /// It refused a configuration, or could not start it.
    Refused { name: &'a str, error: &'a str },
    /// It reads nothing, for a reason of its own.
    Waiting { why: &'a str },
    /// The Docker daemon does not answer.
    Docker { error: &'a str },
    /// What tasks write cannot be seen.
    Sandboxes { error: &'a str },
    /// An output does not deliver.
    Output(&'a OutputStatus),
    /// An output delivers, but not all.
    Aside(&'a OutputStatus),
    /// A queue on disk belongs to no output any more.
    LeftQueue(&'a LeftQueue),
    /// A pipeline has panicked, or an input can never work.
    Pipeline { configuration: &'a str, failure: &'a str, count: u64 },
    /// It reads so many streams.
    Ships { streams: usize, events_out: u64 },
}

impl<'a> Finding<'a> {
    /// The one configuration that it is about, if it is about one.
    pub(super) fn configuration(&self) -> Option<&'a str> {
        match self {
            Self::Refused { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether it is about what happens to lines, not about the shipper itself.
    pub(super) fn is_about_work(&self) -> bool {
        matches!(
            self,
            Self::Output(_)
                | Self::Aside(_)
                | Self::LeftQueue(_)
                | Self::Pipeline { .. }
                | Self::Ships { .. }
        )
    }

    /// How the step stands.
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            // What an operator has asked for is as it should be.
            Self::Draining | Self::NotWanted(_) => Verdict::Ok,
            Self::Declined { reason, .. } | Self::NothingExpected(reason) => match reason {
                Reason::Excluded { .. }
                | Reason::Constraint { .. }
                | Reason::Limit { .. }
                | Reason::Maintenance { .. } => Verdict::Ok,
                Reason::Queued { .. } | Reason::Occupied { .. } | Reason::Closed { .. } => Verdict::Unknown,
                _ => Verdict::Problem,
            },
            Self::Running { .. }
            | Self::PortsNotOffered(_)
            | Self::Connected { .. }
            | Self::Applied { .. }
            | Self::Ships { .. } => Verdict::Ok,
            Self::OfferHeld
            | Self::NoOffer { long: false, .. }
            | Self::NoOffer { refused_until_ms: Some(_), .. }
            | Self::Launching { .. }
            | Self::Ending { .. }
            | Self::Applying { .. } => Verdict::Unknown,
            Self::Inactive
            | Self::Failed { .. }
            | Self::NoOffer { .. }
            | Self::Unconfirmed { .. }
            | Self::Unreachable { .. }
            | Self::Several { .. }
            | Self::NotReplaced(_)
            | Self::NeverConnected { .. }
            | Self::Disconnected { .. }
            | Self::Refused { .. }
            | Self::Waiting { .. }
            | Self::Docker { .. }
            | Self::Sandboxes { .. }
            | Self::Output(_)
            | Self::Aside(_)
            | Self::LeftQueue(_)
            | Self::Pipeline { .. } => Verdict::Problem,
        }
    }
}

/// Everything that there is to say, in the order of a shipper's life.
pub(super) fn findings<'a>(facts: &'a AgentFacts<'a>, around: &Surroundings<'a>) -> Vec<Finding<'a>> {
    let mut found = Vec::with_capacity(4);
    if facts.agent.draining {
        found.push(Finding::Draining);
    }
    let Some(task) = facts.tasks.first() else {
        without_task(facts, around, &mut found);
        return found;
    };
    if facts.tasks.len() > 1 {
        found.push(Finding::Several { count: facts.tasks.len() });
    }
    found.push(phase(task, around));
    if task.phase == Phase::Running {
        found.extend(facts.not_replaced.as_ref().map(Finding::NotReplaced));
        if !task.ports_not_offered.is_empty() {
            found.push(Finding::PortsNotOffered(&task.ports_not_offered));
        }
        session(task, facts.executor, around, &mut found);
    }
    found
}

fn without_task<'a>(facts: &'a AgentFacts<'a>, around: &Surroundings<'a>, found: &mut Vec<Finding<'a>>) {
    let agent = facts.agent;
    if agent.draining {
        return;
    }
    if around.listed && !agent.listed {
        found.push(Finding::Inactive);
        return;
    }
    let failures = &agent.failures;
    if failures.count > 0 {
        found.push(Finding::Failed {
            count: failures.count,
            retry_at_ms: failures.retry_at_ms,
            last: &failures.reason,
            at_ms: failures.at_ms,
        });
    }
    if let Some(rule) = &agent.standing.excluded {
        found.push(Finding::NotWanted(rule));
        return;
    }
    // A decline that only repeats the failure says nothing new; one from before the last failure is history.
    let declined = agent.declined.iter().filter(|d| {
        !matches!(d.reason, Reason::BackingOff { .. } | Reason::Occupied { .. }) && d.at_ms >= failures.at_ms
    });
    let mut declined = declined.peekable();
    match (declined.peek(), &facts.expects_nothing) {
        (Some(_), _) => found.extend(declined.take(DECLINES_SHOWN).map(|declined| Finding::Declined {
            reason: &declined.reason,
            at_ms: declined.at_ms,
            count: declined.count,
        })),
        (None, Some(reason)) => found.push(Finding::NothingExpected(reason)),
        (None, None) if failures.count > 0 && failures.retry_at_ms > around.now_ms => {}
        (None, None) if facts.offer_held => found.push(Finding::OfferHeld),
        (None, None) => found.push(Finding::NoOffer {
            long: (agent.last_offer_ms.or(facts.lacking_since_ms))
                .is_none_or(|at| around.now_ms >= at + SILENCE_MS),
            last_ms: agent.last_offer_ms,
            since_ms: facts.lacking_since_ms,
            refused_until_ms: facts.refused_until_ms,
        }),
    }
}

fn phase<'a>(task: &'a Task, around: &Surroundings<'a>) -> Finding<'a> {
    let since_ms = task.since_ms;
    match (task.phase, task.ending) {
        (Phase::Unreachable, _) => Finding::Unreachable { since_ms },
        (_, Some(Ending::Unconfirmed)) => Finding::Unconfirmed { phase: task.phase, since_ms },
        (_, why @ Some(_)) | (Phase::Killing, why) => Finding::Ending { why, since_ms },
        (Phase::Running, None) => {
            Finding::Running { task, outdated: task.executor_id != *around.executor_id }
        }
        (phase, None) if around.now_ms >= since_ms.saturating_add(around.launch_timeout_ms) => {
            Finding::Unconfirmed { phase, since_ms }
        }
        (phase, None) => Finding::Launching { phase, since_ms },
    }
}

fn session<'a>(
    task: &'a Task,
    executor: Option<&'a Executor>,
    around: &Surroundings<'a>,
    found: &mut Vec<Finding<'a>>,
) {
    let seen = executor.filter(|executor| executor.is_connected() || executor.last_seen_ms.is_some());
    let Some(executor) = seen else {
        let waited = around.now_ms.saturating_sub(task.since_ms);
        found.push(if waited < CONNECTS_WITHIN_MS {
            Finding::Launching { phase: task.phase, since_ms: task.since_ms }
        } else {
            let (messages, next_ms) = executor.map(Executor::waking).unwrap_or_default();
            Finding::NeverConnected { since_ms: task.since_ms, messages, next_ms }
        });
        return;
    };
    if executor.is_connected() {
        let build = executor.hello.as_ref().map(|hello| hello.build.as_str()).unwrap_or_default();
        found.push(Finding::Connected { build });
    } else {
        found.push(Finding::Disconnected { last_seen_ms: executor.last_seen_ms.unwrap_or_default() });
    }
    match executor.applied.as_ref().filter(|applied| applied.set_version == around.set_version) {
        None => found.push(Finding::Applying { version: around.set_version }),
        Some(applied) => {
            let refused = applied.results.iter().filter(|result| !result.error.is_empty());
            let before = found.len();
            found.extend(refused.map(|result| Finding::Refused { name: &result.name, error: &result.error }));
            if found.len() == before {
                let count = applied.results.len();
                found.push(Finding::Applied { version: &applied.set_version, count });
            }
        }
    }
    if let Some(status) = &executor.status {
        let results = executor.applied.iter().flat_map(|applied| &applied.results);
        let reads_containers = results.into_iter().any(|result| result.kind() == ConfigKind::Docker);
        work(status, executor.streams.len(), reads_containers, found);
    }
}

fn work<'a>(status: &'a Status, streams: usize, reads_containers: bool, found: &mut Vec<Finding<'a>>) {
    let before = found.len();
    if !status.waiting.is_empty() {
        found.push(Finding::Waiting { why: &status.waiting });
    }
    // Without a configuration for containers nobody misses it.
    if reads_containers && status.docker() == DockerState::Unreachable {
        found.push(Finding::Docker { error: &status.docker_error });
    }
    if !status.sandboxes_error.is_empty() {
        found.push(Finding::Sandboxes { error: &status.sandboxes_error });
    }
    let failing = status
        .outputs
        .iter()
        .filter(|output| matches!(output.state(), OutputState::Retrying | OutputState::Failed));
    found.extend(failing.map(Finding::Output));
    let not_all = status.outputs.iter().filter(|o| o.state() == OutputState::Ok && o.aside > 0);
    found.extend(not_all.map(Finding::Aside));
    found.extend(status.left_queues.iter().map(Finding::LeftQueue));
    let failed = status.pipelines.iter().filter(|pipeline| !pipeline.failure.is_empty());
    found.extend(failed.map(|pipeline| Finding::Pipeline {
        configuration: &pipeline.configuration,
        failure: &pipeline.failure,
        count: pipeline.failures,
    }));
    if found.len() == before {
        found.push(Finding::Ships { streams, events_out: status.events_out });
    }
}

/// Reasons of offers that are shown at a time.
const DECLINES_SHOWN: usize = 3;
/// So long an agent may make no offer before that means something.
const SILENCE_MS: u64 = 60_000;
/// So long a started executor may take to be here.
const CONNECTS_WITHIN_MS: u64 = 60_000;
