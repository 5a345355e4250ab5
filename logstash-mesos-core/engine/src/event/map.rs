//! A hash that keeps the order in which its keys came.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use super::{Text, Value};

/// Keys and values in insertion order.
///
/// Most events have fewer than fifty fields: a scan over one vector beats hashing there and needs one
/// allocation. Above `INDEX_FROM` entries the first look for a key makes a hash index, which is kept up
/// from then on, so a document with a thousand keys stays linear and one that is only passed on pays nothing.
#[derive(Clone, Debug, Default)]
pub struct Map {
    entries: Vec<Entry>,
    #[expect(
        clippy::box_collection,
        reason = "nearly no map has one, and every map carries the place for it"
    )]
    index: OnceLock<Box<HashMap<Text, usize>>>,
}

/// A key with its value.
///
/// The value comes first on purpose: its 32 bytes and the 24 of the key are then written and moved in pieces of the
/// same size. With the key first, every move of a fresh entry waits for writes that straddle what it reads.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) key: Text,
}

const INDEX_FROM: usize = 64;

impl Map {
    /// An empty map; does not allocate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty map with room for `capacity` entries.
    #[inline]
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), index: OnceLock::new() }
    }

    /// A map of `entries`, whose keys the caller knows to differ.
    pub(crate) fn from_distinct(entries: Vec<Entry>) -> Self {
        Self { entries, index: OnceLock::new() }
    }

    /// A map of `entries`: where a key comes again, the last value counts, at the place of the first. Unlike with
    /// [`Map::insert`] nothing stays of what it takes to find that out.
    pub(crate) fn from_entries(mut entries: Vec<Entry>) -> Self {
        let state = RandomState::new();
        let hashed = |(at, entry): (usize, &Entry)| (state.hash_one(entry.key.as_bytes()), at);
        let mut order: Vec<(u64, usize)> = entries.iter().enumerate().map(hashed).collect();
        order.sort_unstable();
        let mut again = Vec::new();
        for alike in order.chunk_by(|one, next| one.0 == next.0) {
            for (nth, (_, at)) in alike.iter().enumerate().skip(1) {
                let same = alike[..nth].iter().find(|(_, first)| entries[*first].key == entries[*at].key);
                if let Some((_, first)) = same {
                    entries[*first].value = std::mem::replace(&mut entries[*at].value, Value::Null);
                    again.push(*at);
                }
            }
        }
        drop(order);
        again.sort_unstable();
        let (mut at, mut again) = (0, again.into_iter().peekable());
        if again.peek().is_some() {
            entries.retain(|_| {
                at += 1;
                again.next_if_eq(&(at - 1)).is_none()
            });
        }
        Self::from_distinct(entries)
    }

    /// Number of keys.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value at `key`.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.position(key).map(|at| &self.entries[at].value)
    }

    /// The value at `key`, to change.
    #[inline]
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.position(key).map(|at| &mut self.entries[at].value)
    }

    /// Whether `key` is there, be it with `null`.
    #[inline]
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    /// Stores `value` at `key` and returns what was there. An existing key keeps its place.
    pub fn insert(&mut self, key: impl Into<Text>, value: impl Into<Value>) -> Option<Value> {
        let key = key.into();
        match self.position(&key) {
            Some(at) => Some(std::mem::replace(&mut self.entries[at].value, value.into())),
            None => {
                self.push(key, value.into());
                None
            }
        }
    }

    /// Stores `value` at `key`, which the caller knows to be absent.
    #[inline]
    pub fn push(&mut self, key: Text, value: Value) {
        debug_assert!(self.position(&key).is_none(), "key is new");
        if let Some(index) = self.index.get_mut() {
            index.insert(key.clone(), self.entries.len());
        }
        self.entries.push(Entry { value, key });
    }

    /// Lends the entries to somebody who adds others behind them. The map is empty until [`Map::put_entries`].
    pub(crate) fn take_entries(&mut self) -> Vec<Entry> {
        self.index.take();
        std::mem::take(&mut self.entries)
    }

    /// Takes back what [`Map::take_entries`] gave, whose keys differ.
    pub(crate) fn put_entries(&mut self, entries: Vec<Entry>) {
        self.index.take();
        self.entries = entries;
    }

    /// Makes room for `more` entries.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.entries.reserve(more);
    }

    /// Takes `key` out. The others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.position(key)?;
        let entry = self.entries.remove(at);
        self.index.take();
        Some(entry.value)
    }

    /// The value at `key`, put there by `make` if the key is absent.
    pub fn get_or_insert_with(&mut self, key: &Text, make: impl FnOnce() -> Value) -> &mut Value {
        let at = match self.position(key) {
            Some(at) => at,
            None => {
                self.push(key.clone(), make());
                self.entries.len() - 1
            }
        };
        &mut self.entries[at].value
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Value)> + DoubleEndedIterator {
        self.entries.iter().map(|entry| (&entry.key, &entry.value))
    }

    /// Keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Text> + DoubleEndedIterator {
        self.entries.iter().map(|entry| &entry.key)
    }

    /// Values in order, to change.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Value> {
        self.entries.iter_mut().map(|entry| &mut entry.value)
    }

    /// Keeps the entries for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&Text, &mut Value) -> bool) {
        self.entries.retain_mut(|entry| keep(&entry.key, &mut entry.value));
        self.index.take();
    }

    /// Removes all entries and keeps the allocation.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.index.take();
    }

    #[inline]
    fn position(&self, key: &str) -> Option<usize> {
        if self.entries.len() <= INDEX_FROM {
            return self.entries.iter().position(|entry| entry.key.as_str() == key);
        }
        let index = self.index.get_or_init(|| {
            Box::new(self.entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect())
        });
        index.get(key).copied()
    }
}

/// Two maps are equal when they hold the same values at the same keys, in whatever order.
impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K: Into<Text>, V: Into<Value>> FromIterator<(K, V)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Map::new();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl IntoIterator for Map {
    type Item = (Text, Value);
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter(self.entries.into_iter())
    }
}

/// The entries of a [`Map`], in order.
#[derive(Debug)]
pub struct IntoIter(std::vec::IntoIter<Entry>);

impl Iterator for IntoIter {
    type Item = (Text, Value);

    fn next(&mut self) -> Option<(Text, Value)> {
        self.0.next().map(|entry| (entry.key, entry.value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for IntoIter {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_small_maps_behave_alike() {
        let mut map = Map::new();
        for n in 0..100_i64 {
            assert_eq!(map.insert(format!("k{n}"), n), None);
        }
        assert_eq!(map.insert("k7", 700_i64), Some(Value::Int(7)));
        for n in (0..100).step_by(2) {
            assert_eq!(map.remove(&format!("k{n}")), Some(Value::Int(n)));
        }
        assert_eq!(map.len(), 50);
        assert_eq!(map.get("k7"), Some(&Value::Int(700)));
        assert_eq!(map.get("k8"), None);
        assert_eq!(map.keys().next().map(Text::as_str), Some("k1"));
    }
}
