//! The scheduler: what it does with what the state machine says, and what must hold then.

use mesos_v1::proto::{TaskState, TaskStatus};

use super::World;
use crate::ids::OfferId;
use crate::scheduler::state::tests::policy;
use crate::scheduler::state::{Action, Event, Launch, Policy, State};
use crate::scheduler::task::Phase;

impl World {
    /// The scheduler takes events, stores and calls.
    pub(super) fn handle(&mut self, count: usize) {
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
    pub(super) fn crash(&mut self) {
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
    pub(super) fn disconnect(&mut self) {
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
}
