//! JSON to events, for the codecs that read it.

use std::sync::Arc;

use crate::event::{Clock, Event, FieldReference, JsonReader, JsonRules, Text, Value};
use crate::pipeline::plugin::{BuildContext, BuildError};
use crate::pipeline::settings::Settings;

/// Reads JSON documents.
#[derive(Debug)]
pub(super) struct JsonText {
    reader: JsonReader,
    target: Option<FieldReference>,
    keeps_original: bool,
}

impl Clone for JsonText {
    fn clone(&self) -> Self {
        Self {
            reader: JsonReader::new(JsonRules::FILTER),
            target: self.target.clone(),
            keeps_original: self.keeps_original,
        }
    }
}

impl JsonText {
    pub(super) fn new(settings: &Settings, cx: &BuildContext) -> Result<Self, BuildError> {
        let target = match settings.text("target") {
            None => None,
            Some(text) => Some(
                FieldReference::parse(&text)
                    .map_err(|error| BuildError::setting("target", error.to_string()))?,
            ),
        };
        Ok(Self {
            reader: JsonReader::new(JsonRules::FILTER),
            target,
            keeps_original: cx.ecs.select(false, true),
        })
    }

    /// The events of one document: an object is one, an array of objects as many.
    pub(super) fn read(&mut self, text: &Text, clock: Clock, emit: &mut dyn FnMut(Event)) {
        match self.reader.read(text) {
            Ok(Value::List(items)) => {
                for item in items {
                    let event = self.event(item, clock).unwrap_or_else(|| self.failed(text, clock));
                    emit(self.with_original(event, text));
                }
            }
            // Nothing but space, or `null`: nothing.
            Ok(Value::Null) => {}
            Ok(value) => {
                let event = self.event(value, clock).unwrap_or_else(|| self.failed(text, clock));
                emit(self.with_original(event, text));
            }
            Err(_) if text.trim().is_empty() => {}
            Err(error) => {
                tracing::debug!(%error, "Input is not JSON");
                emit(self.failed(text, clock));
            }
        }
    }

    fn event(&self, value: Value, clock: Clock) -> Option<Event> {
        let Value::Map(map) = value else { return None };
        match &self.target {
            None => Event::from_map(Arc::unwrap_or_clone(map), clock).ok(),
            Some(target) => {
                let mut event = Event::new(clock.now());
                event.set(target, Value::Map(map)).ok()?;
                Some(event)
            }
        }
    }

    fn failed(&self, text: &Text, clock: Clock) -> Event {
        let mut event = Event::from_message(text.clone(), clock.now());
        event.tag("_jsonparsefailure");
        event
    }

    fn with_original(&self, mut event: Event, text: &Text) -> Event {
        if self.keeps_original
            && let Ok(original) = FieldReference::parse("[event][original]")
            && !event.contains(&original)
        {
            let _event_is_no_hash_then = event.set(&original, Value::Text(text.clone()));
        }
        event
    }
}
