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
        Self { reader: self.reader.fork(), target: self.target.clone(), original: self.original.clone() }
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
            reader: JsonReader::new(JsonRules::CODEC).within(&cx.parsed),
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
        let read = match text.len() > LONG && text.trim_start().starts_with('[') {
            true => self.read_long(text, clock, emit),
            false => self.events(text, clock).map(|events| events.into_iter().for_each(&mut *emit)),
        };
        if read.is_none() {
            tracing::debug!("Input is no JSON object or array of objects");
            let mut event = Event::from_message(text.clone(), clock.now());
            event.tag("_jsonparsefailure");
            emit(event);
        }
    }

    /// Reads a long array twice: whether all of it is events, and then these, which are not held together.
    fn read_long(&mut self, text: &Text, clock: Clock, emit: &mut dyn FnMut(Event)) -> Option<()> {
        let Self { reader, target, .. } = self;
        let mut count = 0;
        let mut is_event = |item| {
            count += 1;
            event(target.as_ref(), item, clock).is_some()
        };
        reader.read_items(text, &mut is_event).ok().filter(|all| *all)?;
        if count == 1 {
            return self.events(text, clock).map(|events| events.into_iter().for_each(emit));
        }
        let mut pass_on = |item| {
            if let Some(event) = event(target.as_ref(), item, clock) {
                emit(event);
            }
            true
        };
        reader.read_items(text, &mut pass_on).ok().map(drop)
    }

    fn events(&mut self, text: &Text, clock: Clock) -> Option<Vec<Event>> {
        // Jackson skips a byte order mark in bytes, not in a string.
        let value = if text.starts_with('\u{feff}') { None } else { self.reader.read(text).ok() };
        let mut events = match value? {
            Value::List(items) => {
                let target = self.target.as_ref();
                items.into_iter().map(|item| event(target, item, clock)).collect::<Option<Vec<_>>>()?
            }
            Value::Null => return None,
            value => vec![event(self.target.as_ref(), value, clock)?],
        };
        if let (Some(original), [event]) = (&self.original, events.as_mut_slice())
            && !event.contains(original)
        {
            event.set(original, Value::Text(text.clone())).ok()?;
        }
        Some(events)
    }
}

fn event(target: Option<&FieldReference>, value: Value, clock: Clock) -> Option<Event> {
    let map = match value {
        Value::Map(map) => map,
        // Of a list.
        Value::Null => Arc::default(),
        _ => return None,
    };
    match target {
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

/// Above so many bytes the events of an array need more room than it is worth to read it once.
const LONG: usize = 64 << 10;

fn are_tags(value: &Value) -> bool {
    match value {
        Value::Text(_) => true,
        Value::List(items) => items.iter().all(|item| matches!(item, Value::Text(_))),
        _ => false,
    }
}
