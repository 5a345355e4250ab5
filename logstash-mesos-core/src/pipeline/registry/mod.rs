//! Every plugin that is not in the engine, one line each.

use logstash_mesos_engine::registry;

use super::plugin::{Catalog, PluginSpec};
use super::{filter, input, output};

/// The inputs, the outputs, and the filters that need a network.
///
/// A new plugin is one file that declares a [`PluginSpec`], its `mod` line and a line here.
static PLUGINS: &[&PluginSpec] = &[
    &filter::dns::DNS,
    &input::beats::BEATS,
    &input::docker::DOCKER,
    &input::sandbox::SANDBOX,
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
    &input::unix::UNIX,
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

/// All built-in plugins: those of the engine and those of this crate.
#[must_use]
pub fn catalog() -> Catalog {
    registry::catalog().with(PLUGINS.iter().copied())
}

#[cfg(test)]
mod tests;
