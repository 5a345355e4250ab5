//! Which agents there are, and which lack a task.

use super::{ListedAgent, State};
use crate::ids::AgentId;

impl State {
    /// Takes the master's list over. Only what differs is touched.
    pub(super) fn agents_listed(&mut self, listed: Vec<ListedAgent>, now_ms: u64) {
        self.listed = true;
        self.listing += 1;
        for ListedAgent { agent_id, hostname, active, draining, standing } in listed {
            let agent = match self.agents.get_mut(&agent_id) {
                Some(agent) => agent,
                None => self.agents.entry(agent_id.clone()).or_default(),
            };
            agent.seen_in_listing = self.listing;
            let before = (agent.listed, agent.draining, agent.standing.excluded.is_some());
            if let Some(standing) = standing {
                agent.standing = standing;
            }
            let now = (active, draining, agent.standing.excluded.is_some());
            if before != now || agent.hostname != hostname {
                (agent.hostname, agent.listed, agent.draining) = (hostname, active, draining);
                self.note_lack(&agent_id, now_ms);
            }
        }
        let (listing, tasks) = (self.listing, &self.tasks);
        let (gone, away): (Vec<_>, Vec<_>) = self
            .agents
            .iter()
            .filter(|(_, agent)| agent.seen_in_listing != listing)
            .map(|(id, _)| id.clone())
            // One that is away with a task of ours stays, for whoever asks about it.
            .partition(|id| tasks.on(id).next().is_none());
        for id in gone {
            self.agents.remove(&id);
            self.lacking.remove(&id);
        }
        for id in away {
            if let Some(agent) = self.agents.get_mut(&id) {
                agent.listed = false;
            }
        }
    }

    /// Notes whether an agent lacks a task, after anything that may have changed that.
    pub(super) fn note_lack(&mut self, agent_id: &AgentId, now_ms: u64) {
        let lacks = self.agents.get(agent_id).is_some_and(|a| !a.draining && a.standing.excluded.is_none())
            && self.tasks.on(agent_id).next().is_none();
        if !lacks {
            self.lacking.remove(agent_id);
        } else if !self.lacking.contains_key(agent_id) {
            self.lacking.insert(agent_id.clone(), now_ms);
        }
    }
}
