//! `convert` of `csv`: Ruby's CSV converters.

use num_bigint::BigInt;

use super::super::field::Failed;
use super::super::ruby;
use crate::event::iso8601::WrittenTime;
use crate::event::{Text, Timestamp, Value};

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Converter {
    Integer,
    Float,
    Date,
    DateTime,
    Boolean,
}

impl Converter {
    /// By name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "integer" => Self::Integer,
            "float" => Self::Float,
            "date" => Self::Date,
            "date_time" => Self::DateTime,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }

    /// The converted value; what cannot be converted stays as it is, but nothing is no boolean.
    pub(super) fn convert(self, value: Option<Text>) -> Result<Value, Failed> {
        let Some(text) = value else {
            return if self == Self::Boolean { Err(Failed) } else { Ok(Value::Null) };
        };
        let converted = match self {
            Self::Integer => integer(&text).map(ruby::integer),
            Self::Float => float(&text).map(Value::Float),
            Self::Date => date(&text).map(Value::Timestamp),
            Self::DateTime => date_time(&text).map(Value::Timestamp),
            Self::Boolean => match ruby::downcase(&ruby::strip(&text)).as_str() {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                // What is not one of them comes out stripped and in lower case.
                other => Some(Value::from(other.to_owned())),
            },
        };
        Ok(converted.unwrap_or(Value::Text(text)))
    }
}

/// `Integer(text)`: with prefixes for other bases and underscores between digits.
fn integer(text: &str) -> Option<BigInt> {
    let text = text.trim_matches(ruby::is_space);
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'd', ..] => (10, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with('_')
        || digits.ends_with('_')
        || digits.contains("__")
        || digits.starts_with(['+', '-'])
    {
        return None;
    }
    let number = BigInt::parse_bytes(digits.replace('_', "").as_bytes(), base)?;
    Some(if negative { -number } else { number })
}

/// `Float(text)`.
fn float(text: &str) -> Option<f64> {
    let text = text.trim_matches(ruby::is_space);
    let digit_at = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    // Rust's parser takes words such as `inf`, and points without digits after them.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE_".contains(&byte))
        && text.find('.').is_none_or(|at| digit_at(at + 1))
        && text.match_indices('_').all(|(at, _)| at > 0 && digit_at(at - 1) && digit_at(at + 1));
    plain.then(|| text.replace('_', "").parse().ok())?
}

/// `2024-03-05` and `March 5, 2024`, at midnight of the local time zone.
fn date(text: &str) -> Option<Timestamp> {
    if text.len() == 10 && text.as_bytes().get(4) == Some(&b'-') {
        return local(WrittenTime::parse(text, b"")?);
    }
    written_out(text)
}

/// The forms of ISO 8601, with a blank or a `T`, and those of [`date`].
fn date_time(text: &str) -> Option<Timestamp> {
    let time = WrittenTime::parse(text.trim_end_matches(" UTC"), b"T ")?;
    // Without an offset Ruby's DateTime is in UTC.
    Some(time.at_offset(0))
}

fn local(time: WrittenTime) -> Option<Timestamp> {
    let zone = jiff::tz::TimeZone::system();
    let instant = jiff::Timestamp::from_second(time.days * 86_400).ok()?;
    Some(time.at_offset(i64::from(zone.to_offset(instant).seconds())))
}

/// `[Tuesday,] March 5[,] 2024`.
fn written_out(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let words: Vec<&str> = text.split(ruby::is_space).filter(|word| !word.is_empty()).collect();
    let [.., month, day, year] = words.as_slice() else { return None };
    if words.len() > 4 || year.len() != 4 {
        return None;
    }
    let month = MONTHS.iter().position(|name| month.to_lowercase().starts_with(name))? + 1;
    let day: u8 = day.trim_end_matches(',').parse().ok()?;
    let year: u16 = year.parse().ok()?;
    let time = WrittenTime::parse(&format!("{year:04}-{month:02}-{day:02}"), b"")?;
    local(time)
}
