//! Tasks: launched, confirmed, told of until it is acknowledged, asked about.

use std::time::Duration;

use mesos_v1::proto::scheduler::{Event, call, event};
use mesos_v1::proto::{AgentId, ExecutorId, TaskId, TaskInfo, TaskState, TaskStatus, task_status};
use tokio::time::Instant;

use crate::cluster::{Cluster, Presence, of};

/// A task of the framework.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) agent_id: String,
    executor_id: Option<ExecutorId>,
    state: TaskState,
    /// An update that was not acknowledged yet.
    unacknowledged: Option<Vec<u8>>,
}

/// What happens by itself.
#[derive(Debug)]
pub(crate) enum Due {
    /// An executor takes its task to this state.
    Becomes(String, TaskState),
    /// An update is told again that was not acknowledged.
    Repeat(String, Vec<u8>),
    /// An agent registers with a new master.
    Registers(String),
    /// The master gives a sign of life on a stream.
    Heartbeat(String),
}

const REPEAT: Duration = Duration::from_secs(10);

impl Task {
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, TaskState::TaskKilled | TaskState::TaskFailed)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state == TaskState::TaskRunning
    }
}

impl Cluster {
    /// Does what is due.
    pub(crate) fn run_due(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Due::Becomes(task_id, state) => self.becomes(&task_id, state),
                Due::Repeat(task_id, uuid) => self.repeat(&task_id, uuid),
                Due::Registers(agent_id) => self.set_presence(&agent_id, Presence::Here),
                Due::Heartbeat(stream_id) => {
                    if self.is_current(Some(&stream_id)) {
                        self.send(of(event::Type::Heartbeat));
                        self.later(Duration::from_secs(15), Due::Heartbeat(stream_id));
                    }
                }
            }
        }
    }

    pub(crate) fn launch(&mut self, info: TaskInfo) {
        let (task_id, agent_id) = (info.task_id.value, info.agent_id.value);
        let Some(agent) = self.agents.get_mut(&agent_id) else { return };
        self.counted.launches += 1;
        self.counted.doubled += u64::from(!agent.tasks.is_empty());
        agent.tasks.insert(task_id.clone());
        let executor_id = info.executor.map(|e| e.executor_id);
        let task = Task { agent_id, executor_id, state: TaskState::TaskStaging, unacknowledged: None };
        self.tasks.insert(task_id.clone(), task);
        self.later(self.confirm, Due::Becomes(task_id, TaskState::TaskRunning));
    }

    /// Answers a launch on an offer that is not valid.
    pub(crate) fn drop_task(&mut self, info: &TaskInfo) {
        let status = TaskStatus {
            task_id: info.task_id.clone(),
            agent_id: Some(info.agent_id.clone()),
            state: TaskState::TaskDropped.into(),
            reason: Some(task_status::Reason::InvalidOffers.into()),
            source: Some(task_status::Source::Master.into()),
            ..TaskStatus::default()
        };
        self.tell(status);
    }

    pub(crate) fn kill(&mut self, task_id: &str) {
        if self.tasks.contains_key(task_id) {
            self.later(self.confirm, Due::Becomes(task_id.to_owned(), TaskState::TaskKilled));
        } else {
            self.answer(task_id, None);
        }
    }

    pub(crate) fn acknowledge(&mut self, task_id: &str, uuid: &[u8]) {
        let Some(task) = self.tasks.get_mut(task_id) else { return };
        if task.unacknowledged.as_deref() == Some(uuid) {
            task.unacknowledged = None;
            if task.has_ended() {
                self.tasks.remove(task_id);
            }
        }
    }

    pub(crate) fn reconcile(&mut self, reconcile: call::Reconcile) {
        self.counted.questions += reconcile.tasks.len() as u64;
        if reconcile.tasks.is_empty() {
            for task_id in self.tasks.keys().cloned().collect::<Vec<_>>() {
                self.answer(&task_id, None);
            }
        }
        for task in reconcile.tasks {
            let agent_id = task.agent_id.map(|id| id.value);
            self.answer(&task.task_id.value, agent_id.as_deref());
        }
    }

    /// Says how a task stands, if the master can know.
    fn answer(&mut self, task_id: &str, asked_at: Option<&str>) {
        let (state, agent_id) = match self.tasks.get(task_id) {
            Some(task) if task.has_ended() => return,
            Some(task) => match self.agents.get(&task.agent_id).map(|a| a.presence) {
                Some(Presence::Unheard) | None => return,
                Some(Presence::Unreachable) => (TaskState::TaskUnreachable, task.agent_id.clone()),
                Some(Presence::Here) => (task.state, task.agent_id.clone()),
            },
            None => match asked_at.and_then(|id| self.agents.get(id).map(|a| (id, a.presence))) {
                Some((_, Presence::Unheard)) => return,
                Some((id, _)) => (TaskState::TaskGone, id.to_owned()),
                None => (TaskState::TaskUnknown, asked_at.unwrap_or_default().to_owned()),
            },
        };
        let status = TaskStatus {
            task_id: TaskId { value: task_id.to_owned() },
            agent_id: Some(AgentId { value: agent_id }),
            state: state.into(),
            reason: Some(task_status::Reason::Reconciliation.into()),
            source: Some(task_status::Source::Master.into()),
            ..TaskStatus::default()
        };
        self.tell(status);
    }

    fn becomes(&mut self, task_id: &str, state: TaskState) {
        let Some(task) = self.tasks.get_mut(task_id).filter(|t| !t.has_ended()) else { return };
        let uuid = uuid::Uuid::new_v4().as_bytes().to_vec();
        task.state = state;
        task.unacknowledged = Some(uuid.clone());
        if task.has_ended()
            && let Some(agent) = self.agents.get_mut(&task.agent_id)
        {
            agent.tasks.remove(task_id);
        }
        self.repeat(task_id, uuid);
    }

    /// Tells of an update, now and again until it is acknowledged.
    fn repeat(&mut self, task_id: &str, uuid: Vec<u8>) {
        let Some(task) = self.tasks.get(task_id) else { return };
        if task.unacknowledged.as_ref() != Some(&uuid) {
            return;
        }
        let here = self.agents.get(&task.agent_id).is_some_and(|a| a.presence == Presence::Here);
        let status = TaskStatus {
            task_id: TaskId { value: task_id.to_owned() },
            agent_id: Some(AgentId { value: task.agent_id.clone() }),
            executor_id: task.executor_id.clone(),
            state: task.state.into(),
            source: Some(task_status::Source::Executor.into()),
            uuid: Some(uuid.clone()),
            ..TaskStatus::default()
        };
        if here {
            self.tell(status);
        }
        self.later(REPEAT, Due::Repeat(task_id.to_owned(), uuid));
    }

    /// A task went away with its agent.
    pub(crate) fn gone(&mut self, task_id: &str, agent_id: &str) {
        let Some(task) = self.tasks.remove(task_id) else { return };
        if task.has_ended() {
            return;
        }
        let status = TaskStatus {
            task_id: TaskId { value: task_id.to_owned() },
            agent_id: Some(AgentId { value: agent_id.to_owned() }),
            state: TaskState::TaskGoneByOperator.into(),
            reason: Some(task_status::Reason::AgentRemovedByOperator.into()),
            source: Some(task_status::Source::Master.into()),
            ..TaskStatus::default()
        };
        self.tell(status);
    }

    pub(crate) fn set_presence(&mut self, agent_id: &str, presence: Presence) {
        let Some(agent) = self.agents.get_mut(agent_id).filter(|a| a.presence != presence) else { return };
        let told = agent.presence != Presence::Unheard;
        agent.presence = presence;
        let tasks: Vec<_> = agent.tasks.iter().cloned().collect();
        for task_id in tasks.into_iter().filter(|_| told) {
            self.answer(&task_id, None);
        }
    }

    fn tell(&mut self, status: TaskStatus) {
        self.send(Event { update: Some(event::Update { status }), ..of(event::Type::Update) });
    }
}
