//! The codecs, one file each, named after the plugin.

mod charset;
pub(crate) mod dots;
pub(crate) mod json;
pub(crate) mod json_lines;
mod json_text;
pub(crate) mod line;
pub(crate) mod plain;
pub(crate) mod rubydebug;
mod tokenizer;
