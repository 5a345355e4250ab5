//! The filters that need a network. All others are in the engine.

pub(crate) mod dns;
