//! A changed definition of the executor, brought to one agent after the other (HA-8).
//!
//! An agent's turn lasts from the end of its old executor until the new one has run for a while. Failures in that
//! time are the new definition's: after some of them no further agent gets its turn, until the definition changes
//! again or an operator says so. What is stored survives a failover, and a scheduler that is started again goes on
//! where the last one was, also with being stopped.

use super::super::task::{Ending, Phase, Task};
use super::{Action, Outbox, State};
use crate::ids::{AgentId, ExecutorId, TaskId};
use crate::offer::Reason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How far a changed definition has come, apart from what the tasks say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Names the definition that all agents are to have.
    pub executor_id: ExecutorId,
    /// Agents whose turn it is: the old executor was told to end, and the new one has not run for long.
    pub agents: BTreeSet<AgentId>,
    /// How often the new executor failed on them.
    pub failures: u32,
    /// Why no further agent gets its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

impl Rollout {
    /// Begins with nothing done.
    pub fn new(executor_id: ExecutorId) -> Self {
        Self { executor_id, agents: BTreeSet::new(), failures: 0, stopped: None }
    }

    /// There is nothing to tell of.
    pub fn is_idle(&self) -> bool {
        self.agents.is_empty() && self.failures == 0 && self.stopped.is_none()
    }
}

impl State {
    /// Takes over what was stored of a roll-out of the current definition.
    #[must_use]
    pub fn with_rollout(mut self, stored: Option<Rollout>) -> Self {
        if let Some(stored) = stored.filter(|r| r.executor_id == self.policy.executor_id) {
            self.rollout = stored;
        }
        self
    }

    /// The roll-out of the current definition.
    pub fn rollout(&self) -> &Rollout {
        &self.rollout
    }

    /// Executors of an earlier definition that wait for their turn.
    pub fn outdated(&self) -> usize {
        self.tasks.outdated().len()
    }

    /// Lets a roll-out go on that has stopped. Returns whether there was one.
    pub fn resume_rollout(&mut self) -> bool {
        let stopped = self.rollout.stopped.take().is_some();
        if stopped {
            self.rollout.failures = 0;
            self.rollout_changed = true;
        }
        stopped
    }

    /// Ends executors of an earlier definition, as many as may have their turn at the same time.
    pub(super) fn roll_out(&mut self, now_ms: u64, out: &mut Outbox) {
        let before = self.rollout.agents.len();
        let mut turns = std::mem::take(&mut self.rollout.agents);
        turns.retain(|agent_id| self.has_turn(agent_id, now_ms));
        self.rollout.agents = turns;
        self.rollout_changed |= self.rollout.agents.len() != before;
        if self.tasks.outdated().is_empty() {
            if self.rollout.agents.is_empty() && !self.rollout.is_idle() {
                self.rollout = Rollout::new(self.policy.executor_id.clone());
                self.rollout_changed = true;
            }
        } else if self.reconciliation.is_complete()
            && self.policy.closed.is_none()
            && self.rollout.stopped.is_none()
        {
            while self.rollout.agents.len() < self.policy.rollout_parallelism && self.next_turn(out) {}
        }
        if std::mem::take(&mut self.rollout_changed) {
            out.rollout = true;
        }
    }

    fn next_turn(&mut self, out: &mut Outbox) -> bool {
        let free = |id: &&TaskId| self.tasks.get(id).is_some_and(|task| self.waits_for_ports(task).is_none());
        let Some(id) = self.tasks.outdated().iter().find(free).cloned() else { return false };
        let agent_id = self.tasks.change(&id, |task| {
            task.ending = Some(Ending::Replaced);
            task.agent_id.clone()
        });
        let Some(agent_id) = agent_id else { return false };
        out.store(&agent_id);
        self.rollout.agents.insert(agent_id);
        self.rollout_changed = true;
        true
    }

    /// Why the executor of an earlier definition stays: somebody else has a port there that the new one would need.
    pub(in crate::scheduler) fn waits_for_ports(&self, task: &Task) -> Option<Reason> {
        let capacity = self.agents.get(&task.agent_id)?.standing.capacity.as_ref()?;
        self.policy.strategy.lacks_ports(capacity, &task.ports)
    }

    /// Whether an agent's turn goes on.
    fn has_turn(&self, agent_id: &AgentId, now_ms: u64) -> bool {
        let Some(agent) = self.agents.get(agent_id) else { return false };
        let Some(task) = self.task_on(agent_id) else {
            // An agent that goes away must not hold up the others. Without a list nobody says that it has.
            let lacks_since = self.lacking.get(agent_id);
            return lacks_since
                .is_some_and(|since| agent.listed || (!self.listed && now_ms < since + ABSENT_MS));
        };
        let healthy = task.executor_id == self.policy.executor_id
            && task.phase == Phase::Running
            && now_ms >= task.since_ms + HEALTHY_MS;
        // The turn was stored and the end of its executor was not, or there is another definition by now: it has to be
        // given again.
        let begun = !self.tasks.outdated().contains(&task.task_id);
        begun && !healthy && task.phase != Phase::Unreachable
    }

    /// Notes that a task failed, if it is the new definition that did.
    pub(super) fn count_against_rollout(&mut self, task: &Task, reason: &str) {
        let new = task.executor_id == self.policy.executor_id && task.ending != Some(Ending::Replaced);
        if !new || !self.rollout.agents.contains(&task.agent_id) {
            return;
        }
        self.rollout.failures += 1;
        self.rollout_changed = true;
        if self.rollout.failures >= self.policy.rollout_max_failures && self.rollout.stopped.is_none() {
            let failures = self.rollout.failures;
            self.rollout.stopped = Some(format!(
                "the new executor failed {failures} times, the last time on agent {} ({}): {reason}",
                task.agent_id, task.hostname
            ));
        }
    }

    pub(super) fn store_rollout(&self) -> Action {
        Action::StoreRollout(self.rollout.clone())
    }
}

/// A new executor that has run for so long does well.
const HEALTHY_MS: u64 = 5_000;
/// An agent that the master has not listed, as it may not, and that got no new executor in this time, may be gone.
const ABSENT_MS: u64 = 300_000;

#[cfg(test)]
mod tests;
