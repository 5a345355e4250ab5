//! A model of everything around the state machine, and random histories of it.
//!
//! The master of the model does what a real one does with offers, launches, kills and questions; the store keeps what
//! it is told. A history is a row of [`Happens`], in any order: events come late, twice and in another order, streams
//! and masters and schedulers end between any two steps, agents go and come. What must always hold is checked where
//! it could be broken, and at the end of each history everything becomes quiet and has to be whole again.

mod history;
mod master;
mod scheduler;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mesos_v1::proto::{InverseOffer, TaskState, TaskStatus};
use proptest::prelude::*;

use self::history::{Happens, happens};
use self::master::{ModelAgent, Presence, ROLES, unavailability, update_of_master};
use super::tests::policy;
use super::{Action, Event, Rollout, State};
use crate::ids::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use crate::scheduler::task::{Phase, Task};

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
