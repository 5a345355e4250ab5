//! Which offers to use, and why not the others. Pure: offers in, decisions out.

mod one_per_agent;
mod resources;

pub use one_per_agent::{OnePerAgent, Refusals};
pub use resources::{Needs, Shortage, take};

use crate::ids::TaskId;
use mesos_v1::proto::{Offer, Resource};
use std::fmt;
use std::time::Duration;

/// Decides what to do with an offer.
///
/// # Contract
///
/// - The answer depends on the arguments alone: the same offer in the same situation gives the same
///   decision.
/// - A launch never takes more than the offer holds, and every resource in it is the offered one with
///   another amount (CIT-3).
/// - A decline says why, in words for an operator, and for how long the same need not be offered again.
///
/// # Units and limits
///
/// `refuse_for` is at most 365 days; Mesos cuts what is longer.
pub trait OfferStrategy: fmt::Debug + Send + Sync + 'static {
    /// Decides about `offer`, made by an agent that is in `situation`.
    fn decide(&self, offer: &Offer, situation: &Situation<'_>) -> Decision;
}

/// How things stand on an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Situation<'a> {
    /// Nothing of ours is there.
    Free {
        /// Milliseconds since 1970, to compare with planned maintenance.
        now_ms: u64,
    },
    /// A task of ours is there.
    Occupied {
        /// Which.
        task_id: &'a TaskId,
        /// In which state, as an adjective: `running`.
        state: &'static str,
    },
    /// It failed there not long ago.
    BackingOff {
        /// Until the next attempt.
        remaining: Duration,
        /// In a row.
        failures: u32,
        /// What happened last.
        reason: &'a str,
    },
    /// Enough launches are under way elsewhere.
    Queued {
        /// How many may be unconfirmed at a time.
        limit: usize,
    },
    /// Nothing is to be launched anywhere.
    Closed {
        /// Why.
        reason: &'static str,
    },
}

/// What to do with an offer.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Use it.
    Launch {
        /// For the task.
        task: Vec<Resource>,
        /// For its executor.
        executor: Vec<Resource>,
    },
    /// Give it back.
    Decline {
        /// Why, for an operator.
        reason: String,
        /// For how long not to offer the same again.
        refuse_for: Duration,
    },
}
