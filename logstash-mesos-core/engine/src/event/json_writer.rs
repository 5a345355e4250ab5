//! Many events as JSON text, one after the other.

use std::ops::Range;
use std::sync::Arc;

use super::escape::{Piece, SHORT};
use super::{Map, Text, Timestamp, Value, write_json, write_json_string};

/// Writes events as JSON and remembers what comes again.
///
/// The events of a file share their `host` and their `log` hash, the lines of a block their time, and
/// `event.original` is the text of `message`: each of these is escaped once and copied from then on. The text that
/// comes out is that of [`write_json_map`](super::write_json_map).
///
/// Allocates for what it remembers: four short texts and the hashes they stand for, kept from batch to batch.
#[derive(Clone, Debug, Default)]
pub struct JsonWriter {
    shared: Vec<Shared>,
    // Where a hash was seen that may be worth remembering when it comes again.
    glimpsed: [usize; SHARED],
    turn: usize,
    instant: Option<(Timestamp, Vec<u8>)>,
    // Of the current document.
    long: Vec<Long>,
}

/// How many hashes are remembered.
const SHARED: usize = 4;
/// A hash that takes more bytes is not remembered.
const SHARED_BYTES: usize = 512;
/// A string shorter than this is quicker escaped again than looked up.
const LONG_BYTES: usize = 48;
/// How many long strings of one document are remembered.
const LONG: usize = 4;

#[derive(Clone, Debug)]
struct Shared {
    // Holding it keeps it from being changed, and its address from naming another one.
    map: Arc<Map>,
    text: Vec<u8>,
}

/// A string of the document, by its place in memory, and where its text is.
#[derive(Clone, Debug)]
struct Long {
    address: usize,
    len: usize,
    text: Range<usize>,
}

impl JsonWriter {
    /// Appends `fields` as one JSON object. `out` is only appended to.
    pub fn write_document(&mut self, fields: &Map, out: &mut Vec<u8>) {
        self.start();
        self.map(fields, out);
    }

    /// Begins a document that is written member by member.
    pub fn start(&mut self) {
        self.long.clear();
    }

    /// Appends `before`, which is a brace or a comma, and `"key":value`.
    pub fn member(&mut self, before: u8, key: &str, value: &Value, out: &mut Vec<u8>) {
        let mut piece = Piece::new(before);
        if key.len() > SHORT || !piece.push_string(key) {
            out.push(before);
            write_json_string(key, out);
            out.push(b':');
            return self.value(value, out);
        }
        piece.push(b':');
        if let Value::Text(text) = value
            && text.len() <= SHORT
            && piece.push_string(text)
        {
            return out.extend_from_slice(piece.as_bytes());
        }
        out.extend_from_slice(piece.as_bytes());
        self.value(value, out);
    }

    fn map(&mut self, map: &Map, out: &mut Vec<u8>) {
        let mut before = b'{';
        for (key, value) in map.iter() {
            self.member(before, key, value, out);
            before = b',';
        }
        if map.is_empty() {
            out.push(b'{');
        }
        out.push(b'}');
    }

    fn value(&mut self, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Text(text) if text.len() < LONG_BYTES => write_json_string(text, out),
            Value::Text(text) => self.long_text(text, out),
            Value::Timestamp(instant) => self.timestamp(*instant, out),
            Value::Map(map) if Arc::strong_count(map) > 1 => self.shared_map(map, out),
            Value::Map(map) => self.map(map, out),
            Value::List(items) => self.list(items, out),
            other => write_json(other, out),
        }
    }

    fn long_text(&mut self, text: &Text, out: &mut Vec<u8>) {
        let (address, len) = (text.as_ptr().addr(), text.len());
        if let Some(same) = self.long.iter().find(|long| long.address == address && long.len == len) {
            return out.extend_from_within(same.text.clone());
        }
        let from = out.len();
        write_json_string(text, out);
        if self.long.len() < LONG {
            self.long.push(Long { address, len, text: from..out.len() });
        }
    }

    fn timestamp(&mut self, instant: Timestamp, out: &mut Vec<u8>) {
        match &self.instant {
            Some((known, text)) if *known == instant => out.extend_from_slice(text),
            _ => {
                let from = out.len();
                write_json(&Value::Timestamp(instant), out);
                self.instant = Some((instant, out[from..].to_vec()));
            }
        }
    }

    fn shared_map(&mut self, map: &Arc<Map>, out: &mut Vec<u8>) {
        if let Some(known) = self.shared.iter().find(|known| Arc::ptr_eq(&known.map, map)) {
            return out.extend_from_slice(&known.text);
        }
        let from = out.len();
        self.map(map, out);
        let address = Arc::as_ptr(map).addr();
        if self.glimpsed.contains(&address) && out.len() - from <= SHARED_BYTES {
            let shared = Shared { map: Arc::clone(map), text: out[from..].to_vec() };
            self.turn = (self.turn + 1) % SHARED;
            if self.shared.len() < SHARED {
                self.shared.push(shared);
            } else {
                self.shared[self.turn] = shared;
            }
        } else {
            // The first look costs nothing but this: hashes that never come again are not kept.
            self.turn = (self.turn + 1) % SHARED;
            self.glimpsed[self.turn] = address;
        }
    }

    fn list(&mut self, items: &[Value], out: &mut Vec<u8>) {
        out.push(b'[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            self.value(item, out);
        }
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::super::write_json_map;
    use super::*;

    fn text_of(map: &Map) -> String {
        let mut out = Vec::new();
        write_json_map(map, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn map(entries: &[(&'static str, Value)]) -> Map {
        entries.iter().cloned().collect()
    }

    #[test]
    fn documents_read_as_they_would_alone() {
        let line = Text::from("a line that is long enough to be kept, with \"quotes\" in it".to_owned());
        let hosts: Vec<Value> =
            (0..7).map(|n| Value::from(map(&[("name", Value::from(n as i64))]))).collect();
        let mut writer = JsonWriter::default();
        let mut out = Vec::new();
        let mut expected = String::new();
        for n in 0..200_usize {
            let part = line.slice(..50 + n % 3);
            let document = map(&[
                ("@timestamp", Value::Timestamp(Timestamp::from_millis(n as i64 / 50))),
                ("message", Value::Text(line.clone())),
                ("event", Value::from(map(&[("original", Value::Text(line.clone()))]))),
                // Same place in memory, another end.
                ("part", Value::Text(part)),
                ("host", hosts[n * n % 7].clone()),
                ("own", Value::from(map(&[("n", Value::from(n as i64))]))),
                ("list", Value::List(vec![Value::Text(line.clone()), hosts[n % 2].clone(), Value::Null])),
                ("empty", Value::from(Map::new())),
            ]);
            writer.write_document(&document, &mut out);
            expected += &text_of(&document);
        }
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_remembered_hash_is_not_mistaken_for_a_changed_one() {
        let mut writer = JsonWriter::default();
        let mut shared = Value::from(map(&[("a", Value::from(1_i64))]));
        for turn in 0..6_i64 {
            let document = map(&[("one", shared.clone()), ("two", shared.clone())]);
            let mut out = Vec::new();
            writer.write_document(&document, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text_of(&document));
            drop(document);
            if let Value::Map(inner) = &mut shared {
                Arc::make_mut(inner).insert("a", turn);
            }
        }
    }
}
