//! Date patterns of Joda-Time: `yyyy.MM.dd`.

use thiserror::Error;

use crate::time::Timestamp;
use crate::time::calendar::{DAYS, MONTHS, Parts, name, pad};

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JodaToken {
    /// A letter, so many times.
    Field(u8, usize),
    /// Text that stands for itself.
    Literal(String),
}

/// The text is no date pattern.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("invalid date pattern `{pattern}`: {reason}")]
pub struct InvalidPattern {
    /// The pattern, whole.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Takes a Joda pattern apart and checks its letters.
///
/// # Errors
///
/// [`InvalidPattern`] where `DateTimeFormat.forPattern` throws: an unknown letter, or nothing at all.
pub fn joda_tokens(pattern: &str) -> Result<Vec<JodaToken>, InvalidPattern> {
    let invalid = |reason: String| InvalidPattern { pattern: pattern.to_owned(), reason };
    if pattern.is_empty() {
        return Err(invalid("it is empty".to_owned()));
    }
    let mut tokens = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(&first) = rest.peek() {
        if first.is_ascii_alphabetic() {
            let mut count = 0;
            while rest.next_if_eq(&first).is_some() {
                count += 1;
            }
            if !KNOWN.contains(first) {
                return Err(invalid(format!("`{first}` means nothing in it")));
            }
            tokens.push(JodaToken::Field(first as u8, count));
            continue;
        }
        let (mut literal, mut quoted) = (String::new(), false);
        while let Some(c) = rest.next_if(|c| quoted || !c.is_ascii_alphabetic()) {
            match c {
                '\'' if rest.next_if_eq(&'\'').is_some() => literal.push('\''),
                '\'' => quoted = !quoted,
                other => literal.push(other),
            }
        }
        if quoted {
            return Err(invalid("a quote in it has no end".to_owned()));
        }
        tokens.push(JodaToken::Literal(literal));
    }
    Ok(tokens)
}

const KNOWN: &str = "GCxwyYeEaDMdKhHkmsSzZ";

/// Appends `instant` in UTC by a pattern. Joda knows milliseconds only.
pub(crate) fn format_joda(tokens: &[JodaToken], instant: Timestamp, out: &mut Vec<u8>) {
    let parts = Parts::of(instant);
    for token in tokens {
        match token {
            JodaToken::Literal(text) => out.extend_from_slice(text.as_bytes()),
            JodaToken::Field(letter, count) => format_field(parts, *letter, *count, out),
        }
    }
}

fn format_field(parts: Parts, letter: u8, count: usize, out: &mut Vec<u8>) {
    let text = |out: &mut Vec<u8>, full: &str| {
        let end = if count >= 4 { full.len() } else { 3 };
        out.extend_from_slice(&full.as_bytes()[..end]);
    };
    match letter {
        b'G' => out.extend_from_slice(if parts.year > 0 { b"AD" } else { b"BC" }),
        b'C' => pad(out, parts.year_of_era() / 100, count),
        b'x' if count == 2 => pad(out, parts.iso_week().0.abs() % 100, 2),
        b'x' => pad(out, parts.iso_week().0, count),
        b'y' | b'Y' if count == 2 => pad(out, parts.year.abs() % 100, 2),
        b'y' => pad(out, parts.year, count),
        b'Y' => pad(out, parts.year_of_era(), count),
        b'M' if count >= 3 => text(out, name(&MONTHS, parts.month)),
        b'M' => pad(out, parts.month, count),
        b'w' => pad(out, parts.iso_week().1, count),
        b'e' => pad(out, parts.day_of_week(), count),
        b'E' => text(out, name(&DAYS, parts.day_of_week())),
        b'D' => pad(out, parts.day_of_year(), count),
        b'd' => pad(out, parts.day, count),
        b'a' => out.extend_from_slice(if parts.hour < 12 { b"AM" } else { b"PM" }),
        b'K' => pad(out, parts.hour % 12, count),
        b'h' => pad(out, parts.clock_hour_of_halfday(), count),
        b'H' => pad(out, parts.hour, count),
        b'k' => pad(out, if parts.hour == 0 { 24 } else { parts.hour }, count),
        b'm' => pad(out, parts.minute, count),
        b's' => pad(out, parts.second, count),
        b'S' => fraction(parts.nanos / 1_000_000, count, out),
        b'z' if count >= 4 => out.extend_from_slice(b"Coordinated Universal Time"),
        b'Z' if count == 1 => out.extend_from_slice(b"+0000"),
        b'Z' if count == 2 => out.extend_from_slice(b"+00:00"),
        _ => out.extend_from_slice(b"UTC"),
    }
}

/// The fraction of a second in `count` digits; beyond the third there are zeros.
fn fraction(millis: i64, count: usize, out: &mut Vec<u8>) {
    // Joda computes in 64 bits and so never gets beyond fifteen digits, unless they are all zero.
    let count = if millis == 0 { count } else { count.min(15) };
    for place in 0..count {
        let digit = match place {
            0 => millis / 100,
            1 => millis / 10 % 10,
            2 => millis % 10,
            _ => 0,
        };
        out.push(b'0' + (digit % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(pattern: &str, time: &str) -> String {
        let mut out = Vec::new();
        format_joda(&joda_tokens(pattern).unwrap(), Timestamp::parse_iso8601(time).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn letters_mean_what_joda_says() {
        let time = "2021-01-03T00:04:05.067Z";
        for (pattern, text) in [
            ("YYYY.MM.dd", "2021.01.03"),
            ("yy-M-d H:m:s", "21-1-3 0:4:5"),
            ("xxxx-'W'ww-e", "2020-W53-7"),
            ("EEE, EEEE MMM MMMM", "Sun, Sunday Jan January"),
            ("hh KK kk a", "12 00 24 AM"),
            ("S SS SSS SSSSS", "0 06 067 06700"),
            ("G C D", "AD 20 3"),
            ("Z ZZ ZZZ z zzzz", "+0000 +00:00 UTC UTC Coordinated Universal Time"),
            ("''yyyy'' 'o''clock' ü", "'2021' o'clock ü"),
        ] {
            assert_eq!(formatted(pattern, time), text, "{pattern}");
        }
    }

    #[test]
    fn a_quote_without_its_end_is_refused() {
        for pattern in ["'", "yyyy'T", "yyyy'o''clock", "'a' 'b"] {
            assert!(joda_tokens(pattern).unwrap_err().to_string().contains("quote"), "{pattern}");
        }
    }

    #[test]
    fn unknown_letters_are_refused() {
        for pattern in ["", "q", "yyyy-MM-ddThh", "b"] {
            assert!(joda_tokens(pattern).is_err(), "{pattern}");
        }
    }
}
