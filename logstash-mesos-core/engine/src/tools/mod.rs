//! Small things that know nothing of plugins.

pub mod cache;
pub(crate) mod digest;
pub mod glob;
pub mod host;
pub(crate) mod one_of_all;
pub(crate) mod tokenizer;
