//! Through a JSON text, byte by byte.

use std::sync::Arc;

use bigdecimal::BigDecimal;
use num_bigint::BigInt;

use super::{Decimals, JsonProblem, JsonReader, SCANNED_KEYS, Tail, key_bit};
use crate::event::map::Entry;
use crate::event::{Map, Text, Value, slice};

/// Where the characters of a string are.
enum Quoted {
    /// In the text, from one byte to another.
    Plain { start: usize, end: usize },
    /// In the working memory of the reader.
    Escaped,
}

/// What is read, or what is wrong at which byte.
pub(super) type Step<T> = Result<T, (JsonProblem, usize)>;

/// A place in a text that is being read, by a reader that lends its memory.
pub(super) struct Cursor<'t, 'r> {
    text: &'t Text,
    bytes: &'t [u8],
    at: usize,
    depth: u32,
    reader: &'r mut JsonReader,
}

impl<'t, 'r> Cursor<'t, 'r> {
    /// At the first byte of `text`.
    pub(super) fn new(text: &'t Text, reader: &'r mut JsonReader) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0, depth: 0, reader }
    }

    /// Reads the value that the whole text is.
    pub(super) fn document(&mut self) -> Step<Value> {
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
    pub(super) fn top_level(&mut self) -> Step<Option<Value>> {
        self.skip_space();
        if self.peek() != b'{' {
            return self.document().map(Some);
        }
        let base = self.members()?;
        self.skip_space();
        if self.at == self.bytes.len() || self.reader.rules.tail == Tail::Ignore {
            return Ok(None);
        }
        let value = self.taken(base)?;
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

    pub(super) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    pub(super) fn skip_space(&mut self) {
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
        self.taken(base)
    }

    /// What stands on a stack from `base` on, and takes so many bytes `beside` it. All of a large stack is not copied.
    fn off<T>(
        &mut self,
        stack: impl Fn(&mut JsonReader) -> &mut Vec<T>,
        base: usize,
        beside: usize,
    ) -> Step<Vec<T>> {
        let all = stack(self.reader);
        let count = all.len() - base;
        if base == 0 && count >= LARGE {
            let mut all = std::mem::take(all);
            all.shrink_to_fit();
            return Ok(all);
        }
        if count > 0 {
            self.take(beside + count * size_of::<T>())?;
        }
        Ok(stack(self.reader).drain(base..).collect())
    }

    /// Takes so many bytes of what may be taken.
    fn take(&mut self, bytes: usize) -> Step<()> {
        if self.reader.take(bytes) { Ok(()) } else { self.fail(JsonProblem::Memory) }
    }

    /// The hash of the members from `base` on.
    fn taken(&mut self, base: usize) -> Step<Value> {
        let count = self.reader.entries.len() - base;
        if count == 0 {
            return Ok(Value::Map(Arc::clone(&self.reader.empty)));
        }
        let entries = self.off(|reader| &mut reader.entries, base, MAP_BYTES)?;
        Ok(Value::from(if count <= SCANNED_KEYS {
            Map::from_distinct(entries)
        } else {
            Map::from_entries(entries)
        }))
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
            if !self.store(base, &mut seen, key, value) {
                return self.fail(JsonProblem::Memory);
            }
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

    /// Puts a member on the stack; `false` where that would take too much memory.
    #[inline(always)]
    fn store(&mut self, base: usize, seen: &mut u64, key: Text, value: Value) -> bool {
        let entries = &mut self.reader.entries;
        if entries.len() - base < SCANNED_KEYS {
            let bit = 1_u64 << key_bit(key.as_bytes());
            if *seen & bit != 0
                && let Some(same) = entries[base..].iter_mut().find(|entry| entry.key == key)
            {
                same.value = value;
                return true;
            }
            *seen |= bit;
        }
        let has_room = self.reader.has_room_for_entry();
        if has_room {
            self.reader.entries.push(Entry { value, key });
        }
        has_room
    }

    fn array(&mut self) -> Step<Value> {
        let base = self.reader.items.len();
        let all = self.items(|reader, value| {
            let has_room = reader.has_room_for_item();
            if has_room {
                reader.items.push(value);
            }
            has_room
        })?;
        if !all {
            return self.fail(JsonProblem::Memory);
        }
        Ok(Value::List(self.off(|reader| &mut reader.items, base, LIST_BYTES)?))
    }

    /// Gives the elements of a list to `each`, until that says `false`.
    #[inline]
    pub(super) fn items(&mut self, mut each: impl FnMut(&mut JsonReader, Value) -> bool) -> Step<bool> {
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
                    self.take(TEXT_BYTES + self.reader.unescaped.len())?;
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
        self.take(DECIMAL_BYTES)?;
        Ok(Value::Decimal(Box::new(BigDecimal::new(mantissa, scale))))
    }

    fn digits(&mut self, number: &mut u64) {
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            *number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
    }
}

/// What is on the heap beside entries, items and characters, with what the allocator adds.
const MAP_BYTES: usize = 96;
const LIST_BYTES: usize = 16;
const TEXT_BYTES: usize = 32;
const DECIMAL_BYTES: usize = 96;
/// From so many on.
const LARGE: usize = 1024;

fn big_int(digits: &str) -> BigInt {
    // The caller has checked each digit, so the default cannot be seen.
    digits.parse().unwrap_or_default()
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

/// The nesting that Jackson's `StreamReadConstraints` allow.
pub(super) const MAX_DEPTH: u32 = 1000;
/// The characters of one number that they allow.
const MAX_NUMBER: usize = 1000;
