//! What makers refuse, and why an event cannot be written.

use thiserror::Error;

use crate::event::{InvalidReference, SprintfError};

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

/// Why an event cannot be written in the form of a codec or an output. Others of the same plugin may be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A setting with `%{…}` has no text for the event.
    #[error(transparent)]
    Template(#[from] SprintfError),
    /// A setting that names a field names none.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// The form has no place for what the event holds, or lacks: the text says which.
    #[error("{0}")]
    Form(String),
}

impl From<String> for EncodeError {
    fn from(reason: String) -> Self {
        Self::Form(reason)
    }
}

impl From<&str> for EncodeError {
    fn from(reason: &str) -> Self {
        Self::Form(reason.to_owned())
    }
}
