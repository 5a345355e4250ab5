//! What the agent may not know yet: updates in order, and tasks of which it has stored no update (EXE-2).

use std::collections::VecDeque;

use crate::proto::executor::call;
use crate::proto::{TaskId, TaskInfo, TaskStatus};

/// Updates and tasks the agent has not confirmed.
#[derive(Debug, Default)]
pub(super) struct Pending {
    updates: VecDeque<TaskStatus>,
    /// How many of `updates`, from the front, this subscription has carried.
    sent: usize,
    tasks: Vec<TaskInfo>,
}

impl Pending {
    pub(super) fn add(&mut self, status: TaskStatus) {
        self.updates.push_back(status);
    }

    pub(super) fn updates(&self) -> usize {
        self.updates.len()
    }

    pub(super) fn launched(&mut self, task: TaskInfo) {
        self.tasks.retain(|known| known.task_id != task.task_id);
        self.tasks.push(task);
    }

    /// The agent has stored an update: its task is known there from now on.
    pub(super) fn acknowledged(&mut self, task_id: &TaskId, uuid: &[u8]) {
        self.tasks.retain(|task| task.task_id != *task_id);
        if let Some(at) = self.updates.iter().position(|status| status.uuid() == uuid) {
            self.updates.remove(at);
            if at < self.sent {
                self.sent -= 1;
            }
        }
    }

    /// Everything, for a SUBSCRIBE, which thereby has carried it.
    pub(super) fn subscribe(&mut self) -> call::Subscribe {
        self.sent = self.updates.len();
        call::Subscribe {
            unacknowledged_tasks: self.tasks.clone(),
            unacknowledged_updates: self
                .updates
                .iter()
                .map(|status| call::Update { status: status.clone() })
                .collect(),
        }
    }

    /// The next update that this subscription has not carried.
    pub(super) fn unsent(&self) -> Option<&TaskStatus> {
        self.updates.get(self.sent)
    }

    /// The one with this uuid has gone out, unless it has been acknowledged already.
    pub(super) fn sent(&mut self, uuid: &[u8]) {
        if self.unsent().is_some_and(|status| status.uuid() == uuid) {
            self.sent += 1;
        }
    }

    /// The agent will never take this one.
    pub(super) fn refused(&mut self, uuid: &[u8]) {
        if let Some(at) = self.updates.iter().position(|status| status.uuid() == uuid) {
            self.updates.remove(at);
            if at < self.sent {
                self.sent -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(task: &str, uuid: u8) -> TaskStatus {
        TaskStatus { task_id: TaskId { value: task.into() }, uuid: Some(vec![uuid]), ..TaskStatus::default() }
    }

    fn id(task: &str) -> TaskId {
        TaskId { value: task.into() }
    }

    #[test]
    fn updates_keep_their_order_until_each_is_acknowledged() {
        let mut pending = Pending::default();
        for (task, uuid) in [("a", 1), ("b", 2), ("a", 3)] {
            pending.add(status(task, uuid));
        }
        assert_eq!(pending.unsent().map(TaskStatus::uuid), Some(&[1][..]));
        pending.sent(&[1]);
        assert_eq!(pending.unsent().map(TaskStatus::uuid), Some(&[2][..]));
        pending.acknowledged(&id("a"), &[1]);
        assert_eq!(pending.unsent().map(TaskStatus::uuid), Some(&[2][..]), "the mark moves with the front");
        let resent: Vec<_> = pending
            .subscribe()
            .unacknowledged_updates
            .iter()
            .map(|update| update.status.uuid().to_vec())
            .collect();
        assert_eq!(resent, [[2], [3]]);
        assert_eq!(pending.unsent(), None, "SUBSCRIBE has carried them");
        pending.acknowledged(&id("a"), &[9]);
        assert_eq!(pending.updates(), 2, "an unknown acknowledgement changes nothing");
    }

    #[test]
    fn a_task_is_listed_until_any_of_its_updates_is_stored() {
        let mut pending = Pending::default();
        for task in ["a", "b", "b"] {
            pending.launched(TaskInfo { task_id: id(task), ..TaskInfo::default() });
        }
        assert_eq!(pending.subscribe().unacknowledged_tasks.len(), 2);
        pending.acknowledged(&id("b"), &[7]);
        let tasks = pending.subscribe().unacknowledged_tasks;
        assert_eq!(tasks.iter().map(|task| task.task_id.value.as_str()).collect::<Vec<_>>(), ["a"]);
    }
}
