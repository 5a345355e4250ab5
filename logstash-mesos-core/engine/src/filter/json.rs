//! `json`: reads a field that holds JSON.

use std::sync::Arc;

use crate::event::{EscapeStyle, Event, JsonReader, JsonRules, Map, ReadInto, Text, Timestamp, Value};
use crate::plugin::field::{Failed, Field, set_named, tag_all};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static JSON: PluginSpec = PluginSpec {
    name: "json",
    doc: "Parses JSON from a field into the event.",
    settings: &[
        Setting::new("source", Kind::String, "The field that holds JSON.").required(),
        Setting::new(
            "target",
            Kind::FieldReference,
            "Where the value goes; its keys become fields otherwise.",
        ),
        Setting::new("tag_on_failure", Kind::Array, "Tags for an event whose field is not JSON.")
            .default(Default::Strings(&["_jsonparsefailure"])),
        Setting::new("skip_on_invalid_json", Kind::Boolean, "Leaves such an event without tags.")
            .default(Default::Bool(false)),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    Ok(Box::new(Json {
        source: settings.field_of(&settings.text("source").unwrap_or_default()),
        target: settings.text("target").map(|target| settings.field_of(&target)),
        tags: settings.strings("tag_on_failure"),
        skip_invalid: settings.bool("skip_on_invalid_json"),
        reader: JsonReader::new(JsonRules::FILTER).within(&cx.parsed),
        style: settings.escape_style(),
    }))
}

#[derive(Debug)]
struct Json {
    source: Field,
    target: Option<Field>,
    tags: Vec<Text>,
    skip_invalid: bool,
    reader: JsonReader,
    style: EscapeStyle,
}

impl Filter for Json {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        if self.apply(event, cx).is_err() {
            tag_all(event, &self.tags);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(Self {
            source: self.source.clone(),
            target: self.target.clone(),
            tags: self.tags.clone(),
            skip_invalid: self.skip_invalid,
            reader: self.reader.fork(),
            style: self.style,
        })
    }
}

impl Json {
    fn apply(&mut self, event: &mut Event, cx: &FilterContext<'_>) -> Result<(), Failed> {
        let text = match event.get(self.source.get()?) {
            None | Some(Value::Null | Value::Bool(false)) => return Ok(()),
            Some(Value::Text(text)) => text.clone(),
            Some(_) if self.skip_invalid => return Ok(()),
            Some(_) => return Err(Failed),
        };
        let parsed = match &self.target {
            Some(_) => self.reader.read(&text).map(ReadInto::Value),
            None => self.reader.read_into(&text, event.fields_mut(), self.style),
        };
        match parsed {
            Ok(ReadInto::Appended) => {}
            Ok(ReadInto::Members(members)) => set_members(event, members, cx, self.style)?,
            Ok(ReadInto::Value(value)) => match (&self.target, value) {
                (Some(target), value) => event.set(target.get()?, value)?,
                // Of several hashes the last one counts.
                (None, Value::Map(map)) => set_members(event, Arc::unwrap_or_clone(map), cx, self.style)?,
                (None, _) => return Err(Failed),
            },
            Err(_) if self.skip_invalid => return Ok(()),
            Err(error) => {
                tracing::debug!(%error, "Field is not JSON");
                return Err(Failed);
            }
        }
        if cx.matched(event) { Ok(()) } else { Err(Failed) }
    }
}

/// Sets the fields that the keys of the data name, the time last.
fn set_members(
    event: &mut Event,
    mut members: Map,
    cx: &FilterContext<'_>,
    style: EscapeStyle,
) -> Result<(), Failed> {
    let time = members.remove("@timestamp");
    for (key, value) in members {
        set_named(event, key, value, style)?;
    }
    if let Some(written) = time {
        set_time(event, &written, cx);
    }
    Ok(())
}

/// `@timestamp` from the data: taken when it is a time, kept beside the current time otherwise.
fn set_time(event: &mut Event, written: &Value, cx: &FilterContext<'_>) {
    let time = match written {
        Value::Null | Value::Bool(false) => return,
        Value::Text(text) => Timestamp::parse_iso8601(text),
        _ => None,
    };
    let fields = event.fields_mut();
    fields.insert("@timestamp", time.unwrap_or_else(|| cx.clock.now()));
    if time.is_none() {
        event.tag("_timestampparsefailure");
        event.fields_mut().insert("_@timestamp", crate::compat::ruby::to_s(written));
    }
}

#[cfg(test)]
mod tests {
    use super::JSON;
    use crate::testing::{filtered, json_event};

    fn run(settings: &str, message: &str) -> String {
        let event = json_event(&format!(r#"{{"message":{}}}"#, serde_json::to_string(message).unwrap()));
        filtered(&JSON, settings, event)
    }

    #[test]
    fn keys_become_fields() {
        assert_eq!(
            run(r#"{"source":"message"}"#, r#"{"a":{"b":[1]},"[c]":2.50,"message":"new"}"#),
            r#"{"message":"new","a":{"b":[1]},"c":2.50}"#
        );
    }

    #[test]
    fn a_target_takes_any_value() {
        for value in ["[1,2]", "5", "null", "\"x\"", "{}"] {
            let expected = format!(r#""t":{value}}}"#);
            let got = run(r#"{"source":"message","target":"t"}"#, value);
            assert!(got.ends_with(&expected), "{got}");
        }
    }

    #[test]
    fn failures_are_tagged_and_leave_the_message() {
        for wrong in ["{bad", "[1]", "5", "", "{\"a\":1} x"] {
            let got = run(r#"{"source":"message","tag_on_failure":["_x"]}"#, wrong);
            assert!(got.ends_with(r#""tags":["_x"]}"#), "{got}");
        }
        assert_eq!(
            run(r#"{"source":"message","skip_on_invalid_json":true}"#, "{bad"),
            r#"{"message":"{bad"}"#
        );
        assert_eq!(run(r#"{"source":"nope"}"#, "x"), r#"{"message":"x"}"#);
    }

    #[test]
    fn fields_before_a_bad_key_stay() {
        assert_eq!(
            run(r#"{"source":"message"}"#, r#"{"a":1,"b[c":2,"d":3}"#),
            r#"{"message":"{\"a\":1,\"b[c\":2,\"d\":3}","a":1,"tags":["_jsonparsefailure"]}"#
        );
    }

    #[test]
    fn the_time_is_taken_or_kept_aside() {
        assert_eq!(
            run(r#"{"source":"message"}"#, r#"{"@timestamp":"2001-02-03T04:05:06Z"}"#),
            r#"{"message":"{\"@timestamp\":\"2001-02-03T04:05:06Z\"}","@timestamp":"2001-02-03T04:05:06.000Z"}"#
        );
        assert_eq!(
            run(r#"{"source":"message"}"#, r#"{"@timestamp":5}"#),
            r#"{"message":"{\"@timestamp\":5}","@timestamp":"2024-03-05T06:07:08.123Z","tags":["_timestampparsefailure"],"_@timestamp":"5"}"#
        );
    }
}
