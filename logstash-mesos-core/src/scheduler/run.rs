//! A scheduler from its settings to its end.

use super::binary::{BinaryError, ServedBinary};
use super::check::checker;
use super::definition::{Definition, Program};
use super::driver::{Driver, End};
use super::framework::{framework_info, strategy};
use super::http::{Access, AccessError, Listener, router, serve};
use super::leaders_store::LeadersStore;
use super::records::{Claim, Records};
use super::sessions::{Sessions, config_set};
use super::settings::{ExecutorProgram, Master, Settings};
use super::shared::{Link, Shared, now_ms};
use super::state::{Policy, State};
use super::trial::Trial;
use super::{agents, chain, ports};
use crate::configs::Registry;
use crate::configs::directory::{DirectoryError, Found, scan};
use crate::election::{Leader, Leadership};
use crate::offer::{OfferStrategy, OnePerAgent};
use crate::store::{SharedState, StateStore, StoreError};
use mesos_v1::endpoint::Endpoint;
use mesos_v1::scheduler::SchedulerConfig;
use mesos_v1::transport::Authorization;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Why a scheduler ended other than by being asked to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The state cannot be read or written.
    #[error("the state cannot be used")]
    Store(#[from] StoreError),
    /// The port cannot be had.
    #[error("cannot listen on {address} (--http-bind)")]
    Bind {
        /// What was wanted.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// There is no executor to serve.
    #[error(transparent)]
    Binary(#[from] BinaryError),
    /// The directory of configurations cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The credentials of the HTTP API cannot be read.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Another scheduler has the framework.
    #[error(
        "another scheduler took over framework `{name}`; this one ends, so that the two do not push each other out"
    )]
    FailedOver {
        /// Of the framework.
        name: String,
    },
    /// An uninstall was interrupted: the framework is still there.
    #[error("the uninstall was interrupted, and the framework is still there; run it again")]
    Interrupted,
    /// The in-process cluster did not start.
    #[error("the local cluster did not start")]
    Local(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Runs a scheduler until `shutdown`. The framework and its executors stay: this is a failover. Only of a
/// local cluster nothing stays but its files.
///
/// In a local cluster, whose events go nowhere else, each is also told through `events`.
///
/// # Errors
///
/// [`RunError`].
pub async fn run(
    mut settings: Settings,
    events: mpsc::Sender<String>,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let trial = match settings.master {
        Master::Local => Some(Trial::start(&mut settings).await?),
        Master::Endpoints(_) | Master::ZooKeeper(_) => None,
    };
    let scheduler = match Scheduler::start(&settings, None, &shutdown).await {
        // It was told to end while it waited for its port.
        Err(RunError::Bind { .. }) if shutdown.is_cancelled() => return Ok(()),
        started => started?,
    };
    let shared = scheduler.shared.clone();
    tracing::info!(url = shared.url(), state = shared.store.name(), "Scheduler started");
    if let Some(notice) = shared.access.notice() {
        tracing::warn!("{notice}");
    }
    match &trial {
        Some(trial) => trial.show(&scheduler, events, &shutdown).await,
        None if settings.state_by_default => {
            let state = shared.store.name();
            tracing::warn!(state, "State is kept in the working directory, as --state was not given");
        }
        None => {}
    }
    let (end, leadership) = scheduler.finish().await;
    leadership.resign().await;
    let what = match trial {
        Some(trial) => {
            trial.end().await;
            "Local cluster ended"
        }
        None => "Scheduler ends, executors go on",
    };
    match end {
        End::Shutdown | End::TornDown => {
            tracing::info!("{what}");
            Ok(())
        }
        End::FailedOver => Err(RunError::FailedOver { name: settings.framework_name }),
        End::Store(error) => Err(error.into()),
    }
}

/// A scheduler at work.
pub(super) struct Scheduler {
    pub(super) shared: Arc<Shared>,
    /// Ends the framework when it is cancelled.
    pub(super) ending: CancellationToken,
    /// Ends all executors and gives their reservations up when it is cancelled.
    pub(super) emptying: CancellationToken,
    driver: JoinHandle<End>,
    others: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    leadership: Leadership,
}

impl Scheduler {
    /// Starts everything. `closed` keeps it from launching, and says why.
    pub(super) async fn start(
        settings: &Settings,
        closed: Option<&'static str>,
        shutdown: &CancellationToken,
    ) -> Result<Self, RunError> {
        if settings.master == Master::Local {
            return Err(RunError::Local("this command needs the master of a cluster".into()));
        }
        let access = Access::new(settings.http_bind, settings.no_auth, settings.auth_file.as_deref())?;
        let (program, binary) = program(&settings.executor)?;
        let mut definition = Definition {
            framework_name: settings.framework_name.clone(),
            program,
            needs: settings.needs,
            user: Some(settings.user.clone()),
            environment: settings.executor_environment.clone(),
            ports: BTreeSet::new(),
        };
        let bind = |source| RunError::Bind { address: settings.http_bind, source };
        let listener =
            Listener::bind(settings.http_bind, settings.port_patience, shutdown).await.map_err(bind)?;
        let state = settings.state.open_with(settings.session_timeout).await?;
        let url = settings
            .advertise_url
            .clone()
            .unwrap_or_else(|| default_url(listener.address(), &settings.master));
        let (leader, leadership) = lead(&state, &settings.framework_name, &url).await?;
        let store: Arc<dyn StateStore> = Arc::new(LeadersStore::new(state.store, leadership.lost().clone()));
        let claim =
            Claim { leader, framework: settings.framework_name.clone(), uninstalling: closed.is_some() };
        let pause = |_| tokio::time::sleep(Duration::from_secs(1));
        let (records, stored) = Records::take_over(store.clone(), &claim, pause).await?;
        let registry = Arc::new(Registry::load(store.clone(), checker()).await?);
        let first = match &settings.config_dir {
            Some(dir) => {
                let found = scan(dir)?;
                registry.sync_directory(found.clone()).await?;
                found
            }
            None => vec![],
        };
        let set = config_set(&registry.snapshot(), &settings.default_output, &settings.executor_settings);
        let configurations = registry.subscribe();
        let asks_for_ports = settings.placement.ports && closed.is_none();
        let mut strategy = strategy(settings);
        if asks_for_ports {
            definition.ports = ports::of_configurations(&configurations.borrow(), &definition.environment);
            strategy.ports = ports::numbers(&definition.ports);
        }
        let policy = policy(settings, strategy.clone(), &definition, closed);
        let shared = Arc::new(Shared {
            framework_name: settings.framework_name.clone(),
            state: Mutex::new(
                State::new(policy, stored.framework_id, stored.tasks).with_rollout(stored.rollout),
            ),
            link: Mutex::new(Link { master: settings.master.shown(), since_ms: now_ms(), ..Link::default() }),
            registry: registry.clone(),
            sessions: Arc::new(Sessions::new(set, records.epoch())),
            store,
            binary,
            access,
            ui: settings.ui,
            url,
            calls: AtomicU64::default(),
            call_errors: AtomicU64::default(),
        });
        {
            let state = shared.state();
            for agent_id in state.agents().keys() {
                shared.sessions.expect(agent_id, state.tasks_on(agent_id));
            }
        }
        let stop = shutdown.child_token();
        let mut others = vec![tokio::spawn(serve(listener, router(shared.clone()), stop.clone()))];
        others.push(tokio::spawn(publish(
            shared.clone(),
            settings.default_output.clone(),
            settings.executor_settings.clone(),
            stop.clone(),
        )));
        if let Some(dir) = settings.config_dir.clone() {
            others.push(tokio::spawn(watch(registry, dir, first, stop.clone())));
        }
        let authorization = authorization(settings);
        let (listing, listed) = mpsc::channel(1);
        others.push(tokio::spawn(agents::poll(shared.clone(), authorization.clone(), listing, stop.clone())));
        let framework = framework_info(settings);
        let masters_from = Some(settings.master.watch());
        let client =
            SchedulerConfig { masters_from, authorization, ..SchedulerConfig::new(vec![], framework) };
        let (ending, emptying) = (CancellationToken::new(), CancellationToken::new());
        let driver = Driver {
            shared: shared.clone(),
            records,
            definition,
            client,
            failover_timeout: settings.failover_timeout,
            constrains: strategy.unwanted().constraints.is_some(),
            strategy,
            configurations,
            asks_for_ports,
            constraints_refused: false,
            ending: ending.clone(),
            emptying: emptying.clone(),
            listed,
        };
        let driver = tokio::spawn(driver.run(stop.clone()));
        Ok(Self { shared, ending, emptying, driver, others, stop, leadership })
    }

    /// Whether there is an end to wait for no longer.
    pub(super) fn has_ended(&self) -> bool {
        self.driver.is_finished()
    }

    /// Ends without a word to Mesos.
    pub(super) async fn abandon(self) -> Leadership {
        self.stop.cancel();
        self.finish().await.1
    }

    /// Waits for the end, however it comes, and stops everything. The lead is to be resigned.
    pub(super) async fn finish(self) -> (End, Leadership) {
        let end = match self.driver.await {
            Ok(end) => end,
            // Going on without decisions would be worse than a restart.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        self.stop.cancel();
        for other in self.others {
            // A task that panicked has said so.
            let _ = other.await;
        }
        (end, self.leadership)
    }
}

fn policy(
    settings: &Settings,
    strategy: OnePerAgent,
    definition: &Definition,
    closed: Option<&'static str>,
) -> Policy {
    Policy {
        strategy: Arc::new(strategy),
        executor_id: definition.executor_id(),
        // As the predecessor did, whatever the framework is called.
        task_prefix: "logstash".to_owned(),
        launch_parallelism: settings.launch_parallelism,
        rollout_parallelism: settings.rollout_parallelism,
        rollout_max_failures: settings.rollout_max_failures,
        launch_timeout: settings.launch_timeout,
        backoff_first: Duration::from_secs(1),
        backoff_longest: Duration::from_secs(300),
        backoff_reset: Duration::from_secs(600),
        stranger_grace: Duration::from_secs(30),
        closed,
    }
}

fn program(program: &ExecutorProgram) -> Result<(Program, Option<Arc<ServedBinary>>), BinaryError> {
    Ok(match program {
        ExecutorProgram::Served(path) => {
            let binary = Arc::new(ServedBinary::open(path)?);
            (Program::Served(binary.clone()), Some(binary))
        }
        ExecutorProgram::Command(path) => (Program::Command(path.clone()), None),
        ExecutorProgram::Image(image, containerizer) => {
            (Program::Image { image: image.clone(), containerizer: *containerizer }, None)
        }
    })
}

/// Reads the secret again for every request, so that a new one is used without a restart (SEC-1).
fn authorization(settings: &Settings) -> Authorization {
    let Some((principal, Some(file))) = settings.principal.clone() else { return Authorization::none() };
    Authorization::from_fn(move || {
        use base64::Engine;
        let secret = std::fs::read_to_string(&file)
            .inspect_err(|error| tracing::warn!(%error, path = %file.display(), "Cannot read the secret"))
            .ok()?;
        let pair = format!("{principal}:{}", secret.trim_end_matches(['\r', '\n']));
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
    })
}

/// Tells executors of every change.
async fn publish(
    shared: Arc<Shared>,
    default_output: String,
    settings: std::collections::BTreeMap<String, String>,
    stop: CancellationToken,
) {
    let mut changes = shared.registry.subscribe();
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
        let set = config_set(&changes.borrow_and_update(), &default_output, &settings);
        shared.sessions.set.send_if_modified(|current| {
            let changed = current.set_version != set.set_version;
            if changed {
                tracing::info!(set_version = set.set_version, "Configurations changed");
                *current = Arc::new(set);
            }
            changed
        });
    }
}

/// Looks at the directory every second: that also sees what a mount or an editor does behind inotify.
async fn watch(registry: Arc<Registry>, dir: PathBuf, mut last: Vec<Found>, stop: CancellationToken) {
    let mut unreadable = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = stop.cancelled() => return,
        }
        let path = dir.clone();
        let found = match tokio::task::spawn_blocking(move || scan(&path)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                if !unreadable {
                    tracing::warn!(error = chain(&error), "Configurations stay as they are");
                }
                unreadable = true;
                continue;
            }
            Err(_) => continue,
        };
        unreadable = false;
        if found == last {
            continue;
        }
        match registry.sync_directory(found.clone()).await {
            Ok(()) => last = found,
            Err(error) => {
                tracing::warn!(error = chain(&error), "Configurations could not be stored, trying again")
            }
        }
    }
}

/// The address from which the master, or the ZooKeeper that knows it, is reached leads back, for agents as well in all
/// but odd networks.
fn default_url(bound: SocketAddr, master: &Master) -> String {
    let ip = if bound.ip().is_unspecified() {
        master
            .hosts()
            .iter()
            .find_map(|host| local_address(host).ok())
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    } else {
        bound.ip()
    };
    format!("http://{}", SocketAddr::new(ip, bound.port()))
}

/// Sends nothing: connecting a datagram socket only chooses the way.
fn local_address(master: &Endpoint) -> io::Result<IpAddr> {
    use std::net::ToSocketAddrs;
    let no_address = || io::Error::other("no address");
    let to = (master.host(), master.port()).to_socket_addrs()?.next().ok_or_else(no_address)?;
    let from: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(from)?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// Names this process to others who find the state in use.
fn holder(framework: &str) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("scheduler of framework `{framework}`, process {} on {host}", std::process::id())
}

/// Leads, or names who does: one scheduler works at a time.
async fn lead(state: &SharedState, framework: &str, url: &str) -> Result<(Leader, Leadership), StoreError> {
    let candidate =
        Leader { id: uuid::Uuid::new_v4().to_string(), url: url.to_owned(), holder: holder(framework) };
    match tokio::time::timeout(Duration::from_secs(2), state.election.campaign(&candidate)).await {
        Ok(leadership) => leadership.map(|leadership| (candidate, leadership)),
        Err(_) => {
            let leader = state.election.leader().borrow().as_ref().map(|leader| leader.holder.clone());
            let holder = leader.unwrap_or_else(|| "another process".to_owned());
            Err(StoreError::Locked { backend: state.store.name(), holder })
        }
    }
}

/// Where the executor lies beside a program.
pub fn directory_of(program: &Path) -> PathBuf {
    program.parent().map(Path::to_owned).unwrap_or_default()
}

/// Removes every record.
pub(super) async fn clear(store: &dyn StateStore) -> Result<(), StoreError> {
    Records::clear(store).await
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
