//! What the scheduler decides: (state, event) → (state, actions), without time, chance or I/O of its own.
//!
//! The driver carries the actions of one event out in their order before it brings the next event. That
//! order is what makes a crash harmless at any point: an intent is stored before its offer is accepted,
//! and a change before its update is acknowledged (SCH-9).

mod agents;
mod demand;
mod held;
mod launches;
mod maintenance;
mod offers;
mod rollout;
mod strangers;
mod tasks;
mod updates;

pub use maintenance::Window;
pub use rollout::Rollout;
pub(in crate::scheduler) use updates::describe;

use super::reconcile::{Question, Reconciliation};
use super::task::{Agent, Failures, Phase, Task};
use crate::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use crate::offer::{OfferStrategy, Plan, Reason, Standing};
use demand::Demand;
use held::Held;
use maintenance::Maintenance;
use mesos_v1::proto::{InverseOffer, Offer, Resource, TaskStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use strangers::Strangers;
use tasks::Tasks;

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
    /// Agents that may get a changed definition at a time.
    pub rollout_parallelism: usize,
    /// Failures of a changed definition after which no further agent gets it.
    pub rollout_max_failures: u32,
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

/// Something that happened, for the state machine to decide about.
#[derive(Clone, Debug)]
pub enum Event {
    /// A subscription holds.
    Subscribed {
        /// As the master named it.
        framework_id: FrameworkId,
    },
    /// There is none (any more).
    Disconnected,
    /// The master offers these.
    Offers(Vec<Offer>),
    /// The master takes an offer back.
    Rescinded(OfferId),
    /// A task changed.
    Update(Box<TaskStatus>),
    /// A hint that an executor ended or, without one, that an agent is lost.
    Failure {
        /// The agent on which the task is.
        agent_id: AgentId,
    },
    /// The offer was not accepted, for sure: the master has no such task.
    NotLaunched {
        /// The task that is meant.
        task_id: TaskId,
        /// Why, when the launch itself is to blame.
        refused: Option<String>,
    },
    /// All agents that the master knows.
    AgentsListed(Vec<ListedAgent>),
    /// Executors are to be of another definition, with other resources.
    Redefined {
        /// Names the definition.
        executor_id: ExecutorId,
        /// Which offers to use for it.
        strategy: Arc<dyn OfferStrategy>,
    },
    /// All tasks are to end.
    Empty,
    /// Maintenance is planned for machines that we use.
    InverseOffers(Vec<InverseOffer>),
    /// The plan is another now, or none.
    InverseRescinded(OfferId),
    /// The framework is gone, together with all its tasks.
    Removed,
    /// Time has passed, and something may be due.
    Tick,
}

/// An agent as the master lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedAgent {
    /// The agent's id, as the master lists it.
    pub agent_id: AgentId,
    /// Name of its machine.
    pub hostname: String,
    /// It is registered, active and not drained.
    pub active: bool,
    /// An operator drains it, or has done so.
    pub draining: bool,
    /// What the rules say of it, and what it has, if the list says so much.
    pub standing: Option<Standing>,
}

/// What to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Store the framework's id.
    StoreFramework,
    /// Store how far the roll-out of the current definition is; always before any call.
    StoreRollout(Rollout),
    /// Store the tasks of these agents; always before any call.
    StoreTasks(BTreeSet<AgentId>),
    /// Uses offers of one agent to launch an executor on it.
    Accept(Box<Launch>),
    /// Give offers back.
    Decline {
        /// The offers that are given back.
        offer_ids: Vec<OfferId>,
        /// For how long.
        refuse_for: Duration,
    },
    /// Give reservations up, and the offers they are in back.
    Unreserve {
        /// Of one agent and role.
        offer_ids: Vec<OfferId>,
        /// What is in them and reserved by us.
        resources: Vec<Resource>,
        /// For how long the offers are not wanted.
        refuse_for: Duration,
    },
    /// Tell Mesos that an update is stored.
    Acknowledge {
        /// The agent on which the task is.
        agent_id: AgentId,
        /// The task of the update.
        task_id: TaskId,
        /// The UUID that the agent gave the update, 16 bytes.
        uuid: Vec<u8>,
    },
    /// End a task.
    Kill {
        /// The task that is meant.
        task_id: TaskId,
        /// The agent on which the task is.
        agent_id: AgentId,
    },
    /// Ask about these tasks, or, with none, about all that the master knows.
    Reconcile(Vec<(TaskId, AgentId)>),
    /// Ask for offers.
    Revive,
    /// Ask for no more offers.
    Suppress,
    /// Agree to maintenance.
    AcceptInverseOffers {
        /// Which inverse offers.
        offer_ids: Vec<OfferId>,
        /// After which they come again, if the plan still holds.
        refuse_for: Duration,
    },
    /// Forget the framework's id and subscribe as a new one.
    StartAnew,
}

/// A launch, on offers of one agent and role.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// All of them are used up by it.
    pub offer_ids: Vec<OfferId>,
    /// As it was stored.
    pub task: Task,
    /// What to take out of them.
    pub plan: Plan,
    /// For how long the rest of them is not wanted.
    pub refuse_for: Duration,
}

/// Everything the scheduler knows about its framework.
///
/// An update, an offer and a launch cost the same whether there are ten agents or ten thousand: what has to be
/// found by something else than its id has an index.
#[derive(Clone, Debug)]
pub struct State {
    policy: Policy,
    framework_id: Option<FrameworkId>,
    connected: bool,
    tasks: Tasks,
    agents: BTreeMap<AgentId, Agent>,
    /// Agents without a task of ours that should have one, and since when.
    lacking: BTreeMap<AgentId, u64>,
    /// Agents on which something is reserved by us and of no use.
    releasing: BTreeSet<AgentId>,
    held: Held,
    strangers: Strangers,
    reconciliation: Reconciliation,
    /// The master has listed its agents.
    listed: bool,
    /// Counts the lists.
    listing: u64,
    demand: Demand,
    maintenance: Maintenance,
    rollout: Rollout,
    /// It has to be stored.
    rollout_changed: bool,
    counters: Counters,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// How many offers were received.
    pub offers: u64,
    /// How many of them were declined.
    pub declined: u64,
    /// How many executors were launched.
    pub launches: u64,
    /// Tasks that failed.
    pub failures: u64,
    /// How many status updates were received.
    pub updates: u64,
    /// Tasks that were not on record.
    pub strangers: u64,
    /// Offers that the master took back while they were held.
    pub rescinded: u64,
    /// Launches on offers that were no longer valid.
    pub stale: u64,
}

/// What a batch of events asks for. Whatever is to be stored is stored first, in one go.
#[derive(Debug, Default)]
struct Outbox {
    framework: bool,
    rollout: bool,
    agents: BTreeSet<AgentId>,
    calls: Vec<Action>,
}

impl Outbox {
    /// The tasks of this agent have to be stored before any call.
    fn store(&mut self, agent_id: &AgentId) {
        if !self.agents.contains(agent_id) {
            self.agents.insert(agent_id.clone());
        }
    }

    fn call(&mut self, action: Action) {
        self.calls.push(action);
    }

    fn into_actions(self, state: &State) -> Vec<Action> {
        let framework = self.framework.then_some(Action::StoreFramework);
        let rollout = self.rollout.then(|| state.store_rollout());
        let tasks = (!self.agents.is_empty()).then_some(Action::StoreTasks(self.agents));
        framework.into_iter().chain(rollout).chain(tasks).chain(self.calls).collect()
    }
}

impl State {
    /// Begins with what was stored.
    pub fn new(
        policy: Policy,
        framework_id: Option<FrameworkId>,
        stored: impl IntoIterator<Item = Task>,
    ) -> Self {
        let rollout = Rollout::new(policy.executor_id.clone());
        let mut agents = BTreeMap::<_, Agent>::new();
        let mut tasks = Tasks::new(policy.executor_id.clone(), millis(policy.launch_timeout));
        for task in stored {
            agents.entry(task.agent_id.clone()).or_default().hostname.clone_from(&task.hostname);
            tasks.insert(task);
        }
        Self {
            policy,
            framework_id,
            connected: false,
            tasks,
            agents,
            lacking: BTreeMap::new(),
            releasing: BTreeSet::new(),
            held: Held::default(),
            strangers: Strangers::default(),
            reconciliation: Reconciliation::default(),
            listed: false,
            listing: 0,
            demand: Demand::default(),
            maintenance: Maintenance::default(),
            rollout,
            rollout_changed: false,
            counters: Counters::default(),
        }
    }

    /// The framework's id, once there is one.
    pub fn framework_id(&self) -> Option<&FrameworkId> {
        self.framework_id.as_ref()
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter()
    }

    /// How many tasks there are.
    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// How many tasks are in a phase.
    pub fn tasks_in(&self, phase: Phase) -> usize {
        self.tasks.in_phase(phase)
    }

    /// Tasks whose agents are stored together.
    pub(in crate::scheduler) fn tasks_in_shard(&self, shard: u8) -> impl Iterator<Item = &Task> {
        self.tasks.in_shard(shard)
    }

    /// All tasks on an agent: one, or for a while more.
    pub fn tasks_on(&self, agent_id: &AgentId) -> impl Iterator<Item = &Task> {
        self.tasks.on(agent_id)
    }

    /// Agents that made an offer, are listed by the master, or have a task.
    pub fn agents(&self) -> &BTreeMap<AgentId, Agent> {
        &self.agents
    }

    /// Why no offer of an agent is to be expected, or none that could be used.
    pub fn expects_nothing(&self, agent: &Agent) -> Option<Reason> {
        let Standing { excluded, capacity } = &agent.standing;
        excluded.clone().or_else(|| self.policy.strategy.lacks(capacity.as_ref()?))
    }

    /// How far reconciliation is.
    pub fn reconciliation(&self) -> &Reconciliation {
        &self.reconciliation
    }

    /// Why nothing is launched anywhere, if that is so.
    pub(in crate::scheduler) fn closed(&self) -> Option<&'static str> {
        self.policy.closed
    }

    /// Names the current definition of the executor.
    pub(in crate::scheduler) fn executor_id(&self) -> &ExecutorId {
        &self.policy.executor_id
    }

    /// After which a launch counts as unconfirmed.
    pub(in crate::scheduler) fn launch_timeout_ms(&self) -> u64 {
        millis(self.policy.launch_timeout)
    }

    /// Since when an agent lacks the task it should have.
    pub(in crate::scheduler) fn lacking_since_ms(&self, agent_id: &AgentId) -> Option<u64> {
        self.lacking.get(agent_id).copied()
    }

    /// Whether an offer of an agent is neither used nor given back yet.
    pub(in crate::scheduler) fn holds_offer_of(&self, agent_id: &AgentId) -> bool {
        self.held.has(agent_id)
    }

    /// Until when our own refusal keeps the offers of an agent away, in case the master does what it was told.
    pub(in crate::scheduler) fn refused_until_ms(&self, agent: &Agent) -> Option<u64> {
        (agent.refused_in == self.demand.term()).then_some(agent.refused_until_ms)
    }

    /// Whether offers are wanted at present.
    pub fn is_suppressed(&self) -> bool {
        self.demand.suppressed
    }

    /// Whether even the smallest offer is wanted, of agents that are not selected too: reservations that nothing
    /// uses are to be given up.
    pub fn wants_every_offer(&self) -> bool {
        !self.releasing.is_empty()
    }

    /// Whether the master has listed its agents.
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// Agents on which this framework has something reserved, as the master lists it: host, agent.
    pub fn reserves(&self) -> Vec<(String, AgentId)> {
        let has = |agent: &Agent| agent.standing.capacity.as_ref().is_some_and(|c| c.has_reservation);
        let agents = self.agents.iter().filter(|(_, agent)| has(agent));
        agents.map(|(id, agent)| (agent.hostname.clone(), id.clone())).collect()
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The task on an agent, the newest if there are several.
    pub fn task_on(&self, agent_id: &AgentId) -> Option<&Task> {
        self.tasks.on(agent_id).max_by_key(|t| t.since_ms)
    }

    /// Takes an event in, and says what to do. `now_ms` is milliseconds since 1970; `random` gives 32
    /// bits for the name of a task.
    pub fn apply(&mut self, event: Event, now_ms: u64, random: &mut dyn FnMut() -> u32) -> Vec<Action> {
        self.apply_all([event], now_ms, random)
    }

    /// Takes events in that came together. What they change is stored at once, before anything is called,
    /// and offers are looked at only after all that was said.
    pub fn apply_all(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        now_ms: u64,
        random: &mut dyn FnMut() -> u32,
    ) -> Vec<Action> {
        let mut out = Outbox::default();
        for event in events {
            self.take_in(event, now_ms, &mut out);
        }
        self.place(now_ms, random, &mut out);
        out.into_actions(self)
    }

    fn take_in(&mut self, event: Event, now_ms: u64, out: &mut Outbox) {
        match event {
            Event::Subscribed { framework_id } => self.subscribed(framework_id, now_ms, out),
            Event::Disconnected => {
                self.connected = false;
                self.held.clear();
            }
            Event::Offers(offers) => self.offered(offers, now_ms),
            Event::Rescinded(offer_id) => self.rescinded(&offer_id),
            Event::Update(status) => self.update(&status, now_ms, out),
            Event::Failure { agent_id } => {
                for task in self.tasks.on(&agent_id) {
                    self.reconciliation.ask_about(task.task_id.clone());
                }
            }
            Event::NotLaunched { task_id, refused } => self.not_launched(&task_id, refused, now_ms, out),
            Event::AgentsListed(agents) => self.agents_listed(agents, now_ms, out),
            Event::Redefined { executor_id, strategy } => {
                self.tasks.set_current(executor_id.clone());
                // Whose turn it is keeps it: the executor there has ended, or is the newest but one.
                let agents = std::mem::take(&mut self.rollout.agents);
                self.rollout = Rollout { agents, ..Rollout::new(executor_id.clone()) };
                self.rollout_changed = true;
                (self.policy.executor_id, self.policy.strategy) = (executor_id, strategy);
            }
            Event::Empty => self.empty(out),
            Event::InverseOffers(offers) => self.inverse_offers(&offers, now_ms, out),
            Event::InverseRescinded(offer_id) => self.inverse_rescinded(&offer_id, now_ms),
            Event::Removed => self.removed(out),
            Event::Tick => self.tick(now_ms, out),
        }
    }

    fn subscribed(&mut self, framework_id: FrameworkId, now_ms: u64, out: &mut Outbox) {
        self.connected = true;
        if self.framework_id.as_ref() != Some(&framework_id) {
            self.framework_id = Some(framework_id);
            out.framework = true;
        }
        // Refusals may have died with the old leader, offers of the old stream have in any case.
        self.held.clear();
        self.demand.forget_refusals();
        self.reconciliation.begin(self.tasks.iter().map(|t| t.task_id.clone()), now_ms);
        self.reconcile(now_ms, out);
    }

    fn removed(&mut self, out: &mut Outbox) {
        for task in self.tasks.iter() {
            out.store(&task.agent_id);
        }
        let policy = self.policy.clone();
        let agents = std::mem::take(&mut self.agents);
        let counters = self.counters;
        *self = Self::new(policy, None, []);
        self.counters = counters;
        // The new framework finds them with a clean record.
        self.agents =
            agents.into_iter().map(|(id, a)| (id, Agent { failures: Failures::default(), ..a })).collect();
        out.call(Action::StartAnew);
    }

    fn tick(&mut self, now_ms: u64, out: &mut Outbox) {
        if !self.connected {
            return;
        }
        self.reconcile(now_ms, out);
        self.watch_launches(now_ms, out);
        self.drain(now_ms, out);
        self.roll_out(now_ms, out);
        self.kills(now_ms, out);
        self.ask_for_offers(now_ms, out);
    }

    fn reconcile(&mut self, now_ms: u64, out: &mut Outbox) {
        let tasks = &self.tasks;
        match self.reconciliation.due(|| tasks.iter().map(|t| t.task_id.clone()).collect(), now_ms) {
            None => {}
            Some(Question::Implicit) => out.call(Action::Reconcile(vec![])),
            Some(Question::Explicit(ids)) => {
                let known = ids.into_iter().filter_map(|id| {
                    let agent_id = tasks.get(&id)?.agent_id.clone();
                    Some((id, agent_id))
                });
                let known: Vec<_> = known.collect();
                // An empty list would ask about everything.
                if !known.is_empty() {
                    out.call(Action::Reconcile(known));
                }
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
