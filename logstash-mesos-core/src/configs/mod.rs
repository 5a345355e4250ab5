//! The configurations of a framework: what they are called, what they apply to, where they come from.

mod destinations;
pub mod directory;
mod executor_settings;
mod history;
pub mod labels;
mod matching;
mod place;
mod policy;
mod reader;
mod registry;
mod set;

pub use destinations::{Destination, destinations, shared};
pub use executor_settings::{ExecutorSettingError, ExecutorSettings, PipelineSettings};
pub use history::{Author, Change, Past, VERSIONS_KEPT};
pub use matching::{Matcher, UnknownCondition};
pub use policy::{PolicyError, ReadPolicy, Rule};
pub use reader::SnapshotReader;
pub use registry::{
    Checked, Checker, Complaint, Entry, Precondition, Problem, PutError, Registry, RemoveError, Snapshot,
    Stored,
};
pub use set::ConfigSet;

use crate::pipeline::catalog;
use crate::pipeline::compile::without_secrets;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// Names a configuration: two of different kinds may have the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigKey {
    /// What it applies to.
    pub kind: Kind,
    /// Image pattern of a docker configuration, name of a host configuration.
    pub name: String,
}

impl ConfigKey {
    /// The configuration for the containers of an image.
    pub fn docker(image: impl Into<String>) -> Self {
        Self { kind: Kind::Docker, name: image.into() }
    }

    /// The configuration `name` for the machine.
    pub fn host(name: impl Into<String>) -> Self {
        Self { kind: Kind::Host, name: name.into() }
    }
}

/// Kind and name with a slash between them: `docker/nginx:1.27`.
impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.name)
    }
}

/// One configuration, as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Image pattern of a docker configuration, name of a host configuration.
    pub name: String,
    /// What it applies to.
    pub kind: Kind,
    /// The text in Logstash's language, as it was written, with its comments.
    pub input: String,
    /// Further conditions for containers, such as `label.app`.
    #[serde(default, rename = "match", skip_serializing_if = "BTreeMap::is_empty")]
    pub matches: BTreeMap<String, String>,
    /// Where it came from, which is where it can be changed.
    #[serde(default)]
    pub source: Source,
}

/// What a configuration applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "scheduler", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The containers it matches.
    Docker,
    /// Files and inputs of the machine: it runs once on every agent.
    Host,
}

impl Kind {
    /// As in paths and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Host => "host",
        }
    }
}

/// Who manages a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// REST, gRPC, and whoever embeds the library.
    #[default]
    Rest,
    /// A directory of files.
    Directory,
    /// Settings of the scheduler.
    Settings,
}

impl Source {
    /// Where somebody changes the configuration `name`, in words; `None` where REST and gRPC do.
    fn place(self, name: &str) -> Option<String> {
        match self {
            Self::Rest => None,
            Self::Directory => Some(format!("the file `{name}.conf` of the configuration directory")),
            Self::Settings => Some("settings of the scheduler".to_owned()),
        }
    }

    /// As `GET /api/status` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Directory => "directory",
            Self::Settings => "settings",
        }
    }
}

impl Configuration {
    /// For the containers of `image`, which may be a pattern: see [`Matcher`].
    pub fn docker(image: impl Into<String>, input: impl Into<String>) -> Self {
        Self::new(ConfigKey::docker(image), input)
    }

    /// For the machine, once.
    pub fn host(name: impl Into<String>, input: impl Into<String>) -> Self {
        Self::new(ConfigKey::host(name), input)
    }

    fn new(ConfigKey { kind, name }: ConfigKey, input: impl Into<String>) -> Self {
        Self { name, kind, input: input.into(), matches: BTreeMap::new(), source: Source::Rest }
    }

    /// For who may only read it: passwords and the like are hidden, the rest of the text is as it was written.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        Self { input: without_secrets(&self.input, &catalog()), ..self.clone() }
    }

    /// Its kind and name.
    pub fn key(&self) -> ConfigKey {
        ConfigKey { kind: self.kind, name: self.name.clone() }
    }

    /// Equal for equal content, on schedulers and executors alike: 16 hex digits.
    pub fn version(&self) -> String {
        let conditions = self.matches.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
        digest([self.kind.name(), &self.name, &self.input].into_iter().chain(conditions))
    }
}

/// What is wrong with a name, if anything.
pub fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("the name is empty");
    }
    if name.len() > MAX_NAME_BYTES {
        return Some("the name is longer than 512 bytes");
    }
    name.chars().any(char::is_control).then_some("the name has control characters")
}

const MAX_NAME_BYTES: usize = 512;

/// A short name for a list of texts: equal for equal lists, 16 hex digits.
fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())[..16].to_owned()
}
