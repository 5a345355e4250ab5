//! Finding plugins by name.

use std::sync::Arc;

use super::spec::PluginSpec;
use crate::lang::PluginKind;

/// All plugins a configuration may name.
///
/// [`registry::catalog`](crate::registry::catalog) has those of this crate.
#[derive(Clone, Debug)]
pub struct Catalog {
    plugins: Arc<[&'static PluginSpec]>,
}

impl Catalog {
    /// These plugins and no others.
    #[must_use]
    pub fn new(plugins: impl IntoIterator<Item = &'static PluginSpec>) -> Self {
        Self { plugins: plugins.into_iter().collect() }
    }

    /// The plugins of this one and `more`, which win where names are the same.
    #[must_use]
    pub fn with(&self, more: impl IntoIterator<Item = &'static PluginSpec>) -> Self {
        Self::new(more.into_iter().chain(self.all()))
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

    /// The declarations of all plugins, in the order in which they were listed.
    pub fn all(&self) -> impl Iterator<Item = &'static PluginSpec> {
        self.plugins.iter().copied()
    }
}
