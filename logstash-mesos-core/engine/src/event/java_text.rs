//! Values as the text that Java's `toString` makes of them.

use super::{Map, Text, Value, write_java_decimal, write_java_double, write_json, write_json_string};
use crate::compat::java::hash::{Key, sort_sized};

/// The text of `value`: what sprintf and `in` see.
#[must_use]
pub fn java_text(value: &Value) -> Text {
    if let Value::Text(text) = value {
        return text.clone();
    }
    let mut out = Vec::new();
    write_java_text(value, &mut out);
    String::from_utf8(out).map(Text::from).unwrap_or_default()
}

/// Appends the text of `value`; `null` is nothing by itself and `null` inside a list or a hash.
pub(crate) fn write_java_text(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Int(number) => out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
        Value::BigInt(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Float(number) => write_java_double(*number, out),
        Value::Decimal(number) => write_java_decimal(number, out),
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Timestamp(instant) => instant.write_iso8601(out),
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                out.extend_from_slice(if at > 0 { b", " } else { b"" });
                write_inner(item, out);
            }
            out.push(b']');
        }
        Value::Map(map) => write_map(map, out),
    }
}

fn write_map(map: &Map, out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (key, value)) in java_order(map).into_iter().enumerate() {
        out.extend_from_slice(if at > 0 { b", " } else { b"" });
        out.extend_from_slice(key.as_bytes());
        out.push(b'=');
        write_inner(value, out);
    }
    out.push(b'}');
}

fn write_inner(value: &Value, out: &mut Vec<u8>) {
    if matches!(value, Value::Null) { out.extend_from_slice(b"null") } else { write_java_text(value, out) }
}

/// The entries of `map` as Logstash hands them to its texts: through a Java `HashMap` of their number.
fn java_order(map: &Map) -> Vec<(&Text, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    sort_sized(&mut entries, map.len(), |(key, _)| Key::Text(key));
    entries
}

/// Appends `map` as JSON with its keys in Java's order, as it stands in a text.
pub(crate) fn write_java_json(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Map(map) => {
            out.push(b'{');
            for (at, (key, value)) in java_order(map).into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_json_string(key, out);
                out.push(b':');
                write_java_json(value, out);
            }
            out.push(b'}');
        }
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_java_json(item, out);
            }
            out.push(b']');
        }
        scalar => write_json(scalar, out),
    }
}
