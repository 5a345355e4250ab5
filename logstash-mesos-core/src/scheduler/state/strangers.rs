//! Tasks of our framework that are not on record.

use super::super::task::{KILL_FIRST_MS, KILL_LONGEST_MS, Phase, Retry};
use crate::ids::{AgentId, TaskId};
use std::collections::{BTreeMap, BTreeSet};

/// They are ended after a grace, and keep their agent occupied until they are gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Strangers {
    by_id: BTreeMap<TaskId, Stranger>,
    by_agent: BTreeSet<(AgentId, TaskId)>,
    kills: BTreeSet<(u64, TaskId)>,
}

#[derive(Clone, Debug)]
struct Stranger {
    agent_id: AgentId,
    kill: Retry,
    /// Its agent is unreachable: it cannot be killed, and may come back.
    away: bool,
}

impl Strangers {
    /// Notes one that lives. Returns whether it was not known before.
    pub(super) fn met(&mut self, id: &TaskId, agent_id: &AgentId, phase: Phase, kill_at_ms: u64) -> bool {
        let away = phase == Phase::Unreachable;
        let known = self.remove(id);
        let kill = known.as_ref().map_or(Retry { next_ms: kill_at_ms, attempts: 0 }, |s| s.kill);
        self.insert(id, Stranger { agent_id: agent_id.clone(), kill, away });
        known.is_none()
    }

    /// Forgets one that has ended, or never was.
    pub(super) fn gone(&mut self, id: &TaskId) {
        self.remove(id);
    }

    pub(super) fn on(&self, agent_id: &AgentId) -> Option<&TaskId> {
        let from = (agent_id.clone(), TaskId::new(""));
        self.by_agent.range(from..).next().filter(|(agent, _)| agent == agent_id).map(|(_, id)| id)
    }

    /// The agent is there: whatever was away on it is there too, or gone. A kill finds out.
    pub(super) fn returned(&mut self, agent_id: &AgentId, now_ms: u64) {
        let Some(id) = self.on(agent_id).cloned() else { return };
        if self.by_id.get(&id).is_some_and(|s| s.away)
            && let Some(stranger) = self.remove(&id)
        {
            let kill = Retry { next_ms: now_ms.max(stranger.kill.next_ms), ..stranger.kill };
            self.insert(&id, Stranger { away: false, kill, ..stranger });
        }
    }

    /// One to be killed now, which then waits for its next turn.
    pub(super) fn next_kill(&mut self, now_ms: u64) -> Option<(TaskId, AgentId)> {
        let id = self.kills.first().filter(|(at, _)| *at <= now_ms).map(|(_, id)| id.clone())?;
        let mut stranger = self.remove(&id)?;
        stranger.kill.attempted(now_ms, KILL_FIRST_MS, KILL_LONGEST_MS);
        let agent_id = stranger.agent_id.clone();
        self.insert(&id, stranger);
        Some((id, agent_id))
    }

    fn insert(&mut self, id: &TaskId, stranger: Stranger) {
        self.by_agent.insert((stranger.agent_id.clone(), id.clone()));
        if !stranger.away {
            self.kills.insert((stranger.kill.next_ms, id.clone()));
        }
        self.by_id.insert(id.clone(), stranger);
    }

    fn remove(&mut self, id: &TaskId) -> Option<Stranger> {
        let stranger = self.by_id.remove(id)?;
        self.by_agent.remove(&(stranger.agent_id.clone(), id.clone()));
        self.kills.remove(&(stranger.kill.next_ms, id.clone()));
        Some(stranger)
    }
}
