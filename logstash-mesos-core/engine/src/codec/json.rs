//! `json`: every unit of input is a JSON document.

use super::plain::CHARSET;
use crate::event::{Blob, Clock, Event, Text, write_json_map};
use crate::plugin::charset::Charset;
use crate::plugin::json_text::JsonText;
use crate::plugin::settings::{Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Codec, EncodeError, PluginSpec};

pub(crate) static JSON: PluginSpec = PluginSpec {
    name: "json",
    doc: "JSON documents: an object is an event, an array of objects several.",
    settings: &[CHARSET, TARGET],
    build: Build::Codec(build),
};

/// The setting that codecs for JSON share.
pub(super) const TARGET: Setting = Setting::new(
    "target",
    Kind::FieldReference,
    "Where the document goes; its keys become fields otherwise.",
);

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Codec>, BuildError> {
    Ok(Box::new(Json {
        charset: Charset::from_settings(settings)?,
        text: JsonText::new(settings, cx, true)?,
    }))
}

#[derive(Clone, Debug)]
struct Json {
    charset: Charset,
    text: JsonText,
}

impl Codec for Json {
    fn decode(&mut self, data: Blob, clock: Clock, emit: &mut dyn FnMut(Event)) {
        let text = self.charset.decode(data);
        self.text.read(&text, clock, emit);
    }

    fn decode_text(&mut self, text: Text, clock: Clock, emit: &mut dyn FnMut(Event)) {
        if self.charset == Charset::Utf8 {
            self.text.read(&text, clock, emit);
        } else {
            self.decode(text.into_bytes(), clock, emit);
        }
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_json_map(event.fields(), out);
        Ok(())
    }

    fn is_stateless(&self) -> bool {
        true
    }

    fn fork(&self) -> Box<dyn Codec> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FieldReference;
    use crate::plugin::EcsCompatibility;

    fn decoded(text: &str) -> Vec<String> {
        let cx =
            BuildContext { ecs: EcsCompatibility::Disabled, ..BuildContext::new(crate::registry::catalog()) };
        let mut codec = build(&Settings::default(), &cx).unwrap();
        let mut events = Vec::new();
        codec.decode(Blob::from(text.as_bytes()), Clock::System, &mut |mut event| {
            event.remove(&FieldReference::field("@timestamp"));
            event.remove(&FieldReference::field("@version"));
            let mut out = Vec::new();
            write_json_map(event.fields(), &mut out);
            events.push(String::from_utf8(out).unwrap());
        });
        events
    }

    #[test]
    fn documents_become_events() {
        assert_eq!(decoded(r#"{"a":1,"b":{"c":1.5}}"#), [r#"{"a":1,"b":{"c":1.5}}"#]);
        assert_eq!(decoded(r#"[{"a":1},{"a":2}]"#), [r#"{"a":1}"#, r#"{"a":2}"#]);
        assert_eq!(decoded("{broken"), [r#"{"message":"{broken","tags":["_jsonparsefailure"]}"#]);
        assert_eq!(decoded("  ").len(), 0);
    }

    #[test]
    fn a_long_array_is_as_many_events_or_a_failure_of_the_whole() {
        let items = |count: usize| (0..count).map(|n| format!(r#"{{"n":{n}}}"#)).collect::<Vec<_>>();
        let count = 20_000;
        let events = decoded(&format!(" [{}] more", items(count).join(" , ")));
        assert_eq!(events.len(), count);
        let short = decoded(&format!("[{}]", items(2).join(",")));
        assert_eq!((&events[..2], short.len()), (&short[..], 2));
        for broken in ["1]", "{]", "\"text\"]", ""] {
            let text = format!("[{},{broken}", items(count).join(","));
            let failed = decoded(&text);
            assert!(failed.len() == 1 && failed[0].contains("_jsonparsefailure"), "{broken}");
        }
        let alone = format!(r#"[{{"long":"{}"}}]"#, "x".repeat(100_000));
        assert_eq!(decoded(&alone), [&alone[1..alone.len() - 1]]);
    }

    // Recorded from Logstash 9.5.2.
    #[test]
    fn odd_documents() {
        for (text, events) in [
            (r#"{"a":1}{"b":2}"#, vec![r#"{"a":1}"#]),
            (r#"{"a":1} x"#, vec![r#"{"a":1}"#]),
            (r#"[{"a":1},null]"#, vec![r#"{"a":1}"#, "{}"]),
            (r#"{"tags":["a",1]}"#, vec![r#"{"_tags":[["a",1]],"tags":["_tagsparsefailure"]}"#]),
            (r#"{"tags":null}"#, vec![r#"{"_tags":[null],"tags":["_tagsparsefailure"]}"#]),
            (r#"{"tags":"x"}"#, vec![r#"{"tags":"x"}"#]),
            (r#"{"a":1.10,"b":1e5}"#, vec![r#"{"a":1.1,"b":100000.0}"#]),
            ("[]", vec![]),
        ] {
            assert_eq!(decoded(text), events, "{text}");
        }
        for text in ["[1,2]", r#"[{"a":1},5]"#, "null", "5", "\u{feff}{}", r#"{"@metadata":5}"#, "[[{}]]"] {
            let message = format!("{text:?}").replace("\\u{feff}", "\u{feff}");
            assert_eq!(
                decoded(text),
                [format!(r#"{{"message":{message},"tags":["_jsonparsefailure"]}}"#)],
                "{text}"
            );
        }
    }

    #[test]
    fn with_ecs_the_text_of_one_event_is_kept() {
        let cx = BuildContext { ecs: EcsCompatibility::V8, ..BuildContext::new(crate::registry::catalog()) };
        for (text, originals) in [
            (r#"{"a":1}"#, vec![Some(r#"{"a":1}"#)]),
            (r#"[{"a":1}]"#, vec![Some(r#"[{"a":1}]"#)]),
            (r#"{"event":{"original":"o"}}"#, vec![Some("o")]),
            (r#"[{"a":1},{}]"#, vec![None, None]),
            ("5", vec![None]),
            // There is no place for it: a failure.
            (r#"{"event":"x"}"#, vec![None]),
        ] {
            let mut found = Vec::new();
            build(&Settings::default(), &cx).unwrap().decode(
                Blob::from(text.as_bytes()),
                Clock::System,
                &mut |event| {
                    let field = FieldReference::parse("[event][original]").unwrap();
                    found.push(event.get_text(&field).map(ToString::to_string));
                },
            );
            assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), originals, "{text}");
        }
    }
}
