//! Values and strings as Ruby's own methods treat them.
//!
//! Logstash's filters are written in Ruby, so what a number looks like as text, where a string is split and
//! what counts as white space is decided by Ruby.

pub(crate) mod csv;
pub(crate) mod ip;
pub(crate) mod number;

use std::fmt::Write;

use bigdecimal::BigDecimal;
use num_bigint::{BigInt, Sign};

use crate::event::{Text, Value};

/// `to_s` of a value.
#[must_use]
pub fn to_s(value: &Value) -> Text {
    match value {
        Value::Text(text) => text.clone(),
        Value::Null => Text::new(),
        Value::Bool(true) => Text::from_static("true"),
        Value::Bool(false) => Text::from_static("false"),
        Value::Int(number) => Text::from(itoa::Buffer::new().format(*number)),
        other => {
            let mut out = String::new();
            inspect(other, &mut out);
            Text::from(out)
        }
    }
}

/// Appends `inspect` of a value: strings in quotes, `nil`, `{"key" => 1}`.
pub(crate) fn inspect(value: &Value, out: &mut String) {
    // Writing to a string cannot fail.
    let _infallible = match value {
        Value::Null => out.write_str("nil"),
        Value::Bool(flag) => write!(out, "{flag}"),
        Value::Int(number) => write!(out, "{number}"),
        Value::BigInt(number) => write!(out, "{number}"),
        Value::Float(number) => out.write_str(&float_to_s(*number)),
        Value::Decimal(number) => out.write_str(&decimal_to_s(number)),
        Value::Timestamp(instant) => write!(out, "{instant}"),
        Value::Text(text) => {
            inspect_string(text, out);
            Ok(())
        }
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                inspect(item, out);
            }
            out.write_str("]")
        }
        Value::Map(map) => {
            out.push('{');
            for (at, (key, item)) in map.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                inspect_string(key, out);
                out.push_str(" => ");
                inspect(item, out);
            }
            out.write_str("}")
        }
    };
}

fn inspect_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        let escape = match char {
            '"' | '\\' => char,
            '#' if matches!(rest.peek(), Some('{' | '$' | '@')) => '#',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\u{c}' => 'f',
            '\u{b}' => 'v',
            '\u{8}' => 'b',
            '\u{7}' => 'a',
            '\u{1b}' => 'e',
            control if control.is_control() => {
                let _infallible = if control.is_ascii() {
                    write!(out, "\\x{:02X}", u32::from(control))
                } else {
                    write!(out, "\\u{:04X}", u32::from(control))
                };
                continue;
            }
            plain => {
                out.push(plain);
                continue;
            }
        };
        out.push('\\');
        out.push(escape);
    }
    out.push('"');
}

/// `Float#to_s`: `1.0`, `1.0e+20`, `1.5e-09`.
pub(crate) fn float_to_s(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = number.abs();
    if size == 0.0 || (1e-4..1e16).contains(&size) {
        // `{:?}` switches to an exponent at 1e16 and below 1e-5 only.
        return format!("{number:?}");
    }
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}{point}e{sign}{digits:0>2}")
}

/// `BigDecimal#to_s`: `0.15e1`.
pub(crate) fn decimal_to_s(number: &BigDecimal) -> String {
    let (unscaled, scale) = number.as_bigint_and_exponent();
    if unscaled.sign() == Sign::NoSign {
        return "0.0".to_owned();
    }
    let digits = unscaled.magnitude().to_string();
    let exponent = i64::try_from(digits.len()).unwrap_or(i64::MAX).saturating_sub(scale);
    let sign = if unscaled.sign() == Sign::Minus { "-" } else { "" };
    format!("{sign}0.{}e{exponent}", digits.trim_end_matches('0'))
}

/// `Array(value)`: nothing for `nil`, pairs for a hash.
pub(crate) fn array(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::List(items) => items.clone(),
        Value::Map(map) => map
            .iter()
            .map(|(key, value)| Value::List(vec![Value::Text(key.clone()), value.clone()]))
            .collect(),
        scalar => vec![scalar.clone()],
    }
}

/// `String#to_i`: the integer at the start, 0 when there is none.
pub(crate) fn string_to_i(text: &str) -> BigInt {
    let text = text.trim_start_matches(is_space);
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => (Sign::Minus, &text[1..]),
        Some(b'+') => (Sign::Plus, &text[1..]),
        _ => (Sign::Plus, text),
    };
    let mut number = String::new();
    let mut underscore = true;
    for char in digits.chars() {
        match char {
            '0'..='9' => {
                number.push(char);
                underscore = false;
            }
            '_' if !underscore => underscore = true,
            _ => break,
        }
    }
    let magnitude = number.parse::<BigInt>().unwrap_or_default();
    if sign == Sign::Minus { -magnitude } else { magnitude }
}

/// [`string_to_i`] where larger numbers make no sense.
pub(crate) fn string_to_i64(text: &str) -> i64 {
    let number = string_to_i(text);
    let beyond = if number.sign() == Sign::Minus { i64::MIN } else { i64::MAX };
    i64::try_from(number).unwrap_or(beyond)
}

/// [`string_to_i`] as a value.
pub(crate) fn string_to_integer(text: &str) -> Value {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    // Nearly always it is a plain number that fits.
    if (1..=18).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = digits.bytes().fold(0, |number, byte| number * 10 + i64::from(byte - b'0'));
        return Value::Int(if text.starts_with('-') { -number } else { number });
    }
    integer(string_to_i(text))
}

/// `String#to_f`: the number at the start, 0.0 when there is none.
pub(crate) fn string_to_f(text: &str) -> f64 {
    let text = text.trim_start_matches(is_space);
    let bytes = text.as_bytes();
    let digits =
        |from: usize| bytes[from..].iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'_')).count();
    let mut end = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let whole = digits(end);
    if bytes.get(end) == Some(&b'_') {
        return 0.0;
    }
    end += whole;
    // Unlike the others, an underscore right after the point is overlooked.
    let fraction = match bytes.get(end..) {
        Some([b'.', b'_', b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..]) => 1 + digits(end + 1),
        _ => 0,
    };
    if whole == 0 && fraction == 0 {
        return 0.0;
    }
    end += fraction;
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = bytes.get(end + 1 + sign..).map_or(0, |_| digits(end + 1 + sign));
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    text[..end].replace('_', "").parse().unwrap_or(0.0)
}

/// An integer value of the smallest kind that holds it.
pub(crate) fn integer(number: BigInt) -> Value {
    match i64::try_from(&number) {
        Ok(small) => Value::Int(small),
        Err(_) => Value::BigInt(Box::new(number)),
    }
}

/// What `String#strip` and `String#split` take for white space.
pub(crate) fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

/// `String#strip`, which takes away null characters too.
pub(crate) fn strip(text: &Text) -> Text {
    let stripped = text.as_str().trim_matches(|char| is_space(char) || char == '\0');
    if stripped.len() == text.len() { text.clone() } else { text.slice_ref(stripped) }
}

/// `String#split` with a string: without empty pieces at the end; a blank splits at white space.
pub(crate) fn split(text: &Text, separator: &str) -> Vec<Text> {
    let mut pieces: Vec<Text> = match separator {
        " " => text
            .as_str()
            .split(is_space)
            .filter(|piece| !piece.is_empty())
            .map(|piece| text.slice_ref(piece))
            .collect(),
        "" => text.char_indices().map(|(at, char)| text.slice(at..at + char.len_utf8())).collect(),
        _ => text.as_str().split(separator).map(|piece| text.slice_ref(piece)).collect(),
    };
    while pieces.last().is_some_and(|piece| piece.is_empty()) {
        pieces.pop();
    }
    pieces
}

/// In capitals, as Ruby's `String#upcase` writes it: `ß` becomes `SS`.
pub(crate) fn upcase(text: &Text) -> Text {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Text::from(text.to_ascii_uppercase().as_str());
        }
        return text.clone();
    }
    Text::from(text.to_uppercase())
}

/// `String#downcase`, which knows no special sigma at the end of a word.
pub(crate) fn downcase(text: &Text) -> Text {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Text::from(text.to_ascii_lowercase().as_str());
        }
        return text.clone();
    }
    Text::from(text.chars().flat_map(char::to_lowercase).collect::<String>())
}

/// `String#capitalize`: the first character in title case, the others in lower case.
pub(crate) fn capitalize(text: &Text) -> Text {
    let mut rest = text.chars();
    let Some(first) = rest.next() else { return Text::new() };
    let mut out = String::with_capacity(text.len());
    match first {
        'Ǆ' | 'ǅ' | 'ǆ' => out.push('ǅ'),
        'Ǉ' | 'ǈ' | 'ǉ' => out.push('ǈ'),
        'Ǌ' | 'ǋ' | 'ǌ' => out.push('ǋ'),
        'Ǳ' | 'ǲ' | 'ǳ' => out.push('ǲ'),
        _ => {
            // Of a ligature that becomes several letters only the first is capital.
            for (at, char) in first.to_uppercase().enumerate() {
                if at == 0 { out.push(char) } else { out.extend(char.to_lowercase()) }
            }
        }
    }
    out.extend(rest.flat_map(char::to_lowercase));
    Text::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{JsonReader, JsonRules};

    #[test]
    fn values_look_as_ruby_prints_them() {
        let value = JsonReader::new(JsonRules::STRICT)
            .read(&Text::from(r##"{"b":[1,2.5,null,"q\"#{\n\u0001é",true,{}],"c":1e20}"##))
            .unwrap();
        assert_eq!(
            to_s(&value).as_str(),
            "{\"b\" => [1, 2.5, nil, \"q\\\"\\#{\\n\\x01é\", true, {}], \"c\" => 1.0e+20}"
        );
    }

    #[test]
    fn floats_look_as_ruby_prints_them() {
        let cases = [
            (1.0, "1.0"),
            (0.0001, "0.0001"),
            (0.000_01, "1.0e-05"),
            (1.5e-9, "1.5e-09"),
            (1e15, "1000000000000000.0"),
            (1e16, "1.0e+16"),
            (1.25e100, "1.25e+100"),
            (-0.0, "-0.0"),
        ];
        for (number, text) in cases {
            assert_eq!(float_to_s(number), text);
        }
        assert_eq!(decimal_to_s(&"-12.50".parse().unwrap()), "-0.125e2");
        assert_eq!(decimal_to_s(&"0.00".parse().unwrap()), "0.0");
    }

    #[test]
    fn numbers_are_read_from_the_start_of_a_text() {
        for (text, number) in
            [("12abc", 12), (" -3", -3), ("1_000", 1000), ("1__0", 1), ("x", 0), ("", 0), ("+", 0)]
        {
            assert_eq!(string_to_i64(text), number, "{text}");
        }
        for (text, number) in [
            ("1.5x", 1.5),
            ("-2", -2.0),
            ("1e3", 1000.0),
            ("1e", 1.0),
            (".5", 0.5),
            ("abc", 0.0),
            ("5.", 5.0),
        ] {
            assert!((string_to_f(text) - number).abs() < f64::EPSILON, "{text}");
        }
    }

    #[test]
    fn strings_are_split_and_changed_as_ruby_does() {
        let pieces = |text: &'static str, separator| {
            split(&Text::from(text), separator).iter().map(|piece| piece.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(pieces(",a,,b,,", ","), ["", "a", "", "b"]);
        assert_eq!(pieces("  a \n b ", " "), ["a", "b"]);
        assert_eq!(pieces("äb", ""), ["ä", "b"]);
        assert!(pieces("", ",").is_empty());
        assert_eq!(upcase(&Text::from("straße ŸǅΣς")).as_str(), "STRASSE ŸǄΣΣ");
        assert_eq!(downcase(&Text::from("ÀΣ")).as_str(), "àσ");
        assert_eq!(capitalize(&Text::from("ßA")).as_str(), "Ssa");
        assert_eq!(strip(&Text::from("\0 x\t\0")).as_str(), "x");
        assert_eq!(strip(&Text::from("\u{a0}x")).as_str(), "\u{a0}x");
    }
}
