//! Client of the scheduler HTTP API.
//!
//! [`SchedulerClient::connect`] returns at once. From then on a task of its own keeps the framework
//! subscribed: it finds the leader among the masters given, reads events, notices silence, and subscribes
//! again after every end of the stream but the final ones. All of that is told as [`SchedulerEvent`]s.
//! Calls go through [`SchedulerHandle`].
//!
//! ```no_run
//! use mesos_v1::proto::FrameworkInfo;
//! use mesos_v1::scheduler::{SchedulerCall, SchedulerClient, SchedulerConfig, SchedulerEvent};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let framework = FrameworkInfo { user: "nobody".into(), name: "example".into(), ..FrameworkInfo::default() };
//! let config = SchedulerConfig::new(vec!["127.0.0.1:5050".parse()?], framework);
//! let (handle, mut events) = SchedulerClient::connect(config)?;
//! while let Some(event) = events.next().await {
//!     if let SchedulerEvent::Subscribed { framework_id, .. } = event {
//!         println!("{}", framework_id.value);
//!         handle.call(SchedulerCall::Suppress { roles: vec![] }).await?;
//!     }
//! }
//! # Ok(()) }
//! ```

mod calls;
mod driver;
mod error;
mod message;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::backoff::{Backoff, InvalidBackoff, Random};
use crate::endpoint::Endpoint;
use crate::proto::{FrameworkId, FrameworkInfo};
use crate::recordio::DEFAULT_MAX_RECORD_BYTES;
use crate::tls::Tls;
use crate::transport::{Authorization, Connecting};

pub(crate) use self::error::chain;
pub use self::error::{CallError, DisconnectReason, ErrorKind};
pub use self::message::{SchedulerCall, SchedulerEvent, StreamId, Subscription};

/// Path of the API on a master.
pub const PATH: &str = "/api/v1/scheduler";

/// Calls that may wait for their turn before [`SchedulerHandle::call`] waits too.
const CALL_QUEUE: usize = 256;

/// How to keep a framework subscribed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SchedulerConfig {
    /// Masters to try, in this order; each may lead to the leader by redirect. Empty means that none is
    /// known yet, see [`SchedulerHandle::set_masters`].
    pub masters: Vec<Endpoint>,
    /// Whoever watches ZooKeeper tells here which master leads; see [`SchedulerHandle::set_masters`], which each
    /// change, and what is there when the client starts, does the same as. Nothing is told by an empty list: the
    /// known master stays until its stream ends (facts 4).
    pub masters_from: Option<watch::Receiver<Vec<Endpoint>>>,
    /// What to subscribe with.
    pub subscription: Subscription,
    /// Sent with every request.
    pub authorization: Authorization,
    /// Whom to believe at endpoints with `https://`.
    pub tls: Tls,
    /// Limit for a connection to come about.
    pub connect_timeout: Duration,
    /// Limit for the answer to a call, and for the head of the answer to SUBSCRIBE.
    pub request_timeout: Duration,
    /// How many heartbeat intervals of silence mean that the stream is dead (SCH-4).
    pub silent_heartbeats: u32,
    /// Heartbeat interval assumed until the master says its own.
    pub first_heartbeat_interval: Duration,
    /// Longest first wait after a failure; doubles with each further one.
    pub backoff_first: Duration,
    /// Longest wait after many failures.
    pub backoff_longest: Duration,
    /// Longest first wait when a person has to act first; doubles with each further refusal.
    pub backoff_refused_first: Duration,
    /// Longest wait when a person has to act first.
    pub backoff_refused: Duration,
    /// Redirects followed at most (SCH-3).
    pub max_redirects: usize,
    /// Longest event accepted (SCH-5).
    pub max_record_bytes: usize,
    /// Events that may wait for the caller. When it does not keep up, the stream is read no further, and
    /// the master has to keep what it wants to send.
    pub event_queue: usize,
    /// Where the jitter comes from.
    pub random: Random,
}

impl SchedulerConfig {
    /// Uses the values of the reference client.
    pub fn new(masters: Vec<Endpoint>, framework: FrameworkInfo) -> Self {
        Self {
            masters,
            masters_from: None,
            subscription: Subscription { framework, ..Subscription::default() },
            authorization: Authorization::none(),
            tls: Tls::default(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            silent_heartbeats: 5,
            first_heartbeat_interval: Duration::from_secs(15),
            backoff_first: Duration::from_secs(1),
            backoff_longest: Duration::from_secs(15),
            backoff_refused_first: Duration::from_secs(5),
            backoff_refused: Duration::from_secs(120),
            max_redirects: 3,
            max_record_bytes: DEFAULT_MAX_RECORD_BYTES,
            event_queue: 4096,
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

/// Entry to the scheduler API.
#[derive(Debug)]
pub struct SchedulerClient;

impl SchedulerClient {
    /// Starts to keep a framework subscribed. Needs a Tokio runtime.
    ///
    /// A first SUBSCRIBE without a framework id cannot be made safe by a client: if its answer is lost,
    /// the next attempt makes another framework, and the first stays until its `failover_timeout` is
    /// over. So subscribe first with a small one, store the id that [`SchedulerEvent::Subscribed`]
    /// brings, and raise it then with [`SchedulerCall::UpdateFramework`] or
    /// [`SchedulerHandle::set_subscription`] (facts 1.4).
    ///
    /// # Errors
    ///
    /// [`InvalidBackoff`] when the bounds of the back-off make no sense.
    pub fn connect(config: SchedulerConfig) -> Result<(SchedulerHandle, SchedulerEvents), InvalidBackoff> {
        let backoff = Backoff::new(config.backoff_first, config.backoff_longest, config.random.clone())?;
        let refused =
            Backoff::new(config.backoff_refused_first, config.backoff_refused, config.random.clone())?;
        let (events, receiver) = mpsc::channel(config.event_queue.max(1));
        let (call_queue, calls) = mpsc::channel(CALL_QUEUE);
        let told =
            config.masters_from.as_ref().map(|from| from.borrow().clone()).filter(|told| !told.is_empty());
        let (masters, masters_seen) = watch::channel(told.unwrap_or_else(|| config.masters.clone()));
        let masters = Arc::new(masters);
        let (session, session_seen) = watch::channel(None);
        let (resubscribe, resubscribe_asked) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            subscription: Mutex::new(config.subscription.clone()),
            authorization: config.authorization.clone(),
            connecting: Connecting { limit: config.connect_timeout, tls: config.tls.clone() },
            request_timeout: config.request_timeout,
        });
        let mut tasks = JoinSet::new();
        if let Some(from) = config.masters_from.clone() {
            tasks.spawn(follow(from, Arc::clone(&masters)));
        }
        tasks.spawn(calls::run(calls, session_seen, Arc::clone(&shared), resubscribe));
        tasks.spawn(
            driver::Driver {
                config,
                shared: Arc::clone(&shared),
                backoff,
                refused,
                events,
                session,
                masters: masters_seen,
                resubscribe: resubscribe_asked,
            }
            .run(),
        );
        let handle = SchedulerHandle { calls: call_queue, masters, shared };
        Ok((handle, SchedulerEvents { receiver, _tasks: tasks }))
    }
}

/// What the tasks of a client and its handles share.
#[derive(Debug)]
struct Shared {
    subscription: Mutex<Subscription>,
    authorization: Authorization,
    connecting: Connecting,
    request_timeout: Duration,
}

impl Shared {
    /// Reads or changes what the next SUBSCRIBE says. No step of it can panic half-way.
    fn with_subscription<T>(&self, f: impl FnOnce(&mut Subscription) -> T) -> T {
        f(&mut self.subscription.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A subscription that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    endpoint: Endpoint,
    stream_id: StreamId,
    framework_id: FrameworkId,
}

/// Asks for a new subscription in place of one of these.
#[derive(Debug)]
enum Resubscribe {
    /// The master answered a call in a way that shows that it does not know this one any more.
    Lost { stream_id: StreamId, text: String },
}

/// A call on its way to the task that sends them.
#[derive(Debug)]
struct QueuedCall {
    call: SchedulerCall,
    only_on: Option<StreamId>,
    answer: oneshot::Sender<Result<(), CallError>>,
}

/// Brings what is told there to the client.
async fn follow(mut from: watch::Receiver<Vec<Endpoint>>, masters: Arc<watch::Sender<Vec<Endpoint>>>) {
    loop {
        let told = from.borrow_and_update().clone();
        if !told.is_empty() {
            replace(&masters, told);
        }
        if from.changed().await.is_err() {
            return;
        }
    }
}

fn replace(masters: &watch::Sender<Vec<Endpoint>>, by: Vec<Endpoint>) {
    masters.send_if_modified(|current| {
        let changed = *current != by;
        *current = by;
        changed
    });
}

/// The events of a framework. When it is dropped, both connections close and nothing is sent any more;
/// to the master this is a failover, not the end of the framework (HA-5).
#[derive(Debug)]
pub struct SchedulerEvents {
    receiver: mpsc::Receiver<SchedulerEvent>,
    _tasks: JoinSet<()>,
}

impl SchedulerEvents {
    /// Returns the next event, or `None` after a final [`SchedulerEvent::Error`].
    ///
    /// # Cancellation safety
    ///
    /// No event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<SchedulerEvent> {
        self.receiver.recv().await
    }
}

/// Sends calls. Clones share one order.
#[derive(Debug, Clone)]
pub struct SchedulerHandle {
    calls: mpsc::Sender<QueuedCall>,
    masters: Arc<watch::Sender<Vec<Endpoint>>>,
    shared: Arc<Shared>,
}

impl SchedulerHandle {
    /// Sends a call after those queued before it, and returns when the master has accepted it: nothing
    /// more is meant by `Ok`, effects come as events (facts 1.1, status 202).
    ///
    /// SUPPRESS, REVIVE and UPDATE_FRAMEWORK also change what later subscriptions say.
    ///
    /// # Cancellation safety
    ///
    /// A dropped call may or may not be sent.
    ///
    /// # Errors
    ///
    /// [`CallError`]; see [`CallError::outcome_unknown`] and [`CallError::is_transient`].
    pub async fn call(&self, call: SchedulerCall) -> Result<(), CallError> {
        self.queue(call, None).await
    }

    /// Like [`call`](Self::call), but only on the subscription with this id: for everything that names an
    /// offer (SCH-8).
    ///
    /// # Errors
    ///
    /// [`CallError::StaleStream`] when another subscription holds now, else as [`call`](Self::call).
    pub async fn call_on(&self, stream_id: &StreamId, call: SchedulerCall) -> Result<(), CallError> {
        self.queue(call, Some(stream_id.clone())).await
    }

    /// Replaces the masters, as whoever watches ZooKeeper learns them. A subscription with a master that
    /// is no longer among them ends, and the next attempt begins at once (DET-3). Do not use it where
    /// the list names masters that redirect.
    pub fn set_masters(&self, masters: Vec<Endpoint>) {
        replace(&self.masters, masters);
    }

    /// Replaces what the next SUBSCRIBE says. An id already known is kept when `subscription` has none.
    pub fn set_subscription(&self, subscription: Subscription) {
        self.shared.with_subscription(|current| {
            let id = subscription.framework.id.clone().or_else(|| current.framework.id.take());
            *current = subscription;
            current.framework.id = id;
        });
    }

    async fn queue(&self, call: SchedulerCall, only_on: Option<StreamId>) -> Result<(), CallError> {
        let name = call.name();
        let (answer, answered) = oneshot::channel();
        if self.calls.send(QueuedCall { call, only_on, answer }).await.is_err() {
            return Err(CallError::NotSubscribed { call: name });
        }
        answered.await.unwrap_or(Err(CallError::Interrupted { call: name }))
    }
}
