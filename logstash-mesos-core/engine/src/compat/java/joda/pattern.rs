//! Date patterns as Joda-Time reads them: its `DateTimeFormat`, its parsers and their tolerance.

use std::cell::LazyCell;
use std::sync::Arc;

use super::fields::{Fields, Number};
use super::format::InvalidPattern;
use super::names::{self, Names};
use super::zone::Zone;
use crate::time::{Clock, Timestamp};

/// A parsed pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
    has_year: bool,
    has_zone: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Number { field: Number, max: usize, signed: bool },
    TwoDigitYear { field: Number, lenient: bool, low: i64 },
    Fraction { max: usize },
    MonthName(Arc<Names>),
    DayName(Arc<Names>),
    Half(Arc<Names>),
    Era,
    Offset,
    ZoneId,
    ZoneName,
}

impl Pattern {
    /// Parses a pattern for texts of `locale`; two-digit years are those around `year`.
    pub(crate) fn parse(pattern: &str, locale: Option<&str>, year: i64) -> Result<Self, InvalidPattern> {
        let invalid = |reason: String| InvalidPattern { pattern: pattern.to_owned(), reason };
        if pattern.is_empty() {
            return Err(invalid("it is empty".to_owned()));
        }
        let tokens = tokens(pattern);
        let mut parts = Vec::new();
        // Looked up once, and only if there are names.
        let known = LazyCell::new(|| Arc::new(names::names(locale)));
        let named = || Arc::clone(&known);
        for (at, token) in tokens.iter().enumerate() {
            let (letter, len) = match token {
                Token::Literal(text) => {
                    parts.push(Part::Literal(text.clone()));
                    continue;
                }
                Token::Letters(letter, len) => (*letter, *len),
            };
            let before_number = tokens.get(at + 1).is_some_and(Token::is_number);
            let number = |field, max: usize| Part::Number { field, max: max.max(len), signed: false };
            parts.push(match letter {
                'G' => Part::Era,
                'C' => Part::Number { field: Number::Century, max: len, signed: true },
                'x' | 'y' | 'Y' => {
                    let field = match letter {
                        'x' => Number::WeekYear,
                        'y' => Number::Year,
                        _ => Number::YearOfEra,
                    };
                    if len == 2 {
                        let field = if letter == 'x' { Number::WeekYear } else { Number::Year };
                        Part::TwoDigitYear { field, lenient: !before_number, low: year - 80 }
                    } else {
                        let max = if before_number { len } else { len.max(9) };
                        Part::Number { field, max, signed: letter != 'Y' }
                    }
                }
                'M' if len >= 3 => Part::MonthName(named()),
                'M' => number(Number::Month, 2),
                'd' => number(Number::DayOfMonth, 2),
                'D' => number(Number::DayOfYear, 3),
                'e' => number(Number::DayOfWeek, 1),
                'w' => number(Number::Week, 2),
                'E' => Part::DayName(named()),
                'a' => Part::Half(named()),
                'H' => number(Number::Hour, 2),
                'k' => number(Number::ClockHour, 2),
                'K' => number(Number::HourOfHalf, 2),
                'h' => number(Number::ClockHourOfHalf, 2),
                'm' => number(Number::Minute, 2),
                's' => number(Number::Second, 2),
                'S' => Part::Fraction { max: len },
                'Z' if len >= 3 => Part::ZoneId,
                'Z' => Part::Offset,
                'z' if len >= 4 => {
                    return Err(invalid("long names of time zones (`zzzz`) cannot be read".to_owned()));
                }
                'z' => Part::ZoneName,
                other => {
                    return Err(invalid(format!(
                        "there is no date letter `{other}`; letters that stand for themselves are written in single \
                         quotes, as in `'{other}'`"
                    )));
                }
            });
        }
        Ok(Self { parts, has_year: pattern.contains(['y', 'Y']), has_zone: pattern.contains('Z') })
    }

    /// The instant of `text`, or `None` if it does not fit the pattern as a whole.
    pub(crate) fn read(&self, text: &str, zone: &Zone, clock: Clock) -> Option<Timestamp> {
        let mut fields = Fields::default();
        let mut rest = text;
        for part in &self.parts {
            rest = part.read(rest, &mut fields)?;
        }
        if !rest.is_empty() {
            return None;
        }
        if self.has_year {
            // Without any date but a year in words only, the year of the clock is never needed here.
            return fields.instant(zone, super::fields::year_of(clock.now()));
        }
        fields.instant_of_some_year(zone, self.has_zone, clock)
    }
}

impl Part {
    /// Reads its field from the start of `text` and returns the rest.
    fn read<'t>(&self, text: &'t str, fields: &mut Fields) -> Option<&'t str> {
        match self {
            Self::Literal(literal) => {
                // Most literals are one ASCII character.
                if let Some(rest) = text.strip_prefix(literal.as_str()) {
                    return Some(rest);
                }
                let mut rest = text.chars();
                for want in literal.chars() {
                    let have = rest.next()?;
                    if have != want && !have.to_lowercase().eq(want.to_lowercase()) {
                        return None;
                    }
                }
                Some(rest.as_str())
            }
            Self::Number { field, max, signed } => {
                let (number, len) = integer(text.as_bytes(), *max, *signed)?;
                fields.set(*field, number);
                Some(&text[len..])
            }
            Self::TwoDigitYear { field, lenient, low } => {
                let (year, len) = two_digit_year(text.as_bytes(), *lenient, *low)?;
                fields.set(*field, year);
                Some(&text[len..])
            }
            Self::Fraction { max } => {
                let digits = text.bytes().take(*max).take_while(u8::is_ascii_digit).count();
                if digits == 0 {
                    return None;
                }
                let padded = text.bytes().take(digits).chain(std::iter::repeat(b'0')).take(3);
                fields.millis = padded.fold(0, |millis, digit| millis * 10 + i64::from(digit - b'0'));
                Some(&text[digits..])
            }
            Self::MonthName(names) => {
                let (month, len) = names.month(text)?;
                fields.set(Number::Month, month);
                Some(&text[len..])
            }
            Self::DayName(names) => {
                let (day, len) = names.day(text)?;
                fields.set(Number::DayOfWeek, day);
                Some(&text[len..])
            }
            Self::Half(names) => {
                let (half, len) = names.half(text)?;
                fields.half = Some(half);
                Some(&text[len..])
            }
            Self::Era => {
                let (era, len) = names::era(text)?;
                fields.era = Some(era);
                Some(&text[len..])
            }
            Self::Offset => {
                let (offset, rest) = offset(text)?;
                fields.offset_millis = Some(offset);
                Some(rest)
            }
            Self::ZoneId => {
                let longest = text
                    .bytes()
                    .take_while(|byte| byte.is_ascii_alphanumeric() || b"/_+-:".contains(byte))
                    .count();
                let (len, zone) = (1..=longest.min(40))
                    .rev()
                    .find_map(|len| Some((len, Zone::named(text.get(..len)?)?)))?;
                fields.zone = Some(zone);
                fields.offset_millis = None;
                Some(&text[len..])
            }
            Self::ZoneName => {
                let (name, zone) = ZONE_NAMES
                    .iter()
                    .filter(|(name, _)| text.starts_with(name))
                    .max_by_key(|(name, _)| name.len())?;
                fields.zone = Zone::new(zone);
                fields.offset_millis = None;
                Some(&text[name.len()..])
            }
        }
    }
}

/// The abbreviations that Joda-Time knows by itself.
const ZONE_NAMES: &[(&str, &str)] = &[
    ("UT", "UTC"),
    ("UTC", "UTC"),
    ("GMT", "UTC"),
    ("EST", "America/New_York"),
    ("EDT", "America/New_York"),
    ("CST", "America/Chicago"),
    ("CDT", "America/Chicago"),
    ("MST", "America/Denver"),
    ("MDT", "America/Denver"),
    ("PST", "America/Los_Angeles"),
    ("PDT", "America/Los_Angeles"),
];

/// An integer of at most `max` digits, and its length with the sign.
fn integer(text: &[u8], max: usize, signed: bool) -> Option<(i64, usize)> {
    let sign = usize::from(
        signed
            && matches!(text.first(), Some(b'+' | b'-'))
            && text.get(1).is_some_and(u8::is_ascii_digit)
            && max > 1,
    );
    let digits = text[sign..].iter().take(max).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let number = text[sign..sign + digits]
        .iter()
        .fold(0_i64, |number, digit| number.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Some((if sign == 1 && text[0] == b'-' { -number } else { number }, sign + digits))
}

/// A year of two digits, completed to the hundred years from `low`; with any other number of digits, or
/// with a sign, it is the year itself if that is allowed.
fn two_digit_year(text: &[u8], lenient: bool, low: i64) -> Option<(i64, usize)> {
    if lenient {
        let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
        let digits = text[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        if sign == 1 || digits != 2 {
            return integer(text, digits.min(18), true).map(|(year, _)| (year, sign + digits));
        }
    }
    let (year, _) = integer(text.get(..2)?, 2, false).filter(|(_, len)| *len == 2)?;
    let turn = low.rem_euclid(100);
    Some((low - turn + year + if year < turn { 100 } else { 0 }, 2))
}

/// `Z`, `+hh`, `+hhmm`, `+hh:mm` and with seconds, in milliseconds, and the rest of the text.
fn offset(text: &str) -> Option<(i64, &str)> {
    let bytes = text.as_bytes();
    let negative = match bytes.first()? {
        b'Z' | b'z' => return Some((0, &text[1..])),
        b'+' => false,
        b'-' => true,
        _ => return None,
    };
    let two = |at: usize| match bytes.get(at..at + 2) {
        Some([tens @ b'0'..=b'9', ones @ b'0'..=b'9']) => Some(i64::from((tens - b'0') * 10 + (ones - b'0'))),
        _ => None,
    };
    let hours = two(1).filter(|hours| *hours < 24)?;
    let mut millis = hours * 3_600_000;
    let mut at = 3;
    let colons = bytes.get(at) == Some(&b':');
    for unit in [60_000, 1000] {
        if colons && bytes.get(at) != Some(&b':') {
            break;
        }
        let from = at + usize::from(colons);
        if !bytes.get(from).is_some_and(u8::is_ascii_digit) {
            // After a colon two digits must come.
            if colons {
                return None;
            }
            break;
        }
        millis += two(from).filter(|number| *number < 60)? * unit;
        at = from + 2;
    }
    Some((if negative { -millis } else { millis }, &text[at..]))
}

enum Token {
    /// The same letter so many times.
    Letters(char, usize),
    Literal(String),
}

impl Token {
    fn is_number(&self) -> bool {
        match self {
            Self::Letters('M', len) => *len <= 2,
            Self::Letters(letter, _) => "cCxyYdhHmsSeDFwWkK".contains(*letter),
            Self::Literal(_) => false,
        }
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(&next) = chars.peek() {
        if next.is_ascii_alphabetic() {
            let mut len = 0;
            while chars.next_if_eq(&next).is_some() {
                len += 1;
            }
            tokens.push(Token::Letters(next, len));
            continue;
        }
        // Up to the next letter outside quotes; two quotes stand for one.
        let mut literal = String::new();
        let mut quoted = false;
        while let Some(&char) = chars.peek() {
            if char == '\'' {
                chars.next();
                if chars.next_if_eq(&'\'').is_some() {
                    literal.push('\'');
                } else {
                    quoted = !quoted;
                }
            } else if !quoted && char.is_ascii_alphabetic() {
                break;
            } else {
                literal.push(char);
                chars.next();
            }
        }
        tokens.push(Token::Literal(literal));
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Clock = Clock::Fixed(Timestamp::new(1_709_618_828, 0));

    fn read_in(pattern: &str, text: &str, zone: &str, language: &str) -> Option<String> {
        let pattern = Pattern::parse(pattern, Some(language), 2024).unwrap();
        pattern.read(text, &Zone::new(zone).unwrap(), NOW).map(|time| time.to_string())
    }

    fn read(pattern: &str, text: &str) -> Option<String> {
        read_in(pattern, text, "UTC", "en")
    }

    #[test]
    fn usual_patterns() {
        let cases = [
            ("dd/MMM/yyyy:HH:mm:ss Z", "05/Mar/2024:06:07:08 +0100", "2024-03-05T05:07:08.000Z"),
            ("dd/MMM/yyyy:HH:mm:ss Z", "5/march/24:6:7:8 Z", "0024-03-05T06:07:08.000Z"),
            ("yyyy-MM-dd HH:mm:ss,SSS", "2024-03-05 06:07:08,12", "2024-03-05T06:07:08.120Z"),
            (
                "yyyy-MM-dd'T'HH:mm:ss.SSSSSSZZ",
                "2024-03-05T06:07:08.123456-01:30",
                "2024-03-05T07:37:08.123Z",
            ),
            ("EEE MMM dd HH:mm:ss yyyy", "Wed Mar 05 06:07:08 2024", "2024-03-06T06:07:08.000Z"),
            ("MMM d, yyyy h:mm a", "Mar 15, 2024 12:07 PM", "2024-03-15T12:07:00.000Z"),
            ("MMM d, yyyy h:mm a", "Mar 15, 2024 12:07 am", "2024-03-15T00:07:00.000Z"),
            ("dd.MM.yy", "05.03.24", "2024-03-05T00:00:00.000Z"),
            ("dd.MM.yy", "05.03.99", "1999-03-05T00:00:00.000Z"),
            ("dd.MM.yy", "05.03.2024", "2024-03-05T00:00:00.000Z"),
            ("yyMMdd", "240305", "2024-03-05T00:00:00.000Z"),
            ("yyyy-DDD", "2024-366", "2024-12-31T00:00:00.000Z"),
            ("xxxx-'W'ww-e y", "2024-W10-2 2024", "2024-03-05T00:00:00.000Z"),
            ("YYYY-MM-dd kk:mm", "2024-03-05 24:10", "2024-03-05T00:10:00.000Z"),
            ("yyyy-MM-dd zzz", "2024-07-01 EST", "2024-07-01T04:00:00.000Z"),
            ("yyyy-MM-dd ZZZ", "2024-07-01 Europe/Paris", "2024-06-30T22:00:00.000Z"),
            ("yyyy 'o''clock'", "2024 O'CLOCK", "2024-01-01T00:00:00.000Z"),
            ("yyyy G", "44 BC", "0044-01-01T00:00:00.000Z"),
        ];
        for (pattern, text, time) in cases {
            assert_eq!(read(pattern, text).as_deref(), Some(time), "{pattern} {text}");
        }
    }

    #[test]
    fn impossible_dates_and_leftovers_are_refused() {
        let cases = [
            ("dd/MMM/yyyy", "31/Feb/2024"),
            ("dd/MMM/yyyy", "29/Feb/2023"),
            ("dd/MMM/yyyy", "05/mAr/2024"),
            ("dd/MMM/yyyy", "05/Mar/2024x"),
            ("dd/MMM/yyyy", "05/Mar/"),
            ("HH:mm", "24:00"),
            ("HH:mm", "12:60"),
            ("hh:mm a", "13:00 PM"),
            ("yyyy-DDD", "2023-366"),
            ("xxxx-'W'ww", "2024-W53"),
            ("yyyyMMdd", "2024035é"),
            ("yyyy Z", "2024 UTC"),
            ("yyyy ZZZ", "2024 europe/paris"),
            ("yyyy ZZZ", "2024 +02:00"),
            ("yyyy ZZZ", "2024 UTC+2"),
            ("yyyy ZZZ", "2024 Z"),
            ("yyyy ZZ", "2024 +1:00"),
        ];
        for (pattern, text) in cases {
            assert_eq!(read(pattern, text), None, "{pattern} {text}");
        }
    }

    #[test]
    fn the_year_is_guessed() {
        assert_eq!(read("MMM d HH:mm:ss", "Dec 31 23:59:59").as_deref(), Some("2024-12-31T23:59:59.000Z"));
        assert_eq!(read("HH:mm", "06:07").as_deref(), Some("2024-01-01T06:07:00.000Z"));
        let at = |now: &str, text: &str| {
            let clock = Clock::Fixed(Timestamp::parse_iso8601(now).unwrap());
            let pattern = Pattern::parse("dd/MM HH:mm", None, 2024).unwrap();
            pattern.read(text, &Zone::Fixed(0), clock).map(|time| time.to_string())
        };
        assert_eq!(at("2024-01-01T00:30:00Z", "31/12 23:59").as_deref(), Some("2023-12-31T23:59:00.000Z"));
        assert_eq!(at("2023-12-31T23:30:00Z", "01/01 00:01").as_deref(), Some("2024-01-01T00:01:00.000Z"));
        assert_eq!(at("2023-06-01T00:00:00Z", "29/02 10:00"), None);
    }

    #[test]
    fn times_that_clocks_skip_are_refused() {
        let berlin = |text| read_in("yyyy-MM-dd HH:mm", text, "Europe/Berlin", "en");
        assert_eq!(berlin("2024-03-31 02:30"), None);
        assert_eq!(berlin("2024-10-27 02:30").as_deref(), Some("2024-10-27T00:30:00.000Z"));
        assert_eq!(berlin("1893-01-01 00:00").as_deref(), Some("1892-12-31T23:06:32.000Z"));
    }

    #[test]
    fn names_by_language() {
        assert_eq!(
            read_in("d. MMMM yyyy", "5. März 2024", "UTC", "de").as_deref(),
            Some("2024-03-05T00:00:00.000Z")
        );
        assert_eq!(
            read_in("d MMM yyyy", "5 août 2024", "UTC", "fr").as_deref(),
            Some("2024-08-05T00:00:00.000Z")
        );
        assert_eq!(
            read_in("EEEE, d MMMM yyyy h:mm a", "вторник, 5 МАРТА 2024 3:07 PM", "UTC", "ru-RU").as_deref(),
            Some("2024-03-05T15:07:00.000Z")
        );
        assert_eq!(
            read_in("yyyy年MMMd日 EEE ah:mm", "2024年12月5日 木 午後3:07", "UTC", "ja").as_deref(),
            Some("2024-12-05T15:07:00.000Z")
        );
    }
}
