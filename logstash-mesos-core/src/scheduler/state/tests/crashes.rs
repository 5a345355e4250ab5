//! The scheduler ends between any two steps.

use super::*;

/// A master and a store that do what actions say, for as long as the scheduler lives.
#[derive(Default)]
struct World {
    stored: BTreeMap<TaskId, Task>,
    framework: Option<FrameworkId>,
    /// Tasks in Mesos, with the state they are in.
    tasks: BTreeMap<TaskId, (AgentId, TaskState)>,
    offers: u32,
    /// Events that the master will bring.
    events: std::collections::VecDeque<Event>,
    steps: usize,
    crash_after: usize,
    ever: usize,
}

impl World {
    /// Carries one action out, unless the crash comes first.
    fn act(&mut self, action: &Action, state: &State) -> bool {
        if self.steps == self.crash_after {
            return false;
        }
        self.steps += 1;
        match action {
            Action::StoreFramework => self.framework = state.framework_id().cloned(),
            Action::StoreTasks(agents) => {
                self.stored.retain(|_, t| !agents.contains(&t.agent_id));
                let changed = state.tasks().filter(|t| agents.contains(&t.agent_id));
                self.stored.extend(changed.map(|t| (t.task_id.clone(), t.clone())));
            }
            Action::Accept(launch) => {
                let task = &launch.task;
                assert!(self.framework.is_some(), "launched before the framework was stored");
                assert!(self.stored.contains_key(&task.task_id), "accepted before the intent was stored");
                let busy = self.tasks.values().any(|(agent, _)| *agent == task.agent_id);
                assert!(!busy, "a second task on agent {}", task.agent_id);
                self.ever += 1;
                self.tasks.insert(task.task_id.clone(), (task.agent_id.clone(), TaskState::TaskRunning));
                self.tell(&task.task_id);
            }
            Action::Acknowledge { task_id, uuid, agent_id } => {
                let failure = status(task_id, agent_id.as_str(), TaskState::TaskFailed).uuid;
                if self.tasks.contains_key(task_id) && failure.as_ref() == Some(uuid) {
                    assert!(!self.stored.contains_key(task_id), "acknowledged before it was stored");
                    self.tasks.remove(task_id);
                }
            }
            Action::Reconcile(tasks) => {
                for (id, agent) in tasks {
                    if self.tasks.contains_key(id) {
                        self.tell(id);
                    } else {
                        self.events.push_back(update(id, agent.as_str(), TaskState::TaskGone));
                    }
                }
                if tasks.is_empty() {
                    for id in self.tasks.keys().cloned().collect::<Vec<_>>() {
                        self.tell(&id);
                    }
                }
            }
            Action::Kill { task_id, .. } => panic!("nobody is to be killed here: {task_id}"),
            _ => {}
        }
        true
    }

    fn tell(&mut self, id: &TaskId) {
        if let Some((agent, state)) = self.tasks.get(id) {
            let event = update(id, agent.as_str(), *state);
            // Twice, as the agent repeats what was not acknowledged.
            self.events.extend([event.clone(), event]);
        }
    }

    fn offer(&mut self) {
        for agent in ["a", "b"] {
            if self.tasks.values().all(|(at, _)| at.as_str() != agent) {
                self.offers += 1;
                self.events.push_back(Event::Offers(vec![offer(&self.offers.to_string(), agent)]));
            }
        }
    }

    /// One life of a scheduler: until it crashes, or nothing happens any more.
    fn live(&mut self, mut now: u64, fail_one: bool) -> (u64, bool) {
        let stored: Vec<_> = self.stored.values().cloned().collect();
        let mut state = State::new(policy(), self.framework.clone(), stored);
        self.events.clear();
        let framework_id = self.framework.clone().unwrap_or_else(|| "f".into());
        self.events.push_back(Event::Subscribed { framework_id });
        let (mut seed, mut failed) = (u32::try_from(now).expect("small"), !fail_one);
        for _ in 0..200 {
            now += 500;
            if self.events.is_empty() {
                self.offer();
                self.events.push_back(Event::Tick);
            }
            if !failed && self.tasks.len() == 2 {
                failed = true;
                let id = self.tasks.keys().next().cloned().expect("two tasks");
                self.tasks.get_mut(&id).expect("is there").1 = TaskState::TaskFailed;
                self.tell(&id);
            }
            let Some(event) = self.events.pop_front() else { continue };
            let actions = state.apply(event, now, &mut || {
                seed += 1;
                seed
            });
            for action in &actions {
                if !self.act(action, &state) {
                    return (now, true);
                }
            }
        }
        let known: Vec<_> = state.tasks().map(|t| &t.task_id).collect();
        assert_eq!(known, self.tasks.keys().collect::<Vec<_>>(), "what is known is what is there");
        (now, false)
    }
}

#[test]
fn a_crash_between_any_two_steps_loses_nothing_and_doubles_nothing() {
    let mut crashes = 0;
    for first in 0..60 {
        for second in [1, 2, 3, 5, 8, usize::MAX] {
            let mut world = World { crash_after: first, ..World::default() };
            let (now, crashed) = world.live(0, true);
            crashes += usize::from(crashed);
            world.crash_after = world.steps.saturating_add(second);
            let (now, _) = world.live(now, false);
            world.crash_after = usize::MAX;
            world.live(now, false);
            let agents: BTreeSet<_> = world.tasks.values().map(|(agent, _)| agent.as_str()).collect();
            assert_eq!((world.tasks.len(), agents.len()), (2, 2), "crash after {first} and {second}");
            assert!(world.ever <= 3, "{} launches, crash after {first} and {second}", world.ever);
            let stored: Vec<_> = world.stored.keys().collect();
            assert_eq!(stored, world.tasks.keys().collect::<Vec<_>>());
        }
    }
    assert!(crashes > 60, "the scenario is long enough to be cut: {crashes}");
}
