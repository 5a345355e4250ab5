//! The outputs, one file each, named after the plugin.

#[cfg(feature = "elasticsearch")]
pub(crate) mod elasticsearch;
pub(crate) mod file;
pub(crate) mod null;
pub(crate) mod stdout;
