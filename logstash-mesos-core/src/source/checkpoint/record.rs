//! What the file of positions holds: a record a line, each with its checksum, as JSON: `["CHECKSUM",RECORD]`.
//!
//! A record takes the place of an older one about the same. So what has changed is written behind what is there, and a line
//! that is damaged costs what it says and nothing else.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::FilePosition;
use crate::checksum::checksum;

/// What one line says of a file or of a stream.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record<'r> {
    /// The first: how the others are to be understood.
    Version(u32),
    /// Where a file of a stream has arrived. The number tells it from others for as long as the file of positions is not
    /// written anew.
    File { id: u64, stream: Cow<'r, str>, position: Cow<'r, FilePosition> },
    /// Nothing is kept about it any more.
    NoFile { id: u64 },
    /// Where a stream has arrived whose position is no place in a file.
    Cursor { stream: Cow<'r, str>, cursor: Cow<'r, str> },
    /// Nothing is kept about it any more.
    NoCursor { stream: Cow<'r, str> },
}

/// What this program writes.
pub(super) const VERSION: u32 = 2;

impl Record<'_> {
    /// Appends the line.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let record = serde_json::to_string(self).unwrap_or_default();
        let sum = checksum(record.as_bytes());
        out.extend_from_slice(format!("[\"{sum:016x}\",{record}]\n").as_bytes());
    }

    /// The record of a line without its end, unless it is damaged.
    fn read(line: &[u8]) -> Option<Record<'_>> {
        let (sum, record) = line.strip_prefix(b"[\"")?.strip_suffix(b"]")?.split_at_checked(SUM_DIGITS)?;
        let record = record.strip_prefix(b"\",")?;
        let sum = u64::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
        if sum != checksum(record) {
            return None;
        }
        serde_json::from_slice(record).ok()
    }
}

const SUM_DIGITS: usize = 16;

/// All that the lines of a file say.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// In the order in which they were begun.
    pub(super) files: Vec<(Arc<str>, FilePosition)>,
    pub(super) cursors: BTreeMap<Arc<str>, String>,
    /// The lines that are damaged, counted from 1.
    pub(super) damaged: Vec<usize>,
    /// The last line has no end: the program ended while it was written.
    pub(super) torn: bool,
}

impl Kept {
    /// # Errors
    ///
    /// Why this is no file of positions, or one of a later program.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut kept = Self::default();
        if bytes.starts_with(b"{") {
            return Self::read_first_format(bytes);
        }
        let mut files = BTreeMap::new();
        let mut good = 0;
        for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let Some(line) = line.strip_suffix(b"\n") else {
                kept.torn = true;
                break;
            };
            let Some(record) = Record::read(line) else {
                kept.damaged.push(at + 1);
                continue;
            };
            good += 1;
            match record {
                Record::Version(VERSION) => {}
                Record::Version(version) => return Err(other_version(version)),
                Record::File { id, stream, position } => {
                    files.insert(id, (Arc::from(stream), position.into_owned()));
                }
                Record::NoFile { id } => drop(files.remove(&id)),
                Record::Cursor { stream, cursor } => {
                    kept.cursors.insert(Arc::from(stream), cursor.into_owned());
                }
                Record::NoCursor { stream } => drop(kept.cursors.remove(&*stream)),
            }
        }
        if good == 0 && !bytes.is_empty() {
            return Err("none of its lines is one of positions".to_owned());
        }
        kept.files = files.into_values().collect();
        Ok(kept)
    }

    /// As the file was written until November 2026: one document.
    fn read_first_format(bytes: &[u8]) -> Result<Self, String> {
        let stored: FirstFormat = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if stored.version != 1 {
            return Err(other_version(stored.version));
        }
        let files = stored.files.into_iter();
        let files =
            files.flat_map(|(stream, all)| all.into_iter().map(move |one| (Arc::clone(&stream), one)));
        Ok(Self { files: files.collect(), cursors: stored.cursors, ..Self::default() })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstFormat {
    version: u32,
    #[serde(default)]
    files: BTreeMap<Arc<str>, Vec<FilePosition>>,
    #[serde(default)]
    cursors: BTreeMap<Arc<str>, String>,
}

fn other_version(version: u32) -> String {
    format!("it has version {version}, this program knows versions 1 and {VERSION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(records: &[Record<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        records.iter().for_each(|record| record.write(&mut out));
        out
    }

    fn cursor(stream: &'static str, cursor: &'static str) -> Record<'static> {
        Record::Cursor { stream: stream.into(), cursor: cursor.into() }
    }

    #[test]
    fn the_last_word_counts_and_a_damaged_one_costs_only_itself() {
        let text = lines(&[
            Record::Version(VERSION),
            cursor("a", "1"),
            cursor("b", "1"),
            cursor("c", "1"),
            cursor("a", "2"),
            Record::NoCursor { stream: "c".into() },
        ]);
        let whole = Kept::read(&text).unwrap();
        let is = |kept: &Kept| -> Vec<(String, String)> {
            kept.cursors.iter().map(|(stream, cursor)| (stream.to_string(), cursor.clone())).collect()
        };
        let all = [("a".to_owned(), "2".to_owned()), ("b".to_owned(), "1".to_owned())];
        assert_eq!(is(&whole), all);
        assert!(whole.damaged.is_empty() && !whole.torn);
        // A bit of each byte in turn: never more than the record of that line is gone, and never is anything else said.
        let of_line = |at: usize| 1 + text[..at].iter().filter(|byte| **byte == b'\n').count();
        for at in 0..text.len() {
            let mut damaged = text.clone();
            damaged[at] ^= 4;
            let line = of_line(at);
            let Ok(kept) = Kept::read(&damaged) else {
                // The file of the first format begins like that.
                panic!("{}", String::from_utf8_lossy(&damaged));
            };
            let is_end = text[at] == b'\n';
            assert!(kept.torn || kept.damaged == [line] || is_end && kept.damaged.contains(&line), "{at}");
            for (stream, cursor) in is(&kept) {
                assert!(["a", "b", "c"].contains(&&*stream) && ["1", "2"].contains(&&*cursor));
            }
            if ![2, 3, 4, 5, 6].contains(&line) {
                assert_eq!(is(&kept), all, "{at}");
            }
        }
        // What was not written to its end is left out.
        for len in 0..text.len() {
            let kept = Kept::read(&text[..len]);
            let first_line = text.iter().position(|byte| *byte == b'\n').unwrap();
            assert_eq!(kept.is_ok(), len == 0 || len > first_line, "{len}");
            assert!(kept.is_err() || kept.unwrap().damaged.is_empty());
        }
    }

    #[test]
    fn the_first_format_is_read() {
        let kept = Kept::read(br#"{"version":1,"files":{},"cursors":{"docker":"7"}}"#).unwrap();
        assert_eq!(kept.cursors.get("docker").map(String::as_str), Some("7"));
        for other in ["{\"version\":1,", "{\"version\":99}", "nonsense", "[\"0000000000000000\",{}]\n"] {
            Kept::read(other.as_bytes()).unwrap_err();
        }
        let later = lines(&[Record::Version(3)]);
        assert!(Kept::read(&later).unwrap_err().contains("version 3"));
    }
}
