//! What an executor is asked to do: a set of configurations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use crate::configs::Kind;

/// Names a configuration: two of different kinds may have the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigKey {
    /// To what it applies.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.name)
    }
}

/// One configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Image pattern of a docker configuration; name of a host configuration.
    pub name: String,
    /// To what it applies.
    pub kind: Kind,
    /// Opaque, changes with the content.
    pub version: String,
    /// Logstash configuration text, as it was written.
    pub input: String,
    /// Further conditions for containers.
    #[serde(default)]
    pub r#match: BTreeMap<String, String>,
}

impl Configuration {
    /// Its name.
    #[must_use]
    pub fn key(&self) -> ConfigKey {
        ConfigKey { kind: self.kind, name: self.name.clone() }
    }
}

/// Everything an executor needs in order to work. Replaces what it had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSet {
    /// Opaque, equal for equal content.
    pub version: String,
    /// The configurations.
    pub configurations: Vec<Configuration>,
    /// Logstash configuration text with the `output` section for configurations that have none.
    #[serde(default)]
    pub default_output: String,
    /// Settings of the executor by their key.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// Why the kept set cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeptSetError {
    /// The file is there and is not what we write.
    #[error(
        "cannot read the configurations kept in `{path}`: {reason}; nothing was changed: remove the file to start \
         without them"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be used.
    #[error("cannot keep the configurations in `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

const KEPT: &str = "configurations.json";

impl ConfigSet {
    /// The set that was kept in `data_dir`, if there is one.
    ///
    /// # Errors
    ///
    /// [`KeptSetError::Unreadable`] for a file that holds something else: it is left as it is.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, KeptSetError> {
        let path = data_dir.join(KEPT);
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| KeptSetError::Unreadable { path, reason: error.to_string() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KeptSetError::Io { path, source }),
        }
    }

    /// Keeps the set in `data_dir`, in place of the one before.
    ///
    /// # Errors
    ///
    /// [`KeptSetError::Io`]; the one before is still there then.
    pub fn keep(&self, data_dir: &Path) -> Result<(), KeptSetError> {
        let path = data_dir.join(KEPT);
        let failed = |source| KeptSetError::Io { path: path.clone(), source };
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        let beside = data_dir.join("configurations.json.new");
        // It may hold passwords of outputs.
        let mut options = std::fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.write(true).create(true).truncate(true).open(&beside).map_err(failed)?;
        std::io::Write::write_all(&mut file, &text).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        std::fs::rename(&beside, &path).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_set_comes_back_and_another_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ConfigSet::load(dir.path()).unwrap(), None);
        let set = ConfigSet {
            version: "7".into(),
            configurations: vec![Configuration {
                name: "nginx:*".into(),
                kind: Kind::Docker,
                version: "1".into(),
                input: "input { docker { } }".into(),
                r#match: BTreeMap::from([("label.app".into(), "web".into())]),
            }],
            default_output: "output { null { } }".into(),
            settings: BTreeMap::new(),
        };
        set.keep(dir.path()).unwrap();
        assert_eq!(ConfigSet::load(dir.path()).unwrap(), Some(set));
        std::fs::write(dir.path().join(KEPT), "{").unwrap();
        assert!(ConfigSet::load(dir.path()).unwrap_err().to_string().contains("configurations.json"));
        assert_eq!(std::fs::read_to_string(dir.path().join(KEPT)).unwrap(), "{");
    }
}
