//! Launches that nobody confirms, and tasks that are to end.

use super::super::task::Ending;
use super::super::task::Phase;
use super::{Action, State, millis};
use std::collections::BTreeSet;

impl State {
    /// Asks about launches that nobody confirms, and ends them when that does not help (HA-9).
    pub(super) fn watch_launches(&mut self, now_ms: u64) -> Vec<Action> {
        let mut changed = BTreeSet::new();
        for task in self.tasks.values_mut().filter(|t| t.phase.is_unconfirmed() && t.ending.is_none()) {
            if now_ms < task.since_ms + millis(self.policy.launch_timeout) {
                continue;
            }
            match task.suspected_ms {
                None => {
                    task.suspected_ms = Some(now_ms);
                    self.reconciliation.ask_about(task.task_id.clone(), now_ms);
                }
                Some(since) if now_ms >= since + SUSPICION_MS => {
                    task.ending = Some(Ending::Unconfirmed);
                    changed.insert(task.agent_id.clone());
                }
                Some(_) => {}
            }
        }
        if changed.is_empty() { vec![] } else { vec![Action::StoreTasks(changed)] }
    }

    pub(super) fn kills(&mut self, now_ms: u64) -> Vec<Action> {
        let ending = self.tasks.values_mut().filter(|t| t.ending.is_some() && t.phase != Phase::Unreachable);
        let ours = ending.map(|t| (&t.task_id, &t.agent_id, &mut t.kill));
        let strangers = self.strangers.iter_mut().map(|(id, s)| (id, &s.agent_id, &mut s.kill));
        let mut actions = Vec::new();
        for (task_id, agent_id, kill) in ours.chain(strangers) {
            if now_ms >= kill.next_ms {
                kill.attempted(now_ms, KILL_FIRST_MS, KILL_LONGEST_MS);
                actions.push(Action::Kill { task_id: task_id.clone(), agent_id: agent_id.clone() });
            }
        }
        actions
    }
}

pub(super) const SUSPICION_MS: u64 = 60_000;
const KILL_FIRST_MS: u64 = 5_000;
const KILL_LONGEST_MS: u64 = 60_000;
