//! Small things that know nothing of plugins.

pub mod cache;
pub mod characters;
pub(crate) mod digest;
mod error_chain;
pub mod glob;
pub mod host;
pub(crate) mod one_of_all;
pub(crate) mod tokenizer;
pub(crate) mod yaml;

pub use error_chain::error_chain;
