//! A changed definition of the executor, brought to one agent after the other.

use super::super::task::Ending;
use super::{Outbox, State};

impl State {
    /// Ends one executor of an earlier definition, while all others are well (HA-8).
    pub(super) fn replace_one(&mut self, out: &mut Outbox) {
        if self.tasks.outdated().is_empty() {
            return;
        }
        let settled = self.reconciliation.is_complete()
            && self.policy.closed.is_none()
            && self.tasks.iter().all(|t| t.ending.is_none() && !t.phase.is_unconfirmed())
            && self.agents.iter().all(|(id, agent)| agent.failures.count == 0 || self.task_on(id).is_some());
        if !settled {
            return;
        }
        let Some(id) = self.tasks.outdated().first().cloned() else { return };
        let agent_id = self.tasks.change(&id, |task| {
            task.ending = Some(Ending::Replaced);
            task.agent_id.clone()
        });
        agent_id.iter().for_each(|id| out.store(id));
    }
}
