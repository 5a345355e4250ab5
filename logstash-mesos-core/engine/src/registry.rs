//! Every plugin of this crate, one line each.

use crate::plugin::{Catalog, PluginSpec};
use crate::{codec, filter};

/// The filters and codecs of this crate.
///
/// A new one is one file that declares a [`PluginSpec`], its `mod` line and a line here.
static PLUGINS: &[&PluginSpec] = &[
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
];

/// The plugins of this crate: all filters of Logstash that need no network, and its codecs.
#[must_use]
pub fn catalog() -> Catalog {
    Catalog::new(PLUGINS.iter().copied())
}
