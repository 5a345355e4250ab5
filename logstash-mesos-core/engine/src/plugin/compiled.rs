//! A plugin of a configuration, checked.

use std::net::IpAddr;

use super::context::BuildContext;
use super::settings::{Settings, Transport};
use super::spec::PluginSpec;
use crate::lang::Span;

/// A port of the machine on which an input listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListeningPort {
    /// Its number, never 0, which would be any port; `None` where only a variable says it that is not known here.
    pub number: Option<u16>,
    /// The variable that says the number, where it is all that is said: `PORT` of `${PORT}`, and of `${PORT:5044}`.
    pub variable: Option<String>,
    /// What comes to it.
    pub transport: Transport,
    /// The plugin's name: `beats`.
    pub plugin: &'static str,
    /// Whether it is reached from this machine alone, as its address is one of the loopback network.
    pub local: bool,
}

/// A plugin with checked settings, ready to be made.
#[derive(Clone, Debug)]
pub struct CompiledPlugin {
    /// What is declared about plugins of its kind.
    pub spec: &'static PluginSpec,
    /// The settings as they were given, converted, with defaults for the others.
    pub settings: Settings,
    /// What its maker needs beside them; `context.plugin_id` is the plugin's id.
    pub context: BuildContext,
    /// Where it stands in the configuration.
    pub span: Span,
}

impl CompiledPlugin {
    /// The plugin's `id`: as it was given, or made from its place in the configuration.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.context.plugin_id
    }

    /// Where it listens, if it does; not where that is still to be known. `variable_in` gives the variable that a setting was written
    /// as, if it is one and nothing else.
    pub(crate) fn listens(&self, variable_in: impl FnOnce(&str) -> Option<String>) -> Option<ListeningPort> {
        let (setting, listens) = self.spec.settings.iter().find_map(|s| Some((s, s.listens?)))?;
        let is =
            |(name, value): (&'static str, &'static str)| self.settings.text(name).as_deref() == Some(value);
        if listens.unless.is_some_and(is) {
            return None;
        }
        let variable = variable_in(setting.name);
        let number = self.settings.int(setting.name).map(u16::try_from);
        let number = number.and_then(Result::ok).filter(|number| *number > 0);
        if number.is_none() && (variable.is_none() || self.settings.get(setting.name).is_some()) {
            return None;
        }
        let local = self.settings.text("host").is_some_and(|host| is_loopback(&host));
        let (transport, plugin) = (listens.transport, self.spec.name);
        Some(ListeningPort { number, variable, transport, plugin, local })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
