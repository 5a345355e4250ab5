//! Times written by ISO 8601, in the forms Logstash takes.

use super::timestamp::days_from_civil;
use crate::time::Timestamp;

/// A date and a time of day as written, with the offset if there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrittenTime {
    /// Days since 1970-01-01.
    pub(crate) days: i64,
    /// Seconds since midnight; 86,400 for `24:00`.
    pub(crate) second_of_day: i64,
    /// Within the second.
    pub(crate) nanos: u32,
    /// Seconds east of Greenwich.
    pub(crate) offset: Option<i64>,
}

impl WrittenTime {
    /// Reads `2024-03-05T06:07:08.123+01:00`; seconds, fraction and offset may be missing.
    ///
    /// As java.time's smart resolver does: day 29 to 31 of a shorter month is its last day, and 24:00 is
    /// the end of the day. `separators` are the characters that may stand between date and time.
    pub(crate) fn parse(text: &str, separators: &[u8]) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest.as_bytes()),
            None => (false, text.as_bytes()),
        };
        let year = number(unsigned.get(..4)?)?;
        let year = if negative { -year } else { year };
        let rest = &unsigned[4..];
        if rest.first() != Some(&b'-') || rest.get(3) != Some(&b'-') {
            return None;
        }
        let month = number(rest.get(1..3)?)?;
        let day = number(rest.get(4..6)?)?;
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let days = days_from_civil(year, month, day.min(days_in_month(year, month)));
        let rest = &rest[6..];
        if rest.is_empty() {
            return Some(Self { days, second_of_day: 0, nanos: 0, offset: None });
        }
        if !separators.contains(&rest[0]) || rest.get(3) != Some(&b':') {
            return None;
        }
        let hour = number(rest.get(1..3)?)?;
        let minute = number(rest.get(4..6)?)?;
        let mut rest = &rest[6..];
        let (mut second, mut nanos) = (0, 0);
        if rest.first() == Some(&b':') {
            second = number(rest.get(1..3)?)?;
            rest = &rest[3..];
            if matches!(rest.first(), Some(b'.' | b',')) {
                let digits = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                if !(1..=9).contains(&digits) {
                    return None;
                }
                nanos = u32::try_from(number(&rest[1..=digits])?).ok()?;
                nanos *= 10_u32.pow(9 - u32::try_from(digits).ok()?);
                rest = &rest[1 + digits..];
            }
        }
        let end_of_day = hour == 24 && minute == 0 && second == 0 && nanos == 0;
        if (hour > 23 && !end_of_day) || minute > 59 || second > 59 {
            return None;
        }
        let offset = parse_offset(rest)?;
        Some(Self { days, second_of_day: hour * 3600 + minute * 60 + second, nanos, offset })
    }

    /// The instant, if the offset is `offset` where none is written.
    pub(crate) fn at_offset(self, offset: i64) -> Timestamp {
        Timestamp::new(self.days * 86_400 + self.second_of_day - self.offset.unwrap_or(offset), self.nanos)
    }
}

impl Timestamp {
    /// Reads a time as Logstash does where it wants one (`@timestamp` in JSON): a date by ISO 8601, then
    /// `T`, the time and an offset, each of which may be missing. UTC without an offset.
    #[must_use]
    pub fn parse_iso8601(text: &str) -> Option<Self> {
        WrittenTime::parse(text, b"Tt").map(|time| time.at_offset(0))
    }
}

/// `Z`, `+01`, `+0130`, `+01:30` or nothing (`Some(None)`).
#[expect(clippy::option_option, reason = "invalid, missing and present are three things")]
fn parse_offset(text: &[u8]) -> Option<Option<i64>> {
    let sign = match text {
        [] => return Some(None),
        [b'Z' | b'z'] => return Some(Some(0)),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let (hours, minutes) = match &text[1..] {
        [h1, h2] => (number(&[*h1, *h2])?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (number(&[*h1, *h2])?, number(&[*m1, *m2])?),
        _ => return None,
    };
    (hours <= 18 && minutes < 60).then_some(Some(sign * (hours * 3600 + minutes * 60)))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

/// The number of days of a month of the proleptic Gregorian calendar.
pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_forms_are_read() {
        let cases = [
            ("2024-03-05T06:07:08.123Z", "2024-03-05T06:07:08.123Z"),
            ("2024-03-05T06:07:08,5+02:00", "2024-03-05T04:07:08.500Z"),
            ("2024-03-05T06:07:08-0330", "2024-03-05T09:37:08.000Z"),
            ("2024-03-05T06:07:08+01", "2024-03-05T05:07:08.000Z"),
            ("2024-03-05T06:07Z", "2024-03-05T06:07:00.000Z"),
            ("2024-03-05", "2024-03-05T00:00:00.000Z"),
            ("2024-02-30T00:00:00Z", "2024-02-29T00:00:00.000Z"),
            ("2024-02-29T24:00:00Z", "2024-03-01T00:00:00.000Z"),
            ("-0001-01-01T00:00:00Z", "-0001-01-01T00:00:00.000Z"),
            ("2024-03-05T06:07:08.123456789Z", "2024-03-05T06:07:08.123456789Z"),
        ];
        for (text, printed) in cases {
            assert_eq!(Timestamp::parse_iso8601(text).unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "",
            "junk",
            "2024",
            "2024-03",
            "2024-3-5T6:7:8Z",
            "2024-13-01",
            "2024-03-32",
            "2024-03-05T06",
            "2024-03-05T06:07:60Z",
            "2024-03-05T24:00:01Z",
            "2024-03-05T06:07:08 Z",
            "2024-03-05T06:07:08.Z",
            "2024-03-05T06:07:08.1234567890Z",
            "2024-03-05T06:07:08+1",
            "2024-03-05T06:07:08+19:00",
            "20240305T060708Z",
            "2024-03-05 06:07:08",
            "+2024-03-05T00:00:00Z",
            "12024-01-01T00:00:00Z",
            "2024-ü3-05",
        ] {
            assert_eq!(Timestamp::parse_iso8601(text), None, "{text}");
        }
    }
}
