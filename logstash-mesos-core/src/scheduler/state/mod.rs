//! What the scheduler decides: (state, event) → (state, actions), without time, chance or I/O of its own.
//!
//! The driver carries the actions of one event out in their order before it brings the next event. That
//! order is what makes a crash harmless at any point: an intent is stored before its offer is accepted,
//! and a change before its update is acknowledged (SCH-9).

mod demand;
mod launches;
mod offers;
mod rollout;
mod updates;

pub(in crate::scheduler) use updates::describe;

use super::reconcile::{Question, Reconciliation};
use super::task::{Agent, Failures, Retry, Task};
use crate::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use crate::offer::OfferStrategy;
use mesos_v1::proto::{Offer, Resource, TaskStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Numbers and rules that do not change while the scheduler runs.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Which offers to use.
    pub strategy: Arc<dyn OfferStrategy>,
    /// Names the current definition of the executor.
    pub executor_id: ExecutorId,
    /// Starts the ids of tasks.
    pub task_prefix: String,
    /// Launches that may be unconfirmed at a time.
    pub launch_parallelism: usize,
    /// After which a launch that nobody confirmed is asked about, and ended if that does not help.
    pub launch_timeout: Duration,
    /// First wait after a failure on an agent, doubling.
    pub backoff_first: Duration,
    /// Longest wait after failures on an agent.
    pub backoff_longest: Duration,
    /// A task that ran this long was healthy: failures before it are forgotten.
    pub backoff_reset: Duration,
    /// How long a task that is not ours to know may run before it is killed.
    pub stranger_grace: Duration,
    /// Whether to launch at all; if not, why.
    pub closed: Option<&'static str>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A subscription holds.
    Subscribed {
        /// As the master named it.
        framework_id: FrameworkId,
    },
    /// There is none (any more).
    Disconnected,
    /// New offers.
    Offers(Vec<Offer>),
    /// A task changed.
    Update(Box<TaskStatus>),
    /// A hint that an executor ended or, without one, that an agent is lost.
    Failure {
        /// Where.
        agent_id: AgentId,
    },
    /// The offer was not accepted, for sure: the master has no such task.
    NotLaunched {
        /// Which.
        task_id: TaskId,
        /// Why, when the launch itself is to blame.
        refused: Option<String>,
    },
    /// All agents that the master knows.
    AgentsListed(Vec<ListedAgent>),
    /// Maintenance is planned for our resources.
    InverseOffers(Vec<OfferId>),
    /// The framework is gone, together with all its tasks.
    Removed,
    /// Time passed.
    Tick,
}

/// An agent as the master lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedAgent {
    /// Its id.
    pub agent_id: AgentId,
    /// Name of its machine.
    pub hostname: String,
    /// It is registered, active and not drained.
    pub active: bool,
    /// An operator drains it, or has done so.
    pub draining: bool,
}

/// What to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Store the framework's id.
    StoreFramework,
    /// Store the tasks of these agents.
    StoreTasks(BTreeSet<AgentId>),
    /// Use an offer.
    Accept(Box<Launch>),
    /// Give offers back.
    Decline {
        /// Which.
        offer_ids: Vec<OfferId>,
        /// For how long.
        refuse_for: Duration,
    },
    /// Tell Mesos that an update is stored.
    Acknowledge {
        /// Where.
        agent_id: AgentId,
        /// Which task.
        task_id: TaskId,
        /// Which update.
        uuid: Vec<u8>,
    },
    /// End a task.
    Kill {
        /// Which.
        task_id: TaskId,
        /// Where.
        agent_id: AgentId,
    },
    /// Ask about tasks; none means all.
    Reconcile(Vec<(TaskId, AgentId)>),
    /// Ask for offers.
    Revive,
    /// Ask for no more offers.
    Suppress,
    /// Agree to maintenance.
    AcceptInverseOffers(Vec<OfferId>),
    /// Forget the framework's id and subscribe as a new one.
    StartAnew,
}

/// A launch, on one offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Which offer.
    pub offer_id: OfferId,
    /// As it was stored.
    pub task: Task,
    /// For the task.
    pub task_resources: Vec<Resource>,
    /// For its executor.
    pub executor_resources: Vec<Resource>,
    /// For how long the rest of the offer is not wanted.
    pub refuse_for: Duration,
}

/// Everything the scheduler knows about its framework.
#[derive(Clone, Debug)]
pub struct State {
    policy: Policy,
    framework_id: Option<FrameworkId>,
    connected: bool,
    tasks: BTreeMap<TaskId, Task>,
    agents: BTreeMap<AgentId, Agent>,
    strangers: BTreeMap<TaskId, Stranger>,
    reconciliation: Reconciliation,
    listed: bool,
    suppressed: bool,
    revive: Retry,
    counters: Counters,
}

/// A task with our framework's id that is not on record.
#[derive(Clone, Debug)]
struct Stranger {
    agent_id: AgentId,
    kill: Retry,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Offers received.
    pub offers: u64,
    /// Offers declined.
    pub declined: u64,
    /// Launches.
    pub launches: u64,
    /// Tasks that failed.
    pub failures: u64,
    /// Updates received.
    pub updates: u64,
    /// Tasks that were not on record.
    pub strangers: u64,
}

impl State {
    /// Begins with what was stored.
    pub fn new(
        policy: Policy,
        framework_id: Option<FrameworkId>,
        tasks: impl IntoIterator<Item = Task>,
    ) -> Self {
        let tasks: BTreeMap<_, _> = tasks.into_iter().map(|t| (t.task_id.clone(), t)).collect();
        let mut agents = BTreeMap::<_, Agent>::new();
        for task in tasks.values() {
            agents.entry(task.agent_id.clone()).or_default().hostname.clone_from(&task.hostname);
        }
        Self {
            policy,
            framework_id,
            connected: false,
            tasks,
            agents,
            strangers: BTreeMap::new(),
            reconciliation: Reconciliation::default(),
            listed: false,
            suppressed: false,
            revive: Retry::default(),
            counters: Counters::default(),
        }
    }

    /// The framework's id, once there is one.
    pub fn framework_id(&self) -> Option<&FrameworkId> {
        self.framework_id.as_ref()
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values()
    }

    /// Agents that made an offer, are listed by the master, or have a task.
    pub fn agents(&self) -> &BTreeMap<AgentId, Agent> {
        &self.agents
    }

    /// How far reconciliation is.
    pub fn reconciliation(&self) -> &Reconciliation {
        &self.reconciliation
    }

    /// Whether offers are wanted at present.
    pub fn is_suppressed(&self) -> bool {
        self.suppressed
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The task on an agent, the newest if there are several.
    pub fn task_on(&self, agent_id: &AgentId) -> Option<&Task> {
        self.tasks.values().filter(|t| t.agent_id == *agent_id).max_by_key(|t| t.since_ms)
    }

    /// Takes an event in, and says what to do. `now_ms` is milliseconds since 1970; `random` gives 32
    /// bits for the name of a task.
    pub fn apply(&mut self, event: Event, now_ms: u64, random: &mut dyn FnMut() -> u32) -> Vec<Action> {
        match event {
            Event::Subscribed { framework_id } => self.subscribed(framework_id, now_ms),
            Event::Disconnected => {
                self.connected = false;
                vec![]
            }
            Event::Offers(offers) => self.offers(&offers, now_ms, random),
            Event::Update(status) => self.update(&status, now_ms),
            Event::Failure { agent_id } => {
                let here: Vec<_> = self.tasks.values().filter(|t| t.agent_id == agent_id).collect();
                for id in here.into_iter().map(|t| t.task_id.clone()).collect::<Vec<_>>() {
                    self.reconciliation.ask_about(id, now_ms);
                }
                vec![]
            }
            Event::NotLaunched { task_id, refused } => self.not_launched(&task_id, refused, now_ms),
            Event::AgentsListed(agents) => self.agents_listed(agents),
            Event::InverseOffers(ids) => vec![Action::AcceptInverseOffers(ids)],
            Event::Removed => self.removed(),
            Event::Tick => self.tick(now_ms),
        }
    }

    fn subscribed(&mut self, framework_id: FrameworkId, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        self.connected = true;
        if self.framework_id.as_ref() != Some(&framework_id) {
            self.framework_id = Some(framework_id);
            actions.push(Action::StoreFramework);
        }
        // Refusals may have died with the old leader, offers of the old stream have in any case.
        self.forget_refusals();
        self.reconciliation.begin(self.tasks.keys().cloned().collect::<Vec<_>>(), now_ms);
        actions.extend(self.reconcile(now_ms));
        actions
    }
    fn agents_listed(&mut self, listed: Vec<ListedAgent>) -> Vec<Action> {
        self.listed = true;
        for agent in self.agents.values_mut() {
            agent.listed = false;
        }
        let mut present = BTreeSet::new();
        for ListedAgent { agent_id, hostname, active, draining } in listed {
            present.insert(agent_id.clone());
            let agent = self.agents.entry(agent_id).or_default();
            (agent.hostname, agent.listed, agent.draining) = (hostname, active, draining);
        }
        let tasks = &self.tasks;
        // One that is drained or away stays, for whoever asks why it has no task.
        self.agents.retain(|id, _| present.contains(id) || tasks.values().any(|t| t.agent_id == *id));
        vec![]
    }

    fn removed(&mut self) -> Vec<Action> {
        let agents = self.tasks.values().map(|t| t.agent_id.clone()).collect();
        self.tasks.clear();
        self.strangers.clear();
        self.framework_id = None;
        self.connected = false;
        self.suppressed = false;
        self.reconciliation = Reconciliation::default();
        for agent in self.agents.values_mut() {
            agent.failures = Failures::default();
        }
        self.forget_refusals();
        vec![Action::StoreTasks(agents), Action::StartAnew]
    }

    fn tick(&mut self, now_ms: u64) -> Vec<Action> {
        if !self.connected {
            return vec![];
        }
        let mut actions = self.reconcile(now_ms);
        actions.extend(self.watch_launches(now_ms));
        actions.extend(self.replace_one());
        actions.extend(self.kills(now_ms));
        actions.extend(self.ask_for_offers(now_ms));
        actions
    }

    fn reconcile(&mut self, now_ms: u64) -> Vec<Action> {
        let tasks = &self.tasks;
        match self.reconciliation.due(tasks.keys().cloned(), now_ms) {
            None => vec![],
            Some(Question::Implicit) => vec![Action::Reconcile(vec![])],
            Some(Question::Explicit(ids)) => {
                let known: Vec<_> = ids
                    .into_iter()
                    .filter_map(|id| tasks.get(&id).map(|t| (id, t.agent_id.clone())))
                    .collect();
                known.chunks(RECONCILE_CHUNK).map(|chunk| Action::Reconcile(chunk.to_vec())).collect()
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

const RECONCILE_CHUNK: usize = 500;

#[cfg(test)]
mod tests;
