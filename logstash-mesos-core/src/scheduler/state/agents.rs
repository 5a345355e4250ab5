//! Which agents there are, and which lack a task.

use super::super::task::{Ending, Task};
use super::{ListedAgent, Outbox, State};
use crate::ids::AgentId;

impl State {
    /// Takes the master's list over. Only what differs is touched.
    pub(super) fn agents_listed(&mut self, listed: Vec<ListedAgent>, now_ms: u64, out: &mut Outbox) {
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
                self.judge(&agent_id, out);
            }
            let Some(agent) = self.agents.get_mut(&agent_id) else { continue };
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
            self.releasing.remove(&id);
        }
        for id in away {
            if let Some(agent) = self.agents.get_mut(&id) {
                agent.listed = false;
            }
        }
    }

    /// Ends what runs where the rules do not want it, and notes reservations that nothing needs.
    fn judge(&mut self, agent_id: &AgentId, out: &mut Outbox) {
        let tasks: Vec<_> = self.tasks.on(agent_id).map(|task| (task.task_id.clone(), task.ending)).collect();
        let Some(agent) = self.agents.get_mut(agent_id) else { return };
        let excluded = agent.standing.excluded.is_some();
        let unused = agent.standing.capacity.as_ref().is_some_and(|c| c.has_unused_reservation);
        // Without a task it is kept for the next one, if there is to be one.
        if unused && (excluded || !tasks.is_empty() || self.policy.closed.is_some()) {
            agent.releasing += 1;
        } else {
            agent.releasing = 0;
        }
        // In one list alone it may be what was reserved a moment before the launch.
        let enough = if self.policy.closed.is_some() { 1 } else { RELEASE_AFTER };
        if agent.releasing >= enough {
            self.releasing.insert(agent_id.clone());
        } else {
            self.releasing.remove(agent_id);
        }
        for (task_id, _) in tasks.into_iter().filter(|(_, ending)| excluded && ending.is_none()) {
            self.tasks.change(&task_id, |task| task.ending = Some(Ending::Excluded));
            out.store(agent_id);
        }
    }

    /// Ends all tasks, and gives up what is reserved for them.
    pub(super) fn empty(&mut self, out: &mut Outbox) {
        let running: Vec<_> =
            self.tasks.iter().filter(|t| t.ending.is_none()).map(|t| t.task_id.clone()).collect();
        for task_id in running {
            let end = |task: &mut Task| {
                task.ending = Some(Ending::Uninstalled);
                task.agent_id.clone()
            };
            self.tasks.change(&task_id, end).iter().for_each(|agent_id| out.store(agent_id));
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

const RELEASE_AFTER: u32 = 2;
