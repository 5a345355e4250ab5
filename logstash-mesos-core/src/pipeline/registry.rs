//! Every built-in plugin, one line each.

use super::filter;
use super::plugin::PluginSpec;

/// The built-in plugins.
///
/// A new plugin is one file that declares a [`PluginSpec`], its `mod` line and a line here.
pub static PLUGINS: &[&PluginSpec] = &[
    &filter::clone::CLONE,
    &filter::date::DATE,
    &filter::dissect::DISSECT,
    &filter::drop::DROP,
    &filter::grok::GROK,
    &filter::json::JSON,
    &filter::kv::KV,
    &filter::mutate::MUTATE,
    &filter::split::SPLIT,
];
