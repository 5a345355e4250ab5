//! The outputs, one file each, named after the plugin.

mod codec_output;
#[cfg(feature = "elasticsearch")]
pub(crate) mod elasticsearch;
pub(crate) mod file;
#[cfg(feature = "http")]
pub(crate) mod http;
#[cfg(feature = "tls")]
pub(crate) mod lumberjack;
pub(crate) mod null;
pub(crate) mod pipeline;
pub(crate) mod stdout;
pub(crate) mod tcp;
#[cfg(test)]
mod testing;
pub(crate) mod udp;

#[cfg(all(test, feature = "tls"))]
pub(crate) use tcp::Serving;
