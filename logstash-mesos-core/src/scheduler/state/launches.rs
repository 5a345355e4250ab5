//! Launches that nobody confirms, and tasks that are to end.

use super::super::task::{Ending, KILL_FIRST_MS, KILL_LONGEST_MS};
use super::{Action, Outbox, State};

impl State {
    /// Asks about launches that nobody confirms, and ends them when that does not help (HA-9).
    pub(super) fn watch_launches(&mut self, now_ms: u64, out: &mut Outbox) {
        while let Some(id) = self.tasks.next_unconfirmed(now_ms) {
            let ended = self.tasks.change(&id, |task| {
                if task.suspected_ms.is_none() {
                    task.suspected_ms = Some(now_ms);
                    return None;
                }
                task.ending = Some(Ending::Unconfirmed);
                Some(task.agent_id.clone())
            });
            match ended {
                Some(Some(agent_id)) => out.store(&agent_id),
                Some(None) => self.reconciliation.ask_about(id),
                None => {}
            }
        }
    }

    pub(super) fn kills(&mut self, now_ms: u64, out: &mut Outbox) {
        while let Some(task_id) = self.tasks.next_kill(now_ms) {
            let agent_id = self.tasks.change(&task_id, |task| {
                task.kill.attempted(now_ms, KILL_FIRST_MS, KILL_LONGEST_MS);
                task.agent_id.clone()
            });
            if let Some(agent_id) = agent_id {
                out.call(Action::Kill { task_id, agent_id });
            }
        }
        while let Some((task_id, agent_id)) = self.strangers.next_kill(now_ms) {
            out.call(Action::Kill { task_id, agent_id });
        }
    }
}

/// From the question about an unconfirmed launch to its end.
pub(super) const SUSPICION_MS: u64 = 60_000;
