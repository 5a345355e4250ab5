//! What goes wrong on purpose, and what a test may look at.

use std::time::Duration;

use mesos_v1::proto::scheduler::{Event, event};
use mesos_v1::proto::{AgentId, TaskState, task_status};
use tokio::time::Instant;

use super::LocalSettings;
use super::state::{State, event_of, update_of};

impl State {
    /// Ends the streams of all schedulers, as a master does that dies.
    pub(crate) fn drop_scheduler_streams(&mut self) {
        for framework in self.frameworks.values_mut() {
            if framework.stream.take().is_some() {
                framework.lost_at = Some(Instant::now());
            }
        }
        self.offers.clear();
    }

    /// Puts another master in the lead, which hears of the agent only later.
    pub(crate) fn fail_over(&mut self, agent_after: Duration) {
        self.drop_scheduler_streams();
        // Kept in memory only.
        self.removed.clear();
        self.agent_unknown_until = Some(Instant::now() + agent_after);
    }

    /// Gives up the agent, or takes it back, and tells all frameworks.
    pub(crate) fn set_agent_unreachable(&mut self, unreachable: bool) {
        if self.agent_unreachable == unreachable {
            return;
        }
        self.agent_unreachable = unreachable;
        let reason = if unreachable {
            task_status::Reason::AgentRemoved
        } else {
            task_status::Reason::AgentReregistered
        };
        for framework in self.frameworks.values() {
            for task in framework.tasks.values().filter(|task| !task.is_terminal()) {
                let state = if unreachable {
                    framework.state(TaskState::TaskUnreachable)
                } else {
                    task.latest.state()
                };
                framework.send(&update_of(self.master_status(task.latest.task_id.clone(), state, reason)));
            }
            if unreachable {
                let agent_id = Some(AgentId { value: self.agent_id.clone() });
                let failure = Some(event::Failure { agent_id, executor_id: None, status: None });
                framework.send(&Event { failure, ..event_of(event::Type::Failure) });
            }
        }
    }

    /// Sends an ERROR to every scheduler and ends its stream.
    pub(crate) fn send_error(&mut self, message: &str) {
        for framework in self.frameworks.values() {
            let error = Some(event::Error { message: message.to_owned() });
            framework.send(&Event { error, ..event_of(event::Type::Error) });
        }
        self.drop_scheduler_streams();
    }

    /// Framework ids that the master knows.
    pub(crate) fn framework_ids(&self) -> Vec<String> {
        self.frameworks.keys().cloned().collect()
    }

    /// Tasks of a framework that have not ended.
    pub(crate) fn live_tasks(&self, framework_id: &str) -> Vec<String> {
        let tasks = self.frameworks.get(framework_id).map(|framework| &framework.tasks);
        let live = tasks.into_iter().flatten().filter(|(_, task)| !task.is_terminal());
        live.map(|(id, _)| id.clone()).collect()
    }

    /// Takes the agent away: executors live on and find nobody.
    pub(crate) fn agent_down(&mut self) {
        self.agent_up = false;
        self.rescind_because_agent_is_gone();
        for executor in self.executors.values_mut() {
            executor.stream = None;
        }
    }

    /// Brings the agent back, under its old id.
    pub(crate) fn agent_back(&mut self, settings: &LocalSettings) {
        self.agent_up = true;
        self.reregister_by = Some(Instant::now() + settings.executor_reregistration_timeout);
        self.set_agent_unreachable(false);
    }

    /// Kills the processes of all executors whose id begins so. Returns how many.
    pub(crate) fn kill_executors(&mut self, prefix: &str) -> usize {
        let concerned = self.executors.iter().filter(|((_, id), _)| id.starts_with(prefix));
        concerned.map(|(_, executor)| executor.kill.cancel()).count()
    }

    /// Ids of the executors that are there.
    pub(crate) fn executor_ids(&self) -> Vec<String> {
        self.executors.keys().map(|(_, id)| id.clone()).collect()
    }
}
