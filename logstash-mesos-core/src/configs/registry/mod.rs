//! The configurations in force, kept in the state store.

mod change;
mod checked;
mod snapshot;

pub use change::{Precondition, PutError, RemoveError, Stored};
pub use checked::{Checked, Checker, Complaint};
pub use snapshot::{Entry, Problem, Snapshot};

use super::destinations::destinations;
use super::directory::Found;
use super::history::{self, Author, Change, Past};
use super::{ConfigKey, Configuration, Matcher, Source, name_problem};
use crate::store::{Expect, JsonStore, StateStore, StoreError};
use snapshot::{Record, key, read};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

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

/// Who keeps what is managed elsewhere as it is there.
const WATCHER: &str = "scheduler";
#[cfg(test)]
mod tests;
