//! How this scheduler stands with the master and the store, for those who ask.

use super::clock::now_ms;
use mesos_v1::endpoint::Endpoint;

/// The connection to the master, and what else keeps this scheduler from working.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    pub(super) connected: bool,
    /// The masters as given, or the one that leads.
    pub(super) master: String,
    /// Where the subscription is held, while it holds.
    pub(super) leader: Option<Endpoint>,
    /// Of the leading master: `1.11.0`.
    pub(super) master_version: Option<String>,
    hindrance: Hindrance,
    /// Since when it is as it is, in milliseconds of the Unix epoch.
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
        let did = std::mem::take(&mut self.connected);
        if did {
            self.since_ms = now_ms();
        }
        did
    }

    /// Keeps why the master did not list its agents; empty when it did. Whether it had before.
    pub(super) fn listed(&mut self, error: &str) -> bool {
        std::mem::replace(&mut self.listing_error, error.to_owned()).is_empty()
    }

    /// The store took a write.
    pub(super) fn stored(&mut self) {
        self.store_error.clear();
    }

    /// Keeps why the store did not take a write.
    pub(super) fn not_stored(&mut self, error: String) {
        self.store_error = error;
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
