//! Conformance suites for the traits of this crate, for backends here and elsewhere.

pub mod beats;
pub mod container_discovery;
pub mod election;
#[cfg(feature = "local")]
pub mod fake_master;
pub mod log_sink;
pub mod state_store;

#[cfg(feature = "local")]
pub use fake_master::FakeMaster;
