//! JSON to events, for the codecs that read it.

use std::sync::Arc;

use super::settings::Settings;
use super::{BuildContext, BuildError};
use crate::event::{Clock, Event, FieldReference, JsonReader, JsonRules, Text, Value};

/// Reads JSON documents.
#[derive(Debug)]
pub(crate) struct JsonText {
    reader: JsonReader,
    target: Option<FieldReference>,
    /// Where the text is kept when it is one event.
    original: Option<FieldReference>,
}

impl Clone for JsonText {
    fn clone(&self) -> Self {
        Self {
            reader: JsonReader::new(JsonRules::CODEC),
            target: self.target.clone(),
            original: self.original.clone(),
        }
    }
}

impl JsonText {
    /// With ECS, `original` says whether the text is kept.
    pub(crate) fn new(settings: &Settings, cx: &BuildContext, original: bool) -> Result<Self, BuildError> {
        let target = match settings.text("target") {
            None => None,
            Some(text) => Some(
                FieldReference::parse_with(&text, settings.escape_style())
                    .map_err(|error| BuildError::setting("target", error.to_string()))?,
            ),
        };
        let field = FieldReference::parse("[event][original]").ok();
        Ok(Self {
            reader: JsonReader::new(JsonRules::CODEC),
            target,
            original: cx.ecs.select(None, field).filter(|_| original),
        })
    }

    /// The events of one document: an object is one, an array of objects as many. What is no event makes a
    /// failure of the whole.
    pub(crate) fn read(&mut self, text: &Text, clock: Clock, emit: &mut dyn FnMut(Event)) {
        if text.trim().is_empty() {
            return;
        }
        match self.events(text, clock) {
            Some(events) => events.into_iter().for_each(emit),
            None => {
                tracing::debug!("Input is no JSON object or array of objects");
                let mut event = Event::from_message(text.clone(), clock.now());
                event.tag("_jsonparsefailure");
                emit(event);
            }
        }
    }

    fn events(&mut self, text: &Text, clock: Clock) -> Option<Vec<Event>> {
        // Jackson skips a byte order mark in bytes, not in a string.
        let value = if text.starts_with('\u{feff}') { None } else { self.reader.read(text).ok() };
        let mut events = match value? {
            Value::List(items) => {
                items.into_iter().map(|item| self.event(item, clock)).collect::<Option<Vec<_>>>()?
            }
            Value::Null => return None,
            value => vec![self.event(value, clock)?],
        };
        if let (Some(original), [event]) = (&self.original, events.as_mut_slice())
            && !event.contains(original)
        {
            event.set(original, Value::Text(text.clone())).ok()?;
        }
        Some(events)
    }

    fn event(&self, value: Value, clock: Clock) -> Option<Event> {
        let map = match value {
            Value::Map(map) => map,
            // Of a list.
            Value::Null => Arc::default(),
            _ => return None,
        };
        match &self.target {
            None => {
                let mut map = Arc::unwrap_or_clone(map);
                let tags = map.get("tags").is_some_and(|tags| !are_tags(tags)).then(|| map.remove("tags"));
                let mut event = Event::from_map(map, clock).ok()?;
                if let Some(tags) = tags.flatten() {
                    event.fields_mut().insert("_tags", vec![tags]);
                    event.tag("_tagsparsefailure");
                }
                Some(event)
            }
            Some(target) => {
                let mut event = Event::new(clock.now());
                event.set(target, Value::Map(map)).ok()?;
                Some(event)
            }
        }
    }
}

fn are_tags(value: &Value) -> bool {
    match value {
        Value::Text(_) => true,
        Value::List(items) => items.iter().all(|item| matches!(item, Value::Text(_))),
        _ => false,
    }
}
