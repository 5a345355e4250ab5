//! `plain`: every unit of input is an event; an event is its time, host and message, or a format.

use crate::event::{Blob, Clock, Event, FieldReference, Map, Template, Text, Value, write_json};
use crate::plugin::charset::Charset;
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Codec, EncodeError, PluginSpec};

pub(crate) static PLAIN: PluginSpec = PluginSpec {
    name: "plain",
    doc: "Text without delimiters: the input says where an event ends.",
    settings: &[Setting::new("format", Kind::String, "What an output writes; may hold `%{field}`."), CHARSET],
    build: Build::Codec(build),
};

/// The setting that codecs for text share.
pub(super) const CHARSET: Setting =
    Setting::new("charset", Kind::String, "The character set of what comes in.")
        .default(Default::String("UTF-8"));

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Codec>, BuildError> {
    Ok(Box::new(Plain { text: TextCodec::new(settings, cx)? }))
}

#[derive(Clone, Debug)]
struct Plain {
    text: TextCodec,
}

impl Codec for Plain {
    fn decode(&mut self, data: Blob, clock: Clock, emit: &mut dyn FnMut(Event)) {
        emit(self.text.event(self.text.charset.decode(data), clock));
    }

    fn decode_text(&mut self, text: Text, clock: Clock, emit: &mut dyn FnMut(Event)) {
        if self.text.charset == Charset::Utf8 {
            emit(self.text.event(text, clock));
        } else {
            self.decode(text.into_bytes(), clock, emit);
        }
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.text.encode(event, out)
    }

    fn is_stateless(&self) -> bool {
        true
    }

    fn fork(&self) -> Box<dyn Codec> {
        Box::new(self.clone())
    }
}

/// What `plain` and `line` have in common.
#[derive(Clone, Debug)]
pub(super) struct TextCodec {
    pub(super) charset: Charset,
    format: Option<Template>,
    keeps_original: bool,
}

impl TextCodec {
    pub(super) fn new(settings: &Settings, cx: &BuildContext) -> Result<Self, BuildError> {
        Ok(Self {
            charset: Charset::from_settings(settings)?,
            format: settings.template("format"),
            keeps_original: cx.ecs.select(false, true),
        })
    }

    /// The event of one line. In ECS mode the line is kept in `[event][original]` too, which costs a
    /// reference, not a copy.
    pub(super) fn event(&self, text: Text, clock: Clock) -> Event {
        if !self.keeps_original {
            return Event::from_message(text, clock.now());
        }
        let mut original = Map::with_capacity(1);
        original.push(Text::from_static("original"), Value::Text(text.clone()));
        let mut event = Event::from_message(text, clock.now());
        event.fields_mut().push(Text::from_static("event"), Value::from(original));
        event
    }

    pub(super) fn encode(&self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match &self.format {
            Some(format) => {
                let text = format.render(event)?;
                out.extend_from_slice(text.as_bytes());
            }
            None => write_event(event, out),
        }
        Ok(())
    }
}

/// The event as a line: time, host, message.
fn write_event(event: &Event, out: &mut Vec<u8>) {
    if let Some(time) = event.timestamp() {
        time.write_iso8601(out);
        out.push(b' ');
    }
    for (at, name) in ["host", "message"].into_iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        match event.get(&FieldReference::field(name)) {
            None | Some(Value::Null) => out.extend_from_slice(format!("%{{{name}}}").as_bytes()),
            Some(value) => write_java(value, out),
        }
    }
}

/// Java's `toString` of a value: hashes as `{a=b, c=d}`, lists as `[a, b]`.
fn write_java(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Timestamp(time) => time.write_iso8601(out),
        Value::Map(map) => {
            out.push(b'{');
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 {
                    out.extend_from_slice(b", ");
                }
                out.extend_from_slice(key.as_bytes());
                out.push(b'=');
                write_java(value, out);
            }
            out.push(b'}');
        }
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.extend_from_slice(b", ");
                }
                write_java(item, out);
            }
            out.push(b']');
        }
        scalar => write_json(scalar, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use crate::plugin::EcsCompatibility;

    fn codec(ecs: EcsCompatibility) -> Box<dyn Codec> {
        build(&Settings::default(), &BuildContext { ecs, ..BuildContext::new(crate::registry::catalog()) })
            .unwrap()
    }

    #[test]
    fn ecs_keeps_the_original() {
        for (ecs, original) in [(EcsCompatibility::V8, Some("hi")), (EcsCompatibility::Disabled, None)] {
            let mut events = Vec::new();
            codec(ecs).decode(Blob::from(b"hi"), Clock::System, &mut |event| events.push(event));
            let field = FieldReference::parse("[event][original]").unwrap();
            assert_eq!(events[0].get_text(&field).map(Text::as_str), original);
            assert_eq!(events[0].get_text(&FieldReference::field("message")).map(Text::as_str), Some("hi"));
        }
    }

    #[test]
    fn a_set_whose_first_bytes_say_which_way_round_it_is_is_refused_with_the_remedy() {
        for (name, remedy) in [("UTF-16", "`iconv -f UTF-16 -t UTF-8`"), ("utf-16le", "write `UTF-16LE`")] {
            let settings = crate::testing::settings_of(&PLAIN, &format!(r#"{{"charset":"{name}"}}"#));
            let refused = Charset::from_settings(&settings).unwrap_err();
            assert!(refused.remedy.is_some_and(|said| said.contains(remedy)), "{name}");
        }
    }

    #[test]
    fn an_event_without_format_is_time_host_and_message() {
        let mut event = Event::from_message(Text::from("hi"), Timestamp::new(0, 0));
        let mut out = Vec::new();
        codec(EcsCompatibility::V8).encode(&event, &mut out).unwrap();
        assert_eq!(out, b"1970-01-01T00:00:00.000Z %{host} hi");
        event.set(&FieldReference::parse("[host][name]").unwrap(), "x").unwrap();
        out.clear();
        codec(EcsCompatibility::V8).encode(&event, &mut out).unwrap();
        assert_eq!(out, b"1970-01-01T00:00:00.000Z {name=x} hi");
    }
}
