//! Every built-in plugin, one line each.

use super::plugin::PluginSpec;
use super::{codec, filter, input, output};

/// The built-in plugins.
///
/// A new plugin is one file that declares a [`PluginSpec`], its `mod` line and a line here.
pub static PLUGINS: &[&PluginSpec] = &[
    &filter::anonymize::ANONYMIZE,
    &filter::bytes::BYTES,
    &filter::cidr::CIDR,
    &filter::clone::CLONE,
    &filter::csv::CSV,
    &filter::date::DATE,
    &filter::de_dot::DE_DOT,
    &filter::dissect::DISSECT,
    &filter::drop::DROP,
    &filter::elapsed::ELAPSED,
    &filter::fingerprint::FINGERPRINT,
    &filter::grok::GROK,
    &filter::json::JSON,
    &filter::kv::KV,
    &filter::mutate::MUTATE,
    &filter::prune::PRUNE,
    &filter::sleep::SLEEP,
    &filter::split::SPLIT,
    &filter::syslog_pri::SYSLOG_PRI,
    &filter::throttle::THROTTLE,
    &filter::translate::TRANSLATE,
    &filter::truncate::TRUNCATE,
    &filter::urldecode::URLDECODE,
    &filter::useragent::USERAGENT,
    &filter::uuid::UUID,
    &filter::xml::XML,
    &codec::dots::DOTS,
    &codec::json::JSON,
    &codec::json_lines::JSON_LINES,
    &codec::line::LINE,
    &codec::plain::PLAIN,
    &codec::rubydebug::RUBYDEBUG,
    &input::docker::DOCKER,
    &input::file::FILE,
    &input::generator::GENERATOR,
    &input::heartbeat::HEARTBEAT,
    &input::stdin::STDIN,
    #[cfg(feature = "elasticsearch")]
    &output::elasticsearch::ELASTICSEARCH,
    &output::file::FILE,
    &output::null::NULL,
    &output::stdout::STDOUT,
];
