//! JSON text as values.

use bigdecimal::BigDecimal;
use num_bigint::BigInt;
use thiserror::Error;

use super::map::Entry;
use super::{EscapeStyle, Map, Text, Value, slice};

/// Reads one JSON value; decimals become doubles, as in Logstash's `json` codecs.
///
/// What it allocates: one vector per list, one per hash (of exactly the size needed) and what an escaped
/// string needs. A string without escapes is a slice of `text`: nothing is copied above 23 bytes, nothing
/// is allocated below. Keep a [`JsonReader`] where many texts are read.
///
/// # Errors
///
/// [`JsonError`] where Jackson refuses the text, and for anything but white space after the value.
pub fn read_json(text: &Text) -> Result<Value, JsonError> {
    JsonReader::new(JsonRules::STRICT).read(text)
}

/// What differs between the places where Logstash reads JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonRules {
    /// How a number with a fraction or an exponent is kept.
    pub decimals: Decimals,
    /// What may follow the first value.
    pub tail: Tail,
}

/// How a number with a fraction or an exponent is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decimals {
    /// As a double.
    Float,
    /// With all its digits.
    Exact,
}

/// What may follow the first value of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// White space only.
    Refuse,
    /// Anything: it is not looked at.
    Ignore,
    /// More values: the last one counts. A text without any value is `null`.
    LastWins,
}

impl JsonRules {
    /// One value with doubles.
    pub const STRICT: Self = Self { decimals: Decimals::Float, tail: Tail::Refuse };
    /// The `json` codecs: `LogStash::Event.from_json`, which is Jackson's `readValue`.
    pub const CODEC: Self = Self { decimals: Decimals::Float, tail: Tail::Ignore };
    /// The `json` filter: `LogStash::Json.load`, which is JrJackson.
    pub const FILTER: Self = Self { decimals: Decimals::Exact, tail: Tail::LastWins };
}

/// The text is not JSON.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{reason} at line {line}, column {column}")]
pub struct JsonError {
    /// What is wrong.
    pub reason: JsonProblem,
    /// Position of the offending byte.
    pub offset: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its character within the line, from 1.
    pub column: usize,
}

/// What is wrong with a JSON text.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonProblem {
    /// The text ends inside a value.
    #[error("unexpected end of JSON")]
    End,
    /// There is no value at all.
    #[error("empty JSON text")]
    Empty,
    /// A byte that cannot stand there.
    #[error("unexpected character in JSON")]
    Unexpected,
    /// A control character inside a string, which must be escaped.
    #[error("control character in JSON string")]
    Control,
    /// A backslash before something that is no escape.
    #[error("invalid escape in JSON string")]
    Escape,
    /// A number that is not written as JSON wants it.
    #[error("invalid number in JSON")]
    Number,
    /// More digits, or a larger exponent, than Jackson takes.
    #[error("number too long in JSON")]
    NumberLength,
    /// More lists and hashes inside each other than Jackson takes.
    #[error("JSON nested more than {MAX_DEPTH} levels deep")]
    Depth,
    /// Something after the value.
    #[error("unexpected text after JSON value")]
    Trailing,
}

/// Reads JSON texts and keeps its working memory between them.
#[derive(Debug)]
pub struct JsonReader {
    rules: JsonRules,
    // Children of the containers being read, innermost last: a finished container takes its own off the
    // end, so each gets one vector of exactly its size.
    entries: Vec<Entry>,
    items: Vec<Value>,
    unescaped: String,
    // The hash before had so many members: the next one has as many, mostly.
    last_members: usize,
}

/// What became of a text that was to be read into a map.
#[derive(Debug)]
pub(crate) enum ReadInto {
    /// It held a hash of new keys: its members are in the map.
    Appended,
    /// It held a hash with keys that are there already, or that mean another field than they say. The map is as it
    /// was.
    Members(Map),
    /// It held something else, or more than one value. The map is as it was.
    Value(Value),
}

impl JsonReader {
    /// A reader; does not allocate yet.
    #[must_use]
    pub fn new(rules: JsonRules) -> Self {
        Self { rules, entries: Vec::new(), items: Vec::new(), unescaped: String::new(), last_members: 0 }
    }

    /// Reads `text` and appends the members of the hash it holds to `map`, which they need not be moved into then.
    ///
    /// # Errors
    ///
    /// [`JsonError`] where Jackson refuses the text; `map` is as it was.
    pub(crate) fn read_into(
        &mut self,
        text: &Text,
        map: &mut Map,
        style: EscapeStyle,
    ) -> Result<ReadInto, JsonError> {
        let old = map.len();
        // A single huge hash must not make every event after it ask for as much room.
        let room = self.last_members.min(SCANNED_KEYS);
        // What is read stands behind what is there: the map lends its own entries to work on.
        self.entries = map.take_entries();
        self.entries.reserve(room);
        self.items.clear();
        let mut cursor = Cursor { text, bytes: text.as_bytes(), at: 0, depth: 0, reader: self };
        let read = cursor.top_level().map_err(|problem| located(text, problem));
        let outcome = match read {
            Ok(Some(value)) => Ok(ReadInto::Value(value)),
            Ok(None) => {
                self.last_members = self.entries.len() - old;
                let (have, new) = self.entries.split_at(old);
                if new.len() <= SCANNED_KEYS && are_new(have, new, style) {
                    Ok(ReadInto::Appended)
                } else {
                    Ok(ReadInto::Members(
                        self.entries.drain(old..).map(|entry| (entry.key, entry.value)).collect(),
                    ))
                }
            }
            Err(error) => Err(error),
        };
        if !matches!(outcome, Ok(ReadInto::Appended)) {
            self.entries.truncate(old);
        }
        map.put_entries(std::mem::take(&mut self.entries));
        outcome
    }

    /// Reads one value of JSON, as strictly as Logstash's own parser.
    ///
    /// # Errors
    ///
    /// [`JsonError`] where Jackson refuses the text. Of a hash with a key twice the last value counts.
    pub fn read(&mut self, text: &Text) -> Result<Value, JsonError> {
        self.entries.clear();
        self.items.clear();
        let mut cursor = Cursor { text, bytes: text.as_bytes(), at: 0, depth: 0, reader: self };
        cursor.document().map_err(|problem| located(text, problem))
    }
}

impl JsonReader {
    /// Reads a list and gives its elements to `each`, one after the other, until that says `false`; they are held nowhere.
    /// Returns whether all are given, or there is no list.
    ///
    /// # Errors
    ///
    /// [`JsonError`] where [`JsonReader::read`] refuses the list. What is before the place has been given by then.
    pub(crate) fn read_items(
        &mut self,
        text: &Text,
        each: &mut dyn FnMut(Value) -> bool,
    ) -> Result<bool, JsonError> {
        self.entries.clear();
        self.items.clear();
        let mut cursor = Cursor { text, bytes: text.as_bytes(), at: 0, depth: 0, reader: self };
        cursor.skip_space();
        if cursor.peek() != b'[' {
            return Ok(false);
        }
        cursor.items(|_, value| each(value)).map_err(|problem| located(text, problem))
    }
}

fn located(text: &Text, (reason, offset): (JsonProblem, usize)) -> JsonError {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let column = 1 + before[line_start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    JsonError { reason, offset, line: 1 + memchr::memchr_iter(b'\n', before).count(), column }
}

/// Whether none of `new` is among `have`, nor means another field than it says.
fn are_new(have: &[Entry], new: &[Entry], style: EscapeStyle) -> bool {
    let bits = have.iter().fold(0_u64, |bits, entry| bits | 1 << key_bit(entry.key.as_bytes()));
    new.iter().all(|Entry { key, .. }| {
        !is_reference(key, style)
            && (bits >> key_bit(key.as_bytes()) & 1 == 0 || have.iter().all(|there| there.key != *key))
    })
}

/// Whether a key of data means another field than it says, or one with rules of its own.
pub(crate) fn is_reference(key: &str, style: EscapeStyle) -> bool {
    key.bytes().any(|byte| matches!(byte, b'[' | b']'))
        || matches!(key, "tags" | "@timestamp" | "@metadata")
        || (style != EscapeStyle::None && key.contains(['%', '&']))
}

/// The nesting that Jackson's `StreamReadConstraints` allow.
const MAX_DEPTH: u32 = 1000;
/// The characters of one number that they allow.
const MAX_NUMBER: usize = 1000;
/// Up to so many keys a duplicate is found by a scan, guarded by a filter of one word.
const SCANNED_KEYS: usize = 32;

/// Where the characters of a string are.
enum Quoted {
    /// In the text, from one byte to another.
    Plain { start: usize, end: usize },
    /// In the working memory of the reader.
    Escaped,
}

type Step<T> = Result<T, (JsonProblem, usize)>;

struct Cursor<'t, 'r> {
    text: &'t Text,
    bytes: &'t [u8],
    at: usize,
    depth: u32,
    reader: &'r mut JsonReader,
}

impl Cursor<'_, '_> {
    fn document(&mut self) -> Step<Value> {
        if self.bytes.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        self.skip_space();
        if self.at == self.bytes.len() {
            return match self.reader.rules.tail {
                Tail::LastWins => Ok(Value::Null),
                Tail::Refuse | Tail::Ignore => self.fail(JsonProblem::Empty),
            };
        }
        let value = self.value()?;
        self.rest(value)
    }

    /// What counts of `value` and of what follows it.
    fn rest(&mut self, mut value: Value) -> Step<Value> {
        loop {
            if self.reader.rules.tail == Tail::Ignore {
                return Ok(value);
            }
            self.skip_space();
            if self.at == self.bytes.len() {
                return Ok(value);
            }
            if self.reader.rules.tail == Tail::Refuse {
                return self.fail(JsonProblem::Trailing);
            }
            value = self.value()?;
        }
    }

    /// Like `document`, but where that would return a hash and nothing follows it, its members stay on the stack.
    fn top_level(&mut self) -> Step<Option<Value>> {
        self.skip_space();
        if self.peek() != b'{' {
            return self.document().map(Some);
        }
        let base = self.members()?;
        self.skip_space();
        if self.at == self.bytes.len() || self.reader.rules.tail == Tail::Ignore {
            return Ok(None);
        }
        let value = self.taken(base);
        self.rest(value).map(Some)
    }

    fn fail<T>(&self, reason: JsonProblem) -> Step<T> {
        Err((reason, self.at))
    }

    /// What is wrong where a token was wanted and none can start.
    fn unexpected<T>(&self) -> Step<T> {
        let reason = if self.at >= self.bytes.len() { JsonProblem::End } else { JsonProblem::Unexpected };
        Err((reason, self.at))
    }

    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Step<Value> {
        match self.peek() {
            b'"' => {
                let string = self.string()?;
                Ok(Value::Text(self.text_of(string)))
            }
            b'{' => self.object(),
            b'[' => self.array(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true", Value::Bool(true)),
            b'f' => self.word(b"false", Value::Bool(false)),
            b'n' => self.word(b"null", Value::Null),
            _ => self.unexpected(),
        }
    }

    fn word(&mut self, word: &[u8], value: Value) -> Step<Value> {
        if !self.bytes[self.at..].starts_with(word) {
            return self.unexpected();
        }
        self.at += word.len();
        if self.peek().is_ascii_alphanumeric() || matches!(self.peek(), b'_' | b'$' | 0x80..) {
            return self.unexpected();
        }
        Ok(value)
    }

    fn enter(&mut self) -> Step<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(JsonProblem::Depth);
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn object(&mut self) -> Step<Value> {
        let base = self.members()?;
        Ok(self.taken(base))
    }

    /// The hash of the members from `base` on.
    fn taken(&mut self, base: usize) -> Value {
        let members = self.reader.entries.drain(base..);
        if members.len() == 0 {
            return Value::Map(std::sync::Arc::default());
        }
        Value::from(if members.len() <= SCANNED_KEYS {
            Map::from_distinct(members.collect())
        } else {
            members.map(|entry| (entry.key, entry.value)).collect()
        })
    }

    /// Reads a hash and leaves its members on the stack. Returns where they begin.
    fn members(&mut self) -> Step<usize> {
        self.enter()?;
        let base = self.reader.entries.len();
        if self.peek() == b'}' {
            self.at += 1;
            self.depth -= 1;
            return Ok(base);
        }
        // One bit per key seen: a key whose bit is not set is new without a look at the others.
        let mut seen = 0_u64;
        loop {
            if self.peek() != b'"' {
                return self.unexpected();
            }
            let key = self.string()?;
            let key = self.text_of(key);
            self.skip_space();
            if self.peek() != b':' {
                return self.unexpected();
            }
            self.at += 1;
            self.skip_space();
            // Most values are strings: made here, they are not moved through the result of a call.
            let value = if self.peek() == b'"' {
                let string = self.string()?;
                Value::Text(self.text_of(string))
            } else {
                self.value()?
            };
            self.store(base, &mut seen, key, value);
            self.skip_space();
            match self.peek() {
                b',' => {
                    self.at += 1;
                    self.skip_space();
                }
                b'}' => break,
                _ => return self.unexpected(),
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(base)
    }

    #[inline(always)]
    fn store(&mut self, base: usize, seen: &mut u64, key: Text, value: Value) {
        let entries = &mut self.reader.entries;
        if entries.len() - base < SCANNED_KEYS {
            let bit = 1_u64 << key_bit(key.as_bytes());
            if *seen & bit != 0
                && let Some(same) = entries[base..].iter_mut().find(|entry| entry.key == key)
            {
                same.value = value;
                return;
            }
            *seen |= bit;
        }
        entries.push(Entry { value, key });
    }

    fn array(&mut self) -> Step<Value> {
        let base = self.reader.items.len();
        self.items(|reader, value| {
            reader.items.push(value);
            true
        })?;
        Ok(Value::List(self.reader.items.drain(base..).collect()))
    }

    /// Gives the elements of a list to `each`, until that says `false`.
    #[inline]
    fn items(&mut self, mut each: impl FnMut(&mut JsonReader, Value) -> bool) -> Step<bool> {
        self.enter()?;
        if self.peek() == b']' {
            self.at += 1;
            self.depth -= 1;
            return Ok(true);
        }
        loop {
            let value = self.value()?;
            if !each(self.reader, value) {
                return Ok(false);
            }
            self.skip_space();
            match self.peek() {
                b',' => {
                    self.at += 1;
                    self.skip_space();
                }
                b']' => break,
                _ => return self.unexpected(),
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(true)
    }

    /// The text of a string just read.
    #[inline(always)]
    fn text_of(&self, string: Quoted) -> Text {
        match string {
            Quoted::Plain { start, end } => slice(self.text, start..end),
            Quoted::Escaped => Text::from(self.reader.unescaped.as_str()),
        }
    }

    #[inline]
    fn string(&mut self) -> Step<Quoted> {
        let start = self.at + 1;
        let end = next_special(self.bytes, start);
        self.at = end;
        match self.bytes.get(end) {
            Some(b'"') => {
                self.at += 1;
                Ok(Quoted::Plain { start, end })
            }
            Some(b'\\') => self.escaped_string(start),
            Some(_) => self.fail(JsonProblem::Control),
            None => self.fail(JsonProblem::End),
        }
    }

    #[cold]
    fn escaped_string(&mut self, start: usize) -> Step<Quoted> {
        self.reader.unescaped.clear();
        let mut copied = start;
        loop {
            self.reader.unescaped.push_str(&self.text[copied..self.at]);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Quoted::Escaped);
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return self.fail(JsonProblem::Control),
                None => return self.fail(JsonProblem::End),
            }
            copied = self.at;
            self.at = next_special(self.bytes, copied);
        }
    }

    fn escape(&mut self) -> Step<()> {
        let plain = match self.bytes.get(self.at + 1) {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(same @ (b'"' | b'\\' | b'/')) => char::from(*same),
            Some(b'u') => {
                let unit = self.code_unit(self.at + 2)?;
                self.at += 6;
                let decoded = match unit {
                    0xd800..0xdc00 if self.bytes[self.at..].starts_with(b"\\u") => {
                        let low = self.code_unit(self.at + 2)?;
                        if (0xdc00..0xe000).contains(&low) {
                            self.at += 6;
                            char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
                        } else {
                            None
                        }
                    }
                    _ => char::from_u32(unit),
                };
                // Java keeps half a pair in its string and writes it as a question mark.
                self.reader.unescaped.push(decoded.unwrap_or('?'));
                return Ok(());
            }
            Some(_) => return self.fail(JsonProblem::Escape),
            None => return self.fail(JsonProblem::End),
        };
        self.reader.unescaped.push(plain);
        self.at += 2;
        Ok(())
    }

    fn code_unit(&self, at: usize) -> Step<u32> {
        let Some(digits) = self.bytes.get(at..at + 4) else {
            return Err((JsonProblem::End, self.bytes.len()));
        };
        digits.iter().try_fold(0, |unit, digit| {
            let digit = char::from(*digit).to_digit(16).ok_or((JsonProblem::Escape, at))?;
            Ok(unit << 4 | digit)
        })
    }

    fn number(&mut self) -> Step<Value> {
        let start = self.at;
        let negative = self.peek() == b'-';
        self.at += usize::from(negative);
        let mut small = 0_u64;
        let digits_from = self.at;
        self.digits(&mut small);
        let digits = self.at - digits_from;
        if digits == 0 || (digits > 1 && self.bytes[digits_from] == b'0') {
            self.at = digits_from;
            return self.fail(JsonProblem::Number);
        }
        let mut count = digits;
        let mut fraction = 0;
        let mut decimal = false;
        if self.peek() == b'.' {
            decimal = true;
            self.at += 1;
            let from = self.at;
            self.digits(&mut small);
            fraction = self.at - from;
            count += fraction;
            if fraction == 0 {
                return self.fail(JsonProblem::Number);
            }
        }
        let mantissa_to = self.at;
        let mut exponent = 0_i64;
        if matches!(self.peek(), b'e' | b'E') {
            decimal = true;
            self.at += 1;
            let minus = self.peek() == b'-';
            if matches!(self.peek(), b'-' | b'+') {
                self.at += 1;
            }
            let from = self.at;
            while self.peek().is_ascii_digit() {
                exponent = exponent.saturating_mul(10).saturating_add(i64::from(self.peek() - b'0'));
                self.at += 1;
            }
            if self.at == from {
                return self.fail(JsonProblem::Number);
            }
            if minus {
                exponent = -exponent;
            }
        }
        if self.at - start > MAX_NUMBER {
            return self.fail(JsonProblem::NumberLength);
        }
        if self.peek().is_ascii_alphabetic() || self.peek() == b'_' {
            return self.unexpected();
        }
        // 18 digits always fit, and no more than one number in a million has more.
        let fits = count <= 18;
        let signed = if negative { small.cast_signed().wrapping_neg() } else { small.cast_signed() };
        if !decimal {
            if fits {
                return Ok(Value::Int(signed));
            }
            let digits = &self.text[start..self.at];
            return Ok(match digits.parse() {
                Ok(number) => Value::Int(number),
                Err(_) => Value::BigInt(Box::new(big_int(digits))),
            });
        }
        if self.reader.rules.decimals == Decimals::Float {
            return match self.text[start..self.at].parse() {
                Ok(number) => Ok(Value::Float(number)),
                Err(_) => self.fail(JsonProblem::Number),
            };
        }
        let Some(scale) = i64::try_from(fraction)
            .ok()
            .and_then(|fraction| fraction.checked_sub(exponent))
            .filter(|scale| i32::try_from(*scale).is_ok())
        else {
            return self.fail(JsonProblem::NumberLength);
        };
        let mantissa = if fits {
            BigInt::from(signed)
        } else {
            big_int(&self.text[start..mantissa_to].replace('.', ""))
        };
        Ok(Value::Decimal(Box::new(BigDecimal::new(mantissa, scale))))
    }

    fn digits(&mut self, number: &mut u64) {
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            *number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
    }
}

fn big_int(digits: &str) -> BigInt {
    // The caller has checked each digit, so the default cannot be seen.
    digits.parse().unwrap_or_default()
}

/// A number below 64 that tells most keys of one hash apart.
fn key_bit(key: &[u8]) -> u32 {
    let (Some(first), Some(last)) = (key.first(), key.last()) else { return 0 };
    let middle = key[key.len() / 2];
    let mixed = u32::from(*first)
        .wrapping_mul(5)
        .wrapping_add(u32::from(*last).wrapping_mul(11))
        .wrapping_add(u32::from(middle).wrapping_mul(23))
        .wrapping_add(key.len() as u32);
    mixed & 63
}

/// The position of the first quote, backslash or control character at or after `from`, or the length.
fn next_special(bytes: &[u8], mut from: usize) -> usize {
    // Eight bytes at a time: in each of the three terms the lowest marked byte is exact.
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    while let Some(chunk) = bytes.get(from..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * 0x22);
        let backslash = word ^ (ONES * 0x5c);
        let found = ((quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word))
            & HIGHS;
        if found != 0 {
            return from + found.trailing_zeros() as usize / 8;
        }
        from += 8;
    }
    while let Some(byte) = bytes.get(from) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            return from;
        }
        from += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::write_json;

    fn filter(text: &str) -> Result<Value, JsonProblem> {
        JsonReader::new(JsonRules::FILTER).read(&Text::from(text)).map_err(|error| error.reason)
    }

    fn round_trip(text: &str) -> String {
        let mut out = Vec::new();
        write_json(&read_json(&Text::from(text)).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_of_every_kind_are_read() {
        for text in [
            r#"{"a":1,"b":[],"c":{},"d":[1,"x",null,true,false,{"e":[[-5]]}]}"#,
            r#""a string that is longer than what fits inline""#,
            "-9223372036854775808",
            "9223372036854775808",
            "-123456789012345678901234567890",
        ] {
            assert_eq!(round_trip(text), text);
        }
        assert_eq!(round_trip(" { \"a\" :\t[ 1 ,\n2 ] } "), r#"{"a":[1,2]}"#);
    }

    #[test]
    fn plain_strings_are_slices_of_the_input() {
        let text = Text::from(r#"{"key":"a value that is too long to be kept inline"}"#);
        let Value::Map(map) = read_json(&text).unwrap() else { panic!("a hash") };
        let value = map.get("key").and_then(Value::as_text).unwrap();
        let range = text.as_bytes().as_ptr_range();
        assert!(range.contains(&value.as_bytes().as_ptr()));
    }

    #[test]
    fn escapes_are_undone() {
        let read = |text: &str| match filter(text) {
            Ok(Value::Text(text)) => Ok(text.to_string()),
            Ok(_) => panic!("a string"),
            Err(problem) => Err(problem),
        };
        assert_eq!(read(r#""\u00e9\n\t\"\\\/\b\f\r x""#).unwrap(), "é\n\t\"\\/\u{8}\u{c}\r x");
        assert_eq!(read(r#""\ud83d\ude00""#).unwrap(), "😀");
        assert_eq!(read(r#""a\ud83dz""#).unwrap(), "a?z");
        assert_eq!(read(r#""\ud83d\u0041""#).unwrap(), "?A");
        assert_eq!(read(r#""\x""#), Err(JsonProblem::Escape));
        assert_eq!(read(r#""\u12g4""#), Err(JsonProblem::Escape));
        assert_eq!(read(r#""\u12"#), Err(JsonProblem::End));
        assert_eq!(read("\"a\nb\""), Err(JsonProblem::Control));
        assert_eq!(read("\"0123456789abcdef\u{1}\""), Err(JsonProblem::Control));
    }

    #[test]
    fn numbers_follow_json_and_the_place_they_are_read_for() {
        for wrong in ["01", "-", "+1", ".5", "1.", "1e", "1e+", "NaN", "Infinity", "1x", "0x10", "--1"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
        assert_eq!(filter("-0"), Ok(Value::Int(0)));
        assert_eq!(read_json(&Text::from("2.50")), Ok(Value::Float(2.5)));
        let exact = |text: &str| match filter(text) {
            Ok(Value::Decimal(number)) => number.as_bigint_and_exponent(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(exact("2.50"), (BigInt::from(250), 2));
        assert_eq!(exact("1E-5"), (BigInt::from(1), 5));
        assert_eq!(exact("-1e5"), (BigInt::from(-1), -5));
        assert_eq!(exact("0.12345678901234567890"), (BigInt::from(12_345_678_901_234_567_890_u64), 20));
        assert_eq!(filter("1e99999999999"), Err(JsonProblem::NumberLength));
        assert_eq!(filter(&"9".repeat(1001)), Err(JsonProblem::NumberLength));
    }

    #[test]
    fn a_repeated_key_keeps_its_place_and_takes_the_last_value() {
        assert_eq!(round_trip(r#"{"a":1,"b":2,"a":3}"#), r#"{"a":3,"b":2}"#);
        let many = (0..100).map(|n| format!("\"k{}\":{n}", n % 50)).collect::<Vec<_>>().join(",");
        let Value::Map(map) = read_json(&Text::from(format!("{{{many}}}"))).unwrap() else {
            panic!("a hash")
        };
        assert_eq!(map.len(), 50);
        assert_eq!(map.get("k7"), Some(&Value::Int(57)));
    }

    #[test]
    fn what_may_follow_depends_on_the_place() {
        let read = |rules, text: &'static str| JsonReader::new(rules).read(&Text::from(text));
        assert_eq!(read(JsonRules::FILTER, "1 2"), Ok(Value::Int(2)));
        assert_eq!(read(JsonRules::CODEC, "1 trailing"), Ok(Value::Int(1)));
        assert_eq!(read(JsonRules::STRICT, "1 2").unwrap_err().reason, JsonProblem::Trailing);
        assert_eq!(read(JsonRules::FILTER, "{\"a\":1} x").unwrap_err().reason, JsonProblem::Unexpected);
        assert_eq!(read(JsonRules::FILTER, " "), Ok(Value::Null));
        assert_eq!(read(JsonRules::STRICT, " ").unwrap_err().reason, JsonProblem::Empty);
        assert_eq!(read(JsonRules::STRICT, "\u{feff}1"), Ok(Value::Int(1)));
    }

    #[test]
    fn errors_say_where() {
        let error = read_json(&Text::from("{\n \"ä\": x}")).unwrap_err();
        assert_eq!((error.line, error.column, error.offset), (2, 7, 9));
        assert_eq!(error.to_string(), "unexpected character in JSON at line 2, column 7");
    }

    #[test]
    fn depth_is_limited() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(filter(&deep(1000)).is_ok());
        assert_eq!(filter(&deep(1001)), Err(JsonProblem::Depth));
        assert_eq!(filter(&"{\"a\":".repeat(100_000)), Err(JsonProblem::Depth));
    }

    #[test]
    fn any_prefix_of_a_document_is_refused_without_panic() {
        let text = r#"{"a":[1.5e3,"xé\u00e9",true,null],"b":{"c":-12}}"#;
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            assert!(read_json(&Text::from(&text[..end])).is_err(), "{}", &text[..end]);
        }
    }
}
