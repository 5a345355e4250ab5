//! What the driver, the web server and the sessions share.

use super::access::Access;
use super::binary::ServedBinary;
use super::clock::now_ms;
use super::history::History;
use super::policy_file::Standing;
use super::port_tls::PortTls;
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
    /// Who may read what.
    pub(super) policy: watch::Sender<Arc<Standing>>,
    pub(super) ui: bool,
    /// The names of fields that configurations have on the agents.
    pub(super) ecs: EcsCompatibility,
    /// Where agents and people reach this scheduler.
    pub(super) url: String,
    /// With what they connect there.
    pub(super) tls: Arc<PortTls>,
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
    hindrance: Hindrance,
    pub(super) since_ms: u64,
    /// Why the master did not list its agents, or nothing.
    pub(super) listing_error: String,
    /// A store that did not take a write, or nothing.
    pub(super) store_error: String,
}

/// What is between this scheduler and a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Hindrance {
    /// Nothing that is known.
    #[default]
    None,
    /// The last one ended or did not come about; `remedy` is what a person has to do about it, if so.
    Failed { error: String, remedy: Option<String> },
    /// There will be no other: the framework is being torn down.
    Closing,
}

impl Link {
    /// No subscription yet with the masters that were given.
    pub(super) fn new(master: String) -> Self {
        Self { master, since_ms: now_ms(), ..Self::default() }
    }

    /// Where the subscription is held from now on.
    pub(super) fn subscribed(&mut self, leader: Endpoint, version: Option<String>) {
        self.connected = true;
        self.master = leader.to_string();
        self.leader = Some(leader);
        self.master_version = version;
        self.hindrance = Hindrance::None;
        self.since_ms = now_ms();
    }

    /// Keeps why there is no subscription. Whether that is something new.
    pub(super) fn failed(&mut self, error: String, remedy: Option<String>) -> bool {
        let failed = Hindrance::Failed { error, remedy };
        let is_news = !self.is_closing() && self.hindrance != failed;
        if is_news {
            self.hindrance = failed;
        }
        is_news
    }

    /// The subscription holds no longer. Whether it did.
    pub(super) fn disconnected(&mut self) -> bool {
        self.leader = None;
        std::mem::take(&mut self.connected)
    }

    pub(super) fn close(&mut self) {
        self.hindrance = Hindrance::Closing;
    }

    pub(super) fn is_closing(&self) -> bool {
        self.hindrance == Hindrance::Closing
    }

    /// Why there is no subscription, or nothing.
    pub(super) fn error(&self) -> &str {
        match &self.hindrance {
            Hindrance::None => "",
            Hindrance::Failed { error, .. } => error,
            Hindrance::Closing => "the framework is being torn down",
        }
    }

    /// What a person has to do about it, if so.
    pub(super) fn remedy(&self) -> Option<&str> {
        match &self.hindrance {
            Hindrance::Failed { remedy, .. } => remedy.as_deref(),
            _ => None,
        }
    }

    /// Why there is no subscription, with what helps, or nothing.
    pub(super) fn trouble(&self) -> String {
        let helps = self.remedy().map(|remedy| format!("; {remedy}"));
        format!("{}{}", self.error(), helps.unwrap_or_default())
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
}
