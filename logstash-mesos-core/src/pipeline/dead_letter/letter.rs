//! One dead letter, and how it is written: a line of JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::event::{Clock, Event, Text, Timestamp, Value, read_json, write_json_map};

/// What an output, a filter or a condition could not do anything with, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Names it within its configuration; later ones have larger numbers.
    pub id: u64,
    /// When it was stored, as ISO 8601 in UTC.
    #[serde(rename = "@timestamp")]
    pub at: String,
    /// The configuration, or the pipeline's id.
    pub configuration: String,
    /// The id of the plugin that refused it; empty for a condition.
    pub plugin_id: String,
    /// What kind of plugin that is, such as `elasticsearch`; `if` for a condition.
    pub plugin: String,
    /// Why it was refused.
    pub reason: String,
    /// Where its line came from, as far as its fields tell.
    #[serde(default, skip_serializing_if = "Source::is_empty")]
    pub source: Source,
    /// What it holds.
    pub form: Form,
    /// Where the sink was to put it, for sinks with several places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The bytes as text; in base64 if they are none.
    record: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    base64: bool,
}

/// What a letter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// An event as JSON, with its `@metadata`.
    Event,
    /// What an output made of an event, as it would have been sent.
    Record,
}

/// Where a line came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Host name of the machine on which the event was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Name of the container that the event came from, or its id where it has no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The file, or `stdout` or `stderr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The first byte of the line in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl Letter {
    /// A letter that is not stored yet: id, time and configuration come with the storing.
    pub(crate) fn new(plugin_id: &str, plugin: &str, reason: &str, form: Form, record: &[u8]) -> Self {
        let (record, base64) = match std::str::from_utf8(record) {
            Ok(text) => (text.to_owned(), false),
            Err(_) => (STANDARD.encode(record), true),
        };
        Self {
            id: 0,
            at: String::new(),
            configuration: String::new(),
            plugin_id: plugin_id.to_owned(),
            plugin: plugin.to_owned(),
            reason: reason.to_owned(),
            source: Source::of_record(&record),
            form,
            route: None,
            record,
            base64,
        }
    }

    /// A letter with an event.
    pub(crate) fn of_event(plugin_id: &str, plugin: &str, reason: &str, event: &Event) -> Self {
        let mut fields = event.fields().clone();
        if let Some(metadata) = event.metadata() {
            fields.insert("@metadata", Value::Map(std::sync::Arc::new(metadata.clone())));
        }
        let mut record = Vec::new();
        write_json_map(&fields, &mut record);
        Self::new(plugin_id, plugin, reason, Form::Event, &record)
    }

    /// What it holds, as it was.
    #[must_use]
    pub fn record(&self) -> Vec<u8> {
        let decoded = if self.base64 { STANDARD.decode(&self.record).ok() } else { None };
        decoded.unwrap_or_else(|| self.record.clone().into_bytes())
    }

    /// What it holds as text; in base64 if it is none.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.record
    }

    /// The event it holds, if it holds one.
    pub(crate) fn event(&self) -> Option<Event> {
        match read_json(&Text::from(self.record.as_str())) {
            Ok(Value::Map(map)) if self.form == Form::Event => {
                Event::from_map(map.as_ref().clone(), Clock::System).ok()
            }
            _ => None,
        }
    }

    /// The line that is stored, with its end.
    pub(crate) fn line(&self) -> Vec<u8> {
        // Strings and numbers: nothing that JSON does not have.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    pub(crate) fn stamp(&mut self, id: u64, configuration: &str) {
        let mut at = Vec::new();
        Timestamp::now().write_iso8601(&mut at);
        (self.id, self.at) = (id, String::from_utf8_lossy(&at).into_owned());
        configuration.clone_into(&mut self.configuration);
    }
}

impl Source {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// From the fields that the shipper gives each event, at the top or below one field; of a bulk request the document
    /// is the last line.
    fn of_record(record: &str) -> Self {
        let Some(last) = record.trim_end().lines().last() else { return Self::default() };
        let Ok(document) = serde_json::from_str::<serde_json::Value>(last) else { return Self::default() };
        let found = Self::of(&document);
        let below = document.as_object().into_iter().flat_map(serde_json::Map::values).map(Self::of);
        std::iter::once(found).chain(below).max_by_key(Self::known).unwrap_or_default()
    }

    fn of(fields: &serde_json::Value) -> Self {
        let text = |path: &str| fields.pointer(path).and_then(|value| value.as_str()).map(str::to_owned);
        Self {
            host: text("/host/name").or_else(|| text("/host")),
            container: text("/container/name").or_else(|| text("/container/id")),
            stream: text("/log/file/path").or_else(|| text("/path")).or_else(|| text("/stream")),
            offset: fields.pointer("/log/offset").and_then(serde_json::Value::as_u64),
        }
    }

    fn known(&self) -> usize {
        [self.host.is_some(), self.container.is_some(), self.stream.is_some(), self.offset.is_some()]
            .into_iter()
            .filter(|known| *known)
            .count()
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [&self.host, &self.container, &self.stream];
        let known: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
        f.write_str(&known.join(" "))?;
        self.offset.map_or(Ok(()), |offset| write!(f, " @{offset}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_one_line_and_comes_back_byte_for_byte() {
        for record in [&b"{\"index\":{}}\n{\"a\":\"\xc3\xa4\"}\n"[..], b"\xff\x00\n", b""] {
            let letter = Letter::new("es", "elasticsearch", "mapping \"x\"", Form::Record, record);
            let line = letter.line();
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            let again: Letter = serde_json::from_slice(&line).unwrap();
            assert_eq!(again, letter);
            assert_eq!(again.record(), record);
        }
    }

    #[test]
    fn the_source_is_told_by_the_fields_of_the_document() {
        let fields =
            r#"{"host":{"name":"h"},"container":{"name":"c"},"log":{"file":{"path":"/l"},"offset":7}}"#;
        for record in [format!("{{\"index\":{{}}}}\n{fields}\n"), format!("{{\"shipper\":{fields},\"a\":1}}")]
        {
            let letter = Letter::new("", "", "", Form::Record, record.as_bytes());
            assert_eq!(letter.source.to_string(), "h c /l @7", "{record}");
        }
        assert_eq!(Letter::new("", "", "", Form::Record, b"plain").source, Source::default());
    }

    #[test]
    fn an_event_comes_back_with_its_metadata_and_its_time() {
        let mut event = Event::from_message(Text::from("m"), Timestamp::new(7, 0));
        let field = |text| crate::event::FieldReference::parse(text).unwrap();
        event.set(&field("[@metadata][a]"), Value::from("b")).unwrap();
        let letter = Letter::of_event("f", "grok", "", &event);
        let again = letter.event().unwrap();
        assert_eq!(again.fields().get("@timestamp"), event.fields().get("@timestamp"));
        assert_eq!(again.get_text(&field("[@metadata][a]")).map(|t| t.to_string()), Some("b".to_owned()));
        assert_eq!(again.get_text(&field("message")).map(|t| t.to_string()), Some("m".to_owned()));
    }
}
