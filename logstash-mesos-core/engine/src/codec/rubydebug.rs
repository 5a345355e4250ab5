//! `rubydebug`: events for people to read, as Ruby's Amazing Print shows them.

use crate::event::{Blob, Clock, Event, Map, Value, write_json};
use crate::plugin::charset::inspect_text;
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Codec, EncodeError, PluginSpec};

pub(crate) static RUBYDEBUG: PluginSpec = PluginSpec {
    name: "rubydebug",
    doc: "Writes events for people to read.",
    settings: &[
        Setting::new("metadata", Kind::Boolean, "Shows `@metadata` too.").default(Default::Bool(false))
    ],
    build: Build::Codec(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Codec>, BuildError> {
    Ok(Box::new(RubyDebug { metadata: settings.bool("metadata") }))
}

#[derive(Clone, Debug)]
struct RubyDebug {
    metadata: bool,
}

impl Codec for RubyDebug {
    fn decode(&mut self, _: Blob, _: Clock, _: &mut dyn FnMut(Event)) {
        tracing::warn!("The codec `rubydebug` only writes: what came in is dropped");
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let metadata = self.metadata.then(|| event.metadata().cloned().unwrap_or_default()).map(Value::from);
        let mut entries: Vec<(&str, &Value)> =
            event.fields().iter().map(|(key, value)| (key.as_str(), value)).collect();
        entries.extend(metadata.as_ref().map(|metadata| ("@metadata", metadata)));
        write_entries(&entries, 1, out);
        out.push(b'\n');
        Ok(())
    }

    fn fork(&self) -> Box<dyn Codec> {
        Box::new(self.clone())
    }
}

const INDENT: usize = 4;

fn write_value(value: &Value, level: usize, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"nil"),
        Value::Text(text) => {
            let mut shown = String::with_capacity(text.len() + 2);
            shown.push('"');
            inspect_text(text, &mut shown);
            shown.push('"');
            out.extend_from_slice(shown.as_bytes());
        }
        Value::Timestamp(time) => time.write_iso8601(out),
        Value::Map(map) => write_map(map, level + 1, out),
        Value::List(items) => write_list(items, level + 1, out),
        scalar => write_json(scalar, out),
    }
}

fn write_map(map: &Map, level: usize, out: &mut Vec<u8>) {
    let entries: Vec<(&str, &Value)> = map.iter().map(|(key, value)| (key.as_str(), value)).collect();
    write_entries(&entries, level, out);
}

fn write_entries(entries: &[(&str, &Value)], level: usize, out: &mut Vec<u8>) {
    if entries.is_empty() {
        out.extend_from_slice(b"{}");
        return;
    }
    let shown: Vec<String> = entries
        .iter()
        .map(|(key, _)| {
            let mut shown = String::from("\"");
            inspect_text(key, &mut shown);
            shown.push('"');
            shown
        })
        .collect();
    let width = shown.iter().map(|key| key.chars().count()).max().unwrap_or(0) + level * INDENT;
    out.extend_from_slice(b"{\n");
    for (at, ((_, value), key)) in entries.iter().zip(&shown).enumerate() {
        if at > 0 {
            out.extend_from_slice(b",\n");
        }
        out.resize(out.len() + width - key.chars().count(), b' ');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b" => ");
        write_value(value, level, out);
    }
    out.push(b'\n');
    out.resize(out.len() + (level - 1) * INDENT, b' ');
    out.push(b'}');
}

fn write_list(items: &[Value], level: usize, out: &mut Vec<u8>) {
    if items.is_empty() {
        out.extend_from_slice(b"[]");
        return;
    }
    let width = (items.len() - 1).to_string().len();
    out.extend_from_slice(b"[\n");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b",\n");
        }
        out.resize(out.len() + level * INDENT, b' ');
        out.extend_from_slice(format!("[{at:width$}] ").as_bytes());
        write_value(item, level, out);
    }
    out.push(b'\n');
    out.resize(out.len() + (level - 1) * INDENT, b' ');
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{FieldReference, Text, Timestamp};

    #[test]
    fn looks_like_amazing_print() {
        let mut event = Event::from_message(Text::from("say \"hi\""), Timestamp::new(0, 0));
        event.set(&FieldReference::parse("[host][name]").unwrap(), "h").unwrap();
        event.tag("a");
        event.tag("b");
        event.set(&FieldReference::field("n"), Value::Null).unwrap();
        let mut out = Vec::new();
        RubyDebug { metadata: false }.encode(&event, &mut out).unwrap();
        let expect = r#"{
    "@timestamp" => 1970-01-01T00:00:00.000Z,
      "@version" => "1",
       "message" => "say \"hi\"",
          "host" => {
        "name" => "h"
    },
          "tags" => [
        [0] "a",
        [1] "b"
    ],
             "n" => nil
}
"#;
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }
}
