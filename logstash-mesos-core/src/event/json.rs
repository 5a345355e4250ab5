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
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    // Most strings need no escape at all; a long clean stretch is found in wide steps and copied in one go.
    loop {
        let clean = clean_prefix(rest);
        out.extend_from_slice(&rest[..clean]);
        rest = &rest[clean..];
        if rest.is_empty() {
            break;
        }
        // Where there is one escape there are often more, in JSON inside JSON every few bytes.
        let (near, far) = rest.split_at(rest.len().min(BLOCK));
        near.iter().for_each(|&byte| write_escaped(byte, out));
        rest = far;
    }
    out.push(b'"');
}

/// How many bytes are looked at in one step.
const BLOCK: usize = 32;

/// A number of bytes at the start of `bytes` that need no escape; all of them or up to the first that does.
fn clean_prefix(bytes: &[u8]) -> usize {
    let mut at = 0;
    for block in bytes.chunks_exact(BLOCK) {
        // Without leaving early, which the compiler turns into wide instructions.
        if block.iter().fold(false, |found, &byte| found | is_special(byte)) {
            break;
        }
        at += BLOCK;
    }
    // Then words: most keys and many values are shorter than a block.
    while let Some(word) = bytes.get(at..at + 8) {
        let special = specials(<[u8; 8]>::try_from(word).map_or(u64::MAX, u64::from_le_bytes));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|&&byte| !is_special(byte)).count()
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The high bit of the first byte of `word` that needs an escape, and none below it. Bytes of 0x80 and above never do.
fn specials(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // A borrow goes upwards only, so the lowest bit that is set is right.
    let below = |limit: u64, word: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let control = below(0x20, word);
    let quote = below(1, word ^ (ONES * u64::from(b'"')));
    let backslash = below(1, word ^ (ONES * u64::from(b'\\')));
    control | quote | backslash
}

fn write_escaped(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0c => out.extend_from_slice(b"\\f"),
        0..0x20 => {
            let _infallible = write!(out, "\\u{byte:04x}");
        }
        _ => out.push(byte),
    }
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
