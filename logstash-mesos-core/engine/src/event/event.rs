//! One event on its way through a pipeline.

use std::sync::{Arc, LazyLock};

use thiserror::Error;

use super::field_reference::Step;
use super::{FieldReference, Map, Origin, Text, Timestamp, Value};

/// A log event: its fields, its metadata, and where it came from.
///
/// `@timestamp` and `@version` are fields like others. `@metadata` is kept apart and never leaves the
/// pipeline by itself.
#[derive(Clone, Debug, Default)]
pub struct Event {
    fields: Map,
    // `None` stands for an empty hash, so that an event without metadata allocates nothing for it.
    metadata: Option<Value>,
    cancelled: bool,
    /// The place in its source, if it came from one that can be read again.
    pub origin: Option<Origin>,
}

/// A field could not be set.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SetError {
    /// `@timestamp` only takes a timestamp.
    #[error("`@timestamp` takes a timestamp, not {found}")]
    NotATimestamp {
        /// The type that was offered.
        found: &'static str,
    },
    /// `tags` only takes a string or a list of strings, and has no fields below it.
    #[error("`tags` takes a string or a list of strings, not {found}")]
    InvalidTags {
        /// The type that was offered.
        found: &'static str,
    },
    /// `@metadata` only takes a hash.
    #[error("`@metadata` takes a hash, not {found}")]
    InvalidMetadata {
        /// The type that was offered.
        found: &'static str,
    },
    /// A level of the reference exists and cannot have anything below it.
    #[error("cannot set `{field}`: a part of the way is {found}")]
    NotAContainer {
        /// The whole reference.
        field: String,
        /// The type found on the way.
        found: &'static str,
    },
}

static EMPTY: LazyLock<Value> = LazyLock::new(|| Value::Map(Arc::default()));

impl Event {
    /// An event without any field.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// An event with `@timestamp` and `@version`, as inputs make them.
    #[inline]
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        // What an input adds, and what a filter that parses a line adds, without growing.
        let mut fields = Map::with_capacity(16);
        fields.push(TIMESTAMP, Value::Timestamp(now));
        fields.push(VERSION, Value::Text(Text::from_static("1")));
        Self { fields, ..Self::default() }
    }

    /// An event for one line.
    #[inline]
    #[must_use]
    pub fn from_message(message: Text, now: Timestamp) -> Self {
        let mut event = Self::new(now);
        event.fields.push(MESSAGE, Value::Text(message));
        event
    }

    /// The fields, without metadata.
    #[inline]
    #[must_use]
    pub fn fields(&self) -> &Map {
        &self.fields
    }

    /// The fields, to change without the checks of [`Event::set`].
    #[inline]
    pub fn fields_mut(&mut self) -> &mut Map {
        &mut self.fields
    }

    /// `@metadata`, if it is not empty.
    #[inline]
    #[must_use]
    pub fn metadata(&self) -> Option<&Map> {
        self.metadata.as_ref().and_then(Value::as_map).filter(|map| !map.is_empty())
    }

    /// Puts `metadata`, which must be a hash, in the place of `@metadata`.
    pub fn set_metadata(&mut self, metadata: Value) {
        debug_assert!(metadata.as_map().is_some(), "metadata is a hash");
        self.metadata = Some(metadata);
    }

    /// The value at `field`.
    #[inline]
    #[must_use]
    pub fn get(&self, field: &FieldReference) -> Option<&Value> {
        if let Some(name) = field.top_level() {
            return self.fields.get(name);
        }
        if field.is_metadata() {
            let start = self.metadata.as_ref().unwrap_or(&EMPTY);
            return field.steps().iter().try_fold(start, child);
        }
        let (first, rest) = field.steps().split_first()?;
        rest.iter().try_fold(self.fields.get(&first.key)?, child)
    }

    /// The value at `field`, to change in place. `@timestamp` must stay a timestamp and `tags` strings.
    #[inline]
    pub fn get_mut(&mut self, field: &FieldReference) -> Option<&mut Value> {
        if let Some(name) = field.top_level() {
            return self.fields.get_mut(name);
        }
        if field.is_metadata() {
            return field.steps().iter().try_fold(self.metadata.as_mut()?, child_mut);
        }
        let (first, rest) = field.steps().split_first()?;
        rest.iter().try_fold(self.fields.get_mut(&first.key)?, child_mut)
    }

    /// The string at `field`, if there is one.
    #[inline]
    #[must_use]
    pub fn get_text(&self, field: &FieldReference) -> Option<&Text> {
        self.get(field).and_then(Value::as_text)
    }

    /// Whether `field` is there, be it with `null`.
    #[inline]
    #[must_use]
    pub fn contains(&self, field: &FieldReference) -> bool {
        self.get(field).is_some()
    }

    /// Stores `value` at `field`, making the hashes on the way.
    ///
    /// # Errors
    ///
    /// [`SetError`] where Logstash raises an error; the event is unchanged then.
    pub fn set(&mut self, field: &FieldReference, value: impl Into<Value>) -> Result<(), SetError> {
        let value = value.into();
        if let Some(name) = field.top_level() {
            match name.as_str() {
                "@timestamp" if !matches!(value, Value::Timestamp(_)) => {
                    return Err(SetError::NotATimestamp { found: value.type_name() });
                }
                "tags" if !are_tags(&value) => {
                    return Err(SetError::InvalidTags { found: value.type_name() });
                }
                _ => {}
            }
            self.fields.insert(name.clone(), value);
            return Ok(());
        }
        let start = if field.is_metadata() {
            if field.steps().is_empty() && value.as_map().is_none() {
                return Err(SetError::InvalidMetadata { found: value.type_name() });
            }
            self.metadata.get_or_insert_with(|| Value::Map(Arc::default()))
        } else {
            let Some((first, _)) = field.steps().split_first() else { return Ok(()) };
            if first.key == TAGS {
                return Err(SetError::InvalidTags { found: "a field below it" });
            }
            self.fields.get_or_insert_with(&first.key, || Value::Map(Arc::default()))
        };
        let way = &field.steps()[usize::from(!field.is_metadata())..];
        let Some((last, way)) = way.split_last() else {
            *start = value;
            return Ok(());
        };
        let mut place = start;
        for step in way {
            match child_or_insert(place, step, field)? {
                Some(child) => place = child,
                None => return Ok(()),
            }
        }
        put(place, last, value, field)
    }

    /// Takes `field` out.
    pub fn remove(&mut self, field: &FieldReference) -> Option<Value> {
        if let Some(name) = field.top_level() {
            return self.fields.remove(name);
        }
        let steps = field.steps();
        let (start, steps) = if field.is_metadata() {
            if steps.is_empty() {
                // It is always there, if only empty.
                return Some(self.metadata.take().unwrap_or_else(|| Value::Map(Arc::default())));
            }
            (self.metadata.as_mut()?, steps)
        } else {
            let (first, rest) = steps.split_first()?;
            (self.fields.get_mut(&first.key)?, rest)
        };
        let (last, way) = steps.split_last()?;
        let mut place = start;
        for step in way {
            place = child_mut(place, step)?;
        }
        match place {
            Value::Map(map) if map.contains_key(&last.key) => Arc::make_mut(map).remove(&last.key),
            Value::List(items) => {
                let at = index_in(last, items.len())?;
                Some(items.remove(at))
            }
            _ => None,
        }
    }

    /// Adds `tag` to `tags` unless it is there.
    pub fn tag(&mut self, tag: &str) {
        match self.fields.get_mut("tags") {
            None | Some(Value::Null) => {
                self.fields.insert(TAGS, Value::List(vec![Value::Text(Text::from(tag))]));
            }
            Some(Value::List(tags)) => {
                if !tags.iter().any(|have| have.as_text().is_some_and(|have| have == tag)) {
                    tags.push(Value::Text(Text::from(tag)));
                }
            }
            Some(Value::Text(have)) if have == tag => {}
            Some(single) => {
                let first = std::mem::replace(single, Value::Null);
                *single = Value::List(vec![first, Value::Text(Text::from(tag))]);
            }
        }
    }

    /// The event's time, if `@timestamp` is there.
    #[inline]
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        match self.fields.get(&TIMESTAMP) {
            Some(Value::Timestamp(instant)) => Some(*instant),
            _ => None,
        }
    }

    /// Marks the event as dropped: no later filter and no output sees it.
    pub fn cancel(&mut self) {
        self.cancelled = true;
    }

    /// Whether it was dropped.
    #[inline]
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }
}

const TIMESTAMP: Text = Text::from_static("@timestamp");
const VERSION: Text = Text::from_static("@version");
const MESSAGE: Text = Text::from_static("message");
const TAGS: Text = Text::from_static("tags");

fn are_tags(value: &Value) -> bool {
    match value {
        Value::Text(_) => true,
        Value::List(items) => items.iter().all(|item| item.as_text().is_some()),
        _ => false,
    }
}

fn child<'v>(value: &'v Value, step: &Step) -> Option<&'v Value> {
    match value {
        Value::Map(map) => map.get(&step.key),
        Value::List(items) => items.get(index_in(step, items.len())?),
        _ => None,
    }
}

fn child_mut<'v>(value: &'v mut Value, step: &Step) -> Option<&'v mut Value> {
    match value {
        Value::Map(map) => Arc::make_mut(map).get_mut(&step.key),
        Value::List(items) => {
            let at = index_in(step, items.len())?;
            items.get_mut(at)
        }
        _ => None,
    }
}

/// The way on, made where it is missing. Nothing for a name in a list: Logstash then sets a field of a
/// hash that nobody sees.
fn child_or_insert<'v>(
    value: &'v mut Value,
    step: &Step,
    field: &FieldReference,
) -> Result<Option<&'v mut Value>, SetError> {
    match value {
        Value::Map(map) => {
            Ok(Some(Arc::make_mut(map).get_or_insert_with(&step.key, || Value::Map(Arc::default()))))
        }
        Value::List(_) if step.index.is_none() => Ok(None),
        Value::List(items) => {
            let at = grow_to(items, step).ok_or_else(|| not_a_container(field, "array"))?;
            if matches!(items[at], Value::Null) {
                items[at] = Value::Map(Arc::default());
            }
            Ok(Some(&mut items[at]))
        }
        other => Err(not_a_container(field, other.type_name())),
    }
}

fn put(place: &mut Value, step: &Step, value: Value, field: &FieldReference) -> Result<(), SetError> {
    match place {
        Value::Map(map) => {
            Arc::make_mut(map).insert(step.key.clone(), value);
            Ok(())
        }
        // A name means nothing in a list, and Logstash does not say so.
        Value::List(_) if step.index.is_none() => Ok(()),
        Value::List(items) => {
            let at = grow_to(items, step).ok_or_else(|| not_a_container(field, "array"))?;
            items[at] = value;
            Ok(())
        }
        other => Err(not_a_container(field, other.type_name())),
    }
}

fn not_a_container(field: &FieldReference, found: &'static str) -> SetError {
    SetError::NotAContainer { field: field.to_string(), found }
}

fn index_in(step: &Step, len: usize) -> Option<usize> {
    let index = step.index?;
    let at = if index < 0 { index + i64::try_from(len).ok()? } else { index };
    usize::try_from(at).ok().filter(|at| *at < len)
}

/// The place of `step` in `items`; a gap before it is filled with nulls, as Logstash does.
fn grow_to(items: &mut Vec<Value>, step: &Step) -> Option<usize> {
    if let Some(at) = index_in(step, items.len()) {
        return Some(at);
    }
    let at = usize::try_from(step.index?).ok().filter(|at| *at <= MAX_LIST_GAP)?;
    items.resize(at + 1, Value::Null);
    Some(at)
}

/// `[list][4000000000]` in a configuration must not take the memory of the machine.
const MAX_LIST_GAP: usize = 1 << 20;
