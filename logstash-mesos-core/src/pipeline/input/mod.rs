//! The inputs, one file each, named after the plugin.

mod archive;
mod common;
pub(crate) mod file;
pub(crate) mod generator;
pub(crate) mod heartbeat;
pub(crate) mod stdin;
