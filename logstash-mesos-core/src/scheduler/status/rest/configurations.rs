//! Where each configuration is in use.

use super::super::{kind_of, named};
use crate::configs::Kind;
use crate::protocol::{Configuration, ConfigurationStatus};
use crate::scheduler::sessions::{Executor, Key};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// A configuration and where it is in use.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConfigurationUse {
    name: String,
    kind: Kind,
    /// Changes with the content; empty for a file that was never good.
    version: String,
    /// Who manages it: `rest` or `directory`.
    source: String,
    /// Further conditions for containers.
    r#match: BTreeMap<String, String>,
    /// Why it is not in use somewhere, or nowhere.
    error: Option<String>,
    /// How many streams it reads.
    streams: usize,
    /// On how many agents it reads something.
    agents: usize,
    /// Executors that took its present version.
    applied_by: usize,
    /// Executors that refused its present version.
    refused_by: usize,
}

pub(super) fn configurations(
    all: Vec<ConfigurationStatus>,
    executors: &BTreeMap<Key, Executor>,
) -> Vec<ConfigurationUse> {
    let all: Vec<_> = all.into_iter().filter_map(|one| Some((one.configuration?, one.error))).collect();
    let versions =
        all.iter().map(|(one, _)| ((kind_of(one), one.name.as_str()), one.version.as_str())).collect();
    let uses = uses(executors, &versions);
    let in_use: Vec<_> = all
        .iter()
        .map(|(one, _)| uses.get(&(kind_of(one), one.name.as_str())).copied().unwrap_or_default())
        .collect();
    all.into_iter()
        .zip(in_use)
        .map(|((one, error), in_use)| ConfigurationUse::of(one, error, in_use))
        .collect()
}

impl ConfigurationUse {
    fn of(one: Configuration, error: String, in_use: Use) -> Self {
        Self {
            kind: kind_of(&one),
            name: one.name,
            version: one.version,
            source: one.source,
            r#match: one.r#match.into_iter().collect(),
            error: named(error),
            streams: in_use.streams,
            agents: in_use.agents,
            applied_by: in_use.applied_by,
            refused_by: in_use.refused_by,
        }
    }
}

/// What a configuration is in use for.
#[derive(Clone, Copy, Default)]
struct Use {
    streams: usize,
    /// On which it reads something.
    agents: usize,
    /// Executors that took its present version, and that refused it.
    applied_by: usize,
    refused_by: usize,
}

/// The use of every configuration, by kind and name.
fn uses<'a>(
    executors: &'a BTreeMap<Key, Executor>,
    versions: &BTreeMap<(Kind, &str), &str>,
) -> BTreeMap<(Kind, &'a str), Use> {
    let mut uses: BTreeMap<(Kind, &str), Use> = BTreeMap::new();
    for executor in executors.values() {
        let mut here = BTreeSet::new();
        for stream in executor.streams.values() {
            let kind = if stream.container_id.is_empty() { Kind::Host } else { Kind::Docker };
            for name in &stream.configurations {
                uses.entry((kind, name)).or_default().streams += 1;
                here.insert((kind, name.as_str()));
            }
        }
        for key in here {
            uses.entry(key).or_default().agents += 1;
        }
        for result in executor.applied.iter().flat_map(|applied| &applied.results) {
            let kind = result.kind().known().unwrap_or(Kind::Docker);
            if versions.get(&(kind, result.name.as_str())) == Some(&result.version.as_str()) {
                let one = uses.entry((kind, &result.name)).or_default();
                if result.error.is_empty() { one.applied_by += 1 } else { one.refused_by += 1 }
            }
        }
    }
    uses
}
