//! Client of the executor HTTP API.
//!
//! [`ExecutorClient::connect`] returns at once. From then on a task of its own keeps the executor
//! subscribed at its agent, over restarts of the agent, and keeps every update until the agent has stored
//! it (EXE-2). What happens is told as [`ExecutorEvent`]s; updates go through [`ExecutorHandle`].
//!
//! Subscribe first and do slow work later: the agent allows a minute from the start of the download to
//! the first SUBSCRIBE (EXE-1).

mod driver;
mod environment;
mod pending;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

pub use self::environment::{EnvironmentError, ExecutorEnvironment, parse_duration};
use self::pending::Pending;
use crate::backoff::Random;
use crate::proto::{
    AgentInfo, ContainerId, ExecutorInfo, FrameworkInfo, KillPolicy, TaskId, TaskInfo, TaskState, TaskStatus,
    task_status,
};
use crate::recordio::DEFAULT_MAX_RECORD_BYTES;
use crate::tls::Tls;

/// How to keep an executor subscribed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExecutorConfig {
    /// What the agent said.
    pub environment: ExecutorEnvironment,
    /// Whom to believe when the agent of the environment speaks TLS.
    pub tls: Tls,
    /// Limit for a connection to come about.
    pub connect_timeout: Duration,
    /// Limit for the answer to a call, and for the head of the answer to SUBSCRIBE.
    pub request_timeout: Duration,
    /// How often a HEARTBEAT call keeps the connection open in firewalls.
    pub heartbeat_interval: Duration,
    /// How long to try the first SUBSCRIBE of an executor without checkpointing. The agent gives up on
    /// its own after its registration timeout.
    pub first_subscribe_timeout: Duration,
    /// Longest event accepted.
    pub max_record_bytes: usize,
    /// Events that may wait for the caller before the stream is read no further.
    pub event_queue: usize,
    /// Where the jitter comes from.
    pub random: Random,
}

impl ExecutorConfig {
    /// Uses the values of the reference client.
    pub fn new(environment: ExecutorEnvironment) -> Self {
        Self {
            environment,
            tls: Tls::default(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(30 * 60),
            first_subscribe_timeout: Duration::from_secs(60),
            max_record_bytes: DEFAULT_MAX_RECORD_BYTES,
            event_queue: 1024,
            random: Random::default(),
        }
    }

    /// The same, changed: `with(|it| it.connect_timeout = Duration::from_secs(1))`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// What happens to an executor.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ExecutorEvent {
    /// A subscription holds, for the first time or again.
    Subscribed {
        /// This executor as its scheduler described it.
        executor: Box<ExecutorInfo>,
        /// The framework that this executor belongs to.
        framework: Box<FrameworkInfo>,
        /// The agent that this executor runs on.
        agent: Box<AgentInfo>,
        /// The container that this executor runs in; agents before 1.4 do not say it.
        mesos_container_id: Option<ContainerId>,
    },
    /// Run this task.
    Launch(Box<TaskInfo>),
    /// Run these tasks.
    LaunchGroup(Vec<TaskInfo>),
    /// End this task. May come again, with a shorter grace.
    Kill {
        /// The task that is to end.
        task_id: TaskId,
        /// Beats the policy of the task.
        kill_policy: Option<KillPolicy>,
    },
    /// The agent has stored an update. The scheduler may not have seen it.
    Acknowledged {
        /// Of which task.
        task_id: TaskId,
        /// Of the update.
        uuid: Vec<u8>,
    },
    /// The scheduler says something. May get lost, repeated or reordered.
    Message(Vec<u8>),
    /// The agent complains. The stream ends.
    Error(String),
    /// End the tasks, send their last updates, wait for [`ExecutorHandle::flushed`], and exit within the
    /// grace. Whoever is late has to end its children and itself (EXE-5): the agent ends the container.
    ///
    /// The last event unless `reason` is [`ShutdownReason::Agent`].
    Shutdown {
        /// How much time is left until the agent kills this process.
        grace: Duration,
        /// Whether the agent asked for it, or has been away for too long.
        reason: ShutdownReason,
    },
    /// There is no subscription (any more). The client tries again by itself, unless a `Shutdown`
    /// follows.
    Disconnected {
        /// Why, for logs.
        reason: String,
        /// When the next attempt begins, counted from now.
        retry_in: Duration,
    },
    /// A type of event that this crate does not know (VER-2).
    Unknown {
        /// The number that the protocol gives this type of event.
        number: i32,
    },
}

/// Why an executor has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownReason {
    /// The agent says so.
    Agent,
    /// The agent is gone, and without checkpointing it does not take us back.
    NotCheckpointing,
    /// The agent did not come back within its recovery timeout.
    RecoveryTimeout,
}

/// Why an update was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// An agent refuses this state from executors.
    #[error("an executor cannot report task `{task_id}` as {state}")]
    State {
        /// The task of the update that was refused.
        task_id: String,
        /// The state in the update, as Mesos writes it: `TASK_RUNNING`.
        state: &'static str,
    },
    /// The client has ended.
    #[error("the executor client has ended")]
    Ended,
}

/// Entry to the executor API.
#[derive(Debug)]
pub struct ExecutorClient;

impl ExecutorClient {
    /// Starts to keep the executor subscribed. Needs a Tokio runtime.
    pub fn connect(config: ExecutorConfig) -> (ExecutorHandle, ExecutorEvents) {
        let (events, receiver) = mpsc::channel(config.event_queue.max(1));
        let (messages, queued_messages) = mpsc::channel(64);
        let (unacknowledged, unacknowledged_seen) = watch::channel(0);
        let shared = Arc::new(Shared {
            pending: Mutex::new(Pending::default()),
            changed: Notify::new(),
            unacknowledged,
            executor_id: config.environment.executor_id.clone(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(driver::run(config, Arc::clone(&shared), events, queued_messages));
        let handle = ExecutorHandle { shared, messages, unacknowledged: unacknowledged_seen };
        (handle, ExecutorEvents { receiver, _tasks: tasks })
    }
}

/// What the driver and the handles share.
#[derive(Debug)]
struct Shared {
    pending: Mutex<Pending>,
    /// There is something to send.
    changed: Notify,
    unacknowledged: watch::Sender<usize>,
    executor_id: crate::proto::ExecutorId,
}

impl Shared {
    fn with_pending<T>(&self, f: impl FnOnce(&mut Pending) -> T) -> T {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut pending);
        self.unacknowledged.send_replace(pending.updates());
        result
    }
}

/// The events of an executor. When it is dropped, the connections close and nothing is sent any more.
#[derive(Debug)]
pub struct ExecutorEvents {
    receiver: mpsc::Receiver<ExecutorEvent>,
    _tasks: JoinSet<()>,
}

impl ExecutorEvents {
    /// Returns the next event, or `None` after a final [`ExecutorEvent::Shutdown`].
    ///
    /// # Cancellation safety
    ///
    /// No event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<ExecutorEvent> {
        self.receiver.recv().await
    }
}

/// Sends updates and messages. Clones share one order.
#[derive(Debug, Clone)]
pub struct ExecutorHandle {
    shared: Arc<Shared>,
    messages: mpsc::Sender<Vec<u8>>,
    unacknowledged: watch::Receiver<usize>,
}

impl ExecutorHandle {
    /// Takes an update, and returns at once: it is kept and sent, over restarts of the agent, until the
    /// agent has stored it. `uuid`, `timestamp`, `source` and `executor_id` are set here.
    ///
    /// Updates of all tasks are sent in the order in which they were taken. Report changes, not samples:
    /// each is stored by the agent and acknowledged one by one.
    ///
    /// # Errors
    ///
    /// [`UpdateError::State`] for TASK_STAGING, [`UpdateError::Ended`] after the last event.
    pub fn update(&self, mut status: TaskStatus) -> Result<(), UpdateError> {
        if self.messages.is_closed() {
            return Err(UpdateError::Ended);
        }
        let state = TaskState::try_from(status.state);
        if !state.is_ok_and(|state| state != TaskState::TaskStaging) {
            let state = state.map_or("an unknown state", |state| state.as_str_name());
            return Err(UpdateError::State { task_id: status.task_id.value, state });
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        status.uuid = Some(uuid::Uuid::new_v4().as_bytes().to_vec());
        status.timestamp.get_or_insert(now.as_secs_f64());
        status.set_source(task_status::Source::Executor);
        status.executor_id = Some(self.shared.executor_id.clone());
        self.shared.with_pending(|pending| pending.add(status));
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Says something to the scheduler, once, if there is a subscription when its turn comes; otherwise it
    /// is lost, as it may be anywhere on its way.
    ///
    /// # Errors
    ///
    /// [`UpdateError::Ended`] after the last event.
    pub async fn message(&self, data: Vec<u8>) -> Result<(), UpdateError> {
        self.messages.send(data).await.map_err(|_| UpdateError::Ended)
    }

    /// Waits until the agent has stored every update taken so far and since, or the client has ended.
    ///
    /// # Cancellation safety
    ///
    /// Only waits; may be dropped at any time.
    pub async fn flushed(&self) {
        let mut unacknowledged = self.unacknowledged.clone();
        tokio::select! {
            _ = unacknowledged.wait_for(|count| *count == 0) => {}
            () = self.messages.closed() => {}
        }
    }
}
