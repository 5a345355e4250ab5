//! A Mesos cluster inside the process: one master and one agent, for `--mesos-master local`.
//!
//! It speaks the v1 HTTP API to schedulers and executors on one loopback port and starts real executor
//! processes, so that everything else is as with a real Mesos. It is for trying the product and, behind
//! [`FakeMaster`](crate::testing::FakeMaster), for faults that a real Mesos does not show on demand. It
//! is not an orchestrator: it isolates nothing, keeps its state in memory, knows no tasks without a
//! custom executor, no images, no reservations, no ports, and no JSON.

mod agent;
mod amounts;
#[cfg(feature = "testing")]
mod faults;
mod http;
mod launch;
mod master;
mod offers;
mod state;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::amounts::Amounts;
use self::state::State;

#[cfg(feature = "testing")]
pub(crate) use self::http::Answer;

/// How often the cluster looks at what time has brought: offers, heartbeats, grace periods.
const TICK: Duration = Duration::from_millis(50);

/// What a local cluster has to offer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LocalSettings {
    /// Where sandboxes are made.
    pub work_dir: PathBuf,
    /// Where to listen; port 0 for any that is free.
    pub bind: SocketAddr,
    /// Name of the agent's machine.
    pub hostname: String,
    /// Processors, in thousandths.
    pub cpus_milli: u64,
    /// Memory of the agent, in megabytes.
    pub mem_megabytes: u64,
    /// Disk of the agent, in megabytes.
    pub disk_megabytes: u64,
    /// Attributes of the agent, all of them text.
    pub attributes: BTreeMap<String, String>,
    /// Environment of every executor, as the agent's `--executor_environment_variables`.
    pub executor_environment: BTreeMap<String, String>,
    /// How often the master gives a sign of life.
    pub heartbeat_interval: Duration,
    /// How long an executor may take from the start of its download to its first SUBSCRIBE.
    pub executor_registration_timeout: Duration,
    /// How long a restarted agent waits for its executors.
    pub executor_reregistration_timeout: Duration,
    /// How long executors try to reach the agent again. Short, as nothing else ends them when this
    /// process was killed.
    pub recovery_timeout: Duration,
    /// How long an executor may take to end, unless it says so itself.
    pub shutdown_grace: Duration,
}

impl LocalSettings {
    /// Offers two processors, 1 GiB of memory and 10 GiB of disk, on a free loopback port.
    pub fn new(work_dir: impl Into<PathBuf>) -> Self {
        Self {
            work_dir: work_dir.into(),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            hostname: "localhost".to_owned(),
            cpus_milli: 2000,
            mem_megabytes: 1024,
            disk_megabytes: 10 * 1024,
            attributes: BTreeMap::new(),
            executor_environment: BTreeMap::new(),
            heartbeat_interval: Duration::from_secs(15),
            executor_registration_timeout: Duration::from_secs(60),
            executor_reregistration_timeout: Duration::from_secs(2),
            recovery_timeout: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(5),
        }
    }

    fn total(&self) -> Amounts {
        Amounts::of_agent(self.cpus_milli, self.mem_megabytes, self.disk_megabytes)
    }
}

/// Why a local cluster could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The port is taken, or the address not ours.
    #[error("local cluster cannot listen on {address}")]
    Bind {
        /// The address that cannot be had.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The directory cannot be made or found.
    #[error("local cluster cannot use {} as its work directory", path.display())]
    WorkDir {
        /// The directory that cannot be made.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A running local cluster. When it is dropped, everything in it is killed; see
/// [`shutdown`](Self::shutdown) for the polite way.
#[derive(Debug)]
pub struct Cluster {
    inner: Arc<Inner>,
}

impl Cluster {
    /// Starts a cluster. Needs a Tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// [`LocalError`] when the port or the directory cannot be used.
    pub async fn start(settings: LocalSettings) -> Result<Self, LocalError> {
        let unusable = |source| LocalError::WorkDir { path: settings.work_dir.clone(), source };
        tokio::fs::create_dir_all(&settings.work_dir).await.map_err(unusable)?;
        // Executors run in their sandboxes: a relative path would mean something else there.
        let work_dir = tokio::fs::canonicalize(&settings.work_dir).await.map_err(unusable)?;
        let settings = LocalSettings { work_dir, ..settings };
        let bind = |source| LocalError::Bind { address: settings.bind, source };
        let listener = TcpListener::bind(settings.bind).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let inner = Arc::new(Inner {
            state: Mutex::new(State::new(&settings)),
            faults: Mutex::new(http::Faults::default()),
            settings,
            address,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        inner.tasks.spawn(http::serve(Arc::clone(&inner), listener));
        inner.tasks.spawn(tick(Arc::clone(&inner)));
        tracing::info!(%address, "Local cluster is up");
        Ok(Self { inner })
    }

    /// Returns the master as `http://host:port`, to be given to a scheduler.
    pub fn master_url(&self) -> String {
        format!("http://{}", self.inner.address)
    }

    /// Returns the agent's identifier.
    pub fn agent_id(&self) -> String {
        self.inner.with_state(|state| state.agent_id.clone())
    }

    /// Returns the master as `host:port`.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    #[cfg(feature = "testing")]
    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Asks every executor to end, waits for that within their grace periods, kills what is left, and
    /// stops listening.
    ///
    /// # Cancellation safety
    ///
    /// When the future is dropped, everything left is killed.
    pub async fn shutdown(self) {
        self.inner.with_state(|state| state.close(&self.inner.settings));
        let mut poll = tokio::time::interval(TICK);
        while self.inner.with_state(|state| !state.executors.is_empty()) {
            poll.tick().await;
        }
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.inner.stop.cancel();
    }
}

/// What the tasks of a cluster share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) settings: LocalSettings,
    pub(crate) address: SocketAddr,
    state: Mutex<State>,
    faults: Mutex<http::Faults>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Inner {
    /// All that happens in the cluster happens in here, one thing after another. Nothing waits.
    pub(crate) fn with_state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn with_faults<T>(&self, f: impl FnOnce(&mut http::Faults) -> T) -> T {
        f(&mut self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn tick(inner: Arc<Inner>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while inner.stop.run_until_cancelled(interval.tick()).await.is_some() {
        let heartbeats = inner.with_faults(|faults| !faults.no_heartbeats);
        inner.with_state(|state| state.tick(&inner.settings, heartbeats));
    }
}
