//! What updates say about tasks, and who is to blame when one ends.

use super::super::task::{Ending, Failures, Phase, Retry, Task, Word, doubling, word};
use super::{Action, Policy, State, Stranger, millis};
use crate::ids::{AgentId, TaskId};
use mesos_v1::proto::{TaskState, TaskStatus, task_status::Reason};
use std::collections::BTreeSet;

impl State {
    pub(super) fn update(&mut self, status: &TaskStatus, now_ms: u64) -> Vec<Action> {
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

    pub(super) fn ended(&mut self, task_id: &TaskId, status: &TaskStatus, now_ms: u64) -> Vec<Action> {
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

    pub(super) fn not_launched(
        &mut self,
        task_id: &TaskId,
        refused: Option<String>,
        now_ms: u64,
    ) -> Vec<Action> {
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

    pub(super) fn stranger(
        &mut self,
        id: &TaskId,
        status: &TaskStatus,
        word: Option<Word>,
        now_ms: u64,
    ) -> Vec<Action> {
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
pub(in crate::scheduler) fn describe(status: &TaskStatus) -> String {
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
