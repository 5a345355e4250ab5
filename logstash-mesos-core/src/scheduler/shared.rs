//! What the driver, the web server and the sessions share.

use super::binary::ServedBinary;
use super::history::History;
use super::http::Access;
use super::sessions::Sessions;
use super::state::State;
use crate::configs::Registry;
use crate::ids::FrameworkId;
use crate::pipeline::plugin::EcsCompatibility;
use crate::store::StateStore;
use mesos_v1::endpoint::Endpoint;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// One scheduler, seen from its parts.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) framework_name: String,
    pub(super) state: Mutex<State>,
    pub(super) link: Mutex<Link>,
    pub(super) registry: Arc<Registry>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) store: Arc<dyn StateStore>,
    pub(super) binary: Option<Arc<ServedBinary>>,
    pub(super) access: Access,
    pub(super) ui: bool,
    /// The names of fields that configurations have on the agents.
    pub(super) ecs: EcsCompatibility,
    /// Where agents and people reach this scheduler.
    pub(super) url: String,
    /// Has the master list its agents at once.
    pub(super) relist: Notify,
    /// How much went through.
    pub(super) history: Mutex<History>,
    /// The overview, again and again while somebody listens.
    pub(super) pulse: watch::Sender<Arc<str>>,
    pub(super) calls: AtomicU64,
    pub(super) call_errors: AtomicU64,
    /// Cancelled when the lead ends, by loss or on purpose.
    pub(super) stop: CancellationToken,
}

/// The connection to the master.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    pub(super) connected: bool,
    /// The masters as given, or the one that leads.
    pub(super) master: String,
    /// Where the subscription is held, while it holds.
    pub(super) leader: Option<Endpoint>,
    pub(super) master_version: Option<String>,
    pub(super) error: String,
    /// What a person has to do about that, if so.
    pub(super) remedy: Option<String>,
    pub(super) since_ms: u64,
    /// Why the master did not list its agents, or nothing.
    pub(super) listing_error: String,
    /// A store that did not take a write, or nothing.
    pub(super) store_error: String,
}

impl Link {
    /// Why there is no subscription, with what helps.
    pub(super) fn trouble(&self) -> String {
        match &self.remedy {
            Some(remedy) => format!("{}; {remedy}", self.error),
            None => self.error.clone(),
        }
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic while deciding ends the program; nothing half done is acted upon.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        // A look that was broken off leaves out a point at most.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn framework_id(&self) -> Option<FrameworkId> {
        self.state().framework_id().cloned()
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}
