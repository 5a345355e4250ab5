//! `msgpack`: every unit of input is a MessagePack map.

mod read;
mod write;

use std::sync::Arc;

use crate::event::{Blob, Clock, Event, FieldReference, Template, Value};
use crate::plugin::settings::{Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Codec, EncodeError, ParsedLimit, PluginSpec};

use super::json::TARGET;
use crate::plugin::charset::Charset;

pub(crate) static MSGPACK: PluginSpec = PluginSpec {
    name: "msgpack",
    doc: "Events as MessagePack maps.",
    settings: &[
        Setting::new("format", Kind::String, "The `message` of an event that has none; may hold `%{field}`."),
        TARGET,
    ],
    build: Build::Codec(build),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Codec>, BuildError> {
    Ok(Box::new(MsgPack {
        format: settings.template("format"),
        target: settings.field("target"),
        parsed: Arc::clone(&cx.parsed),
    }))
}

#[derive(Clone, Debug)]
struct MsgPack {
    format: Option<Template>,
    target: Option<FieldReference>,
    parsed: Arc<ParsedLimit>,
}

impl MsgPack {
    fn event(&self, data: &[u8], clock: Clock) -> Result<Event, String> {
        let map = match read::read(data, &self.parsed)? {
            Value::Map(map) => map,
            other => return Err(format!("an event is a hash, not {}", other.type_name())),
        };
        let mut event = match &self.target {
            None => Event::from_map(Arc::unwrap_or_clone(map), clock).map_err(|error| error.to_string())?,
            Some(target) => {
                let mut event = Event::new(clock.now());
                event.set(target, Value::Map(map)).map_err(|error| error.to_string())?;
                event
            }
        };
        if let Some(format) = &self.format
            && matches!(event.fields().get("message"), None | Some(Value::Null))
        {
            let message = format.render(&event).map_err(|error| error.to_string())?;
            event.fields_mut().insert("message", message);
        }
        Ok(event)
    }
}

impl Codec for MsgPack {
    fn decode(&mut self, data: Blob, clock: Clock, emit: &mut dyn FnMut(Event)) {
        emit(self.event(&data, clock).unwrap_or_else(|error| {
            tracing::debug!(error, "Input is not MessagePack");
            let mut event = Event::from_message(Charset::Utf8.decode(data), clock.now());
            event.tag("_msgpackparsefailure");
            event
        }));
    }

    fn is_stateless(&self) -> bool {
        true
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Ok(write::write_map(event.fields(), out)?)
    }

    fn fork(&self) -> Box<dyn Codec> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::codec::{codec, decoded};
    use crate::testing::json_event;

    #[test]
    fn what_is_written_can_be_read() {
        let long = "x".repeat(300);
        let list = (0..20).map(|n| (n * 40_000 - 100_000).to_string()).collect::<Vec<_>>().join(",");
        let text = format!(
            r#"{{"a":-1,"b":127,"c":128,"d":-33,"e":-40000,"f":9007199254740993,"g":18446744073709551615,"h":1.5,"i":true,"j":null,"k":[{list}],"l":"{long}","m":{{"n":{{}}}}}}"#
        );
        let mut out = Vec::new();
        let mut msgpack = codec(&MSGPACK, "{}");
        msgpack.encode(&json_event(&text), &mut out).unwrap();
        assert_eq!(decoded(&mut *msgpack, &[out]), [text]);
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let mut out = Vec::new();
        codec(&MSGPACK, "{}")
            .encode(
                &json_event(r#"{"@timestamp":"2024-03-05T06:07:08Z","compact":true,"schema":0}"#),
                &mut out,
            )
            .unwrap();
        assert_eq!(out, b"\x83\xaa@timestamp\xb82024-03-05T06:07:08.000Z\xa7compact\xc3\xa6schema\x00");
        out.clear();
        codec(&MSGPACK, "{}").encode(&json_event(r#"{"n":[4294967296,-2147483649]}"#), &mut out).unwrap();
        let numbers = b"\x92\xcf\0\0\0\x01\0\0\0\0\xd3\xff\xff\xff\xff\x7f\xff\xff\xff";
        assert!(out.ends_with(numbers), "{out:x?}");
    }

    #[test]
    fn every_width_is_read() {
        let read = |value: &[u8]| {
            let unit = [b"\x81\xa1a", value].concat();
            decoded(&mut *codec(&MSGPACK, "{}"), &[unit]).concat()
        };
        for (value, expected) in [
            (&b"\xcc\xff"[..], "255"),
            (b"\xcd\x01\x00", "256"),
            (b"\xce\xff\xff\xff\xff", "4294967295"),
            (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
            (b"\xd0\x80", "-128"),
            (b"\xd1\xff\x00", "-256"),
            (b"\xd2\x80\0\0\0", "-2147483648"),
            (b"\xd3\xff\xff\xff\xff\x7f\xff\xff\xff", "-2147483649"),
            (b"\xcb\x3f\xf8\0\0\0\0\0\0", "1.5"),
            (b"\xc4\x01x", r#""x""#),
            (b"\xc5\0\x01x", r#""x""#),
            (b"\xc6\0\0\0\x01x", r#""x""#),
            (b"\xd9\x01x", r#""x""#),
            (b"\xda\0\x01x", r#""x""#),
            (b"\xdb\0\0\0\x01x", r#""x""#),
            (b"\xdc\0\x01\xc2", "[false]"),
            (b"\xdd\0\0\0\x01\xc0", "[null]"),
            (b"\xde\0\x01\x05\x06", r#"{"5":6}"#),
            (b"\xdf\0\0\0\x01\xa0\x06", r#"{"":6}"#),
        ] {
            assert_eq!(read(value), format!(r#"{{"a":{expected}}}"#));
        }
    }

    #[test]
    fn what_is_no_map_is_tagged() {
        let failed = |bytes: &[u8]| decoded(&mut *codec(&MSGPACK, "{}"), &[bytes]);
        assert_eq!(failed(b"hello"), [r#"{"message":"hello","tags":["_msgpackparsefailure"]}"#]);
        for bytes in
            [&b"\x81\xa1a"[..], b"\xdf\xff\xff\xff\xff", b"\x81\xa1a\x01\x01", b"\xc1", b"", &[0x91; 5000]]
        {
            let events = failed(bytes);
            assert!(events.len() == 1 && events[0].contains("_msgpackparsefailure"), "{events:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_make_one_event(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            assert_eq!(decoded(&mut *codec(&MSGPACK, "{}"), &[[b"\x81\xa1a".as_slice(), &bytes].concat()]).len(), 1);
        }
    }

    #[test]
    fn a_format_and_a_target() {
        let mut formatted = codec(&MSGPACK, r#"{"format":"a is %{a}"}"#);
        assert_eq!(decoded(&mut *formatted, &[b"\x81\xa1a\x07"]), [r#"{"a":7,"message":"a is 7"}"#]);
        let mut targeted = codec(&MSGPACK, r#"{"target":"[t]"}"#);
        assert_eq!(decoded(&mut *targeted, &[b"\x81\xa1a\xca\x3f\x80\x00\x00"]), [r#"{"t":{"a":1.0}}"#]);
    }
}
