//! The configurations in force, kept in the state store.

use super::destinations::{Destination, destinations, shared};
use super::directory::Found;
use super::history::{self, Author, Change, Past};
use super::place::place;
use super::{ConfigKey, Configuration, Matcher, Source, digest, name_problem};
use crate::store::{Expect, JsonStore, StateKey, StateStore, StoreError, Version};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::{Mutex, watch};

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
    stored: Version,
}

impl Entry {
    /// Whether `past` is this one: it was kept for a change that then failed.
    fn is(&self, past: &Past) -> bool {
        past.written == self.change && past.configuration.version() == self.version
    }
}

/// A configuration as it is stored.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    configuration: Configuration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change: Option<Change>,
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
    pub(super) async fn read(store: &dyn StateStore) -> Result<Self, StoreError> {
        let keys = store.list(StateKey::new(PREFIX).as_ref()).await?;
        // One that went since it was listed is not there.
        let read =
            stream::iter(keys).map(|key| async move { read(store, &key).await }).buffer_unordered(AT_ONCE);
        let found: Vec<_> = read.try_collect().await?;
        Ok(Self { entries: found.into_iter().flatten().collect(), problems: BTreeMap::new() })
    }

    fn is_of_another(&self, id: &ConfigKey, source: Source) -> bool {
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

/// What must hold for a configuration to be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// There is none of that name.
    pub only_create: bool,
    /// The present one has this version.
    pub version: Option<String>,
}

/// A configuration was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Hash of the content, for the precondition of the next change.
    pub version: String,
    /// There was none of that name.
    pub created: bool,
    /// What the compiler found that does not hinder.
    pub warnings: Vec<Complaint>,
}

/// Why a configuration was not stored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PutError {
    /// It does not compile.
    #[error("the configuration does not compile: {}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Refused(Vec<Complaint>),
    /// Its name or its conditions cannot be.
    #[error("{0}")]
    Invalid(String),
    /// It is not managed here.
    #[error("`{name}` is managed by {place}; change it there")]
    Managed {
        /// Name of the configuration that was to be changed.
        name: String,
        /// Where it is managed.
        place: String,
    },
    /// The precondition does not hold.
    #[error("{0}")]
    Precondition(String),
    /// It does not fit into the state.
    #[error(
        "the configuration has {bytes} bytes, and at most {limit} can be stored; put patterns and \
         dictionaries into files on the agents and refer to them"
    )]
    TooLarge {
        /// Bytes that the record would have.
        bytes: usize,
        /// Most bytes that a record may have.
        limit: usize,
    },
    /// The state could not be written.
    #[error("the configuration could not be stored")]
    Store(#[source] StoreError),
}

/// Why a configuration was not removed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// It is not managed here.
    #[error("`{name}` is managed by {place}; remove it there")]
    Managed {
        /// Name of the configuration that was to be changed.
        name: String,
        /// Where it is managed.
        place: String,
    },
    /// The configuration has another version than was expected.
    #[error("{0}")]
    Precondition(String),
    /// The state could not be written.
    #[error("the configuration could not be removed")]
    Store(#[source] StoreError),
}

/// The configurations in force. Each is a record of its own in the state store.
pub struct Registry {
    store: Arc<dyn StateStore>,
    checker: Checker,
    current: watch::Sender<Arc<Snapshot>>,
    /// One change at a time: each reads what is there, decides, stores and then shows.
    changing: Mutex<()>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Registry {
    /// Reads what is stored.
    ///
    /// # Errors
    ///
    /// Those of the store; a record that cannot be read is one.
    pub async fn load(store: Arc<dyn StateStore>, checker: Checker) -> Result<Self, StoreError> {
        let current = watch::Sender::new(Arc::new(Snapshot::read(&*store).await?));
        Ok(Self { store, checker, current, changing: Mutex::default() })
    }

    /// Reads again what is stored, and says whether it differs from what was in force: another scheduler that
    /// writes the same state, or did so just before this one came to lead, is noticed in no other way.
    ///
    /// # Errors
    ///
    /// Those of the store; nothing is changed then.
    pub async fn reload(&self) -> Result<bool, StoreError> {
        let _changing = self.changing.lock().await;
        let entries = Snapshot::read(&*self.store).await?.entries;
        Ok(self.current.send_if_modified(|current| {
            let stored = |(id, entry): (&ConfigKey, &Entry)| (id.clone(), entry.stored.clone());
            let changed = !current.entries.iter().map(stored).eq(entries.iter().map(stored));
            if changed {
                Arc::make_mut(current).entries = entries;
            }
            changed
        }))
    }

    /// What is in force now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.borrow().clone()
    }

    /// Tells of every change.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.current.subscribe()
    }

    /// Says whether a configuration compiles.
    pub fn check(&self, configuration: &Configuration) -> Checked {
        (self.checker)(configuration)
    }

    /// Creates or replaces a configuration, for `author`. What was there before is kept: see [`past`](Self::past).
    ///
    /// # Errors
    ///
    /// [`PutError`]; nothing is changed then.
    pub async fn put(
        &self,
        configuration: Configuration,
        expect: Precondition,
        author: &Author,
    ) -> Result<Stored, PutError> {
        if let Some(problem) = name_problem(&configuration.name) {
            return Err(PutError::Invalid(problem.to_owned()));
        }
        Matcher::new(&configuration.name, &configuration.matches)
            .map_err(|error| PutError::Invalid(error.to_string()))?;
        let _changing = self.changing.lock().await;
        let id = configuration.key();
        loop {
            match self.try_put(&id, configuration.clone(), &expect, author).await {
                Err(PutError::Store(error)) if error.is_conflict() => {
                    // Another scheduler wrote it in the meantime: decided again on what it is now.
                    self.reread(&id).await.map_err(PutError::Store)?;
                }
                other => return other,
            }
        }
    }

    async fn try_put(
        &self,
        id: &ConfigKey,
        configuration: Configuration,
        expect: &Precondition,
        author: &Author,
    ) -> Result<Stored, PutError> {
        let snapshot = self.snapshot();
        let present = snapshot.entries.get(id);
        let place = present.and_then(|e| e.configuration.source.place(&id.name));
        let waiting = || snapshot.problems.get(id).map(|problem| problem.path.display().to_string());
        if let Some(place) = place.or_else(waiting) {
            return Err(PutError::Managed { name: id.name.clone(), place });
        }
        if expect.only_create && present.is_some() {
            return Err(PutError::Precondition(format!("there is a configuration `{}` already", id.name)));
        }
        if let Some(version) = &expect.version
            && present.is_none_or(|e| e.version != *version)
        {
            let now = present.map_or("absent", |e| &e.version);
            return Err(PutError::Precondition(format!("`{}` is {now}, not {version}", id.name)));
        }
        let checked = self.check(&configuration);
        if !checked.errors.is_empty() {
            return Err(PutError::Refused(checked.errors));
        }
        let (created, meetings) = (present.is_none(), snapshot.meetings(&configuration));
        let version = self.store(&snapshot, configuration, author).await.map_err(|error| match error {
            StoreError::TooLarge { bytes, limit, .. } => PutError::TooLarge { bytes, limit },
            other => PutError::Store(other),
        })?;
        Ok(Stored { version, created, warnings: [checked.warnings, meetings].concat() })
    }

    /// What a configuration was before, the youngest first; also of one that was removed.
    ///
    /// # Errors
    ///
    /// Those of the store.
    ///
    /// # Cancellation safety
    ///
    /// Only reads; may be dropped at any time.
    pub async fn past(&self, key: &ConfigKey) -> Result<Vec<Past>, StoreError> {
        let snapshot = self.snapshot();
        let current = snapshot.entries.get(key);
        history::list(&*self.store, key, |past| current.is_some_and(|entry| entry.is(past))).await
    }

    /// Finds the configuration that had this version once, among those that [`past`](Self::past) has.
    ///
    /// # Errors
    ///
    /// [`StoreError`], when the store cannot be read.
    pub async fn past_version(
        &self,
        key: &ConfigKey,
        version: &str,
    ) -> Result<Option<Configuration>, StoreError> {
        let past = self.past(key).await?;
        Ok(past.into_iter().map(|past| past.configuration).find(|one| one.version() == version))
    }

    /// Removes a configuration, for `author`; `false` when there is none. With `version`, only if that is in force. What it was
    /// is kept.
    ///
    /// # Errors
    ///
    /// [`RemoveError`]; nothing is changed then.
    pub async fn remove(
        &self,
        id: &ConfigKey,
        version: Option<&str>,
        author: &Author,
    ) -> Result<bool, RemoveError> {
        let _changing = self.changing.lock().await;
        loop {
            let snapshot = self.snapshot();
            let Some(entry) = snapshot.entries.get(id) else { return Ok(false) };
            if let Some(place) = entry.configuration.source.place(&id.name) {
                return Err(RemoveError::Managed { name: id.name.clone(), place });
            }
            if let Some(version) = version.filter(|version| *version != entry.version) {
                let now = &entry.version;
                return Err(RemoveError::Precondition(format!("`{}` is {now}, not {version}", id.name)));
            }
            match self.unstore(entry, id, author).await {
                Ok(()) => return Ok(true),
                Err(error) if error.is_conflict() => self.reread(id).await.map_err(RemoveError::Store)?,
                Err(error) => return Err(RemoveError::Store(error)),
            }
        }
    }

    /// Makes the configurations of `sources`, which are not managed here, those that were found. A file that cannot be
    /// used leaves its previous version in force, and is told in [`Snapshot::problems`]. What settings make gives way to
    /// what there is of that name.
    ///
    /// # Errors
    ///
    /// Those of the store; what was done before stays done, and the next call does the rest.
    pub async fn sync(&self, sources: &[Source], found: Vec<Found>) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let mut problems = BTreeMap::new();
        let mut present = BTreeSet::new();
        for Found { kind, name, path, content } in found {
            let id = ConfigKey { kind, name };
            present.insert(id.clone());
            let snapshot = self.snapshot();
            let text = match content {
                Err(error) => error.to_string(),
                Ok(new) if snapshot.entries.get(&id).is_some_and(|e| e.configuration == new) => continue,
                Ok(new) if new.source == Source::Settings && snapshot.is_of_another(&id, new.source) => {
                    "there is another configuration of that name, which stays".to_owned()
                }
                Ok(new) => {
                    let checked = self.check(&new);
                    match checked.errors.first() {
                        Some(first) => {
                            let more = checked.errors.len() - 1;
                            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
                            format!("{first}{more}")
                        }
                        None => match self.store(&snapshot, new, &watcher(&path)).await {
                            Ok(version) => {
                                tracing::info!(path = %path.display(), name = %id.name, version, "Configuration taken over");
                                continue;
                            }
                            Err(error @ StoreError::TooLarge { .. }) => error.to_string(),
                            Err(error) => {
                                if error.is_conflict() {
                                    self.reread(&id).await?;
                                }
                                return Err(error);
                            }
                        },
                    }
                }
            };
            let problem = Problem { path, text };
            if snapshot.problems.get(&id) != Some(&problem) {
                let path = problem.path.display();
                let kept = snapshot.entries.contains_key(&id);
                tracing::warn!(%path, problem = problem.text, previous_in_force = kept, "Configuration is not used");
            }
            problems.insert(id, problem);
        }
        let snapshot = self.snapshot();
        let gone = |(id, entry): &(&ConfigKey, &Entry)| {
            sources.contains(&entry.configuration.source) && !present.contains(*id)
        };
        for (id, entry) in snapshot.entries.iter().filter(gone) {
            tracing::info!(kind = id.kind.name(), name = %id.name, "Configuration removed, as its file or setting is gone");
            if let Err(error) = self.unstore(entry, id, &Author::part(WATCHER)).await {
                if error.is_conflict() {
                    self.reread(id).await?;
                }
                return Err(error);
            }
        }
        self.current.send_if_modified(|current| {
            let changed = current.problems != problems;
            if changed {
                *current = Arc::new(Snapshot { problems, ..(**current).clone() });
            }
            changed
        });
        Ok(())
    }

    async fn store(
        &self,
        snapshot: &Snapshot,
        configuration: Configuration,
        author: &Author,
    ) -> Result<String, StoreError> {
        let id = configuration.key();
        let change = Change::now(author);
        let version = configuration.version();
        let present = snapshot.entries.get(&id);
        // Written once more as it is, nothing becomes past.
        if let Some(present) = present.filter(|present| present.version != version) {
            self.keep(present, &change, false).await?;
        }
        let expect = present.map_or(Expect::Absent, |e| Expect::Version(e.stored.clone()));
        let record = Record { configuration, change: Some(change) };
        let stored = self.store.put_json(&key(&id), &record, expect).await?;
        tell(&id, present.map(|e| &*e.version), Some(&version), author);
        let Record { configuration, change } = record;
        let destinations = destinations(&configuration).into();
        let entry = Entry { configuration, version: version.clone(), change, destinations, stored };
        self.current.send_modify(|current| {
            Arc::make_mut(current).entries.insert(id, entry);
        });
        Ok(version)
    }

    /// Takes over what is stored under a name now.
    async fn reread(&self, id: &ConfigKey) -> Result<(), StoreError> {
        let found = read(&*self.store, &key(id)).await?;
        self.current.send_modify(|current| {
            let entries = &mut Arc::make_mut(current).entries;
            match found {
                Some((id, entry)) => entries.insert(id, entry),
                None => entries.remove(id),
            };
        });
        Ok(())
    }

    async fn keep(&self, entry: &Entry, ended: &Change, removed: bool) -> Result<(), StoreError> {
        let (configuration, written) = (entry.configuration.clone(), entry.change.clone());
        history::keep(&*self.store, &Past { configuration, written, ended: ended.clone(), removed }).await
    }

    async fn unstore(&self, entry: &Entry, id: &ConfigKey, author: &Author) -> Result<(), StoreError> {
        self.keep(entry, &Change::now(author), true).await?;
        self.store.delete(&key(id), Expect::Version(entry.stored.clone())).await?;
        tell(id, Some(&entry.version), None, author);
        self.current.send_modify(|current| {
            Arc::make_mut(current).entries.remove(id);
        });
        Ok(())
    }
}

async fn read(store: &dyn StateStore, key: &StateKey) -> Result<Option<(ConfigKey, Entry)>, StoreError> {
    let Some((record, stored)) = store.get_json::<Record>(key).await? else { return Ok(None) };
    let Record { configuration, change } = record;
    let version = configuration.version();
    let id = configuration.key();
    let destinations = destinations(&configuration).into();
    Ok(Some((id, Entry { configuration, version, change, destinations, stored })))
}

fn key(id: &ConfigKey) -> StateKey {
    place(PREFIX, id)
}

/// Who keeps what is managed elsewhere as it is there, in the file or setting `path`.
fn watcher(path: &Path) -> Author {
    Author { from: path.display().to_string(), ..Author::part(WATCHER) }
}

/// Says who changed what. The target stands alone, so that an audit log can be made of it.
fn tell(id: &ConfigKey, before: Option<&str>, after: Option<&str>, author: &Author) {
    let Author { by, from } = author;
    let (kind, name) = (id.kind.name(), &id.name);
    let (before, after) = (before.unwrap_or("none"), after.unwrap_or("none"));
    tracing::info!(target: "audit", %by, from, kind, name, before, after, "Configuration changed");
}

const PREFIX: &str = "configs";
/// The code of the warning that two configurations write to one place; those of the compiler go up to W405.
const MEETING: &str = "W501";
/// Who keeps what is managed elsewhere as it is there.
const WATCHER: &str = "scheduler";
/// Records that are read at the same time.
const AT_ONCE: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::directory::scan;
    use super::*;
    use crate::store::MemoryStore;

    const ME: Author = Author::part("test");

    /// Refuses what has `bad` in it.
    fn checker() -> Checker {
        Arc::new(|configuration| {
            let complaint = |line: usize| Complaint {
                code: "E101".to_owned(),
                line,
                column: 1,
                message: "bad".to_owned(),
                remedy: "write good".to_owned(),
                excerpt: String::new(),
            };
            let lines = configuration.input.lines().enumerate();
            let errors = lines.filter(|(_, l)| l.contains("bad")).map(|(n, _)| complaint(n + 1)).collect();
            Checked { errors, warnings: vec![] }
        })
    }

    #[tokio::test]
    async fn who_writes_where_another_one_does_is_warned_and_both_are_named() {
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        let registry = registry(&store).await;
        let text = "input { stdin { } }\n\noutput { file { path => '/all' } }";
        let put = async |one: Configuration| {
            registry.put(one, Precondition::default(), &ME).await.expect("stores").warnings
        };
        assert_eq!(put(Configuration::host("a", text)).await, []);
        assert_eq!(put(Configuration::host("a", text)).await, [], "it does not meet itself");
        let warnings = put(Configuration::docker("a", text)).await;
        assert_eq!((warnings.len(), warnings[0].line, &*warnings[0].code), (1, 3, "W501"), "{warnings:?}");
        assert!(warnings[0].message.ends_with("written to by `host/a`"), "{warnings:?}");
        let snapshot = registry.snapshot();
        let shared = snapshot.shared_destinations();
        assert_eq!(shared["file, path /all"], [&ConfigKey::docker("a"), &ConfigKey::host("a")]);
        // It is so after a restart too.
        let again = Registry::load(store.clone(), checker()).await.expect("loads");
        assert_eq!(again.snapshot().shared_destinations().len(), 1);
    }

    async fn registry(store: &Arc<dyn StateStore>) -> Registry {
        Registry::load(store.clone(), checker()).await.expect("loads")
    }

    fn docker(name: &str, input: &str) -> Configuration {
        Configuration::docker(name, input)
    }

    #[tokio::test]
    async fn configurations_are_stored_versioned_and_read_back() {
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        let registry = registry(&store).await;
        let mut changes = registry.subscribe();
        let long = "registry.example:5000/".to_owned() + &"x/".repeat(200);
        let first =
            registry.put(docker(&long, "filter { }"), Precondition::default(), &ME).await.expect("stores");
        assert!(first.created && changes.has_changed().expect("is open"));
        let again =
            registry.put(docker(&long, "filter { }"), Precondition::default(), &ME).await.expect("stores");
        assert_eq!((again.version, again.created), (first.version.clone(), false));
        let other =
            registry.put(docker(&long, "output { }"), Precondition::default(), &ME).await.expect("stores");
        assert_ne!(other.version, first.version);
        changes.mark_unchanged();
        let read = super::tests::registry(&store).await.snapshot();
        let (_, entry) = read.entries.first_key_value().expect("is there");
        assert_eq!((entry.configuration.input.as_str(), &entry.version), ("output { }", &other.version));
        assert_eq!(read.version(), registry.snapshot().version());
        let key = ConfigKey::docker(&long);
        let refused = registry.remove(&key, Some("other"), &ME).await;
        assert!(matches!(refused, Err(RemoveError::Precondition(_))), "{refused:?}");
        assert!(registry.remove(&key, None, &ME).await.expect("removes"));
        assert!(!registry.remove(&key, None, &ME).await.expect("is gone"));
        assert_eq!(store.list(Some(&StateKey::new(PREFIX).expect("is plain"))).await.expect("lists"), []);
        let past = registry.past(&ConfigKey::docker(&long)).await.expect("reads");
        let told: Vec<_> = past.iter().map(|p| (&*p.configuration.input, p.removed)).collect();
        assert_eq!(
            told,
            [("output { }", true), ("filter { }", false)],
            "what was written twice is there once"
        );
        assert_eq!(past[0].written.as_ref(), Some(&past[1].ended));
    }

    #[tokio::test]
    async fn preconditions_and_the_compiler_guard_changes() {
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        let registry = registry(&store).await;
        let put = async |input: &str, only_create, version: Option<&str>| {
            let expect = Precondition { only_create, version: version.map(str::to_owned) };
            registry.put(docker("a", input), expect, &ME).await
        };
        let error = put("x\nbad", false, None).await.expect_err("does not compile");
        assert!(matches!(&error, PutError::Refused(c) if c[0].line == 2), "{error}");
        assert!(matches!(put("x", false, Some("v")).await, Err(PutError::Precondition(_))));
        let version = put("x", true, None).await.expect("creates").version;
        assert!(matches!(put("y", true, None).await, Err(PutError::Precondition(_))));
        put("y", false, Some(&version)).await.expect("replaces");
        assert!(matches!(put("z", false, Some(&version)).await, Err(PutError::Precondition(_))));
        let large = "#".repeat(crate::store::MAX_VALUE_BYTES);
        assert!(matches!(put(&large, false, None).await, Err(PutError::TooLarge { .. })));
        let strange =
            Configuration { matches: BTreeMap::from([("x".into(), "y".into())]), ..docker("b", "") };
        assert!(matches!(
            registry.put(strange, Precondition::default(), &ME).await,
            Err(PutError::Invalid(_))
        ));
        assert_eq!(registry.snapshot().entries.len(), 1);
    }

    #[tokio::test]
    async fn a_directory_creates_changes_and_removes_and_a_bad_file_leaves_the_last_good_version() {
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        let registry = registry(&store).await;
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("docker")).expect("creates");
        let file = dir.path().join("docker/a.conf");
        let sync = async || {
            registry.sync(&[Source::Directory], scan(dir.path()).expect("reads")).await.expect("syncs")
        };
        let input = || {
            let id = ConfigKey::docker("a");
            registry.snapshot().entries.get(&id).map(|e| e.configuration.input.clone())
        };
        let problem = || registry.snapshot().problems.values().next().map(|p| p.text.clone());

        std::fs::write(&file, "bad").expect("writes");
        sync().await;
        assert_eq!((input(), problem().is_some()), (None, true));
        let managed = registry.put(docker("a", "x"), Precondition::default(), &ME).await;
        assert!(matches!(managed, Err(PutError::Managed { .. })));
        std::fs::write(&file, "one").expect("writes");
        sync().await;
        assert_eq!((input().as_deref(), problem()), (Some("one"), None));
        std::fs::write(&file, "two\nbad").expect("writes");
        sync().await;
        assert_eq!(input().as_deref(), Some("one"));
        assert!(problem().is_some_and(|p| p.contains("line 2") && p.contains("write good")));
        let mut quiet = registry.subscribe();
        sync().await;
        assert!(!quiet.has_changed().expect("is open"), "nothing new, nothing told");
        assert!(matches!(
            registry.remove(&ConfigKey::docker("a"), None, &ME).await,
            Err(RemoveError::Managed { .. })
        ));
        quiet.mark_unchanged();
        std::fs::write(dir.path().join("docker/.new"), "three").expect("writes");
        std::fs::rename(dir.path().join("docker/.new"), &file).expect("renames");
        sync().await;
        assert_eq!((input().as_deref(), problem()), (Some("three"), None));
        std::fs::remove_file(&file).expect("removes");
        sync().await;
        assert_eq!(input(), None);
    }

    #[tokio::test]
    async fn what_another_scheduler_wrote_is_neither_lost_nor_overwritten_unseen() {
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        let (late, leader) = (registry(&store).await, registry(&store).await);
        let inputs = |registry: &Registry| {
            let entries = registry.snapshot();
            entries.entries.values().map(|e| e.configuration.input.clone()).collect::<Vec<_>>()
        };
        // One that was deposed writes late; the leader does not know of it yet.
        let version =
            late.put(docker("a", "late"), Precondition::default(), &ME).await.expect("stores").version;
        let only_create = Precondition { only_create: true, version: None };
        let refused = leader.put(docker("a", "new"), only_create, &ME).await;
        assert!(matches!(refused, Err(PutError::Precondition(_))), "{refused:?}");
        assert_eq!(inputs(&leader), ["late"]);
        late.put(docker("a", "later"), Precondition::default(), &ME).await.expect("stores");
        let expect = Precondition { only_create: false, version: Some(version) };
        let refused = leader.put(docker("a", "new"), expect, &ME).await;
        assert!(matches!(refused, Err(PutError::Precondition(_))), "{refused:?}");
        let replaced = leader.put(docker("a", "new"), Precondition::default(), &ME).await.expect("replaces");
        assert!(!replaced.created);

        let mut changes = leader.subscribe();
        late.put(docker("b", "late"), Precondition::default(), &ME).await.expect("stores");
        assert!(leader.reload().await.expect("reads") && changes.has_changed().expect("is open"));
        assert_eq!(inputs(&leader), ["new", "late"]);
        changes.mark_unchanged();
        assert!(!leader.reload().await.expect("reads") && !changes.has_changed().expect("is open"));
        assert!(
            late.remove(&ConfigKey::docker("a"), None, &ME).await.expect("removes what the leader wrote")
        );
        assert!(!leader.remove(&ConfigKey::docker("a"), None, &ME).await.expect("is gone"));
        assert_eq!(inputs(&leader), ["late"]);
    }

    #[tokio::test]
    async fn what_rest_wrote_is_not_removed_with_a_directory() {
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        let registry = registry(&store).await;
        registry.put(docker("a", "x"), Precondition::default(), &ME).await.expect("stores");
        registry.sync(&[Source::Directory], vec![]).await.expect("syncs");
        assert_eq!(registry.snapshot().entries.len(), 1);
    }

    #[tokio::test]
    async fn what_settings_make_comes_and_goes_with_them_and_takes_nobodys_name() {
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        let registry = registry(&store).await;
        let made = |name: &str| Found {
            kind: Kind::Docker,
            name: name.to_owned(),
            path: "A_SETTING".into(),
            content: Ok(Configuration { source: Source::Settings, ..docker(name, "made") }),
        };
        registry.put(docker("a", "x"), Precondition::default(), &ME).await.expect("stores");
        registry.sync(&[Source::Settings], vec![made("a"), made("b")]).await.expect("syncs");
        let input = |name: &str| {
            let snapshot = registry.snapshot();
            snapshot.entries.get(&ConfigKey::docker(name)).map(|e| e.configuration.input.clone())
        };
        assert_eq!((input("a").as_deref(), input("b").as_deref()), (Some("x"), Some("made")));
        assert_eq!(registry.snapshot().problems.len(), 1);
        let refused =
            registry.put(docker("b", "x"), Precondition::default(), &ME).await.expect_err("is managed");
        assert!(refused.to_string().contains("settings of the scheduler"), "{refused}");
        registry.sync(&[Source::Directory], vec![]).await.expect("syncs");
        assert_eq!(input("b").as_deref(), Some("made"));
        registry.sync(&[Source::Settings], vec![]).await.expect("syncs");
        assert_eq!((input("a").as_deref(), input("b")), (Some("x"), None));
    }
}
