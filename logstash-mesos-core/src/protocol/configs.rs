//! Configurations on the wire.

use super::{ConfigKind, ConfigSet, Configuration};
use crate::configs::{self, Kind, Source};

impl From<Kind> for ConfigKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Docker => Self::Docker,
            Kind::Host => Self::Host,
        }
    }
}

impl ConfigKind {
    /// `None` for one that only a newer peer knows.
    #[must_use]
    pub fn known(self) -> Option<Kind> {
        match self {
            Self::Docker => Some(Kind::Docker),
            Self::Host => Some(Kind::Host),
            Self::Unspecified => None,
        }
    }
}

impl From<&configs::Configuration> for Configuration {
    fn from(configuration: &configs::Configuration) -> Self {
        Self::with(configuration, configuration.version(), configuration.input.clone())
    }
}

/// How much of a configuration's text somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// All of it: for those who may write.
    Whole,
    /// Without passwords and the like: for those who may read.
    WithoutSecrets,
    /// Nothing: for those who ask for something else.
    LeftOut,
}

impl Configuration {
    fn with(configuration: &configs::Configuration, version: String, input: String) -> Self {
        let configs::Configuration { name, kind, matches, source, .. } = configuration;
        Self {
            name: name.clone(),
            kind: ConfigKind::from(*kind).into(),
            version,
            input,
            r#match: matches.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            source: source.name().to_owned(),
        }
    }

    /// With so much of its text, and the version of the whole. That is not made anew: a status has all configurations.
    #[must_use]
    pub fn told(entry: &configs::Entry, texts: Texts) -> Self {
        let configuration = &entry.configuration;
        let input = match texts {
            Texts::Whole => configuration.input.clone(),
            Texts::WithoutSecrets => configuration.without_secrets().input,
            Texts::LeftOut => String::new(),
        };
        Self::with(configuration, entry.version.clone(), input)
    }

    /// As whoever reads it has it; `None` when it is of a kind that only a newer peer knows. The version is not
    /// taken over: content makes it.
    #[must_use]
    pub fn known(self) -> Option<configs::Configuration> {
        let kind = self.kind().known()?;
        let matches = self.r#match.into_iter().collect();
        Some(configs::Configuration {
            name: self.name,
            kind,
            input: self.input,
            matches,
            source: Source::Rest,
        })
    }
}

impl From<configs::ConfigSet> for ConfigSet {
    fn from(set: configs::ConfigSet) -> Self {
        Self {
            set_version: set.version,
            configurations: set.configurations.iter().map(Into::into).collect(),
            default_output: set.default_output,
            settings: set.settings.into_iter().collect(),
            assets: Vec::new(),
        }
    }
}

/// What a newer scheduler has, and this executor does not know, is left out: the scheduler will not hear that it is
/// in use.
impl From<ConfigSet> for configs::ConfigSet {
    fn from(set: ConfigSet) -> Self {
        Self {
            version: set.set_version,
            configurations: set.configurations.into_iter().filter_map(Configuration::known).collect(),
            default_output: set.default_output,
            settings: set.settings.into_iter().collect(),
        }
    }
}
