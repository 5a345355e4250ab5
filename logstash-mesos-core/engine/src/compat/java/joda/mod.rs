//! Joda-Time, which reads and writes Logstash's dates: `format` writes them, `pattern` reads them.

pub(crate) mod fields;
mod format;
pub(crate) mod names;
pub(crate) mod pattern;
pub(crate) mod zone;

pub(crate) use format::format_joda;
pub use format::{InvalidPattern, JodaToken, joda_tokens};
