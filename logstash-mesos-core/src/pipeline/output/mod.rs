//! The outputs, one file each, named after the plugin.

pub(crate) mod file;
pub(crate) mod null;
pub(crate) mod stdout;
