//! Why settings cannot be used.

use crate::pipeline::lang::similar::suggestion;
use std::path::PathBuf;
use thiserror::Error;

/// Why settings cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingError {
    /// The file cannot be read.
    #[error("cannot read the settings file {path}")]
    File {
        /// The settings file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("the settings file {path} is not valid TOML: {problem}")]
    Syntax {
        /// The settings file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// There is something that is no setting.
    #[error("{origin}: there is no setting `{key}`{hint}")]
    UnknownKey {
        /// The file, or who else gave it.
        origin: String,
        /// The key that is no setting.
        key: String,
        /// A close one, or nothing.
        hint: String,
    },
    /// A value cannot be right.
    #[error("{origin}: `{value}` {problem}")]
    Invalid {
        /// The flag, the variable or the key.
        origin: String,
        /// As it was written.
        value: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Nobody said what has no default.
    #[error("{flag} is required: {help}")]
    Missing {
        /// The flag that gives it, with its dashes.
        flag: String,
        /// What it is for.
        help: &'static str,
    },
}

impl SettingError {
    /// `origin` gives a value to `key`, which is none of `keys`. Says the nearest of them.
    pub fn unknown_key<'k>(origin: String, key: &str, keys: impl IntoIterator<Item = &'k str>) -> Self {
        let hint = suggestion(key, keys).map(|close| format!("; {close}")).unwrap_or_default();
        Self::UnknownKey { origin, key: key.to_owned(), hint }
    }
}
