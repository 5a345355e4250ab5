//! Values as JSON text.

use std::io::Write;

use super::{Map, Value, write_java_decimal, write_java_double};

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
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut done = 0;
    // Most strings need no escape at all; find the next quote, backslash or control character in one sweep.
    while let Some(len) = next_escape(&bytes[done..]) {
        let at = done + len;
        out.extend_from_slice(&bytes[done..at]);
        match bytes[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            control => {
                let _infallible = write!(out, "\\u{control:04x}");
            }
        }
        done = at + 1;
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

fn next_escape(bytes: &[u8]) -> Option<usize> {
    // Whole blocks are looked at without leaving early, which the compiler turns into wide instructions.
    let mut at = 0;
    for block in bytes.chunks_exact(32) {
        let found = block.iter().fold(0, |found, &byte| found | u8::from(is_special(byte)));
        if found != 0 {
            break;
        }
        at += 32;
    }
    // Then words: most keys and many values are shorter than a block.
    let mut words = bytes[at..].chunks_exact(8);
    for word in &mut words {
        let word = <[u8; 8]>::try_from(word).map_or(u64::MAX, u64::from_le_bytes);
        if special_in_word(word) {
            break;
        }
        at += 8;
    }
    bytes[at..].iter().position(|&byte| is_special(byte)).map(|found| at + found)
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Whether a byte of `word` may be special: all bytes at once, each with its own borrow. Bytes of 0x80 and
/// above never are.
fn special_in_word(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let below = |limit: u64, word: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let control = below(0x20, word);
    let quote = below(1, word ^ (ONES * u64::from(b'"')));
    let backslash = below(1, word ^ (ONES * u64::from(b'\\')));
    (control | quote | backslash) != 0
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

    #[test]
    fn an_escape_is_found_wherever_it_stands() {
        for len in 0..80 {
            for at in 0..len {
                for special in ["\"", "\\", "\u{1f}", "\n"] {
                    let text = format!("{}{special}{}", "é".repeat(at), "~ ".repeat(len - at));
                    let mut out = Vec::new();
                    write_json(&Value::Text(Text::from(text.as_str())), &mut out);
                    let read: String = serde_json::from_slice(&out).unwrap();
                    assert_eq!(read, text);
                }
            }
        }
    }
}
