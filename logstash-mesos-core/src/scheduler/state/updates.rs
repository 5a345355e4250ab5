//! What updates say about tasks, and who is to blame when one ends.

use super::super::remedy::UNAUTHORIZED_TASK;
use super::super::task::{Ending, Failures, Phase, Task, Word, doubling, word};
use super::{Action, Outbox, Policy, State, millis};
use crate::ids::{AgentId, TaskId};
use mesos_v1::proto::{TaskState, TaskStatus, task_status::Reason};

impl State {
    pub(super) fn update(&mut self, status: &TaskStatus, now_ms: u64, out: &mut Outbox) {
        self.counters.updates += 1;
        let task_id = TaskId::from(&status.task_id);
        self.reconciliation.answered(&task_id, now_ms);
        let word = word(status.state);
        match (self.tasks.get(&task_id), word) {
            (None, _) => self.stranger(&task_id, status, word, now_ms),
            (Some(task), Some(Word::Lives(phase))) => {
                if phase != task.phase || task.suspected_ms.is_some() {
                    self.lives(&task_id, phase, now_ms, out);
                }
            }
            (Some(_), Some(Word::Ended)) => self.ended(&task_id, status, now_ms, out),
            (Some(_), None) => {}
        }
        // Those the master makes by itself have none, and must not be acknowledged.
        if let (Some(uuid), Some(agent_id)) = (&status.uuid, &status.agent_id)
            && !uuid.is_empty()
        {
            let (agent_id, uuid) = (AgentId::from(agent_id), uuid.to_vec());
            out.call(Action::Acknowledge { agent_id, task_id, uuid });
        }
    }

    fn lives(&mut self, task_id: &TaskId, phase: Phase, now_ms: u64, out: &mut Outbox) {
        let changed = self.tasks.change(task_id, |task| {
            task.suspected_ms = None;
            if phase == task.phase {
                return None;
            }
            (task.phase, task.since_ms) = (phase, now_ms);
            Some(task.agent_id.clone())
        });
        changed.flatten().iter().for_each(|agent_id| out.store(agent_id));
    }

    fn ended(&mut self, task_id: &TaskId, status: &TaskStatus, now_ms: u64, out: &mut Outbox) {
        let Some(task) = self.tasks.remove(task_id) else { return };
        let agent = self.agents.entry(task.agent_id.clone()).or_default();
        let mut failure = None;
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
                failed(&mut agent.failures, ran_long, reason.clone(), now_ms, &self.policy);
                failure = Some(reason);
            }
        }
        if status.reason == Some(Reason::InvalidOffers.into()) {
            self.counters.stale += 1;
            // The refusal that came with the launch may or may not have been taken.
            agent.refused_until_ms = 0;
        }
        if let Some(reason) = failure {
            self.count_against_rollout(&task, &reason);
        }
        self.note_lack(&task.agent_id, now_ms);
        out.store(&task.agent_id);
    }

    pub(super) fn not_launched(
        &mut self,
        task_id: &TaskId,
        refused: Option<String>,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        // An update may have said otherwise already; then the update is right.
        if self.tasks.get(task_id).is_none_or(|t| t.phase != Phase::Intended) {
            return;
        }
        let Some(task) = self.tasks.remove(task_id) else { return };
        let agent = self.agents.entry(task.agent_id.clone()).or_default();
        agent.refused_until_ms = 0;
        if let Some(reason) = refused {
            self.counters.failures += 1;
            failed(&mut agent.failures, false, reason.clone(), now_ms, &self.policy);
            self.count_against_rollout(&task, &reason);
        }
        self.note_lack(&task.agent_id, now_ms);
        out.store(&task.agent_id);
    }

    fn stranger(&mut self, id: &TaskId, status: &TaskStatus, word: Option<Word>, now_ms: u64) {
        match (word, &status.agent_id) {
            (Some(Word::Lives(phase)), Some(agent_id)) => {
                let kill_at_ms = now_ms + millis(self.policy.stranger_grace);
                if self.strangers.met(id, &AgentId::from(agent_id), phase, kill_at_ms) {
                    self.counters.strangers += 1;
                }
            }
            // Never killed in answer to this: the answer would be the same again.
            (Some(_), _) => self.strangers.gone(id),
            (None, _) => {}
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
        Some(Ending::Replaced | Ending::Maintenance | Ending::Excluded | Ending::Uninstalled) => {
            return Blame::Nobody;
        }
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
    if status.reason() == Reason::TaskUnauthorized {
        text.push_str("; ");
        text.push_str(UNAUTHORIZED_TASK);
    }
    text
}
