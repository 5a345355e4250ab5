//! The names of records.

use std::fmt;

/// Names a record: segments of `A-Z a-z 0-9 . _ -` between slashes.
///
/// ```
/// use logstash_mesos_core::store::StateKey;
///
/// assert!(StateKey::new("agents/0a").is_some());
/// assert!(StateKey::new("agents/../framework").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey(String);

impl StateKey {
    /// Checks the name: `None` when a segment is empty, starts with a dot, is longer than 128 bytes or
    /// has another character.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let fine = name.split('/').all(|segment| {
            !segment.is_empty()
                && segment.len() <= 128
                && !segment.starts_with('.')
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        });
        fine.then_some(Self(name))
    }

    /// The name with its slashes, as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the key lies below `prefix`, segment-wise.
    pub fn is_below(&self, prefix: &Self) -> bool {
        self.0.strip_prefix(&prefix.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
