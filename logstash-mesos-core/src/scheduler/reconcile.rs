//! Which tasks to ask the master about, and when.

use super::task::doubling;
use crate::ids::TaskId;
use std::collections::BTreeSet;
use std::ops::Bound;

/// One question about all that the master knows, which answers for most tasks and finds strangers; then rounds
/// about each task that was not answered for, with growing waits, until none is left; and all of it again after
/// a while (HA-3).
///
/// A master that has just taken over answers nothing about agents that it has not heard of yet. So if there were
/// rounds, a last question about all finds the strangers that came late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    pending: BTreeSet<TaskId>,
    /// To be asked about at once, whatever else goes on.
    urgent: BTreeSet<TaskId>,
    implicit: Implicit,
    next_ms: u64,
    /// Answers to the question about all may come until then.
    patience_ms: u64,
    rounds: u32,
    /// Tasks that were not answered for when all were last asked about.
    unanswered: usize,
    /// Up to here this round has asked.
    asked: Option<TaskId>,
    periodic_ms: u64,
    finished_ms: Option<u64>,
}

/// How the question about all tasks stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Implicit {
    /// To be asked now.
    #[default]
    First,
    /// Asked, and enough so far.
    Asked,
    /// To be asked again when every task was answered for.
    Last,
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
            periodic_ms: now_ms + PERIOD_MS,
            finished_ms: self.finished_ms,
            ..Self::default()
        };
    }

    /// Asks about one task soon, whatever else goes on.
    pub(super) fn ask_about(&mut self, task: TaskId) {
        self.pending.insert(task.clone());
        self.urgent.insert(task);
    }

    /// The master, or anybody, said something about the task.
    pub(super) fn answered(&mut self, task: &TaskId, now_ms: u64) {
        if !self.pending.remove(task) {
            return;
        }
        self.urgent.remove(task);
        // As long as answers come, more are on their way.
        if self.rounds == 0 {
            self.next_ms = self.next_ms.max((now_ms + QUIET_MS).min(self.patience_ms));
        }
        if self.is_complete() {
            self.finished_ms = Some(now_ms);
        }
    }

    /// Whether no answer is awaited.
    pub fn is_complete(&self) -> bool {
        self.pending.is_empty() && self.implicit == Implicit::Asked
    }

    /// Tasks that were not answered for yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// When the last one was complete.
    pub fn finished_ms(&self) -> Option<u64> {
        self.finished_ms
    }

    /// What to ask now. `all` gives the tasks for a periodic round.
    pub(super) fn due(&mut self, all: impl FnOnce() -> Vec<TaskId>, now_ms: u64) -> Option<Question> {
        if now_ms >= self.periodic_ms && self.is_complete() {
            self.begin(all(), now_ms);
        }
        if self.implicit == Implicit::First || (self.implicit == Implicit::Last && self.pending.is_empty()) {
            self.implicit = Implicit::Asked;
            (self.next_ms, self.patience_ms) = (now_ms + FIRST_WAIT_MS, now_ms + PATIENCE_MS);
            self.unanswered = self.pending.len();
            if self.pending.is_empty() {
                self.finished_ms = Some(now_ms);
            }
            return Some(Question::Implicit);
        }
        if !self.urgent.is_empty() {
            let rest = self.urgent.iter().nth(CHUNK).cloned().map(|first| self.urgent.split_off(&first));
            let now = std::mem::replace(&mut self.urgent, rest.unwrap_or_default());
            self.next_ms = self.next_ms.max(now_ms + FIRST_WAIT_MS);
            return Some(Question::Explicit(now.into_iter().collect()));
        }
        if self.pending.is_empty() || now_ms < self.next_ms {
            return None;
        }
        // A master to which agents come one after the other: as long as the question about all helps, it costs least.
        let many = self.asked.is_none() && self.pending.len() > MANY;
        if many && self.pending.len() < self.unanswered {
            self.unanswered = self.pending.len();
            self.end_round(now_ms);
            return Some(Question::Implicit);
        }
        Some(Question::Explicit(self.round(now_ms)))
    }

    /// The next part of a round about what was not answered for.
    fn round(&mut self, now_ms: u64) -> Vec<TaskId> {
        let from = self.asked.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.pending.range((from, Bound::Unbounded));
        let part: Vec<_> = rest.by_ref().take(CHUNK).cloned().collect();
        if rest.next().is_some() {
            self.asked = part.last().cloned();
            self.next_ms = now_ms + APART_MS;
        } else {
            self.end_round(now_ms);
        }
        part
    }

    fn end_round(&mut self, now_ms: u64) {
        self.next_ms = now_ms + doubling(self.rounds, FIRST_WAIT_MS, LONGEST_WAIT_MS);
        self.rounds += 1;
        self.implicit = Implicit::Last;
    }
}

const FIRST_WAIT_MS: u64 = 2_000;
const LONGEST_WAIT_MS: u64 = 60_000;
const PERIOD_MS: u64 = 15 * 60_000;
/// After the last answer to the question about all tasks, the others are asked about.
const QUIET_MS: u64 = 1_000;
const PATIENCE_MS: u64 = 30_000;
/// Tasks in one question.
const CHUNK: usize = 500;
/// More than so many are rather asked about all together.
const MANY: usize = 2 * CHUNK;
/// Between the questions of a round.
const APART_MS: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<TaskId> {
        names.iter().map(|n| TaskId::from(*n)).collect()
    }

    fn explicit(names: &[&str]) -> Option<Question> {
        Some(Question::Explicit(ids(names)))
    }

    #[test]
    fn one_question_answers_for_most_and_the_others_are_asked_about_with_growing_waits() {
        let mut r = Reconciliation::default();
        r.begin(ids(&["a", "b", "c"]), 0);
        assert_eq!(r.due(Vec::new, 0), Some(Question::Implicit));
        r.answered(&"a".into(), 1_900);
        assert_eq!(r.due(Vec::new, 2_899), None, "answers are still coming");
        assert_eq!(r.due(Vec::new, 2_900), explicit(&["b", "c"]));
        r.answered(&"b".into(), 3_000);
        assert_eq!(r.due(Vec::new, 4_899), None);
        assert_eq!(r.due(Vec::new, 4_900), explicit(&["c"]));
        assert_eq!(r.due(Vec::new, 8_899), None);
        assert_eq!(r.due(Vec::new, 8_900), explicit(&["c"]));
        r.answered(&"c".into(), 9_000);
        assert!(!r.is_complete(), "strangers may have come late");
        assert_eq!(r.due(Vec::new, 9_000), Some(Question::Implicit));
        assert!(r.is_complete());
        assert_eq!(r.finished_ms(), Some(9_000));
        assert_eq!(r.due(Vec::new, 60_000), None);
        assert_eq!(r.due(|| ids(&["d"]), PERIOD_MS), Some(Question::Implicit));
        assert_eq!(r.pending(), 1);
    }

    #[test]
    fn a_master_that_knows_all_is_asked_once() {
        let all: Vec<_> = (0..10_000).map(|n| TaskId::new(n.to_string())).collect();
        let mut r = Reconciliation::default();
        r.begin(all.clone(), 0);
        assert_eq!(r.due(Vec::new, 0), Some(Question::Implicit));
        for (n, id) in all.iter().enumerate() {
            r.answered(id, n as u64);
            assert_eq!(r.due(Vec::new, n as u64), None);
        }
        assert!(r.is_complete());
        assert_eq!(r.finished_ms(), Some(9_999));
    }

    #[test]
    fn many_tasks_are_asked_about_in_parts() {
        let mut r = Reconciliation::default();
        r.begin((0..1_200).map(|n| TaskId::new(format!("{n:04}"))), 0);
        assert_eq!(r.due(Vec::new, 0), Some(Question::Implicit));
        let mut asked = Vec::new();
        for now in (0..6_000).step_by(250) {
            if let Some(Question::Explicit(ids)) = r.due(Vec::new, now) {
                asked.push((now, ids.len()));
            }
        }
        assert_eq!(asked, [(2_000, 500), (2_500, 500), (3_000, 200), (5_000, 500), (5_500, 500)]);
    }

    #[test]
    fn as_long_as_agents_come_to_a_new_master_all_are_asked_about_together() {
        let all: Vec<_> = (0..3_000).map(|n| TaskId::new(format!("{n:04}"))).collect();
        let mut r = Reconciliation::default();
        r.begin(all.clone(), 0);
        assert_eq!(r.due(Vec::new, 0), Some(Question::Implicit));
        all[..1_500].iter().for_each(|id| r.answered(id, 100));
        assert_eq!(r.due(Vec::new, 2_000), Some(Question::Implicit));
        assert_eq!(r.due(Vec::new, 3_999), None);
        let Some(Question::Explicit(part)) = r.due(Vec::new, 4_000) else { panic!("nothing more came") };
        assert_eq!(part, all[1_500..2_000]);
        all[1_500..].iter().for_each(|id| r.answered(id, 4_100));
        assert_eq!(r.due(Vec::new, 4_100), Some(Question::Implicit), "for strangers that came late");
        assert!(r.is_complete());
    }

    #[test]
    fn waits_grow_to_a_minute_and_no_further() {
        let mut r = Reconciliation::default();
        r.begin(ids(&["a"]), 0);
        let mut asked = Vec::new();
        for now in (0..400_000).step_by(1000) {
            if r.due(Vec::new, now).is_some() {
                asked.push(now / 1000);
            }
        }
        assert_eq!(asked, [0, 2, 4, 8, 16, 32, 64, 124, 184, 244, 304, 364]);
    }

    #[test]
    fn a_doubt_is_asked_about_at_once_and_disturbs_no_other_round() {
        let mut r = Reconciliation::default();
        r.begin(ids(&["a"]), 0);
        r.due(Vec::new, 0);
        assert_eq!(r.due(Vec::new, 2_000), explicit(&["a"]));
        r.ask_about("b".into());
        r.ask_about("b".into());
        assert_eq!(r.due(Vec::new, 2_001), explicit(&["b"]));
        assert_eq!(r.due(Vec::new, 2_002), None);
        assert_eq!(r.due(Vec::new, 4_001), explicit(&["a", "b"]));
    }

    #[test]
    fn nothing_to_ask_about_is_still_one_question_for_strangers() {
        let mut r = Reconciliation::default();
        r.begin([], 5);
        assert_eq!(r.due(Vec::new, 5), Some(Question::Implicit));
        assert_eq!(r.due(Vec::new, 6), None);
    }
}
