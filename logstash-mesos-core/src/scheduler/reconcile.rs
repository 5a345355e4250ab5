//! Which tasks to ask the master about, and when.

use super::task::doubling;
use crate::ids::TaskId;
use std::collections::BTreeSet;

/// Explicit rounds until every task was answered for, then one implicit round for strangers, and all of
/// it again after a while (HA-3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    pending: BTreeSet<TaskId>,
    next_ms: u64,
    rounds: u32,
    implicit_due: bool,
    periodic_ms: u64,
    finished_ms: Option<u64>,
}

/// What to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// About these tasks.
    Explicit(Vec<TaskId>),
    /// About all the master knows.
    Implicit,
}

impl Reconciliation {
    /// Begins anew, about `tasks`.
    pub(super) fn begin(&mut self, tasks: impl IntoIterator<Item = TaskId>, now_ms: u64) {
        *self = Self {
            pending: tasks.into_iter().collect(),
            next_ms: now_ms,
            rounds: 0,
            implicit_due: true,
            periodic_ms: now_ms + PERIOD_MS,
            finished_ms: self.finished_ms,
        };
    }

    /// Asks about one task soon, whatever else goes on.
    pub(super) fn ask_about(&mut self, task: TaskId, now_ms: u64) {
        if self.pending.insert(task) {
            self.next_ms = self.next_ms.min(now_ms);
            self.rounds = 0;
        }
    }

    /// The master, or anybody, said something about the task.
    pub(super) fn answered(&mut self, task: &TaskId) {
        self.pending.remove(task);
    }

    /// Whether no answer is awaited.
    pub fn is_complete(&self) -> bool {
        self.pending.is_empty() && !self.implicit_due
    }

    /// Tasks that were not answered for yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// When the last one was complete.
    pub fn finished_ms(&self) -> Option<u64> {
        self.finished_ms
    }

    /// What to ask now. `all` are the tasks for a periodic round.
    pub(super) fn due(&mut self, all: impl Iterator<Item = TaskId>, now_ms: u64) -> Option<Question> {
        if now_ms >= self.periodic_ms && self.is_complete() {
            self.begin(all, now_ms);
        }
        if now_ms < self.next_ms {
            return None;
        }
        if !self.pending.is_empty() {
            self.next_ms = now_ms + doubling(self.rounds, FIRST_WAIT_MS, LONGEST_WAIT_MS);
            self.rounds += 1;
            return Some(Question::Explicit(self.pending.iter().cloned().collect()));
        }
        if !self.implicit_due {
            return None;
        }
        self.implicit_due = false;
        self.finished_ms = Some(now_ms);
        Some(Question::Implicit)
    }
}

const FIRST_WAIT_MS: u64 = 2_000;
const LONGEST_WAIT_MS: u64 = 60_000;
const PERIOD_MS: u64 = 15 * 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<TaskId> {
        names.iter().map(|n| TaskId::from(*n)).collect()
    }

    #[test]
    fn asks_with_growing_waits_until_every_task_is_answered_for_then_for_strangers() {
        let mut r = Reconciliation::default();
        r.begin(ids(&["a", "b"]), 0);
        assert_eq!(r.due(std::iter::empty(), 0), Some(Question::Explicit(ids(&["a", "b"]))));
        r.answered(&"a".into());
        assert_eq!(r.due(std::iter::empty(), 1_999), None);
        assert_eq!(r.due(std::iter::empty(), 2_000), Some(Question::Explicit(ids(&["b"]))));
        assert_eq!(r.due(std::iter::empty(), 5_999), None);
        assert_eq!(r.due(std::iter::empty(), 6_000), Some(Question::Explicit(ids(&["b"]))));
        assert!(!r.is_complete());
        r.answered(&"b".into());
        assert_eq!(r.due(std::iter::empty(), 14_000), Some(Question::Implicit));
        assert!(r.is_complete());
        assert_eq!(r.due(std::iter::empty(), 60_000), None);
        assert_eq!(r.due(ids(&["c"]).into_iter(), PERIOD_MS), Some(Question::Explicit(ids(&["c"]))));
    }

    #[test]
    fn waits_grow_to_a_minute_and_no_further() {
        let mut r = Reconciliation::default();
        r.begin(ids(&["a"]), 0);
        let mut asked = Vec::new();
        for now in (0..400_000).step_by(1000) {
            if r.due(std::iter::empty(), now).is_some() {
                asked.push(now / 1000);
            }
        }
        assert_eq!(asked, [0, 2, 6, 14, 30, 62, 122, 182, 242, 302, 362]);
    }

    #[test]
    fn nothing_to_ask_about_is_still_one_round_for_strangers() {
        let mut r = Reconciliation::default();
        r.begin([], 5);
        assert_eq!(r.due(std::iter::empty(), 5), Some(Question::Implicit));
        assert_eq!(r.due(std::iter::empty(), 6), None);
    }
}
