//! YAML as Ruby's Psych reads it: version 1.1, where `yes` is a boolean.

use std::collections::HashMap;

use thiserror::Error;
use yaml_rust2::Event;
use yaml_rust2::parser::{MarkedEventReceiver, Parser};
use yaml_rust2::scanner::{Marker, ScanError, TScalarStyle};

use crate::compat::ruby;
use crate::event::{Map, Text, Value};

/// Why text was not read.
#[derive(Debug, Error)]
pub(crate) enum YamlError {
    #[error(transparent)]
    Syntax(#[from] ScanError),
    #[error("it refers to an anchor that is not there")]
    NoAnchor,
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// Reads the first document of a text; nothing is null.
///
/// Keys that are no strings can never be found, in Logstash as here; they are left out with a warning.
pub(crate) fn read_yaml(text: &str) -> Result<Value, YamlError> {
    let mut reader = Reader::default();
    Parser::new_from_str(text).load(&mut reader, false)?;
    match reader.failure {
        Some(failure) => Err(failure),
        None => Ok(reader.document.unwrap_or(Value::Null)),
    }
}

#[derive(Default)]
struct Reader {
    document: Option<Value>,
    open: Vec<Open>,
    anchors: HashMap<usize, Value>,
    failure: Option<YamlError>,
}

/// A list or hash that is not finished.
enum Open {
    List(Vec<Value>, usize),
    Map(Map, Option<Key>, usize),
}

/// A key that waits for its value.
enum Key {
    Text(Text),
    Other,
}

impl MarkedEventReceiver for Reader {
    fn on_event(&mut self, event: Event, _: Marker) {
        match event {
            Event::SequenceStart(anchor, _) => self.open(Open::List(Vec::new(), anchor)),
            Event::MappingStart(anchor, _) => self.open(Open::Map(Map::new(), None, anchor)),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(items, anchor)) => self.add(Value::List(items), anchor, true),
                Some(Open::Map(map, _, anchor)) => self.add(Value::from(map), anchor, true),
                None => {}
            },
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == TScalarStyle::Plain && tag.is_none();
                self.add(if plain { scalar(&text) } else { Value::from(text) }, anchor, plain);
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(value) => self.add(value, 0, true),
                None => self.failure = Some(YamlError::NoAnchor),
            },
            _ => {}
        }
    }
}

impl Reader {
    fn open(&mut self, container: Open) {
        if self.open.len() < MAX_DEPTH {
            self.open.push(container);
        } else {
            self.failure = Some(YamlError::TooDeep);
        }
    }

    fn add(&mut self, value: Value, anchor: usize, plain: bool) {
        if self.failure.is_some() {
            return;
        }
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut() {
            None => {
                self.document.get_or_insert(value);
            }
            Some(Open::List(items, _)) => items.push(value),
            Some(Open::Map(map, key, _)) => match key.take() {
                None => {
                    *key = Some(match value {
                        Value::Text(text) => Key::Text(text),
                        _ => {
                            tracing::warn!(
                                "A key of the YAML dictionary is no string and will not be found; quote it"
                            );
                            Key::Other
                        }
                    });
                }
                // `<<: *defaults` takes the entries of another hash.
                Some(Key::Text(name)) if name == "<<" && plain && value.as_map().is_some() => {
                    for (name, value) in value.as_map().into_iter().flat_map(Map::iter) {
                        if !map.contains_key(name) {
                            map.insert(name.clone(), value.clone());
                        }
                    }
                }
                Some(Key::Text(name)) => {
                    map.insert(name, value);
                }
                Some(Key::Other) => {}
            },
        }
    }
}

const MAX_DEPTH: usize = 500;

/// A scalar without quotes.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        ".inf" | ".Inf" | ".INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let lower = text.to_ascii_lowercase();
    let cased = text == lower || text == text.to_ascii_uppercase() || text[1..] == lower[1..];
    match lower.as_str() {
        "yes" | "true" | "on" if cased => return Value::Bool(true),
        "no" | "false" | "off" if cased => return Value::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.starts_with(|char: char| char.is_ascii_digit())
        && unsigned.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_' || byte == b',')
    {
        let digits = text.replace(['_', ','], "");
        // A zero in front makes an octal number, if all digits are.
        if unsigned.len() > 1 && unsigned.starts_with('0') && !unsigned.contains(['8', '9']) {
            return i64::from_str_radix(&digits, 8).map_or_else(|_| Value::from(text.to_owned()), Value::Int);
        }
        return ruby::integer(ruby::string_to_i(&digits));
    }
    if let Some(hex) = unsigned.strip_prefix("0x")
        && let Ok(number) = i64::from_str_radix(&hex.replace('_', ""), 16)
    {
        return Value::Int(if text.starts_with('-') { -number } else { number });
    }
    let is_float = unsigned.starts_with(|char: char| char.is_ascii_digit() || char == '.')
        && unsigned.contains(|char: char| char.is_ascii_digit())
        && unsigned.bytes().all(|byte| byte.is_ascii_digit() || b"_,.eE+-".contains(&byte));
    if is_float && let Ok(number) = text.replace(['_', ','], "").parse() {
        return Value::Float(number);
    }
    Value::from(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::write_json;

    fn read(text: &str) -> String {
        let mut out = Vec::new();
        write_json(&read_yaml(text).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn documents_are_read_as_ruby_does() {
        assert_eq!(
            read("a: 1\n'b': \"2\"\nc: [yes, No, ~, 1.5, 010, x y]\nd:\n  e: |\n    text\n"),
            r#"{"a":1,"b":"2","c":[true,false,null,1.5,8,"x y"],"d":{"e":"text\n"}}"#
        );
        assert_eq!(
            read("base: &b {x: 1}\nt: {<<: *b, y: 2}\nu: *b"),
            r#"{"base":{"x":1},"t":{"x":1,"y":2},"u":{"x":1}}"#
        );
        assert_eq!(read("1: a\n'2': b"), r#"{"2":"b"}"#);
        assert_eq!(read(""), "null");
        assert!(read_yaml("a: [1").is_err());
        assert!(read_yaml(&"[".repeat(1000)).is_err());
    }
}
