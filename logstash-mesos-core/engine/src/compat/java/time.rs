//! Date patterns of java.time: `uuuu-MM-dd'T'HH:mm`.

use super::joda::InvalidPattern;
use crate::time::Timestamp;
use crate::time::calendar::{DAYS, MONTHS, Parts, name, pad};

/// A checked pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JavaTimePattern(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Field(u8, usize),
    Literal(String),
    /// Blanks in front of the field that follows, up to the width.
    Pad(usize),
}

impl JavaTimePattern {
    /// Takes a pattern apart and checks it.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] where `DateTimeFormatter.ofPattern` throws.
    pub(crate) fn parse(pattern: &str) -> Result<Self, InvalidPattern> {
        let invalid = |reason: String| InvalidPattern { pattern: pattern.to_owned(), reason };
        let mut tokens = Vec::new();
        let mut optional = 0_usize;
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                letter if letter.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while rest.next_if_eq(&letter).is_some() {
                        count += 1;
                    }
                    if letter == 'p' {
                        if !rest.peek().is_some_and(|next| next.is_ascii_alphabetic() && *next != 'p') {
                            return Err(invalid("`p` needs a field behind it".to_owned()));
                        }
                        tokens.push(Token::Pad(count));
                        continue;
                    }
                    if !is_known(letter, count) {
                        let written = letter.to_string().repeat(count.min(20));
                        return Err(invalid(format!("`{written}` means nothing in it")));
                    }
                    tokens.push(Token::Field(letter as u8, count));
                }
                '\'' => {
                    let mut literal = String::new();
                    loop {
                        match rest.next() {
                            None => return Err(invalid("a quote is not closed".to_owned())),
                            Some('\'') if rest.next_if_eq(&'\'').is_some() => literal.push('\''),
                            Some('\'') => break,
                            Some(other) => literal.push(other),
                        }
                    }
                    if literal.is_empty() {
                        literal.push('\'');
                    }
                    tokens.push(Token::Literal(literal));
                }
                // Every field of an instant in UTC is there, so optional parts are always printed.
                '[' => optional += 1,
                ']' => {
                    optional = optional
                        .checked_sub(1)
                        .ok_or_else(|| invalid("`]` has no `[` before it".to_owned()))?;
                }
                '{' | '}' | '#' => return Err(invalid(format!("`{c}` is reserved"))),
                other => tokens.push(Token::Literal(other.to_string())),
            }
        }
        Ok(Self(tokens))
    }

    /// Appends `instant` in UTC.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] when a field does not fit into the width it is padded to.
    pub(crate) fn format(&self, instant: Timestamp, out: &mut Vec<u8>) -> Result<(), InvalidPattern> {
        let parts = Parts::of(instant);
        let mut width = None;
        for token in &self.0 {
            let start = out.len();
            match token {
                Token::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Token::Pad(count) => {
                    width = Some(*count);
                    continue;
                }
                Token::Field(letter, count) => format_field(parts, *letter, *count, out),
            }
            if let Some(width) = width.take() {
                let len = out.len() - start;
                let Some(missing) = width.checked_sub(len) else {
                    return Err(InvalidPattern {
                        pattern: "p".repeat(width),
                        reason: format!("{len} characters do not fit"),
                    });
                };
                out.splice(start..start, std::iter::repeat_n(b' ', missing));
            }
        }
        Ok(())
    }
}

fn is_known(letter: char, count: usize) -> bool {
    match letter {
        'u' | 'y' | 'Y' | 'g' | 'A' | 'n' | 'N' => count <= 19,
        'M' | 'L' | 'Q' | 'q' | 'E' | 'e' | 'G' => count <= 5,
        'c' => count != 2 && count <= 5,
        'w' | 'd' | 'h' | 'H' | 'k' | 'K' | 'm' | 's' => count <= 2,
        'W' | 'F' | 'a' => count == 1,
        'D' => count <= 3,
        'S' => count <= 9,
        'V' => count == 2,
        'z' => count <= 4,
        'v' | 'O' => matches!(count, 1 | 4),
        'X' | 'x' | 'Z' => count <= 5,
        'B' => matches!(count, 1 | 4 | 5),
        _ => false,
    }
}

fn format_field(parts: Parts, letter: u8, count: usize, out: &mut Vec<u8>) {
    match letter {
        b'G' => era(parts.year > 0, count, out),
        b'u' => year(parts.year, count, out),
        b'y' => year(parts.year_of_era(), count, out),
        b'Y' => year(parts.us_week().0, count, out),
        b'Q' | b'q' => quarter((parts.month + 2) / 3, count, out),
        b'M' | b'L' => number_or_name(parts.month, &MONTHS, count, out),
        b'w' => pad(out, parts.us_week().1, count),
        b'W' => pad(out, parts.us_week_of_month(), 1),
        b'F' => pad(out, (parts.day - 1) / 7 + 1, 1),
        b'd' => pad(out, parts.day, count),
        b'D' => pad(out, parts.day_of_year(), count),
        b'E' => text(name(&DAYS, parts.day_of_week()), count, out),
        b'e' | b'c' if count <= 2 => pad(out, parts.day_of_week() % 7 + 1, count),
        b'e' | b'c' => text(name(&DAYS, parts.day_of_week()), count, out),
        b'a' => out.extend_from_slice(if parts.hour < 12 { b"AM" } else { b"PM" }),
        b'B' => period_of_day(parts, count, out),
        b'h' => pad(out, parts.clock_hour_of_halfday(), count),
        b'K' => pad(out, parts.hour % 12, count),
        b'k' => pad(out, if parts.hour == 0 { 24 } else { parts.hour }, count),
        b'H' => pad(out, parts.hour, count),
        b'm' => pad(out, parts.minute, count),
        b's' => pad(out, parts.second, count),
        b'S' => {
            let mut digits = Vec::with_capacity(9);
            pad(&mut digits, parts.nanos, 9);
            out.extend_from_slice(&digits[..count.min(9)]);
        }
        b'n' => pad(out, parts.nanos, count),
        b'A' => pad(out, second_of_day(parts) * 1000 + parts.nanos / 1_000_000, count),
        b'N' => pad(out, second_of_day(parts) * 1_000_000_000 + parts.nanos, count),
        b'g' => pad(out, parts.days + 40_587, count),
        b'O' | b'v' => out.extend_from_slice(if letter == b'v' { b"Z" } else { b"GMT" }),
        b'Z' if count == 4 => out.extend_from_slice(b"GMT"),
        b'x' if count == 1 => out.extend_from_slice(b"+00"),
        b'Z' if count < 4 => out.extend_from_slice(b"+0000"),
        b'x' if matches!(count, 2 | 4) => out.extend_from_slice(b"+0000"),
        b'x' => out.extend_from_slice(b"+00:00"),
        _ => out.push(b'Z'),
    }
}

fn second_of_day(parts: Parts) -> i64 {
    parts.hour * 3600 + parts.minute * 60 + parts.second
}

/// Two letters are two digits; four and more put a plus before what does not fit.
fn year(year: i64, count: usize, out: &mut Vec<u8>) {
    if count == 2 {
        return pad(out, year.abs() % 100, 2);
    }
    let limit = u32::try_from(count).ok().and_then(|count| 10_i64.checked_pow(count));
    if count >= 4 && limit.is_some_and(|limit| year >= limit) {
        out.push(b'+');
    }
    pad(out, year, count);
}

fn number_or_name(number: i64, names: &[&'static str], count: usize, out: &mut Vec<u8>) {
    if count <= 2 { pad(out, number, count) } else { text(name(names, number), count, out) }
}

/// Three letters at most: short; four: the whole; five: the first letter.
fn text(full: &str, count: usize, out: &mut Vec<u8>) {
    let len = match count {
        4 => full.len(),
        5 => 1,
        _ => 3,
    };
    out.extend_from_slice(&full.as_bytes()[..len.min(full.len())]);
}

fn era(common: bool, count: usize, out: &mut Vec<u8>) {
    let text = match (common, count) {
        (true, 4) => "Anno Domini",
        (false, 4) => "Before Christ",
        (true, 5) => "A",
        (false, 5) => "B",
        (true, _) => "AD",
        (false, _) => "BC",
    };
    out.extend_from_slice(text.as_bytes());
}

fn quarter(quarter: i64, count: usize, out: &mut Vec<u8>) {
    const ORDINALS: [&str; 4] = ["1st", "2nd", "3rd", "4th"];
    match count {
        1 | 2 => pad(out, quarter, count),
        3 => {
            out.push(b'Q');
            pad(out, quarter, 1);
        }
        4 => {
            out.extend_from_slice(name(&ORDINALS, quarter).as_bytes());
            out.extend_from_slice(b" quarter");
        }
        _ => pad(out, quarter, 1),
    }
}

fn period_of_day(parts: Parts, count: usize, out: &mut Vec<u8>) {
    let text = match (parts.hour, parts.minute) {
        (0, 0) if count == 5 => "mi",
        (0, 0) => "midnight",
        (12, 0) if count == 5 => "n",
        (12, 0) => "noon",
        (6..12, _) => "in the morning",
        (12..18, _) => "in the afternoon",
        (18..21, _) => "in the evening",
        _ => "at night",
    };
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(pattern: &str, time: &str) -> String {
        let mut out = Vec::new();
        let pattern = JavaTimePattern::parse(pattern).unwrap();
        pattern.format(Timestamp::parse_iso8601(time).unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn letters_mean_what_java_says() {
        let time = "2021-01-03T13:04:05.067089Z";
        for (pattern, text) in [
            ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2021-01-03T13:04:05.067Z"),
            ("YYYY-'W'ww", "2021-W02"),
            ("YYYY ww W F", "2021 02 2 1"),
            ("yy u uuu uuuuu", "21 2021 2021 02021"),
            ("M L MMM MMMM MMMMM", "1 1 Jan January J"),
            ("E EEEE EEEEE e ee c", "Sun Sunday S 1 01 1"),
            ("h K k a", "1 1 13 PM"),
            ("S SSSSSSSSS n", "0 067089000 67089000"),
            ("Q QQ QQQ QQQQ", "1 01 Q1 1st quarter"),
            ("X x xxx Z ZZZZ VV z O", "Z +00 +00:00 +0000 GMT Z Z GMT"),
            ("D DDD G GGGG A", "3 003 AD Anno Domini 47045067"),
            ("pppd ppHH [mm[ss", "  3 13 0405"),
            ("'it''s' '' ü", "it's ' ü"),
        ] {
            assert_eq!(formatted(pattern, time), text, "{pattern}");
        }
    }

    #[test]
    fn what_java_refuses_is_refused() {
        for pattern in ["T", "yyyy-MM-ddTHH", "MMMMMM", "ddd", "'x", "]", "{", "#", "p", "cc", "b", "aa", "V"]
        {
            assert!(JavaTimePattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
