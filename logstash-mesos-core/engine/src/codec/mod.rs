//! The codecs, one file each, named after the plugin.

pub(crate) mod cef;
pub(crate) mod collectd;
pub(crate) mod csv;
pub(crate) mod dots;
pub(crate) mod json;
pub(crate) mod json_lines;
pub(crate) mod line;
pub(crate) mod msgpack;
pub(crate) mod multiline;
pub(crate) mod plain;
pub(crate) mod rubydebug;
mod stream_lines;
