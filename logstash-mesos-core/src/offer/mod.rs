//! Which offers to use, and why not the others. Pure: offers in, decisions out.

mod agent;
mod amounts;
mod capacity;
mod constraint;
mod one_per_agent;
mod plan;
mod ports;
mod reason;
mod reservation;
#[cfg(test)]
pub(crate) mod testing;

pub use agent::{AgentView, text_of};
pub use amounts::{Amounts, Kind, Needs};
pub use capacity::Capacity;
pub use constraint::{Constraint, ConstraintError, Field, Pattern, Rule, offer_constraints};
pub use one_per_agent::{OnePerAgent, Refusals};
pub use plan::Plan;
pub(crate) use ports::list as port_list;
pub use ports::{Ranges, WantedPorts};
pub use reason::{Lack, Reason, TooSmall};
pub use reservation::Reserver;

use mesos_v1::proto::{Offer, OfferConstraints, OfferFilters, Resource};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Decides what to do with offers.
///
/// # Contract
///
/// - The answer depends on the arguments alone: the same offers in the same situation give the same
///   decision.
/// - A plan never takes more than the offers hold, and every resource in it is an offered one with another
///   amount, or that with a reservation more or less (CIT-3).
/// - A decline says why, in words for an operator, and for how long the same need not be offered again.
///
/// # Units and limits
///
/// `refuse_for` is at most 365 days; Mesos cuts what is longer.
pub trait OfferStrategy: fmt::Debug + Send + Sync + 'static {
    /// Decides about `offers`, which are all of one agent and to one role, and at least one. The agent is in
    /// `situation`.
    fn decide(&self, offers: &[Offer], situation: &Situation<'_>) -> Decision;

    /// Why `agent` is to have no executor, whatever it offers; `None` if it may have one.
    fn excludes(&self, agent: &AgentView<'_>) -> Option<Reason>;

    /// What an executor on `agent` counts for in limits, as in [`Plan::counts`]; empty without limits.
    fn counts(&self, _agent: &AgentView<'_>) -> Vec<String> {
        Vec::new()
    }

    /// Judges an agent as the master lists it: all that it has, and what of it is in use.
    fn standing(&self, agent: &AgentView<'_>, total: &[Resource], allocated: &[Resource]) -> Standing;

    /// Why an agent of such a capacity makes no offer that could be used, so far as that can be told.
    fn lacks(&self, _capacity: &Capacity) -> Option<Reason> {
        None
    }

    /// Why an executor could not have its ports at present on an agent of such a capacity, if one that is there now
    /// gave back those of `held`.
    fn lacks_ports(&self, _capacity: &Capacity, _held: &[u16]) -> Option<Reason> {
        None
    }

    /// What the master is asked to keep to itself.
    fn unwanted(&self) -> Unwanted {
        Unwanted::default()
    }
}

/// What is known of an agent before it makes an offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Why it is to have no executor, whatever it offers.
    pub excluded: Option<Reason>,
    /// What it has, if the master told.
    pub capacity: Option<Capacity>,
}

/// Offers that need not be made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unwanted {
    /// Those that are too small, by role. Masters before 1.8 know nothing of it and make them.
    pub filters: BTreeMap<String, OfferFilters>,
    /// Those of agents that are not selected. Since 1.11.
    pub constraints: Option<OfferConstraints>,
}

/// How things stand on an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Situation<'a> {
    /// Nothing of ours is there, and something may be launched.
    Free(Free<'a>),
    /// Something speaks against it.
    Barred(Reason),
}

/// An agent on which something may be launched, and what is known around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Free<'a> {
    /// Milliseconds since 1970, to compare with planned maintenance.
    pub now_ms: u64,
    /// Whether the offers may be held for a moment, for others to come.
    pub may_hold: bool,
    /// How many executors there are, by what they count for.
    pub counts: &'a BTreeMap<String, usize>,
    /// What the agent has, if the master told.
    pub capacity: Option<&'a Capacity>,
}

/// What to do with offers of one agent and one role.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Use all of them for one launch, by this plan.
    Launch(Box<Plan>),
    /// Give all of them back to the master.
    Decline {
        /// Why they are of no use, for `explain` and the status.
        reason: Reason,
        /// For how long not to offer the same again.
        refuse_for: Duration,
        /// Reservations of ours that nothing uses: they are given up before the rest is declined.
        unreserve: Vec<Resource>,
    },
    /// Keep them for a few seconds: together with a later offer they may be enough.
    Hold {
        /// What is missing now and may come with a later offer.
        reason: Reason,
    },
}
