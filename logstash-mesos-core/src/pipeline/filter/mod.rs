//! The filters, one file each, named after the plugin.

mod cache;
mod digest;
pub(crate) mod field;
mod ip;
mod number;
mod one_of_all;
pub(crate) mod ruby;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) mod anonymize;
pub(crate) mod bytes;
pub(crate) mod cidr;
pub(crate) mod clone;
pub(crate) mod csv;
pub(crate) mod date;
pub(crate) mod de_dot;
pub(crate) mod dissect;
pub(crate) mod dns;
pub(crate) mod drop;
pub(crate) mod elapsed;
pub(crate) mod fingerprint;
pub(crate) mod geoip;
pub(crate) mod grok;
pub(crate) mod json;
pub(crate) mod kv;
pub(crate) mod metrics;
pub(crate) mod mutate;
pub(crate) mod prune;
pub(crate) mod sleep;
pub(crate) mod split;
pub(crate) mod syslog_pri;
pub(crate) mod throttle;
pub(crate) mod translate;
pub(crate) mod truncate;
pub(crate) mod urldecode;
pub(crate) mod useragent;
pub(crate) mod uuid;
pub(crate) mod xml;
