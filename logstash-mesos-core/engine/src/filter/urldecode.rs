//! `urldecode`: undoes percent encoding.

use std::fmt::Write;
use std::sync::Arc;

use crate::compat::ruby;
use crate::event::{EscapeStyle, Event, Text, Value};
use crate::plugin::field::{Failed, Field, set_named, tag_all};
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static URLDECODE: PluginSpec = PluginSpec {
    name: "urldecode",
    doc: "Decodes percent-encoded texts.",
    settings: &[
        Setting::new("field", Kind::String, "The field to decode.").default(Default::String("message")),
        Setting::new("all_fields", Kind::Boolean, "Decodes all fields instead.")
            .default(Default::Bool(false)),
        Setting::new("charset", Kind::String, "What the decoded bytes are.")
            .default(Default::String("UTF-8")),
        Setting::new("tag_on_failure", Kind::Array, "Tags for an event with which something went wrong.")
            .default(Default::Strings(&["_urldecodefailure"])),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let name = settings.text("charset").unwrap_or_default();
    let charset = match name.to_uppercase().as_str() {
        "UTF-8" => Charset::Utf8,
        "ISO-8859-1" | "ISO8859-1" => Charset::Latin1,
        "US-ASCII" | "ASCII" | "ANSI_X3.4-1968" | "646" | "ASCII-8BIT" | "BINARY" => Charset::Ascii,
        _ => {
            return Err(BuildError::setting("charset", format!("the charset `{name}` is not known here"))
                .remedy("use UTF-8, ISO-8859-1 or US-ASCII"));
        }
    };
    Ok(Box::new(UrlDecode {
        field: settings.field_of(&settings.text("field").unwrap_or_default()),
        all: settings.bool("all_fields"),
        charset,
        tags: settings.strings("tag_on_failure"),
        style: settings.escape_style(),
    }))
}

#[derive(Clone, Debug)]
struct UrlDecode {
    field: Field,
    all: bool,
    charset: Charset,
    tags: Vec<Text>,
    style: EscapeStyle,
}

#[derive(Clone, Copy, Debug)]
enum Charset {
    Utf8,
    Latin1,
    Ascii,
}

impl Filter for UrlDecode {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        if self.apply(event).is_err() {
            tag_all(event, &self.tags);
        }
        cx.matched(event);
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

impl UrlDecode {
    fn apply(&self, event: &mut Event) -> Result<(), Failed> {
        if !self.all {
            let field = self.field.get()?;
            // A field that is missing is there afterwards, without value.
            let value = event.get(field).cloned().unwrap_or(Value::Null);
            return Ok(event.set(field, self.decode(value))?);
        }
        let names: Vec<Text> = event.fields().keys().cloned().collect();
        for name in names {
            if let Some(value) = event.fields().get(&name).cloned() {
                let value = self.decode(value);
                set_named(event, name, value, self.style)?;
            }
        }
        Ok(())
    }

    fn decode(&self, value: Value) -> Value {
        match value {
            Value::Text(text) => Value::Text(self.decode_text(text)),
            Value::List(items) => Value::List(items.into_iter().map(|item| self.decode(item)).collect()),
            Value::Map(map) => {
                let map = Arc::unwrap_or_clone(map);
                Value::Map(Arc::new(map.into_iter().map(|(key, item)| (key, self.decode(item))).collect()))
            }
            other => other,
        }
    }

    fn decode_text(&self, text: Text) -> Text {
        if memchr::memchr(b'%', text.as_bytes()).is_none() && matches!(self.charset, Charset::Utf8) {
            return text;
        }
        let bytes = text.as_bytes();
        let mut decoded = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let hex = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
            if bytes[at] == b'%'
                && let (Some(high), Some(low)) = (hex(at + 1), hex(at + 2))
            {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            } else {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
        Text::from(match self.charset {
            Charset::Utf8 => match String::from_utf8(decoded) {
                Ok(text) => text,
                Err(error) => inspect_bytes(error.as_bytes()),
            },
            Charset::Latin1 => decoded.into_iter().map(char::from).collect(),
            Charset::Ascii => decoded
                .into_iter()
                .map(|byte| if byte.is_ascii() { char::from(byte) } else { '\u{fffd}' })
                .collect(),
        })
    }
}

/// What Logstash makes of bytes that are not UTF-8: Ruby's `inspect` without the quotes.
fn inspect_bytes(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        let mut quoted = String::new();
        ruby::inspect(&Value::Text(Text::from(chunk.valid())), &mut quoted);
        out.push_str(&quoted[1..quoted.len() - 1]);
        for byte in chunk.invalid() {
            let _infallible = write!(out, "\\x{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{build, filtered_json};

    #[test]
    fn texts_are_decoded() {
        let decode = |settings: &str, event: &str| filtered_json(&URLDECODE, settings, event);
        assert_eq!(decode("{}", r#"{"message":"a%20b%C3%A9%2"}"#), r#"{"message":"a bé%2"}"#);
        assert_eq!(decode("{}", r#"{"message":"\"%E9\n"}"#), r#"{"message":"\\\"\\xE9\\n"}"#);
        assert_eq!(decode(r#"{"charset":"ISO-8859-1"}"#, r#"{"message":"%E9"}"#), r#"{"message":"é"}"#);
        assert_eq!(
            decode(r#"{"all_fields":true}"#, r#"{"a":["%41",{"%41":"%42"}],"b":5}"#),
            r#"{"a":["A",{"%41":"B"}],"b":5}"#
        );
        assert_eq!(decode(r#"{"field":"x"}"#, r#"{"a":1}"#), r#"{"a":1,"x":null}"#);
        assert!(build(&URLDECODE, r#"{"charset":"EBCDIC"}"#).is_err());
    }
}
