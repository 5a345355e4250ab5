//! The configurations of a framework: what they are called, what they apply to, where they come from.

pub mod directory;
mod reader;
mod registry;

pub use reader::SnapshotReader;
pub use registry::{
    Checked, Checker, Complaint, Entry, Id, Precondition, Problem, PutError, Registry, RemoveError, Snapshot,
    Stored,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// One configuration, as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Image pattern of a docker configuration, name of a host configuration.
    pub name: String,
    /// What it applies to.
    pub kind: Kind,
    /// The text, verbatim.
    pub input: String,
    /// Further conditions for containers, such as `label.app`.
    #[serde(default, rename = "match", skip_serializing_if = "BTreeMap::is_empty")]
    pub matches: BTreeMap<String, String>,
    /// Who manages it.
    pub source: Source,
}

/// What a configuration applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The containers it matches.
    Docker,
    /// Every agent, once.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// REST and gRPC.
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
    /// Changes with the content and with nothing else.
    pub fn version(&self) -> String {
        let mut hash = Sha256::new();
        let conditions = self.matches.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
        for part in [self.kind.name(), &self.name, &self.input].into_iter().chain(conditions) {
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        hex(&hash.finalize())[..16].to_owned()
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

/// What is wrong with the conditions of a `match`, if anything.
pub fn match_problem(matches: &BTreeMap<String, String>) -> Option<String> {
    let known = |key: &str| {
        MATCH_KEYS.contains(&key) || key.strip_prefix("label.").is_some_and(|name| !name.is_empty())
    };
    let unknown = matches.keys().find(|key| !known(key))?;
    Some(format!(
        "match has an unknown key `{unknown}`; there are label.NAME, container_name, image, framework, agent_id, \
         executor_id and task_id"
    ))
}

const MAX_NAME_BYTES: usize = 512;
/// As the executor understands them, short forms included.
const MATCH_KEYS: [&str; 11] = [
    "container_name",
    "name",
    "image",
    "framework",
    "framework_id",
    "agent",
    "agent_id",
    "executor",
    "executor_id",
    "task",
    "task_id",
];

/// A short name for content: equal for equal bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))[..16].to_owned()
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // A String takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
