//! `json`: every unit of input is a JSON document.

use super::charset::Charset;
use super::json_text::JsonText;
use super::plain::CHARSET;
use crate::event::{Blob, Clock, Event, Text, write_json_map};
use crate::pipeline::plugin::{Build, BuildContext, BuildError, Codec, PluginSpec};
use crate::pipeline::settings::{Kind, Setting, Settings};

/// The declaration.
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
    Ok(Box::new(Json { charset: Charset::from_settings(settings)?, text: JsonText::new(settings, cx)? }))
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

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), String> {
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
    use crate::pipeline::plugin::EcsCompatibility;

    fn decoded(text: &str) -> Vec<String> {
        let cx = BuildContext { ecs: EcsCompatibility::Disabled, ..BuildContext::default() };
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
}
