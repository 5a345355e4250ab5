//! What makers refuse.

use thiserror::Error;

/// The settings pass their types but cannot work.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{message}")]
pub struct BuildError {
    /// The setting at fault, if it is one.
    pub setting: Option<&'static str>,
    /// What is wrong, and with what.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Whether the fault lies in a file, which is another one where the configuration runs.
    pub in_file: bool,
}

impl BuildError {
    /// A complaint about one setting.
    pub fn setting(setting: &'static str, message: impl Into<String>) -> Self {
        Self { setting: Some(setting), message: message.into(), remedy: None, in_file: false }
    }

    /// A complaint about the plugin as a whole.
    pub fn plugin(message: impl Into<String>) -> Self {
        Self { setting: None, message: message.into(), remedy: None, in_file: false }
    }

    /// The fault lies in a file that a setting names, or in that there is none: on another machine it may be
    /// right.
    #[must_use]
    pub fn in_file(mut self) -> Self {
        self.in_file = true;
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
