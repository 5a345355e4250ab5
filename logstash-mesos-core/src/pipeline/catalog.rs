//! Finding plugins by name: the built-in ones, and those an embedder brings.

use std::sync::Arc;

use super::plugin::{Build, PluginSpec};
use super::registry::PLUGINS;

/// The four kinds of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PluginKind {
    /// Produces events.
    Input,
    /// Changes events.
    Filter,
    /// Writes events.
    Output,
    /// Turns bytes into events and events into bytes.
    Codec,
}

impl PluginKind {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Filter => "filter",
            Self::Output => "output",
            Self::Codec => "codec",
        }
    }
}

impl Build {
    /// The kind of plugin this makes.
    #[must_use]
    pub fn kind(&self) -> PluginKind {
        match self {
            Self::Filter(_) => PluginKind::Filter,
            Self::Codec(_) => PluginKind::Codec,
            Self::Input(_) => PluginKind::Input,
            Self::Output(_) => PluginKind::Output,
        }
    }
}

/// All plugins a configuration may name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    extra: Arc<[&'static PluginSpec]>,
}

impl Catalog {
    /// The built-in plugins and `extra`, which win where names are the same.
    #[must_use]
    pub fn with(extra: impl IntoIterator<Item = &'static PluginSpec>) -> Self {
        Self { extra: extra.into_iter().collect() }
    }

    /// The plugin of this kind and name.
    #[must_use]
    pub fn find(&self, kind: PluginKind, name: &str) -> Option<&'static PluginSpec> {
        self.all().find(|spec| spec.build.kind() == kind && spec.name == name)
    }

    /// The names of all plugins of this kind.
    pub fn names(&self, kind: PluginKind) -> impl Iterator<Item = &'static str> {
        self.all().filter(move |spec| spec.build.kind() == kind).map(|spec| spec.name)
    }

    /// All plugins.
    pub fn all(&self) -> impl Iterator<Item = &'static PluginSpec> {
        self.extra.iter().chain(PLUGINS).copied()
    }
}
