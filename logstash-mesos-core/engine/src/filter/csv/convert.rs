//! `convert` of `csv`: Ruby's CSV converters.

use num_bigint::BigInt;

use crate::compat::ruby;
use crate::compat::ruby::number::strict_float;
use crate::event::{Text, Timestamp, Value};
use crate::plugin::field::Failed;
use crate::time::iso8601::{WrittenTime, days_in_month};

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
    /// The conversion that `convert` calls so.
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
            Self::Integer => integer(&text).or_else(|| lax_integer(&text)).map(ruby::integer),
            Self::Float => strict_float(&text).map(Value::Float),
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
        [b'0', b'_', ..] => (8, &lower[2..]),
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

/// JRuby's `Integer(text)` overlooks one byte at the end, after an underscore too, once it has seen an underscore.
fn lax_integer(text: &str) -> Option<BigInt> {
    let (number, _) = text
        .split_at_checked(text.len().checked_sub(1)?)
        .filter(|(_, last)| text.contains('_') && *last != "_")?;
    integer(number.strip_suffix('_').unwrap_or(number))
}

/// `2024-03-05` and `March 5, 2024`, at midnight of the local time zone.
fn date(text: &str) -> Option<Timestamp> {
    if text.len() == 10 && text.as_bytes().get(4) == Some(&b'-') {
        return local(calendar_time(text, b"")?);
    }
    written_out(text)
}

/// The forms of ISO 8601, with a blank or a `T`, and those of [`date`].
fn date_time(text: &str) -> Option<Timestamp> {
    let time = calendar_time(text.trim_end_matches(" UTC"), b"T ")?;
    // Without an offset Ruby's DateTime is in UTC.
    Some(time.at_offset(0))
}

/// A time on a day that the month has: Ruby knows no February 30.
fn calendar_time(text: &str, separators: &[u8]) -> Option<WrittenTime> {
    let number = |range| text.get(range).and_then(|digits: &str| digits.parse::<i64>().ok());
    let exists = number(8..10)? <= days_in_month(number(0..4)?, number(5..7)?);
    WrittenTime::parse(text, separators).filter(|_| exists)
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
    let time = calendar_time(&format!("{year:04}-{month:02}-{day:02}"), b"")?;
    local(time)
}
