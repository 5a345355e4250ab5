//! Every built-in plugin, one line each.

use super::filter;
use super::plugin::PluginSpec;

/// The built-in plugins.
///
/// A new plugin is one file that declares a [`PluginSpec`], its `mod` line and a line here.
pub static PLUGINS: &[&PluginSpec] = &[
    &filter::bytes::BYTES,
    &filter::clone::CLONE,
    &filter::date::DATE,
    &filter::de_dot::DE_DOT,
    &filter::dissect::DISSECT,
    &filter::drop::DROP,
    &filter::grok::GROK,
    &filter::json::JSON,
    &filter::kv::KV,
    &filter::mutate::MUTATE,
    &filter::sleep::SLEEP,
    &filter::split::SPLIT,
    &filter::syslog_pri::SYSLOG_PRI,
    &filter::truncate::TRUNCATE,
    &filter::urldecode::URLDECODE,
    &filter::uuid::UUID,
];
