//! The tasks on record, and indexes that spare looking at all of them.

use super::super::shard::shard_of;
use super::super::task::{Phase, Task};
use super::launches::SUSPICION_MS;
use crate::ids::{AgentId, ExecutorId, TaskId};
use std::collections::{BTreeMap, BTreeSet};

/// Tasks that have not ended. Every change goes through [`insert`](Self::insert), [`remove`](Self::remove) or
/// [`change`](Self::change), which keep the indexes right.
#[derive(Clone, Debug)]
pub(super) struct Tasks {
    by_id: BTreeMap<TaskId, Task>,
    by_agent: BTreeMap<AgentId, BTreeSet<TaskId>>,
    by_shard: BTreeMap<u8, BTreeSet<TaskId>>,
    by_phase: [usize; Phase::ALL.len()],
    /// Launches that nobody confirmed, by when to look at them.
    unconfirmed: BTreeSet<(u64, TaskId)>,
    /// Tasks that are to end, by when to say so (again).
    kills: BTreeSet<(u64, TaskId)>,
    /// Tasks that run under another definition than the current one, and have not been told to end.
    outdated: BTreeSet<TaskId>,
    /// How many tasks count for what, where rules limit it.
    counts: BTreeMap<String, usize>,
    current: ExecutorId,
    launch_timeout_ms: u64,
}

impl Tasks {
    /// Begins without tasks. `current` names the definition that all should have.
    pub(super) fn new(current: ExecutorId, launch_timeout_ms: u64) -> Self {
        Self {
            by_id: BTreeMap::new(),
            by_agent: BTreeMap::new(),
            by_shard: BTreeMap::new(),
            by_phase: [0; Phase::ALL.len()],
            unconfirmed: BTreeSet::new(),
            kills: BTreeSet::new(),
            outdated: BTreeSet::new(),
            counts: BTreeMap::new(),
            current,
            launch_timeout_ms,
        }
    }

    pub(super) fn get(&self, id: &TaskId) -> Option<&Task> {
        self.by_id.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.by_id.values()
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn on(&self, agent_id: &AgentId) -> impl Iterator<Item = &Task> {
        self.by_agent.get(agent_id).into_iter().flatten().filter_map(|id| self.by_id.get(id))
    }

    pub(super) fn in_shard(&self, shard: u8) -> impl Iterator<Item = &Task> {
        self.by_shard.get(&shard).into_iter().flatten().filter_map(|id| self.by_id.get(id))
    }

    pub(super) fn in_phase(&self, phase: Phase) -> usize {
        self.by_phase[phase as usize]
    }

    /// How many launches nobody has confirmed.
    pub(super) fn unconfirmed(&self) -> usize {
        Phase::ALL.into_iter().filter(|p| p.is_unconfirmed()).map(|p| self.in_phase(p)).sum()
    }

    /// A launch that should have been confirmed by now.
    pub(super) fn next_unconfirmed(&self, now_ms: u64) -> Option<TaskId> {
        due(&self.unconfirmed, now_ms)
    }

    /// A task that should be told to end now.
    pub(super) fn next_kill(&self, now_ms: u64) -> Option<TaskId> {
        due(&self.kills, now_ms)
    }

    /// Tasks that run under another definition than the current one, and have not been told to end.
    pub(super) fn outdated(&self) -> &BTreeSet<TaskId> {
        &self.outdated
    }

    /// Another definition is the current one.
    pub(super) fn set_current(&mut self, executor_id: ExecutorId) {
        self.current = executor_id;
        self.outdated.clear();
        for (id, task) in &self.by_id {
            if is_outdated(task, &self.current) {
                self.outdated.insert(id.clone());
            }
        }
    }

    /// How many tasks count for what, where rules limit it.
    pub(super) fn counts(&self) -> &BTreeMap<String, usize> {
        &self.counts
    }

    pub(super) fn insert(&mut self, task: Task) {
        self.remove(&task.task_id.clone());
        let (id, agent_id) = (task.task_id.clone(), &task.agent_id);
        self.by_agent.entry(agent_id.clone()).or_default().insert(id.clone());
        self.by_shard.entry(shard_of(agent_id)).or_default().insert(id.clone());
        self.index(&task, true);
        self.by_id.insert(id, task);
    }

    pub(super) fn remove(&mut self, id: &TaskId) -> Option<Task> {
        let task = self.by_id.remove(id)?;
        self.index(&task, false);
        if let Some(here) = self.by_agent.get_mut(&task.agent_id) {
            here.remove(id);
            if here.is_empty() {
                self.by_agent.remove(&task.agent_id);
            }
        }
        if let Some(shard) = self.by_shard.get_mut(&shard_of(&task.agent_id)) {
            shard.remove(id);
        }
        Some(task)
    }

    /// Changes a task in everything but its id and its agent.
    pub(super) fn change<T>(&mut self, id: &TaskId, change: impl FnOnce(&mut Task) -> T) -> Option<T> {
        let mut task = self.by_id.remove(id)?;
        self.index(&task, false);
        let result = change(&mut task);
        self.index(&task, true);
        self.by_id.insert(id.clone(), task);
        Some(result)
    }

    fn index(&mut self, task: &Task, add: bool) {
        let count = &mut self.by_phase[task.phase as usize];
        *count = if add { *count + 1 } else { *count - 1 };
        for counted in &task.counts {
            let count = self.counts.entry(counted.clone()).or_default();
            *count = if add { *count + 1 } else { *count - 1 };
            if *count == 0 {
                self.counts.remove(counted);
            }
        }
        let id = || task.task_id.clone();
        match task.ending {
            None if task.phase.is_unconfirmed() => {
                let at = match task.suspected_ms {
                    Some(since) => since + SUSPICION_MS,
                    None => task.since_ms + self.launch_timeout_ms,
                };
                put(&mut self.unconfirmed, (at, id()), add);
            }
            None if is_outdated(task, &self.current) => {
                put(&mut self.outdated, id(), add);
            }
            // What is away cannot be killed.
            Some(_) if task.phase != Phase::Unreachable => {
                put(&mut self.kills, (task.kill.next_ms, id()), add);
            }
            _ => {}
        }
    }
}

fn is_outdated(task: &Task, current: &ExecutorId) -> bool {
    task.ending.is_none() && task.phase == Phase::Running && task.executor_id != *current
}

fn put<T: Ord>(set: &mut BTreeSet<T>, item: T, add: bool) {
    if add {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}

fn due(queue: &BTreeSet<(u64, TaskId)>, now_ms: u64) -> Option<TaskId> {
    queue.first().filter(|(at, _)| *at <= now_ms).map(|(_, id)| id.clone())
}
