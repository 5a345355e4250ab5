//! Results of costly look-ups, kept while they are wanted.

use std::collections::HashMap;

use crate::event::Text;

/// The last results, in two generations: a full one becomes the older, and what is used there comes back.
///
/// That keeps what is used often with no bookkeeping per use, and never more than `capacity` entries (two
/// where it is 1).
#[derive(Debug)]
pub struct Cache<V> {
    capacity: usize,
    recent: HashMap<Text, V>,
    older: HashMap<Text, V>,
}

impl<V: Clone> Cache<V> {
    /// An empty cache; one of capacity 0 keeps nothing.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, recent: HashMap::new(), older: HashMap::new() }
    }

    /// An empty one of the same capacity, for another worker.
    pub fn fork(&self) -> Self {
        Self::new(self.capacity)
    }

    /// What is kept for `key`.
    pub fn get(&mut self, key: &str) -> Option<V> {
        if let Some(value) = self.recent.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.older.remove_entry(key)?;
        self.put(key, value.clone());
        Some(value)
    }

    /// Keeps `value` for `key`.
    pub fn insert(&mut self, key: &str, value: V) {
        // A copy of its own: a slice would keep the whole batch in memory.
        self.put(Text::from(key.to_owned()), value);
    }

    /// What is kept for `key`, made now if there is nothing.
    pub fn get_or_make(&mut self, key: &str, make: impl FnOnce(&str) -> V) -> V {
        match self.get(key) {
            Some(value) => value,
            None => {
                let value = make(key);
                self.insert(key, value.clone());
                value
            }
        }
    }

    fn put(&mut self, key: Text, value: V) {
        if self.capacity == 0 {
            return;
        }
        if self.recent.len() >= (self.capacity / 2).max(1) && !self.recent.contains_key(&key) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut cache = Cache::new(10);
        for n in 0..100 {
            cache.insert(&format!("k{n}"), n);
            assert_eq!(cache.get_or_make("often", |_| 7 + n), 7, "{n}");
        }
        assert!(cache.recent.len() + cache.older.len() <= 10);
        assert_eq!(cache.get("k99"), Some(99));
        assert_eq!(cache.get("k0"), None);
        assert_eq!(cache.fork().get("often"), None);
    }

    #[test]
    fn a_cache_without_room_keeps_nothing() {
        let mut cache = Cache::new(0);
        cache.insert("a", 1);
        assert_eq!(cache.get("a"), None);
        let mut one = Cache::new(1);
        one.insert("a", 1);
        assert_eq!(one.get("a"), Some(1));
    }
}
