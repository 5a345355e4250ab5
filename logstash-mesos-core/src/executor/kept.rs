//! The set of configurations that an executor had last, kept for a start without a scheduler.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::configs::ConfigSet;

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
        /// The file with the set, in the data directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be used.
    #[error("cannot keep the configurations in `{path}`")]
    Io {
        /// The file with the set, in the data directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

const KEPT: &str = "configurations.json";

/// The set that was kept in `data_dir`, if there is one.
///
/// # Errors
///
/// [`KeptSetError::Unreadable`] for a file that holds something else: it is left as it is.
pub(super) fn load(data_dir: &Path) -> Result<Option<ConfigSet>, KeptSetError> {
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
pub(super) fn keep(set: &ConfigSet, data_dir: &Path) -> Result<(), KeptSetError> {
    let path = data_dir.join(KEPT);
    let failed = |source| KeptSetError::Io { path: path.clone(), source };
    let text = serde_json::to_vec(set).map_err(|error| failed(error.into()))?;
    // It may hold passwords of outputs.
    crate::durable::replace_file(&path, &text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::configs::Configuration;

    #[test]
    fn a_kept_set_comes_back_and_another_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), None);
        let configuration = Configuration {
            matches: BTreeMap::from([("label.app".into(), "web".into())]),
            ..Configuration::docker("nginx:*", "input { docker { } }")
        };
        let set = ConfigSet::new(vec![configuration], "output { null { } }", BTreeMap::new());
        keep(&set, dir.path()).unwrap();
        assert_eq!(load(dir.path()).unwrap(), Some(set));
        std::fs::write(dir.path().join(KEPT), "{").unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains("configurations.json"));
        assert_eq!(std::fs::read_to_string(dir.path().join(KEPT)).unwrap(), "{");
    }

    #[test]
    fn a_set_of_the_first_release_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let kept = r#"{"version":"7","configurations":[{"name":"a","kind":"host","version":"1","input":"x","match":{}}]}"#;
        std::fs::write(dir.path().join(KEPT), kept).unwrap();
        let set = load(dir.path()).unwrap().unwrap();
        assert_eq!(
            (set.version.as_str(), &set.configurations[..]),
            ("7", &[Configuration::host("a", "x")][..])
        );
    }
}
