//! A model of everything around the state machine, and random histories of it.
//!
//! The master of the model does what a real one does with offers, launches, kills and questions; the store keeps what
//! it is told. A history is a row of [`Happens`], in any order: events come late, twice and in another order, streams
//! and masters and schedulers end between any two steps, agents go and come. What must always hold is checked where
//! it could be broken, and at the end of each history everything becomes quiet and has to be whole again.

use super::super::task::Task;
use super::tests::{offer, policy, update};
use super::{Action, Event, Launch, Policy, Rollout, State};
use crate::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use crate::scheduler::task::Phase;
use mesos_v1::proto::resource::AllocationInfo;
use mesos_v1::proto::{
    DurationInfo, InverseOffer, Offer, TaskState, TaskStatus, TimeInfo, Unavailability, task_status::Reason,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One step of a history. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Happens {
    /// The scheduler takes so many events that have come.
    Handle(u8),
    /// The master takes so many calls that have come.
    Serve(u8),
    /// An event overtakes the one before it.
    Overtake(u8),
    /// An update comes once more.
    Repeat(u8),
    /// The master offers what is free on an agent.
    Offer(u8),
    /// The master takes an offer back.
    Rescind(u8),
    /// A task starts.
    Confirm(u8),
    /// A task fails.
    Fail(u8),
    /// An agent is cut off.
    Part(u8),
    /// It comes back.
    Return(u8),
    /// An agent's machine is gone for good, and another one takes its place.
    Lose(u8),
    /// The stream ends, with so many calls still served.
    Drop(u8),
    /// Another master leads.
    FailOver,
    /// The scheduler ends after so many further actions, and another begins with what is stored.
    Crash(u8),
    /// So many seconds pass.
    Pass(u8),
    /// The scheduler ends, and the next one finds a state without what is known of an agent, as in an older copy.
    Forget(u8),
    /// Executors are to be of another definition.
    Redefine(u8),
    /// Maintenance of an agent is planned, to begin after some minutes; or it is called off.
    Plan(u8),
}

fn happens() -> impl Strategy<Value = Happens> {
    use Happens::*;
    let n = || any::<u8>();
    prop_oneof![
        8 => n().prop_map(Handle), 8 => n().prop_map(Serve), 2 => n().prop_map(Overtake),
        2 => n().prop_map(Repeat), 6 => n().prop_map(Offer), 2 => n().prop_map(Rescind),
        4 => n().prop_map(Confirm), 2 => n().prop_map(Fail), 1 => n().prop_map(Part),
        2 => n().prop_map(Return), 1 => n().prop_map(Lose), 1 => n().prop_map(Drop),
        1 => Just(FailOver), 2 => n().prop_map(Crash), 3 => n().prop_map(Pass),
        1 => n().prop_map(Forget), 1 => n().prop_map(Redefine), 1 => n().prop_map(Plan),
    ]
}

/// How an agent stands with the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Here,
    Unreachable,
    /// Not heard of by a new master.
    Unheard,
}

#[derive(Debug)]
struct ModelAgent {
    presence: Presence,
    /// The offer that is out for each role.
    offers: BTreeMap<&'static str, OfferId>,
    /// When planned maintenance begins.
    maintenance_ms: Option<u64>,
    inverse: Option<OfferId>,
    /// Tasks that live there.
    live: BTreeMap<TaskId, TaskState>,
}

#[derive(Debug, Default)]
struct Stored {
    framework: Option<FrameworkId>,
    tasks: BTreeMap<TaskId, Task>,
    rollout: Option<Rollout>,
}

struct World {
    state: State,
    now: u64,
    random: u32,
    stored: Stored,
    /// Actions until the scheduler ends.
    crash_in: Option<u32>,
    agents: BTreeMap<AgentId, ModelAgent>,
    /// On its way to the scheduler, and to the master.
    events: VecDeque<Event>,
    calls: VecDeque<Action>,
    connected: bool,
    /// Offers that the scheduler has answered.
    answered: BTreeSet<OfferId>,
    /// Updates that their agents repeat until they are acknowledged.
    unacknowledged: BTreeMap<TaskId, TaskStatus>,
    serial: u32,
    launches: u32,
    /// Names the definition that executors are to have.
    executor_id: ExecutorId,
    /// Tasks that the scheduler has forgotten. Until it meets one, it may launch another beside it.
    forgotten: BTreeSet<TaskId>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            state: State::new(policy(), None, []),
            now: 1_000,
            random: 0,
            stored: Stored::default(),
            crash_in: None,
            agents: BTreeMap::new(),
            events: VecDeque::new(),
            calls: VecDeque::new(),
            connected: false,
            answered: BTreeSet::new(),
            unacknowledged: BTreeMap::new(),
            serial: 0,
            launches: 0,
            executor_id: policy().executor_id,
            forgotten: BTreeSet::new(),
        };
        for _ in 0..3 {
            world.join();
        }
        world.subscribe();
        world
    }

    fn next(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    fn join(&mut self) {
        let id = AgentId::new(format!("agent-{}", self.next()));
        let agent = ModelAgent {
            presence: Presence::Here,
            offers: BTreeMap::new(),
            maintenance_ms: None,
            inverse: None,
            live: BTreeMap::new(),
        };
        self.agents.insert(id, agent);
    }

    fn choose(&self, n: u8) -> AgentId {
        let at = usize::from(n) % self.agents.len();
        self.agents.keys().nth(at).cloned().expect("there are some")
    }

    fn subscribe(&mut self) {
        self.connected = true;
        let framework_id = self.stored.framework.clone().unwrap_or_else(|| "f".into());
        self.events.push_back(Event::Subscribed { framework_id });
    }

    fn happen(&mut self, what: &Happens) {
        match *what {
            Happens::Handle(n) => self.handle(usize::from(n % 8) + 1),
            Happens::Serve(n) => self.serve(usize::from(n % 8) + 1),
            Happens::Overtake(n) => {
                // Nothing overtakes the beginning or the end of a stream.
                let ordinary = |e: &Event| !matches!(e, Event::Subscribed { .. } | Event::Disconnected);
                let at = usize::from(n);
                if at + 1 < self.events.len() && ordinary(&self.events[at]) && ordinary(&self.events[at + 1])
                {
                    self.events.swap(at, at + 1);
                }
            }
            Happens::Repeat(n) => {
                let again = self.unacknowledged.values().nth(usize::from(n) % 4).cloned();
                if let (Some(status), true) = (again, self.connected) {
                    self.events.push_back(Event::Update(Box::new(status)));
                }
            }
            Happens::Offer(n) => self.offer(&self.choose(n), ROLES[usize::from(n / 128)]),
            Happens::Rescind(n) => self.rescind(&self.choose(n)),
            Happens::Confirm(n) => self.becomes(&self.choose(n), TaskState::TaskRunning),
            Happens::Fail(n) => self.becomes(&self.choose(n), TaskState::TaskFailed),
            Happens::Part(n) => {
                let id = self.choose(n);
                if self.agents[&id].presence == Presence::Here {
                    self.rescind(&id);
                    self.set_presence(&id, Presence::Unreachable);
                }
            }
            Happens::Return(n) => self.set_presence(&self.choose(n), Presence::Here),
            Happens::Lose(n) => {
                let id = self.choose(n);
                self.rescind(&id);
                let gone = self.agents.remove(&id).expect("was chosen");
                for task_id in gone.live.into_keys() {
                    self.unacknowledged.remove(&task_id);
                    self.tell(update_of_master(&task_id, &id, TaskState::TaskGoneByOperator));
                }
                self.join();
            }
            Happens::Drop(n) => {
                self.serve(usize::from(n % 8));
                self.disconnect();
                self.subscribe();
            }
            Happens::FailOver => {
                self.disconnect();
                self.agents.values_mut().for_each(|agent| agent.presence = Presence::Unheard);
                self.subscribe();
            }
            Happens::Crash(n) => self.crash_in = Some(u32::from(n % 6)),
            Happens::Pass(n) => self.pass(u64::from(n) * 500),
            Happens::Forget(n) => {
                let id = self.choose(n);
                let lost: Vec<_> = self.stored.tasks.extract_if(.., |_, task| task.agent_id == id).collect();
                // Its launch may still be on its way.
                self.forgotten.extend(lost.into_iter().map(|(task_id, _)| task_id));
                self.crash();
            }
            Happens::Redefine(n) => {
                self.executor_id = ExecutorId::new(format!("logstash-{}", n % 3));
                let (executor_id, strategy) = (self.executor_id.clone(), policy().strategy);
                self.events.push_back(Event::Redefined { executor_id, strategy });
            }
            Happens::Plan(n) => {
                let id = self.choose(n);
                let planned = self.agents[&id].maintenance_ms.is_none();
                self.plan(&id, planned.then(|| self.now + u64::from(n) * 2_000));
            }
        }
    }

    /// Tells of maintenance, or that there is none.
    fn plan(&mut self, agent_id: &AgentId, maintenance_ms: Option<u64>) {
        let id = OfferId::new(format!("inverse-{}", self.next()));
        let agent = self.agents.get_mut(agent_id).expect("was chosen");
        agent.maintenance_ms = maintenance_ms;
        let before = std::mem::replace(&mut agent.inverse, maintenance_ms.is_some().then(|| id.clone()));
        if !self.connected {
            return;
        }
        self.events.extend(before.map(Event::InverseRescinded));
        if let Some(start_ms) = maintenance_ms {
            self.events.push_back(Event::InverseOffers(vec![InverseOffer {
                id: (&id).into(),
                agent_id: Some(agent_id.into()),
                unavailability: unavailability(start_ms),
                ..InverseOffer::default()
            }]));
        }
        // What was offered says something else of the machine.
        self.rescind(agent_id);
    }

    fn pass(&mut self, ms: u64) {
        self.now += ms;
        self.events.push_back(Event::Tick);
    }

    /// The scheduler takes events, stores and calls.
    fn handle(&mut self, count: usize) {
        // What changes the subscription is handled alone, as the driver does.
        let mut batch = Vec::new();
        while batch.len() < count
            && let Some(event) = self.events.pop_front()
        {
            let alone = matches!(event, Event::Subscribed { .. } | Event::Disconnected);
            if alone && !batch.is_empty() {
                self.events.push_front(event);
                break;
            }
            batch.push(event);
            if alone {
                break;
            }
        }
        if batch.is_empty() {
            return;
        }
        let random = &mut self.random;
        let actions = self.state.apply_all(batch, self.now, &mut || {
            *random += 1;
            *random
        });
        for action in actions {
            if let Some(left) = &mut self.crash_in {
                if *left == 0 {
                    self.crash();
                    return;
                }
                *left -= 1;
            }
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::StoreFramework => self.stored.framework = self.state.framework_id().cloned(),
            Action::StoreRollout(rollout) => self.stored.rollout = Some(rollout),
            Action::StoreTasks(agents) => {
                self.stored.tasks.retain(|_, task| !agents.contains(&task.agent_id));
                let changed = agents.iter().flat_map(|id| self.state.tasks_on(id)).cloned();
                self.stored.tasks.extend(changed.map(|task| (task.task_id.clone(), task)));
            }
            Action::StartAnew => panic!("nobody removed the framework"),
            call => {
                self.check(&call);
                if self.connected {
                    self.calls.push_back(call);
                }
            }
        }
    }

    /// What must hold whenever the scheduler calls.
    fn check(&mut self, call: &Action) {
        let used: Vec<OfferId> = match call {
            Action::Accept(launch) => {
                assert!(self.stored.framework.is_some(), "a launch before the framework is stored");
                let stored = self.stored.tasks.contains_key(&launch.task.task_id);
                assert!(stored, "a launch that is not stored: {launch:?}");
                let stranger = self.state.strangers.on(&launch.task.agent_id);
                assert_eq!(stranger, None, "a launch beside a stranger that is known");
                launch.offer_ids.clone()
            }
            Action::Decline { offer_ids, .. } => offer_ids.clone(),
            Action::Acknowledge { task_id, uuid, .. } => {
                let update = self.unacknowledged.get(task_id).filter(|u| u.uuid.as_ref() == Some(uuid));
                let stored = self.stored.tasks.get(task_id).map(|task| task.phase);
                match update.map(TaskStatus::state) {
                    Some(TaskState::TaskFailed | TaskState::TaskKilled) => {
                        assert_eq!(stored, None, "the end of {task_id} is acknowledged and not stored");
                    }
                    Some(TaskState::TaskRunning) => {
                        let early = matches!(stored, Some(Phase::Intended | Phase::Staging));
                        assert!(!early, "the start of {task_id} is acknowledged and not stored");
                    }
                    _ => {}
                }
                vec![]
            }
            _ => vec![],
        };
        for id in used {
            assert!(self.answered.insert(id.clone()), "offer {id} is answered twice");
        }
    }

    /// The scheduler ends, and the next one finds what is stored. What it had called before may be served or lost.
    fn crash(&mut self) {
        self.crash_in = None;
        self.serve(self.calls.len() / 2);
        self.disconnect();
        self.events.clear();
        let tasks: Vec<_> = self.stored.tasks.values().cloned().collect();
        let policy = Policy { executor_id: self.executor_id.clone(), ..policy() };
        self.state = State::new(policy, self.stored.framework.clone(), tasks)
            .with_rollout(self.stored.rollout.clone());
        self.subscribe();
    }

    /// The stream ends: what the master said is lost, offers are void, and calls that were not made never will be.
    fn disconnect(&mut self) {
        self.connected = false;
        // Other definitions do not come from the master.
        self.events.retain(|event| matches!(event, Event::Redefined { .. }));
        self.events.push_back(Event::Disconnected);
        for call in std::mem::take(&mut self.calls) {
            if let Action::Accept(launch) = call {
                let Launch { task, .. } = *launch;
                self.events.push_back(Event::NotLaunched { task_id: task.task_id, refused: None });
            }
        }
        for agent in self.agents.values_mut() {
            agent.offers.clear();
            agent.inverse = None;
        }
    }

    /// The master takes calls.
    fn serve(&mut self, count: usize) {
        for _ in 0..count {
            let Some(call) = self.calls.pop_front() else { return };
            match call {
                Action::Accept(launch) => self.accept(*launch),
                Action::Decline { offer_ids, .. } => offer_ids.iter().for_each(|id| self.take_offer(id)),
                Action::Acknowledge { task_id, uuid, .. } => {
                    let acknowledged = |update: &TaskStatus| update.uuid.as_ref() == Some(&uuid);
                    if self.unacknowledged.get(&task_id).is_some_and(acknowledged) {
                        self.unacknowledged.remove(&task_id);
                    }
                }
                Action::Kill { task_id, agent_id } => {
                    match self.agents.get(&agent_id).filter(|agent| agent.live.contains_key(&task_id)) {
                        Some(_) => self.becomes_of(&agent_id, &task_id, TaskState::TaskKilled),
                        None => self.answer(&task_id, &agent_id),
                    }
                }
                Action::Reconcile(tasks) if tasks.is_empty() => {
                    let live = self.agents.iter().flat_map(|(id, a)| a.live.keys().map(move |t| (t, id)));
                    for (task_id, agent_id) in live.map(|(t, a)| (t.clone(), a.clone())).collect::<Vec<_>>() {
                        self.answer(&task_id, &agent_id);
                    }
                }
                Action::Reconcile(tasks) => {
                    tasks.iter().for_each(|(task_id, agent_id)| self.answer(task_id, agent_id));
                }
                _ => {}
            }
        }
    }

    fn take_offer(&mut self, id: &OfferId) {
        self.agents.values_mut().for_each(|agent| agent.offers.retain(|_, offer| offer != id));
    }

    fn accept(&mut self, launch: Launch) {
        let task = launch.task;
        let valid = self
            .agents
            .get(&task.agent_id)
            .is_some_and(|agent| agent.offers.values().any(|id| launch.offer_ids == [id.clone()]));
        launch.offer_ids.iter().for_each(|id| self.take_offer(id));
        if !valid {
            let mut dropped = update_of_master(&task.task_id, &task.agent_id, TaskState::TaskDropped);
            dropped.reason = Some(Reason::InvalidOffers.into());
            self.tell(dropped);
            return;
        }
        let agent = self.agents.get_mut(&task.agent_id).expect("the offer is valid");
        let known: Vec<_> = agent.live.keys().filter(|id| !self.forgotten.contains(*id)).collect();
        assert!(known.is_empty(), "a second executor on {}: {known:?}", task.agent_id);
        agent.live.insert(task.task_id, TaskState::TaskStaging);
        self.launches += 1;
    }

    fn offer(&mut self, agent_id: &AgentId, role: &'static str) {
        let id = OfferId::new(format!("offer-{}", self.next()));
        let agent = self.agents.get_mut(agent_id).expect("was chosen");
        if self.connected && agent.presence == Presence::Here && !agent.offers.contains_key(role) {
            agent.offers.insert(role, id.clone());
            self.events.push_back(Event::Offers(vec![Offer {
                allocation_info: Some(AllocationInfo { role: Some(role.to_owned()) }),
                unavailability: agent.maintenance_ms.map(unavailability),
                ..offer(id.as_str(), agent_id.as_str())
            }]));
        }
    }

    fn rescind(&mut self, agent_id: &AgentId) {
        let agent = self.agents.get_mut(agent_id).expect("was chosen");
        self.events.extend(std::mem::take(&mut agent.offers).into_values().map(Event::Rescinded));
    }

    /// What lives on an agent goes on to this state, as its agent says.
    fn becomes(&mut self, agent_id: &AgentId, state: TaskState) {
        let agent = &self.agents[agent_id];
        let starts = state == TaskState::TaskRunning;
        let found = agent.live.iter().find(|(_, now)| !starts || **now == TaskState::TaskStaging);
        if let Some(task_id) = found.map(|(id, _)| id.clone()) {
            self.becomes_of(agent_id, &task_id, state);
        }
    }

    fn becomes_of(&mut self, agent_id: &AgentId, task_id: &TaskId, state: TaskState) {
        let uuid = format!("{:016}", self.next()).into_bytes();
        let agent = self.agents.get_mut(agent_id).expect("is there");
        if state == TaskState::TaskRunning {
            agent.live.insert(task_id.clone(), state);
        } else {
            agent.live.remove(task_id);
        }
        let here = agent.presence == Presence::Here;
        let Event::Update(status) = update(task_id, agent_id.as_str(), state) else { unreachable!() };
        let status = TaskStatus { uuid: Some(uuid), ..*status };
        self.unacknowledged.insert(task_id.clone(), status.clone());
        if here {
            self.tell(status);
        }
    }

    /// Answers a question, if the master can.
    fn answer(&mut self, task_id: &TaskId, agent_id: &AgentId) {
        let known = self.agents.get(agent_id).map(|agent| (agent.presence, agent.live.get(task_id)));
        let state = match known {
            Some((Presence::Unheard, _)) => return,
            Some((Presence::Unreachable, _)) => TaskState::TaskUnreachable,
            Some((Presence::Here, Some(state))) => *state,
            Some((Presence::Here, None)) => TaskState::TaskGone,
            None => TaskState::TaskUnknown,
        };
        self.tell(update_of_master(task_id, agent_id, state));
    }

    fn set_presence(&mut self, agent_id: &AgentId, presence: Presence) {
        let agent = self.agents.get_mut(agent_id).expect("was chosen");
        let before = std::mem::replace(&mut agent.presence, presence);
        if before == presence || before == Presence::Unheard {
            return;
        }
        for task_id in agent.live.keys().cloned().collect::<Vec<_>>() {
            self.answer(&task_id, agent_id);
        }
    }

    fn tell(&mut self, status: TaskStatus) {
        if self.connected {
            self.events.push_back(Event::Update(Box::new(status)));
        }
    }

    fn is_whole(&self) -> bool {
        let one = |(id, agent): (&AgentId, &ModelAgent)| {
            let known = self
                .state
                .task_on(id)
                .is_some_and(|task| task.phase == Phase::Running && task.executor_id == self.executor_id);
            agent.live.len() == 1 && known
        };
        self.agents.iter().all(one)
            && self.state.task_count() == self.agents.len()
            && self.state.reconciliation().is_complete()
            && self.unacknowledged.is_empty()
    }

    /// Everything works again for a while: then every agent has its one task, and everybody knows it.
    fn settle(&mut self) {
        self.crash_in = None;
        for id in self.agents.keys().cloned().collect::<Vec<_>>() {
            self.plan(&id, None);
        }
        // Longer than the time after which all tasks are asked about again.
        for round in 0..1_200 {
            for id in self.agents.keys().cloned().collect::<Vec<_>>() {
                self.set_presence(&id, Presence::Here);
                self.becomes(&id, TaskState::TaskRunning);
                self.offer(&id, ROLES[0]);
            }
            self.state.resume_rollout();
            if round % 10 == 0 {
                for status in self.unacknowledged.values().cloned().collect::<Vec<_>>() {
                    self.tell(status);
                }
            }
            self.pass(1_000);
            self.handle(usize::MAX);
            while !self.events.is_empty() || !self.calls.is_empty() {
                self.handle(usize::MAX);
                self.serve(usize::MAX);
            }
            if self.is_whole() {
                break;
            }
        }
        for (id, agent) in &self.agents {
            assert_eq!(
                agent.live.len(),
                1,
                "on {id} after {} launches: {:?}",
                self.launches,
                self.state.task_on(id)
            );
            let known: Vec<_> = self.state.tasks_on(id).map(|task| (&task.task_id, task.phase)).collect();
            assert_eq!(known, [(agent.live.keys().next().expect("one"), Phase::Running)]);
            assert_eq!(
                self.state.task_on(id).map(|task| &task.executor_id),
                Some(&self.executor_id),
                "on {id}"
            );
        }
        assert_eq!(self.state.task_count(), self.agents.len(), "nothing else is on record");
        let known: Vec<_> = self.state.tasks().map(|task| &task.task_id).collect();
        assert_eq!(self.stored.tasks.keys().collect::<Vec<_>>(), known, "what is known is stored");
        assert!(self.state.reconciliation().is_complete());
        assert!(self.unacknowledged.is_empty(), "{:?}", self.unacknowledged);
    }
}

fn unavailability(start_ms: u64) -> Unavailability {
    let nanoseconds = |ms: u64| i64::try_from(ms * 1_000_000).expect("fits");
    Unavailability {
        start: TimeInfo { nanoseconds: nanoseconds(start_ms) },
        duration: Some(DurationInfo { nanoseconds: nanoseconds(120_000) }),
    }
}

const ROLES: [&str; 2] = ["logs", "ops"];

/// An update that the master makes by itself.
fn update_of_master(task_id: &TaskId, agent_id: &AgentId, state: TaskState) -> TaskStatus {
    let Event::Update(status) = update(task_id, agent_id.as_str(), state) else { unreachable!() };
    TaskStatus { uuid: None, ..*status }
}

proptest! {
    // PROPTEST_CASES=20000 takes two minutes.
    #[test]
    fn whatever_happens_no_agent_has_two_executors_and_all_become_whole(
        history in prop::collection::vec(happens(), 0..250)
    ) {
        live_through(&history);
    }
}

fn live_through(history: &[Happens]) {
    let mut world = World::new();
    for what in history {
        world.happen(what);
    }
    world.settle();
}

/// The scheduler ends between storing a launch and making it, and the agent is unreachable when the next one asks: of a
/// task that never was the master says that it is unreachable, too.
#[test]
fn a_launch_that_never_was_on_an_agent_that_is_away_does_not_bar_the_agent() {
    use Happens::*;
    live_through(&[
        Handle(0),
        Crash(127),
        Offer(203),
        Handle(0),
        Part(47),
        Handle(0),
        Pass(4),
        Handle(0),
        Serve(17),
    ]);
}

/// The scheduler ends between storing that an agent has its turn and storing that the executor there is to end.
#[test]
fn a_turn_of_a_roll_out_that_was_only_stored_does_not_hold_up_the_others() {
    use Happens::*;
    live_through(&[
        Offer(199),
        Handle(0),
        Handle(0),
        Redefine(65),
        Handle(0),
        Crash(127),
        Serve(1),
        Confirm(16),
        Pass(0),
        Handle(1),
    ]);
}
