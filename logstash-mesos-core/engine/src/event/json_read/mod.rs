//! JSON text as values.

mod cursor;

use std::sync::Arc;

use thiserror::Error;

use self::cursor::{Cursor, MAX_DEPTH};
use super::map::Entry;
use super::{EscapeStyle, Map, ParsedLimit, Text, Value};

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
    /// Its values would take more memory than they may.
    #[error("the values of the JSON take too much memory")]
    Memory,
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
    limit: Option<Arc<ParsedLimit>>,
    // So many bytes more may be taken for the text at hand.
    left: usize,
    empty: Arc<Map>,
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
        Self {
            rules,
            entries: Vec::new(),
            items: Vec::new(),
            unescaped: String::new(),
            last_members: 0,
            limit: None,
            left: usize::MAX,
            empty: Arc::default(),
        }
    }

    /// The same, for texts whose values take no more than `limit` allows: what takes more is refused with
    /// [`JsonProblem::Memory`] before it is taken, and counted there.
    #[must_use]
    pub fn within(self, limit: &Arc<ParsedLimit>) -> Self {
        Self { limit: Some(Arc::clone(limit)), ..self }
    }

    /// A reader for another thread.
    pub(crate) fn fork(&self) -> Self {
        Self { limit: self.limit.clone(), ..Self::new(self.rules) }
    }

    fn begin(&mut self) {
        self.left = self.limit.as_ref().map_or(usize::MAX, |limit| limit.max_bytes());
    }

    /// Gives back what one text alone has needed.
    fn end(&mut self) {
        self.entries.clear();
        self.items.clear();
        self.entries.shrink_to(KEPT);
        self.items.shrink_to(KEPT);
        self.unescaped.shrink_to(KEPT);
    }

    fn failed(&self, text: &Text, (reason, offset): (JsonProblem, usize)) -> JsonError {
        if let (JsonProblem::Memory, Some(limit)) = (reason, &self.limit) {
            limit.exceeded(text.len());
        }
        located(text, (reason, offset))
    }

    /// Whether so many bytes may be taken, which they are then.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// Whether there is room for one item more. No growth is larger than it has to be: two of them are there while the
    /// one is copied into the other.
    #[inline]
    fn has_room_for_item(&mut self) -> bool {
        self.items.len() < self.items.capacity() || self.grow(|reader| &mut reader.items)
    }

    /// The same for a member.
    #[inline]
    fn has_room_for_entry(&mut self) -> bool {
        self.entries.len() < self.entries.capacity() || self.grow(|reader| &mut reader.entries)
    }

    #[cold]
    fn grow<T>(&mut self, stack: impl Fn(&mut Self) -> &mut Vec<T>) -> bool {
        let len = stack(self).len();
        let more = if len < DOUBLED { len.max(16) } else { len / 4 };
        let may = self.take(more.saturating_mul(size_of::<T>()));
        if may {
            stack(self).reserve_exact(more);
        }
        may
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
        self.begin();
        let mut cursor = Cursor::new(text, self);
        let read = cursor.top_level();
        let outcome = match read {
            Ok(Some(value)) => Ok(ReadInto::Value(value)),
            Ok(None) => {
                self.last_members = self.entries.len() - old;
                let (have, new) = self.entries.split_at(old);
                if new.len() <= SCANNED_KEYS && are_new(have, new, style) {
                    Ok(ReadInto::Appended)
                } else if self.take(2 * (self.entries.len() - old) * size_of::<Entry>()) {
                    // In a hash of their own, and then in the event.
                    Ok(ReadInto::Members(Map::from_entries(self.entries.drain(old..).collect())))
                } else {
                    Err(self.failed(text, (JsonProblem::Memory, text.len())))
                }
            }
            Err(problem) => Err(self.failed(text, problem)),
        };
        if !matches!(outcome, Ok(ReadInto::Appended)) {
            self.entries.truncate(old);
            self.entries.shrink_to(KEPT);
        }
        map.put_entries(std::mem::take(&mut self.entries));
        self.end();
        outcome
    }

    /// Reads one value of JSON, as strictly as Logstash's own parser.
    ///
    /// # Errors
    ///
    /// [`JsonError`] where Jackson refuses the text. Of a hash with a key twice the last value counts.
    pub fn read(&mut self, text: &Text) -> Result<Value, JsonError> {
        self.begin();
        let mut cursor = Cursor::new(text, self);
        let read = cursor.document().map_err(|problem| self.failed(text, problem));
        self.end();
        read
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
        self.begin();
        let mut cursor = Cursor::new(text, self);
        cursor.skip_space();
        if cursor.peek() != b'[' {
            return Ok(false);
        }
        let given = cursor.items(|reader, value| {
            let goes_on = each(value);
            // The next one is alone.
            reader.begin();
            goes_on
        });
        self.end();
        given.map_err(|problem| self.failed(text, problem))
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

/// So much working memory is kept, in entries and items.
const KEPT: usize = 1024;
/// Up to so many they are made room for by doubling.
const DOUBLED: usize = 16 << 10;

/// Up to so many keys a duplicate is found by a scan, guarded by a filter of one word.
const SCANNED_KEYS: usize = 32;

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

#[cfg(test)]
mod tests;
