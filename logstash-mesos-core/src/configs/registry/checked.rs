//! What a compiler says about configurations.

use crate::configs::Configuration;
use std::fmt;
use std::sync::Arc;

/// Says whether a configuration compiles, with everything there is to say about it.
pub type Checker = Arc<dyn Fn(&Configuration) -> Checked + Send + Sync>;

/// What a compiler says about a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// It cannot be used because of these.
    pub errors: Vec<Complaint>,
    /// It can be used in spite of these.
    pub warnings: Vec<Complaint>,
}

/// One thing about a configuration, at its place.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "scheduler", derive(utoipa::ToSchema))]
pub struct Complaint {
    /// Names the kind of complaint for programs, and stays the same from version to version.
    pub code: String,
    /// Line of the text, the first is 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong, in a sentence that names the setting or plugin.
    pub message: String,
    /// What the author can do about it; empty where the message says it all.
    pub remedy: String,
    /// The line with a mark.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub excerpt: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {} [{}]", self.line, self.column, self.message, self.code)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}
