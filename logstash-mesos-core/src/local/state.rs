//! What is true in the cluster: frameworks with their tasks, offers, executors.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesos_v1::proto::scheduler::{Event, event};
use mesos_v1::proto::{
    DurationInfo, ExecutorInfo, FrameworkInfo, TaskInfo, TaskState, TaskStatus, framework_info, task_status,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::LocalSettings;
use super::amounts::Amounts;
use super::http::EventSender;

/// Key of an executor: framework and executor id.
pub(super) type ExecutorKey = (String, String);

/// Everything that is true in the cluster.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) agent_id: String,
    /// False while a fault has the agent down.
    pub(super) agent_up: bool,
    /// When a restarted agent stops waiting for its executors.
    pub(super) reregister_by: Option<Instant>,
    /// Every update goes out twice.
    pub(crate) duplicate_updates: bool,
    /// The agent has not told a new leading master of itself yet.
    pub(super) agent_unknown_until: Option<Instant>,
    /// The master has given the agent up.
    pub(super) agent_unreachable: bool,
    /// The cluster ends: nothing is offered any more.
    pub(super) closing: bool,
    pub(super) executors: BTreeMap<ExecutorKey, Executor>,
    pub(super) frameworks: BTreeMap<String, Framework>,
    pub(super) master_id: String,
    pub(super) hostname: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) total: Amounts,
    pub(super) removed: BTreeSet<String>,
    pub(super) offers: BTreeMap<String, Outstanding>,
    pub(super) next_heartbeat: Option<Instant>,
    pub(super) counter: u64,
}

/// A framework that the master knows.
#[derive(Debug)]
pub(super) struct Framework {
    pub(super) info: FrameworkInfo,
    pub(super) stream: Option<(String, EventSender)>,
    pub(super) lost_at: Option<Instant>,
    pub(super) suppressed: BTreeSet<String>,
    pub(super) filters: Vec<Filter>,
    pub(super) tasks: BTreeMap<String, Task>,
}

/// A task from its launch until its terminal update is acknowledged.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) executor_id: String,
    pub(super) latest: TaskStatus,
    pub(super) amounts: Amounts,
    /// To be acknowledged by the framework; only the first is under way.
    pub(super) updates: VecDeque<TaskStatus>,
    pub(super) resend: Option<(Instant, Duration)>,
}

/// An executor from the moment its first task is queued until its process has ended.
#[derive(Debug)]
pub(super) struct Executor {
    pub(super) info: ExecutorInfo,
    pub(super) amounts: Amounts,
    pub(super) mesos_container_id: String,
    pub(super) stream: Option<EventSender>,
    /// Tasks that wait for it to subscribe.
    pub(super) queued: Vec<TaskInfo>,
    /// Updates it has sent: a repeated one is only acknowledged again.
    pub(super) seen: HashSet<Vec<u8>>,
    /// When it must have subscribed.
    pub(super) register_by: Option<Instant>,
    /// When it is killed after it was asked to end.
    pub(super) kill_at: Option<Instant>,
    /// Why its tasks end with it, if there is a better reason than its end.
    pub(super) epitaph: Option<(TaskState, task_status::Reason, String)>,
    pub(super) kill: CancellationToken,
}

/// Keeps offers away that hold no more than was refused.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) role: String,
    pub(super) amounts: Amounts,
    pub(super) until: Instant,
}

/// An offer that somebody holds.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) framework: String,
    pub(super) role: String,
    pub(super) amounts: Amounts,
}

impl State {
    pub(super) fn new(settings: &LocalSettings) -> Self {
        let master_id = uuid::Uuid::new_v4().to_string();
        Self {
            agent_id: format!("{master_id}-S0"),
            agent_up: true,
            reregister_by: None,
            duplicate_updates: false,
            agent_unknown_until: None,
            agent_unreachable: false,
            closing: false,
            executors: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            hostname: settings.hostname.clone(),
            attributes: settings.attributes.clone(),
            total: settings.total(),
            removed: BTreeSet::new(),
            offers: BTreeMap::new(),
            next_heartbeat: None,
            counter: 0,
            master_id,
        }
    }

    pub(super) fn with_framework(&mut self, id: &str, f: impl FnOnce(&mut Framework)) {
        if let Some(framework) = self.frameworks.get_mut(id) {
            f(framework);
        }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

impl Task {
    pub(super) fn is_terminal(&self) -> bool {
        is_terminal(self.latest.state())
    }
}

pub(super) fn is_terminal(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::TaskFinished
            | TaskState::TaskFailed
            | TaskState::TaskKilled
            | TaskState::TaskError
            | TaskState::TaskLost
            | TaskState::TaskDropped
            | TaskState::TaskGone
            | TaskState::TaskGoneByOperator
    )
}

pub(super) fn now_secs() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Framework {
    pub(super) fn can(&self, capability: framework_info::capability::Type) -> bool {
        self.info.capabilities.iter().any(|known| known.r#type() == capability)
    }

    /// Frameworks that know nothing of partitions get TASK_LOST in place of the finer states.
    pub(super) fn state(&self, fine: TaskState) -> TaskState {
        if self.can(framework_info::capability::Type::PartitionAware) { fine } else { TaskState::TaskLost }
    }

    pub(super) fn roles(&self) -> Vec<String> {
        if self.can(framework_info::capability::Type::MultiRole) {
            self.info.roles.clone()
        } else {
            vec![self.info.role().to_owned()]
        }
    }

    pub(super) fn send(&self, event: &Event) {
        if let Some((_, stream)) = &self.stream {
            stream.send(event);
        }
    }
}

pub(super) fn event_of(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Event::default() }
}

pub(super) fn update_of(status: TaskStatus) -> Event {
    Event { update: Some(event::Update { status }), ..event_of(event::Type::Update) }
}

/// Reads a duration of the protocol.
pub(super) fn duration(info: Option<&DurationInfo>) -> Option<Duration> {
    info.and_then(|info| u64::try_from(info.nanoseconds).ok()).map(Duration::from_nanos)
}
