//! Places one log shipper on every agent of a cluster, and tells each what to ship.

mod reconcile;
pub mod state;
mod task;

pub use reconcile::Reconciliation;
pub use task::{Agent, Declined, Ending, Failures, Phase, Task};
