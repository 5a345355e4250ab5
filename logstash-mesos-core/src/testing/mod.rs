//! Conformance suites for the traits of this crate, for backends here and elsewhere.

#[cfg(feature = "local")]
pub mod fake_master;
pub mod container_discovery;
pub mod state_store;

#[cfg(feature = "local")]
pub use fake_master::FakeMaster;
