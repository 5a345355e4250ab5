//! Who changed a configuration, and what it was before.

use super::place::place;
use super::{ConfigKey, Configuration};
use crate::store::{Expect, JsonStore, StateKey, StateStore, StoreError};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Who changes something, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// The user that logged in, or a part of the scheduler such as `configuration directory`.
    pub by: Cow<'static, str>,
    /// The address of the client; empty if it did not come over the network.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
}

impl Author {
    /// A part of the scheduler itself, or a program that embeds it.
    pub const fn part(name: &'static str) -> Self {
        Self { by: Cow::Borrowed(name), from: String::new() }
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.by)?;
        if self.from.is_empty() { Ok(()) } else { write!(f, " from {}", self.from) }
    }
}

/// One change: who made it, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Who made it.
    #[serde(flatten)]
    pub author: Author,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

impl Change {
    pub(super) fn now(author: &Author) -> Self {
        Self { author: author.clone(), at_ms: jiff::Timestamp::now().as_millisecond() }
    }
}

/// What a configuration was until it was replaced or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// As it was written.
    pub configuration: Configuration,
    /// Who wrote it; unknown of what was written before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Change>,
    /// Who replaced or removed it.
    pub ended: Change,
    /// It was removed, not replaced.
    #[serde(default)]
    pub removed: bool,
}

/// Keeps `past`, and forgets the oldest above [`VERSIONS_KEPT`]. Done before the change itself: what was not stored has not been
/// replaced. Should the change then fail, the youngest of the past is what is in force, which [`list`] leaves out.
pub(super) async fn keep(store: &dyn StateStore, past: &Past) -> Result<(), StoreError> {
    let place = place(PREFIX, &past.configuration.key());
    loop {
        let kept = store.list(Some(&place)).await?;
        let next = kept.last().and_then(number).map_or(0, |last| last + 1);
        match store.put_json(&numbered(&place, next), past, Expect::Absent).await {
            Ok(_) => {}
            // Another scheduler was faster.
            Err(error) if error.is_conflict() => continue,
            Err(error) => return Err(error),
        }
        for old in kept.iter().rev().skip(VERSIONS_KEPT - 1) {
            store.delete(old, Expect::Any).await?;
        }
        return Ok(());
    }
}

/// What `key` was before what is in force, the youngest first: at most [`VERSIONS_KEPT`].
pub(super) async fn list(
    store: &dyn StateStore,
    key: &ConfigKey,
    is_in_force: impl Fn(&Past) -> bool,
) -> Result<Vec<Past>, StoreError> {
    let mut found = Vec::<Past>::new();
    for key in store.list(Some(&place(PREFIX, key))).await?.iter().rev() {
        // One that was forgotten meanwhile is not there.
        let Some((past, _)) = store.get_json::<Past>(key).await? else { continue };
        // Kept for a change that met another scheduler's, which had kept it too.
        let twice = found.last().is_some_and(|younger| {
            past.written == younger.written && past.configuration == younger.configuration
        });
        if !is_in_force(&past) && !twice {
            found.push(past);
        }
    }
    Ok(found)
}

/// In the order of their numbers as texts, too.
fn numbered(place: &StateKey, number: u64) -> StateKey {
    StateKey::new(format!("{place}/{number:010}")).expect("made of plain names and digits")
}

fn number(key: &StateKey) -> Option<u64> {
    key.to_string().rsplit('/').next()?.parse().ok()
}

const PREFIX: &str = "configs-past";
/// How many past versions of a configuration are kept.
pub const VERSIONS_KEPT: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn the_youngest_are_kept_in_their_order() {
        let store = MemoryStore::default();
        let by = Author::part("test");
        let past = |n: usize| {
            let change = |at_ms| Change { author: by.clone(), at_ms };
            let n_ms = i64::try_from(n).expect("is small");
            Past {
                configuration: Configuration::docker("a", n.to_string()),
                written: Some(change(n_ms)),
                ended: change(n_ms + 1),
                removed: false,
            }
        };
        for n in 0..VERSIONS_KEPT + 5 {
            keep(&store, &past(n)).await.expect("stores");
        }
        let key = ConfigKey::docker("a");
        let listed = list(&store, &key, |_| false).await.expect("reads");
        assert_eq!(listed, (5..VERSIONS_KEPT + 5).rev().map(past).collect::<Vec<_>>());
        // Two schedulers kept the same one, and neither replaced it.
        keep(&store, &past(VERSIONS_KEPT + 4)).await.expect("stores");
        let listed = list(&store, &key, |_| false).await.expect("reads");
        assert_eq!(listed[..2], [past(VERSIONS_KEPT + 4), past(VERSIONS_KEPT + 3)]);
        let listed = list(&store, &key, |kept| *kept == past(VERSIONS_KEPT + 4)).await.expect("reads");
        assert_eq!(listed[0], past(VERSIONS_KEPT + 3));
        assert_eq!(list(&store, &ConfigKey::host("a"), |_| false).await.expect("reads"), []);
    }
}
