//! All configurations at one moment, as they are read from the store.

use super::checked::Complaint;
use crate::configs::destinations::{Destination, destinations, shared};
use crate::configs::history::{Change, Past};
use crate::configs::place::place;
use crate::configs::{ConfigKey, Configuration, Source, digest};
use crate::store::{JsonStore, StateKey, StateStore, StoreError, Version};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// All configurations at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The configurations that executors get.
    pub entries: BTreeMap<ConfigKey, Entry>,
    /// Files that are not in force, or not in their newest form.
    pub problems: BTreeMap<ConfigKey, Problem>,
}

/// A configuration in force.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it was written.
    pub configuration: Configuration,
    /// Hash of the content, 16 hex digits: equal for equal configurations.
    pub version: String,
    /// Who wrote it and when; unknown of what was written before this was kept.
    pub change: Option<Change>,
    /// Where its outputs write.
    pub destinations: Arc<[Destination]>,
    pub(super) stored: Version,
}

impl Entry {
    /// Whether `past` is this one: it was kept for a change that then failed.
    pub(super) fn is(&self, past: &Past) -> bool {
        past.written == self.change && past.configuration.version() == self.version
    }
}

/// A configuration as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(flatten)]
    pub(super) configuration: Configuration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<Change>,
}

/// Why a file is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file in the configuration directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub text: String,
}

impl Snapshot {
    /// Reads every configuration that the store has.
    pub(in crate::configs) async fn read(store: &dyn StateStore) -> Result<Self, StoreError> {
        let keys = store.list(StateKey::new(PREFIX).as_ref()).await?;
        // One that went since it was listed is not there.
        let read =
            stream::iter(keys).map(|key| async move { read(store, &key).await }).buffer_unordered(AT_ONCE);
        let found: Vec<_> = read.try_collect().await?;
        Ok(Self { entries: found.into_iter().flatten().collect(), problems: BTreeMap::new() })
    }

    pub(super) fn is_of_another(&self, id: &ConfigKey, source: Source) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.configuration.source != source)
    }

    /// For who may only read it: see [`Configuration::without_secrets`].
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut shown = self.clone();
        for entry in shown.entries.values_mut() {
            entry.configuration = entry.configuration.without_secrets();
        }
        shown
    }

    /// The places that several configurations write to, each with all of them.
    #[must_use]
    pub fn shared_destinations(&self) -> BTreeMap<&str, Vec<&ConfigKey>> {
        shared(self.entries.iter().map(|(key, entry)| (key, &*entry.destinations)))
    }

    /// A warning for each place that `configuration` writes to and another one of these does too.
    #[must_use]
    pub fn meetings(&self, configuration: &Configuration) -> Vec<Complaint> {
        let id = configuration.key();
        let others = || self.entries.iter().filter(|(key, _)| **key != id);
        let meeting = |mine: Destination| {
            let meets = |entry: &Entry| entry.destinations.iter().any(|place| place.name == mine.name);
            let met: Vec<_> =
                others().filter(|(_, entry)| meets(entry)).map(|(key, _)| format!("`{key}`")).collect();
            (!met.is_empty()).then(|| Complaint {
                code: MEETING.to_owned(),
                line: mine.line,
                column: mine.column,
                message: format!("{} is also written to by {}", mine.name, met.join(", ")),
                remedy: "if that is not meant, give one of them a place of its own".to_owned(),
                excerpt: String::new(),
            })
        };
        destinations(configuration).into_iter().filter_map(meeting).collect()
    }

    /// Equal for equal content.
    pub fn version(&self) -> String {
        digest(self.entries.values().map(|entry| entry.version.as_str()))
    }
}

/// The configuration at `key`, unless there is none.
pub(super) async fn read(
    store: &dyn StateStore,
    key: &StateKey,
) -> Result<Option<(ConfigKey, Entry)>, StoreError> {
    let Some((record, stored)) = store.get_json::<Record>(key).await? else { return Ok(None) };
    let Record { configuration, change } = record;
    let version = configuration.version();
    let id = configuration.key();
    let destinations = destinations(&configuration).into();
    Ok(Some((id, Entry { configuration, version, change, destinations, stored })))
}

/// Where a configuration is kept.
pub(super) fn key(id: &ConfigKey) -> StateKey {
    place(PREFIX, id)
}

pub(super) const PREFIX: &str = "configs";
/// The code of the warning that two configurations write to one place; those of the compiler go up to W405.
const MEETING: &str = "W501";
/// Records that are read at the same time.
const AT_ONCE: usize = 16;
