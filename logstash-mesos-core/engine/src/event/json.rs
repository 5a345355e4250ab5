//! Values as JSON text.

use std::io::Write;

use super::{Map, Value, escape, write_java_decimal, write_java_double};

/// Appends `value` as JSON. Allocates nothing beyond the growth of `out`.
pub fn write_json(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(number) => out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
        Value::BigInt(number) => {
            let _infallible = write!(out, "{number}");
        }
        // Jackson quotes what JSON has no number for.
        Value::Float(number) if !number.is_finite() => {
            out.push(b'"');
            write_java_double(*number, out);
            out.push(b'"');
        }
        Value::Float(number) => write_java_double(*number, out),
        Value::Decimal(number) => write_java_decimal(number, out),
        Value::Text(text) => write_json_string(text, out),
        Value::Timestamp(instant) => {
            out.push(b'"');
            instant.write_iso8601(out);
            out.push(b'"');
        }
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_json(item, out);
            }
            out.push(b']');
        }
        Value::Map(map) => write_json_map(map, out),
    }
}

/// Appends `map` as a JSON object.
pub fn write_json_map(map: &Map, out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (key, value)) in map.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_json_string(key, out);
        out.push(b':');
        write_json(value, out);
    }
    out.push(b'}');
}

/// Appends `text` in quotes, escaped.
pub fn write_json_string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    escape::append(text.as_bytes(), out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Text;

    #[test]
    fn strings_are_escaped_where_json_wants_it() {
        let mut out = Vec::new();
        write_json(&Value::Text(Text::from("a\"b\\c\n\u{1}ü")), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\c\\n\\u0001ü\"");
    }
}
