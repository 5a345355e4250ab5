//! One scheduler process, whatever its role: its port, the state that it shares with others, and who leads.

use super::access::Access;
use super::address::{default_url, holder};
use super::binary::ServedBinary;
use super::definition::Program;
use super::error::RunError;
use super::leader::answers;
use super::listener::Listener;
use super::parts::Judge;
use super::port_tls::{HttpTls, PortTls};
use super::records::{Claim, Records};
use super::settings::Settings;
use crate::configs::{Registry, Snapshot, SnapshotReader};
use crate::election::{Leader, Leadership};
use crate::store::{SharedState, StoreError};
use axum::Router;
use mesos_v1::endpoint::Endpoint;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What a scheduler has from its start to its end. It follows, unless it was made to lead.
#[derive(Debug)]
pub(super) struct Node {
    /// This process, as a candidate and as a leader.
    pub(super) me: Leader,
    pub(super) framework_name: String,
    pub(super) state: SharedState,
    pub(super) access: Access,
    /// TLS on our port, and on that of the leader.
    pub(super) tls: Arc<PortTls>,
    pub(super) ui: bool,
    pub(super) program: Program,
    pub(super) binary: Option<Arc<ServedBinary>>,
    /// The Mesos masters, as far as they are known.
    pub(super) masters: watch::Receiver<Vec<Endpoint>>,
    /// The configurations, as a follower reads them.
    pub(super) configs: SnapshotReader,
    /// Requests that were passed on to the leader, and those that could not be.
    pub(super) forwarded: AtomicU64,
    pub(super) forward_failures: AtomicU64,
    leader: watch::Receiver<Option<Leader>>,
    /// Makes of the standard strategy the one that decides about offers.
    pub(super) judge: Judge,
    /// What only the leader has, while it is this process.
    leading: watch::Sender<Option<Leading>>,
}

/// What only the leader has.
#[derive(Clone, Debug)]
pub(super) struct Leading {
    /// Everything that it serves.
    pub(super) router: Router,
    /// The configurations, to be changed.
    pub(super) registry: Arc<Registry>,
}

/// Who is to answer what only a leader can.
#[derive(Debug)]
pub(super) enum Responsible {
    /// This process, which leads.
    Here(Leading),
    /// Another process, which leads.
    There(Leader),
}

impl Node {
    /// Checks everything that can be wrong from the start, and binds the port.
    pub(super) async fn open(
        settings: &Settings,
        state: SharedState,
        judge: Judge,
        shutdown: &CancellationToken,
    ) -> Result<(Arc<Self>, Listener), RunError> {
        let access = Access::new(settings.http_bind, settings.no_auth, settings.auth_file.as_deref())?;
        let (program, binary) = Program::of(&settings.executor)?;
        let bind = |source| RunError::Bind { address: settings.http_bind, source };
        let tls = PortTls::new(&settings.http_tls);
        let listener =
            Listener::bind(settings.http_bind, settings.port_patience, shutdown).await.map_err(bind)?;
        let url = match &settings.advertise_url {
            Some(url) => url.clone(),
            None => default_url(listener.address(), &settings.master, tls.is_spoken()),
        };
        let me =
            Leader { id: uuid::Uuid::new_v4().to_string(), url, holder: holder(&settings.framework_name) };
        // From now on, so that a take-over need not wait for it.
        let masters = settings.master.watch(settings.masters_speak_tls);
        let program = (program, binary);
        let node =
            Self::new(me, settings.framework_name.clone(), state, access, settings.ui, program, masters);
        Ok((Arc::new(Self { judge, tls, ..node }), listener))
    }

    pub(super) fn new(
        me: Leader,
        framework_name: String,
        state: SharedState,
        access: Access,
        ui: bool,
        (program, binary): (Program, Option<Arc<ServedBinary>>),
        masters: watch::Receiver<Vec<Endpoint>>,
    ) -> Self {
        let configs = SnapshotReader::new(state.store.clone());
        let leader = state.election.leader();
        let leading = watch::Sender::new(None);
        let (forwarded, forward_failures) = Default::default();
        Self {
            me,
            framework_name,
            state,
            access,
            tls: PortTls::new(&HttpTls::default()),
            ui,
            program,
            binary,
            masters,
            configs,
            forwarded,
            forward_failures,
            leader,
            judge: Judge::default(),
            leading,
        }
    }

    /// Serves as the leader from now on.
    pub(super) fn lead(&self, leading: Leading) {
        self.leading.send_replace(Some(leading));
    }

    /// Serves as a follower from now on.
    pub(super) fn follow(&self) {
        self.leading.send_replace(None);
    }

    /// What the leader has, if it is this process.
    pub(super) fn leading(&self) -> Option<Leading> {
        self.leading.borrow().clone()
    }

    /// Follows who leads.
    pub(super) fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.leader.clone()
    }

    /// Waits until it is known who leads, and, should it be this process, until it is ready to.
    pub(super) async fn responsible(&self) -> Responsible {
        let (mut leading, mut leader) = (self.leading.subscribe(), self.leader());
        loop {
            if let Some(leading) = leading.borrow_and_update().clone() {
                return Responsible::Here(leading);
            }
            if let Some(leader) = leader.borrow_and_update().clone().filter(|l| l.id != self.me.id) {
                return Responsible::There(leader);
            }
            let changed = async {
                tokio::select! {
                    changed = leading.changed() => changed,
                    changed = leader.changed() => changed,
                }
            };
            if changed.await.is_err() {
                // The election has ended with the process.
                return std::future::pending().await;
            }
        }
    }

    /// Waits until this process leads; `None` after `shutdown`.
    pub(super) async fn campaign(
        &self,
        shutdown: &CancellationToken,
    ) -> Result<Option<Leadership>, RunError> {
        tokio::select! {
            leadership = self.state.election.campaign(&self.me) => Ok(Some(leadership?)),
            () = shutdown.cancelled() => Ok(None),
            error = self.watch_leaders() => Err(error),
        }
    }

    /// Leads at once, or names who does. A leader that gives no answer may have been killed a moment ago, and is
    /// waited for a little.
    pub(super) async fn lead_alone(&self) -> Result<Leadership, RunError> {
        tokio::select! {
            leadership = self.state.election.campaign(&self.me) => Ok(leadership?),
            error = in_use(&self.state, &self.tls) => Err(error),
        }
    }

    /// Tells who leads. Ends only for a reason not to wait for the lead any longer.
    async fn watch_leaders(&self) -> RunError {
        let mut leaders = self.leader();
        loop {
            let leader = leaders.borrow_and_update().clone().filter(|l| l.id != self.me.id);
            let looked_after = async {
                match leader {
                    Some(leader) => self.examine(&leader).await,
                    None => {
                        sleep(TELL_EVERY).await;
                        tracing::warn!(state = self.state.store.name(), "No scheduler leads yet");
                        None
                    }
                }
            };
            tokio::select! {
                problem = looked_after => match problem {
                    Some(problem) => return problem,
                    // Nothing more to do about this leader.
                    None => if leaders.changed().await.is_err() { return std::future::pending().await },
                },
                changed = leaders.changed() => if changed.is_err() { return std::future::pending().await },
            }
        }
    }

    /// Whether another leader is one to follow.
    async fn examine(&self, leader: &Leader) -> Option<RunError> {
        let claim = loop {
            match Records::last_claim(&*self.state.store).await {
                Ok(Some((claim, _))) if claim.leader.id == leader.id => break claim,
                // It writes that down before it acts. A store without an answer is asked again.
                Ok(_) | Err(_) => sleep(Duration::from_millis(500)).await,
            }
        };
        let Claim { framework, uninstalling, .. } = claim;
        let holder = described(leader);
        if framework != self.framework_name {
            let state = self.state.store.name();
            return Some(RunError::OtherFramework { state, holder, other: framework });
        }
        if uninstalling {
            return Some(RunError::BeingUninstalled { name: framework, holder });
        }
        tracing::info!(leader = holder, "Following another scheduler, and taking over should it go");
        None
    }

    /// The configurations that are stored now.
    pub(super) async fn stored_configs(&self) -> Result<Arc<Snapshot>, StoreError> {
        match timeout(STORE_PATIENCE, self.configs.read()).await {
            Ok(read) => read,
            Err(elapsed) => Err(StoreError::Unavailable {
                backend: self.state.store.name(),
                key: "configs".to_owned(),
                source: elapsed.into(),
            }),
        }
    }
}

/// Ends when the state turns out to be another scheduler's, with who that is.
async fn in_use(state: &SharedState, tls: &PortTls) -> RunError {
    let began = Instant::now();
    loop {
        sleep(Duration::from_millis(300)).await;
        let leader = state.election.leader().borrow().clone();
        let holder = match leader {
            Some(leader) if answers(&leader, tls).await => described(&leader),
            _ if began.elapsed() < LEADERLESS_PATIENCE => continue,
            Some(leader) => described(&leader),
            None => "another process".to_owned(),
        };
        return StoreError::Locked { backend: state.store.name(), holder }.into();
    }
}

/// Says at once when another scheduler is at work on a state.
pub(super) async fn refuse_if_led(state: &SharedState, tls: &PortTls) -> Result<(), RunError> {
    let mut known = state.election.leader();
    // Whether or not there is one in time.
    let _ = timeout(Duration::from_secs(1), known.wait_for(Option::is_some)).await;
    let leader = known.borrow().clone();
    match leader {
        Some(leader) if answers(&leader, tls).await => {
            Err(StoreError::Locked { backend: state.store.name(), holder: described(&leader) }.into())
        }
        _ => Ok(()),
    }
}

fn described(leader: &Leader) -> String {
    format!("{}, at {}", leader.holder, leader.url)
}

const TELL_EVERY: Duration = Duration::from_secs(15);
/// Longer than a session of ZooKeeper, or a lease of etcd, outlives a process that was killed.
const LEADERLESS_PATIENCE: Duration = Duration::from_secs(20);
const STORE_PATIENCE: Duration = Duration::from_secs(5);
