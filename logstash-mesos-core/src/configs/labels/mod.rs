//! What a container says about its logs in its labels, and what of it the operator allows.
//!
//! Labels are written by whoever may start a container, which is often somebody else than the operator of the shipper. So
//! none of them means anything unless [`LabelRules`] say so, and their values never become anything but one setting of one
//! plugin.

mod plan;
mod rules;

pub use plan::{Description, Offer, Refusal, describe};
pub use rules::{LabelRules, RuleError};

/// What the names of our labels begin with.
pub const LABEL_PREFIX: &str = "logstash.mesos/";
