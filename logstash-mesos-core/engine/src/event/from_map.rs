//! Events from data that came from outside, as Logstash's own constructor makes them.

use thiserror::Error;

use super::{Clock, Event, Map, Timestamp, Value};

/// `@metadata` of the data is no hash: it was to stand beside the event, with names of its own.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`@metadata` is a hash, not {found}")]
pub struct InvalidMetadata {
    /// What it is, in words: `a list`.
    pub found: &'static str,
}

impl Event {
    /// Makes the event that `fields` describe: `@metadata` is put aside, `@timestamp` and `tags` are
    /// checked, what is missing is added.
    ///
    /// # Errors
    ///
    /// [`InvalidMetadata`] when `@metadata` is not a hash.
    pub fn from_map(fields: Map, clock: Clock) -> Result<Self, InvalidMetadata> {
        event_from_map(fields, clock)
    }
}

fn event_from_map(fields: Map, clock: Clock) -> Result<Event, InvalidMetadata> {
    let mut event = Event::empty();
    let (mut metadata, mut timestamp, mut tags) = (None, None, None);
    for (key, value) in fields {
        match key.as_str() {
            "@metadata" => metadata = Some(value),
            "@timestamp" => timestamp = Some(value),
            "tags" => tags = Some(value),
            _ => {
                event.fields_mut().insert(key, value);
            }
        }
    }
    match metadata {
        None => {}
        Some(map @ Value::Map(_)) => event.set_metadata(map),
        Some(other) => return Err(InvalidMetadata { found: other.type_name() }),
    }
    // A key `[a][b]` is a name like any other here: only `set` reads references.
    if !event.fields().contains_key("@version") {
        event.fields_mut().insert("@version", "1");
    }
    match tags {
        None => {}
        Some(tags) if are_tags(&tags) => {
            event.fields_mut().insert("tags", tags);
        }
        Some(tags) => {
            // As the only item of a list, also when it is a list.
            event.fields_mut().insert("_tags", Value::List(vec![tags]));
            event.tag("_tagsparsefailure");
        }
    }
    let parsed = match &timestamp {
        None | Some(Value::Null) => Some(clock.now()),
        Some(Value::Text(text)) => Timestamp::parse_iso8601(text),
        Some(_) => None,
    };
    let fields = event.fields_mut();
    fields.insert("@timestamp", parsed.unwrap_or_else(|| clock.now()));
    if parsed.is_none() {
        fields.insert("_@timestamp", timestamp.unwrap_or(Value::Null));
        event.tag("_timestampparsefailure");
    }
    Ok(event)
}

fn are_tags(value: &Value) -> bool {
    match value {
        Value::Text(_) => true,
        Value::List(items) => items.iter().all(|item| matches!(item, Value::Text(_))),
        _ => false,
    }
}
