//! The master and its agents: offers, launches, kills and questions.

use std::collections::BTreeMap;

use mesos_v1::proto::resource::AllocationInfo;
use mesos_v1::proto::{
    DurationInfo, Offer, TaskState, TaskStatus, TimeInfo, Unavailability, task_status::Reason,
};

use super::World;
use crate::ids::{AgentId, OfferId, TaskId};
use crate::scheduler::state::tests::{offer, update};
use crate::scheduler::state::{Action, Event, Launch};

/// How an agent stands with the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Here,
    Unreachable,
    /// Not heard of by a new master.
    Unheard,
}

#[derive(Debug)]
pub(super) struct ModelAgent {
    pub(super) presence: Presence,
    /// The offer that is out for each role.
    pub(super) offers: BTreeMap<&'static str, OfferId>,
    /// When planned maintenance begins.
    pub(super) maintenance_ms: Option<u64>,
    pub(super) inverse: Option<OfferId>,
    /// Tasks that live there.
    pub(super) live: BTreeMap<TaskId, TaskState>,
}

impl World {
    /// The master takes calls.
    pub(super) fn serve(&mut self, count: usize) {
        for _ in 0..count {
            let Some(call) = self.calls.pop_front() else { return };
            match call {
                Action::Accept(launch) => self.accept(*launch),
                Action::Decline { offer_ids, .. } => offer_ids.iter().for_each(|id| self.take_offer(id)),
                Action::Acknowledge { task_id, uuid, .. } => {
                    let acknowledged = |update: &TaskStatus| update.uuid.as_ref() == Some(&uuid);
                    if self.unacknowledged.get(&task_id).is_some_and(acknowledged) {
                        self.unacknowledged.remove(&task_id);
                    }
                }
                Action::Kill { task_id, agent_id } => {
                    match self.agents.get(&agent_id).filter(|agent| agent.live.contains_key(&task_id)) {
                        Some(_) => self.becomes_of(&agent_id, &task_id, TaskState::TaskKilled),
                        None => self.answer(&task_id, &agent_id),
                    }
                }
                Action::Reconcile(tasks) if tasks.is_empty() => {
                    let live = self.agents.iter().flat_map(|(id, a)| a.live.keys().map(move |t| (t, id)));
                    for (task_id, agent_id) in live.map(|(t, a)| (t.clone(), a.clone())).collect::<Vec<_>>() {
                        self.answer(&task_id, &agent_id);
                    }
                }
                Action::Reconcile(tasks) => {
                    tasks.iter().for_each(|(task_id, agent_id)| self.answer(task_id, agent_id));
                }
                _ => {}
            }
        }
    }

    fn take_offer(&mut self, id: &OfferId) {
        self.agents.values_mut().for_each(|agent| agent.offers.retain(|_, offer| offer != id));
    }

    fn accept(&mut self, launch: Launch) {
        let task = launch.task;
        let valid = self
            .agents
            .get(&task.agent_id)
            .is_some_and(|agent| agent.offers.values().any(|id| launch.offer_ids == [id.clone()]));
        launch.offer_ids.iter().for_each(|id| self.take_offer(id));
        if !valid {
            let mut dropped = update_of_master(&task.task_id, &task.agent_id, TaskState::TaskDropped);
            dropped.reason = Some(Reason::InvalidOffers.into());
            self.tell(dropped);
            return;
        }
        let agent = self.agents.get_mut(&task.agent_id).expect("the offer is valid");
        let known: Vec<_> = agent.live.keys().filter(|id| !self.forgotten.contains(*id)).collect();
        assert!(known.is_empty(), "a second executor on {}: {known:?}", task.agent_id);
        agent.live.insert(task.task_id, TaskState::TaskStaging);
        self.launches += 1;
    }

    pub(super) fn offer(&mut self, agent_id: &AgentId, role: &'static str) {
        let id = OfferId::new(format!("offer-{}", self.next()));
        let agent = self.agents.get_mut(agent_id).expect("was chosen");
        if self.connected && agent.presence == Presence::Here && !agent.offers.contains_key(role) {
            agent.offers.insert(role, id.clone());
            self.events.push_back(Event::Offers(vec![Offer {
                allocation_info: Some(AllocationInfo { role: Some(role.to_owned()) }),
                unavailability: agent.maintenance_ms.map(unavailability),
                ..offer(id.as_str(), agent_id.as_str())
            }]));
        }
    }

    pub(super) fn rescind(&mut self, agent_id: &AgentId) {
        let agent = self.agents.get_mut(agent_id).expect("was chosen");
        self.events.extend(std::mem::take(&mut agent.offers).into_values().map(Event::Rescinded));
    }

    /// What lives on an agent goes on to this state, as its agent says.
    pub(super) fn becomes(&mut self, agent_id: &AgentId, state: TaskState) {
        let agent = &self.agents[agent_id];
        let starts = state == TaskState::TaskRunning;
        let found = agent.live.iter().find(|(_, now)| !starts || **now == TaskState::TaskStaging);
        if let Some(task_id) = found.map(|(id, _)| id.clone()) {
            self.becomes_of(agent_id, &task_id, state);
        }
    }

    fn becomes_of(&mut self, agent_id: &AgentId, task_id: &TaskId, state: TaskState) {
        let uuid = format!("{:016}", self.next()).into_bytes();
        let agent = self.agents.get_mut(agent_id).expect("is there");
        if state == TaskState::TaskRunning {
            agent.live.insert(task_id.clone(), state);
        } else {
            agent.live.remove(task_id);
        }
        let here = agent.presence == Presence::Here;
        let Event::Update(status) = update(task_id, agent_id.as_str(), state) else { unreachable!() };
        let status = TaskStatus { uuid: Some(uuid), ..*status };
        self.unacknowledged.insert(task_id.clone(), status.clone());
        if here {
            self.tell(status);
        }
    }

    /// Answers a question, if the master can.
    fn answer(&mut self, task_id: &TaskId, agent_id: &AgentId) {
        let known = self.agents.get(agent_id).map(|agent| (agent.presence, agent.live.get(task_id)));
        let state = match known {
            Some((Presence::Unheard, _)) => return,
            Some((Presence::Unreachable, _)) => TaskState::TaskUnreachable,
            Some((Presence::Here, Some(state))) => *state,
            Some((Presence::Here, None)) => TaskState::TaskGone,
            None => TaskState::TaskUnknown,
        };
        self.tell(update_of_master(task_id, agent_id, state));
    }

    pub(super) fn set_presence(&mut self, agent_id: &AgentId, presence: Presence) {
        let agent = self.agents.get_mut(agent_id).expect("was chosen");
        let before = std::mem::replace(&mut agent.presence, presence);
        if before == presence || before == Presence::Unheard {
            return;
        }
        for task_id in agent.live.keys().cloned().collect::<Vec<_>>() {
            self.answer(&task_id, agent_id);
        }
    }

    pub(super) fn tell(&mut self, status: TaskStatus) {
        if self.connected {
            self.events.push_back(Event::Update(Box::new(status)));
        }
    }
}

pub(super) fn unavailability(start_ms: u64) -> Unavailability {
    let nanoseconds = |ms: u64| i64::try_from(ms * 1_000_000).expect("fits");
    Unavailability {
        start: TimeInfo { nanoseconds: nanoseconds(start_ms) },
        duration: Some(DurationInfo { nanoseconds: nanoseconds(120_000) }),
    }
}

pub(super) const ROLES: [&str; 2] = ["logs", "ops"];

/// An update that the master makes by itself.
pub(super) fn update_of_master(task_id: &TaskId, agent_id: &AgentId, state: TaskState) -> TaskStatus {
    let Event::Update(status) = update(task_id, agent_id.as_str(), state) else { unreachable!() };
    TaskStatus { uuid: None, ..*status }
}
