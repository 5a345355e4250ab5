//! What the driver, the web server and the sessions share.

use super::access::Access;
use super::binary::ServedBinary;
use super::history::History;
use super::link::Link;
use super::policy_file::Standing;
use super::port_tls::PortTls;
use super::sessions::Sessions;
use super::state::State;
use crate::configs::Registry;
use crate::ids::FrameworkId;
use crate::pipeline::plugin::EcsCompatibility;
use crate::store::StateStore;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// One scheduler that leads, seen from its parts.
#[derive(Debug)]
pub(super) struct Shared {
    fixed: Fixed,
    state: Mutex<State>,
    link: Mutex<Link>,
    policy: watch::Sender<Arc<Standing>>,
    relist: Notify,
    history: Mutex<History>,
    overview: watch::Sender<Arc<str>>,
    calls: AtomicU64,
    failed_calls: AtomicU64,
    lead_ends: CancellationToken,
}

/// What stays the same for as long as this scheduler leads.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) framework_name: String,
    pub(super) registry: Arc<Registry>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) store: Arc<dyn StateStore>,
    /// The executor that agents may fetch here.
    pub(super) binary: Option<Arc<ServedBinary>>,
    pub(super) access: Access,
    /// Whether there is a page for people.
    pub(super) has_page: bool,
    /// The names of fields that configurations have on the agents.
    pub(super) ecs: EcsCompatibility,
    /// Where agents and people reach this scheduler.
    pub(super) url: String,
    /// With what they connect there.
    pub(super) tls: Arc<PortTls>,
}

impl Shared {
    /// A scheduler that begins to lead, until `lead_ends` is cancelled.
    pub(super) fn new(
        fixed: Fixed,
        state: State,
        link: Link,
        policy: Standing,
        lead_ends: CancellationToken,
    ) -> Self {
        Self {
            fixed,
            state: Mutex::new(state),
            link: Mutex::new(link),
            policy: watch::Sender::new(Arc::new(policy)),
            relist: Notify::new(),
            history: Mutex::default(),
            overview: watch::Sender::new("".into()),
            calls: AtomicU64::default(),
            failed_calls: AtomicU64::default(),
            lead_ends,
        }
    }

    pub(super) fn framework_name(&self) -> &str {
        &self.fixed.framework_name
    }

    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.fixed.registry
    }

    pub(super) fn sessions(&self) -> &Arc<Sessions> {
        &self.fixed.sessions
    }

    pub(super) fn store(&self) -> &dyn StateStore {
        &*self.fixed.store
    }

    pub(super) fn binary(&self) -> Option<&Arc<ServedBinary>> {
        self.fixed.binary.as_ref()
    }

    pub(super) fn access(&self) -> &Access {
        &self.fixed.access
    }

    pub(super) fn has_page(&self) -> bool {
        self.fixed.has_page
    }

    pub(super) fn ecs(&self) -> EcsCompatibility {
        self.fixed.ecs
    }

    pub(super) fn url(&self) -> &str {
        &self.fixed.url
    }

    pub(super) fn tls(&self) -> &PortTls {
        &self.fixed.tls
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic while deciding ends the program; nothing half done is acted upon.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn framework_id(&self) -> Option<FrameworkId> {
        self.state().framework_id().cloned()
    }

    pub(super) fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much went through.
    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        // A look that was broken off leaves out a point at most.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who may read what.
    pub(super) fn policy(&self) -> Arc<Standing> {
        self.policy.borrow().clone()
    }

    /// The same, whenever it changes.
    pub(super) fn policies(&self) -> watch::Receiver<Arc<Standing>> {
        self.policy.subscribe()
    }

    pub(super) fn set_policy(&self, policy: Standing) {
        self.policy.send_replace(Arc::new(policy));
    }

    /// Has the master list its agents at once.
    pub(super) fn ask_to_relist(&self) {
        self.relist.notify_one();
    }

    /// Returns when somebody has asked for that, if only before. One waits at a time.
    pub(super) async fn relist_asked(&self) {
        self.relist.notified().await;
    }

    /// The overview as JSON, whenever there is a new one.
    pub(super) fn overviews(&self) -> watch::Receiver<Arc<str>> {
        self.overview.subscribe()
    }

    /// Whether anybody waits for overviews.
    pub(super) fn is_watched(&self) -> bool {
        self.overview.receiver_count() > 0
    }

    /// Tells those who wait of a new overview.
    pub(super) fn show(&self, overview: Arc<str>) {
        self.overview.send_replace(overview);
    }

    /// A call to the master is on its way.
    pub(super) fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// One of them failed.
    pub(super) fn count_failed_call(&self) {
        self.failed_calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn failed_calls(&self) -> u64 {
        self.failed_calls.load(Ordering::Relaxed)
    }

    /// Ends everything that this scheduler does because it leads.
    pub(super) fn end_lead(&self) {
        self.lead_ends.cancel();
    }

    /// Cancelled when the lead ends, by loss or on purpose.
    pub(super) fn lead_ends(&self) -> CancellationToken {
        self.lead_ends.clone()
    }
}
