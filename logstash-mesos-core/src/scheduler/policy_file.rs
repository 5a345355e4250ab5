//! The policy about who reads what: a file of the scheduler, and what of it is in force.

use crate::configs::{PolicyError, ReadPolicy};
use crate::error_chain;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;
use utoipa::ToSchema;

/// What is in force, and what the file is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) policy: ReadPolicy,
    pub(super) file: Option<PathBuf>,
    /// What is wrong with the file as it is now; empty when it is in force.
    pub(super) error: String,
}

impl Standing {
    /// Of the file as it is now. While it cannot be used, what it said `before` goes on: rules that are gone must not open
    /// anything by an accident.
    pub(super) fn read(file: Option<&Path>, before: &ReadPolicy) -> Self {
        let Some(path) = file else { return Self::default() };
        let file = Some(path.to_owned());
        match read(path) {
            Ok(policy) => Self { policy, file, error: String::new() },
            Err(error) => Self { policy: before.clone(), file, error: error_chain(&error) },
        }
    }

    /// As REST has it.
    pub(super) fn shown(&self) -> PolicyShown {
        let rules = self.policy.rules().iter().map(|rule| RuleShown {
            effect: if rule.denies { "deny" } else { "allow" },
            configurations: rule.configurations.clone(),
            containers: rule.conditions.clone(),
            text: rule.to_string(),
        });
        PolicyShown {
            file: self.file.as_ref().map(|file| file.display().to_string()),
            error: Some(self.error.clone()).filter(|error| !error.is_empty()),
            rules: rules.collect(),
        }
    }
}

/// Who may read what.
#[derive(Serialize, ToSchema)]
#[schema(as = Policy)]
pub(super) struct PolicyShown {
    /// Null if there is none: then everything may be read.
    file: Option<String>,
    /// What is wrong with the file as it is now; the rules of before go on.
    error: Option<String>,
    rules: Vec<RuleShown>,
}

/// A rule that allows or denies configurations to read containers.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyRule)]
struct RuleShown {
    /// `allow` or `deny`.
    effect: &'static str,
    /// Patterns of their names.
    configurations: Vec<String>,
    /// What a container has to be, by the keys of `match`.
    containers: BTreeMap<String, String>,
    /// The rule as it is written in the file.
    text: String,
}

/// Why a file is no policy.
#[derive(Debug, Error)]
pub(super) enum PolicyFileError {
    #[error("cannot be read")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Reads a policy.
pub(super) fn read(path: &Path) -> Result<ReadPolicy, PolicyFileError> {
    Ok(std::fs::read_to_string(path)?.parse()?)
}

/// Equal for equal policies.
pub(super) fn version(policy: &ReadPolicy) -> String {
    hex::encode(Sha256::digest(policy.to_string()))[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_the_file_cannot_be_used_its_rules_stay() {
        let place = tempfile::tempdir().expect("a directory");
        let file = place.path().join("policy");
        std::fs::write(&file, "deny * role=a\n").expect("writes");
        let good = Standing::read(Some(&file), &ReadPolicy::default());
        assert_eq!((good.policy.rules().len(), &*good.error), (1, ""));
        std::fs::write(&file, "deny * role\n").expect("writes");
        let bad = Standing::read(Some(&file), &good.policy);
        assert_eq!(bad.policy, good.policy);
        assert!(bad.error.contains("KEY=PATTERN"), "{}", bad.error);
        std::fs::remove_file(&file).expect("is there");
        let gone = Standing::read(Some(&file), &bad.policy);
        assert_eq!(gone.policy, good.policy);
        let shown = serde_json::to_value(gone.shown()).expect("is text");
        assert_eq!(shown["rules"][0]["text"], "deny * role=a");
        assert!(shown["error"].as_str().is_some_and(|error| error.contains("cannot be read")), "{shown}");
        assert_eq!(Standing::read(None, &good.policy), Standing::default());
    }
}
