//! What the scheduler decides: (state, event) → (state, actions), without time, chance or I/O of its own.
//!
//! The driver carries the actions of one event out in their order before it brings the next event. That
//! order is what makes a crash harmless at any point: an intent is stored before its offer is accepted,
//! and a change before its update is acknowledged (SCH-9).

use super::reconcile::{Question, Reconciliation};
use super::task::{Agent, Ending, Failures, Phase, Retry, Task, Word, doubling, word};
use crate::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use crate::offer::{Decision, OfferStrategy, Situation};
use mesos_v1::proto::{Offer, Resource, TaskState, TaskStatus, task_status::Reason};
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

    fn offers(&mut self, offers: &[Offer], now_ms: u64, random: &mut dyn FnMut() -> u32) -> Vec<Action> {
        let (mut stored, mut accepts) = (BTreeSet::new(), Vec::new());
        let mut declines = BTreeMap::<Duration, Vec<OfferId>>::new();
        for offer in offers {
            self.counters.offers += 1;
            let agent_id = AgentId::from(&offer.agent_id);
            let decision = self.policy.strategy.decide(offer, &self.situation(&agent_id, now_ms));
            let agent = self.agents.entry(agent_id.clone()).or_default();
            agent.hostname.clone_from(&offer.hostname);
            agent.last_offer_ms = Some(now_ms);
            agent.draining = false;
            match decision {
                Decision::Launch { task, executor } => {
                    agent.declined.clear();
                    agent.refused_until_ms = now_ms + millis(SETTLED);
                    let record = self.intend(&agent_id, &offer.hostname, now_ms, random());
                    stored.insert(agent_id);
                    accepts.push(Action::Accept(Box::new(Launch {
                        offer_id: OfferId::from(&offer.id),
                        task: record,
                        task_resources: task,
                        executor_resources: executor,
                        refuse_for: SETTLED,
                    })));
                }
                Decision::Decline { reason, refuse_for } => {
                    self.counters.declined += 1;
                    agent.refused_until_ms = now_ms + millis(refuse_for);
                    agent.note_declined(reason, now_ms);
                    declines.entry(refuse_for).or_default().push(OfferId::from(&offer.id));
                }
            }
        }
        let mut actions = Vec::new();
        if !stored.is_empty() {
            actions.push(Action::StoreTasks(stored));
        }
        actions.extend(accepts);
        let declines = declines.into_iter();
        actions.extend(declines.map(|(refuse_for, offer_ids)| Action::Decline { offer_ids, refuse_for }));
        actions
    }

    fn situation(&self, agent_id: &AgentId, now_ms: u64) -> Situation<'_> {
        if let Some(task) = self.task_on(agent_id) {
            return Situation::Occupied { task_id: &task.task_id, state: task.phase.adjective() };
        }
        if let Some(reason) = self.policy.closed {
            return Situation::Closed { reason };
        }
        if let Some(failures) = self.agents.get(agent_id).map(|a| &a.failures)
            && failures.count > 0
            && failures.retry_at_ms > now_ms
        {
            return Situation::BackingOff {
                remaining: Duration::from_millis(failures.retry_at_ms - now_ms),
                failures: failures.count,
                reason: &failures.reason,
            };
        }
        let unconfirmed = self.tasks.values().filter(|t| t.phase.is_unconfirmed()).count();
        if unconfirmed >= self.policy.launch_parallelism {
            return Situation::Queued { limit: self.policy.launch_parallelism };
        }
        Situation::Free { now_ms }
    }

    fn intend(&mut self, agent_id: &AgentId, hostname: &str, now_ms: u64, random: u32) -> Task {
        self.counters.launches += 1;
        let task = Task {
            task_id: task_id(&self.policy.task_prefix, hostname, now_ms, random),
            agent_id: agent_id.clone(),
            hostname: hostname.to_owned(),
            executor_id: self.policy.executor_id.clone(),
            phase: Phase::Intended,
            since_ms: now_ms,
            ending: None,
            kill: Retry::default(),
            suspected_ms: None,
        };
        self.tasks.insert(task.task_id.clone(), task.clone());
        task
    }

    fn update(&mut self, status: &TaskStatus, now_ms: u64) -> Vec<Action> {
        self.counters.updates += 1;
        let task_id = TaskId::from(&status.task_id);
        self.reconciliation.answered(&task_id);
        let word = word(status.state);
        let mut actions = match self.tasks.get_mut(&task_id) {
            None => self.stranger(&task_id, status, word, now_ms),
            Some(task) => match word {
                Some(Word::Lives(phase)) => {
                    task.suspected_ms = None;
                    if phase == task.phase {
                        vec![]
                    } else {
                        (task.phase, task.since_ms) = (phase, now_ms);
                        vec![Action::StoreTasks(BTreeSet::from([task.agent_id.clone()]))]
                    }
                }
                Some(Word::Ended) => self.ended(&task_id, status, now_ms),
                None => vec![],
            },
        };
        // Those the master makes by itself have none, and must not be acknowledged.
        if let (Some(uuid), Some(agent_id)) = (&status.uuid, &status.agent_id)
            && !uuid.is_empty()
        {
            let (agent_id, uuid) = (AgentId::from(agent_id), uuid.to_vec());
            actions.push(Action::Acknowledge { agent_id, task_id, uuid });
        }
        actions
    }

    fn ended(&mut self, task_id: &TaskId, status: &TaskStatus, now_ms: u64) -> Vec<Action> {
        let Some(task) = self.tasks.remove(task_id) else { return vec![] };
        let agent = self.agents.entry(task.agent_id.clone()).or_default();
        match blame(&task, status) {
            Blame::Nobody => {}
            Blame::Draining => agent.draining = true,
            Blame::Agent => {
                self.counters.failures += 1;
                let ran_long = task.phase == Phase::Running
                    && now_ms.saturating_sub(task.since_ms) >= millis(self.policy.backoff_reset);
                let reason = match task.ending {
                    Some(Ending::Unconfirmed) => {
                        format!("launch not confirmed within {} s", self.policy.launch_timeout.as_secs())
                    }
                    _ => describe(status),
                };
                failed(&mut agent.failures, ran_long, reason, now_ms, &self.policy);
            }
        }
        vec![Action::StoreTasks(BTreeSet::from([task.agent_id]))]
    }

    fn not_launched(&mut self, task_id: &TaskId, refused: Option<String>, now_ms: u64) -> Vec<Action> {
        // An update may have said otherwise already; then the update is right.
        if self.tasks.get(task_id).is_none_or(|t| t.phase != Phase::Intended) {
            return vec![];
        }
        let Some(task) = self.tasks.remove(task_id) else { return vec![] };
        if let Some(reason) = refused {
            self.counters.failures += 1;
            let agent = self.agents.entry(task.agent_id.clone()).or_default();
            failed(&mut agent.failures, false, reason, now_ms, &self.policy);
        }
        vec![Action::StoreTasks(BTreeSet::from([task.agent_id]))]
    }

    fn stranger(&mut self, id: &TaskId, status: &TaskStatus, word: Option<Word>, now_ms: u64) -> Vec<Action> {
        match (word, &status.agent_id) {
            // What is away cannot be killed; it is met again when it comes back.
            (Some(Word::Lives(phase)), Some(agent_id)) if phase != Phase::Unreachable => {
                if !self.strangers.contains_key(id) {
                    self.counters.strangers += 1;
                    let kill = Retry { next_ms: now_ms + millis(self.policy.stranger_grace), attempts: 0 };
                    let stranger = Stranger { agent_id: AgentId::from(agent_id), kill };
                    self.strangers.insert(id.clone(), stranger);
                }
            }
            // Never killed in answer to this: the answer would be the same again.
            (Some(_), _) => {
                self.strangers.remove(id);
            }
            (None, _) => {}
        }
        vec![]
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

    /// Asks about launches that nobody confirms, and ends them when that does not help (HA-9).
    fn watch_launches(&mut self, now_ms: u64) -> Vec<Action> {
        let mut changed = BTreeSet::new();
        for task in self.tasks.values_mut().filter(|t| t.phase.is_unconfirmed() && t.ending.is_none()) {
            if now_ms < task.since_ms + millis(self.policy.launch_timeout) {
                continue;
            }
            match task.suspected_ms {
                None => {
                    task.suspected_ms = Some(now_ms);
                    self.reconciliation.ask_about(task.task_id.clone(), now_ms);
                }
                Some(since) if now_ms >= since + SUSPICION_MS => {
                    task.ending = Some(Ending::Unconfirmed);
                    changed.insert(task.agent_id.clone());
                }
                Some(_) => {}
            }
        }
        if changed.is_empty() { vec![] } else { vec![Action::StoreTasks(changed)] }
    }

    /// Ends one executor of an earlier definition, while all others are well (HA-8).
    fn replace_one(&mut self) -> Vec<Action> {
        let settled = self.reconciliation.is_complete()
            && self.policy.closed.is_none()
            && self.tasks.values().all(|t| t.ending.is_none() && !t.phase.is_unconfirmed())
            && self.agents.iter().all(|(id, agent)| agent.failures.count == 0 || self.task_on(id).is_some());
        if !settled {
            return vec![];
        }
        let current = &self.policy.executor_id;
        let old = self.tasks.values_mut().find(|t| t.phase == Phase::Running && t.executor_id != *current);
        match old {
            None => vec![],
            Some(task) => {
                task.ending = Some(Ending::Replaced);
                vec![Action::StoreTasks(BTreeSet::from([task.agent_id.clone()]))]
            }
        }
    }

    fn kills(&mut self, now_ms: u64) -> Vec<Action> {
        let ending = self.tasks.values_mut().filter(|t| t.ending.is_some() && t.phase != Phase::Unreachable);
        let ours = ending.map(|t| (&t.task_id, &t.agent_id, &mut t.kill));
        let strangers = self.strangers.iter_mut().map(|(id, s)| (id, &s.agent_id, &mut s.kill));
        let mut actions = Vec::new();
        for (task_id, agent_id, kill) in ours.chain(strangers) {
            if now_ms >= kill.next_ms {
                kill.attempted(now_ms, KILL_FIRST_MS, KILL_LONGEST_MS);
                actions.push(Action::Kill { task_id: task_id.clone(), agent_id: agent_id.clone() });
            }
        }
        actions
    }

    /// Suppresses when every agent the master lists is covered, and revives when one is not and no offer
    /// of it can be expected (CIT-1, CIT-2).
    fn ask_for_offers(&mut self, now_ms: u64) -> Vec<Action> {
        let covered: BTreeSet<_> = self.tasks.values().map(|t| &t.agent_id).collect();
        let open = self.policy.closed.is_none();
        let lacking = || {
            self.agents.iter().filter(|(id, agent)| {
                let offers = agent.listed
                    || !self.listed
                    || agent.last_offer_ms.is_some_and(|at| now_ms < at + SILENCE_MS);
                open && offers && !agent.draining && !covered.contains(id)
            })
        };
        if !self.suppressed {
            let all_covered =
                self.listed && self.agents.values().any(|a| a.listed) && lacking().next().is_none();
            if !open || all_covered {
                self.suppressed = true;
                self.revive = Retry::default();
                return vec![Action::Suppress];
            }
        }
        let waiting = lacking().any(|(_, agent)| {
            let due = agent.failures.count == 0 || agent.failures.retry_at_ms <= now_ms;
            let silent = agent.last_offer_ms.is_none_or(|at| now_ms >= at + SILENCE_MS);
            // A short refusal ends by itself; only a long one, or silence, needs a revive.
            due && (self.suppressed || agent.refused_until_ms > now_ms + SILENCE_MS || silent)
        });
        if !waiting {
            if lacking().next().is_none() {
                self.revive.attempts = 0;
            }
            return vec![];
        }
        if now_ms < self.revive.next_ms {
            return vec![];
        }
        self.revive.attempted(now_ms, REVIVE_FIRST_MS, REVIVE_LONGEST_MS);
        self.suppressed = false;
        self.forget_refusals();
        vec![Action::Revive]
    }

    fn forget_refusals(&mut self) {
        for agent in self.agents.values_mut() {
            agent.refused_until_ms = 0;
        }
    }
}

/// Who is to blame for the end of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    /// The next attempt there has to wait.
    Agent,
    /// It may be launched again at once.
    Nobody,
    /// An operator wants it away.
    Draining,
}

fn blame(task: &Task, status: &TaskStatus) -> Blame {
    let reason = status.reason.and_then(|r| Reason::try_from(r).ok());
    if reason == Some(Reason::AgentDraining) {
        return Blame::Draining;
    }
    match task.ending {
        Some(Ending::Replaced) => return Blame::Nobody,
        Some(Ending::Unconfirmed) => return Blame::Agent,
        None => {}
    }
    match TaskState::try_from(status.state) {
        Ok(
            TaskState::TaskError | TaskState::TaskFailed | TaskState::TaskFinished | TaskState::TaskKilled,
        ) => Blame::Agent,
        Ok(TaskState::TaskGone | TaskState::TaskLost | TaskState::TaskDropped) => match reason {
            Some(
                Reason::ExecutorTerminated
                | Reason::ContainerLaunchFailed
                | Reason::ExecutorRegistrationTimeout
                | Reason::ExecutorReregistrationTimeout,
            ) => Blame::Agent,
            _ => Blame::Nobody,
        },
        _ => Blame::Nobody,
    }
}

fn failed(failures: &mut Failures, ran_long: bool, reason: String, now_ms: u64, policy: &Policy) {
    let before = if ran_long { 0 } else { failures.count };
    let wait = doubling(before, millis(policy.backoff_first), millis(policy.backoff_longest));
    *failures =
        Failures { count: before.saturating_add(1), retry_at_ms: now_ms + wait, reason, at_ms: now_ms };
}

/// State, reason and message of an update in one line.
pub(super) fn describe(status: &TaskStatus) -> String {
    let mut text = TaskState::try_from(status.state)
        .map_or_else(|_| format!("task state {}", status.state), |state| state.as_str_name().to_owned());
    if let Some(reason) = status.reason.and_then(|r| Reason::try_from(r).ok()) {
        text.push_str(", ");
        text.push_str(reason.as_str_name());
    }
    if let Some(message) = status.message.as_deref().filter(|m| !m.is_empty()) {
        text.push_str(": ");
        text.extend(message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300));
    }
    text
}

/// As the predecessor named tasks, and 8 random hex digits: `logstash_<host>_20240131T235959.000Z_0a1b2c3d`.
fn task_id(prefix: &str, hostname: &str, now_ms: u64, random: u32) -> TaskId {
    let time = i64::try_from(now_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| now_ms.to_string(), |t| t.strftime("%Y%m%dT%H%M%S%.3fZ").to_string());
    // Mesos takes neither slashes nor control characters, and 255 characters at most.
    let host: String = hostname
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' })
        .take(150)
        .collect();
    TaskId::new(format!("{prefix}_{host}_{time}_{random:08x}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

/// What is left of an offer after a launch is of no use to us.
const SETTLED: Duration = Duration::from_secs(3600);
const RECONCILE_CHUNK: usize = 500;
const SUSPICION_MS: u64 = 60_000;
const KILL_FIRST_MS: u64 = 5_000;
const KILL_LONGEST_MS: u64 = 60_000;
const REVIVE_FIRST_MS: u64 = 5_000;
const REVIVE_LONGEST_MS: u64 = 300_000;
const SILENCE_MS: u64 = 60_000;

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
