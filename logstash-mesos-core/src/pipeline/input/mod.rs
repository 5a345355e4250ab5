//! The inputs, one file each, named after the plugin.

mod archive;
pub(crate) mod common;
pub(crate) mod docker;
pub(crate) mod file;
pub(crate) mod generator;
pub(crate) mod heartbeat;
pub(crate) mod stdin;
