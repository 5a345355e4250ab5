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
    &filter::dns::DNS,
    &filter::drop::DROP,
    &filter::elapsed::ELAPSED,
    &filter::fingerprint::FINGERPRINT,
    &filter::geoip::GEOIP,
    &filter::grok::GROK,
    &filter::json::JSON,
    &filter::kv::KV,
    &filter::metrics::METRICS,
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
    &codec::cef::CEF,
    &codec::collectd::COLLECTD,
    &codec::csv::CSV,
    &codec::dots::DOTS,
    &codec::json::JSON,
    &codec::json_lines::JSON_LINES,
    &codec::line::LINE,
    &codec::msgpack::MSGPACK,
    &codec::multiline::MULTILINE,
    &codec::plain::PLAIN,
    &codec::rubydebug::RUBYDEBUG,
    &input::beats::BEATS,
    &input::docker::DOCKER,
    &input::file::FILE,
    &input::generator::GENERATOR,
    &input::heartbeat::HEARTBEAT,
    #[cfg(feature = "http")]
    &input::http::HTTP,
    &input::pipeline::PIPELINE,
    &input::stdin::STDIN,
    &input::syslog::SYSLOG,
    &input::tcp::TCP,
    &input::udp::UDP,
    #[cfg(feature = "elasticsearch")]
    &output::elasticsearch::ELASTICSEARCH,
    &output::file::FILE,
    #[cfg(feature = "http")]
    &output::http::HTTP,
    #[cfg(feature = "tls")]
    &output::lumberjack::LUMBERJACK,
    &output::null::NULL,
    &output::pipeline::PIPELINE,
    &output::stdout::STDOUT,
    &output::tcp::TCP,
    &output::udp::UDP,
];
