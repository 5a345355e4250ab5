//! Conformance suites for the traits of this crate, for backends here and elsewhere.

pub mod state_store;
