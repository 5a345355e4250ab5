//! The filters, one file each, named after the plugin.

mod field;
mod ruby;
#[cfg(test)]
mod testing;

pub(crate) mod clone;
pub(crate) mod date;
pub(crate) mod dissect;
pub(crate) mod drop;
pub(crate) mod grok;
pub(crate) mod json;
pub(crate) mod kv;
pub(crate) mod mutate;
pub(crate) mod split;
