//! A changed definition of the executor, brought to one agent after the other.

use super::super::task::{Ending, Phase};
use super::{Action, State};
use std::collections::BTreeSet;

impl State {
    /// Ends one executor of an earlier definition, while all others are well (HA-8).
    pub(super) fn replace_one(&mut self) -> Vec<Action> {
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
}
