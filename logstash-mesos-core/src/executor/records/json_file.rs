//! Docker's `json-file` log: one JSON object for each line, or each 16 KiB of a longer one.

use jiff::Timestamp as Instant;
use memchr::{memchr, memmem};
use serde::Deserialize;

use super::joiner::Joiner;
use super::{Channel, Record, Records, SPLIT_AT};
use crate::event::{Blob, Text, Timestamp};
use crate::source::{Content, Kept, Lines};

/// Unpacks the daemon's log and joins the lines that it split.
#[derive(Debug)]
pub(crate) struct JsonFile {
    joiner: Joiner,
}

impl JsonFile {
    /// Of a container with a terminal (`tty`) or without.
    pub(crate) fn new(tty: bool, max_line_bytes: usize) -> Self {
        Self { joiner: Joiner::new(tty, max_line_bytes) }
    }

    fn add(&mut self, piece: Piece, offset: u64, emit: &mut dyn FnMut(Record)) {
        let Piece { content, whole, channel, time } = piece;
        // A shorter piece without an end of line is the program's last.
        let whole = whole || content.len() < SPLIT_AT;
        let record = Record {
            content: Content::Text(content),
            offset,
            at: offset,
            time,
            channel: Some(channel),
            cut: 0,
        };
        self.joiner.add(record, whole, emit);
    }

    /// Reads the records that are whole in a line that is not one: a power cut leaves NUL bytes in place of a piece of
    /// the file, ends of lines included, and a full disk half a record, with the next one right behind it.
    ///
    /// A quote within a text is escaped, so [`START`] is nowhere but where a record begins.
    /// `cut` bytes of it were left out: no record of the daemon is that long.
    fn salvage(&mut self, line: &Blob, offset: u64, cut: u64, emit: &mut dyn FnMut(Record)) {
        let mut starts: Vec<usize> = memmem::find_iter(line, START).collect();
        let mut lost = starts.first().copied().unwrap_or(line.len());
        starts.push(line.len());
        if lost > 0 {
            self.joiner.give_up(emit);
        }
        for (from, to) in starts.iter().zip(&starts[1..]) {
            let end = to - line[*from..*to].iter().rev().take_while(|byte| **byte == 0).count();
            match unpack(&Content::Bytes(line.slice(*from..end))) {
                Some(piece) => {
                    self.add(piece, offset + *from as u64, emit);
                    lost += to - end;
                }
                None => {
                    self.joiner.give_up(emit);
                    lost += to - from;
                }
            }
        }
        self.joiner.damage.met(offset, line.len() as u64 + cut, lost as u64 + cut);
    }
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    log: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    stream: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    time: std::borrow::Cow<'a, str>,
}

impl Records for JsonFile {
    fn read(&mut self, lines: Lines, emit: &mut dyn FnMut(Record)) -> Kept {
        for line in lines {
            match unpack(&line.content).filter(|_| line.cut == 0) {
                Some(piece) => self.add(piece, line.offset, emit),
                None => self.salvage(&line.content.into_blob(), line.offset, line.cut, emit),
            }
        }
        self.joiner.kept()
    }

    /// The daemon splits before that: only the attributes that it may add have no bound.
    fn longest(&self, max_line_bytes: usize) -> usize {
        max_line_bytes.max(1 << 20)
    }

    fn joiner(&mut self) -> Option<&mut Joiner> {
        Some(&mut self.joiner)
    }
}

/// One entry of the log.
struct Piece {
    content: Text,
    /// It ended a line; the end is not in `content`.
    whole: bool,
    channel: Channel,
    time: Option<Timestamp>,
}

fn unpack(line: &Content) -> Option<Piece> {
    let good;
    let text = match line {
        Content::Text(text) => text,
        // The daemon writes UTF-8; a block with a damaged line in it has good ones too.
        Content::Bytes(bytes) => {
            good = Text::try_from(bytes.clone()).ok()?;
            &good
        }
    };
    // In a text of the daemon it would be escaped.
    if memchr(0, text.as_bytes()).is_some() {
        return None;
    }
    if let Some(found) = unpack_usual(text) {
        return Some(found);
    }
    let entry: Entry<'_> = serde_json::from_str(text).ok()?;
    let mut content = entry.log.into_owned();
    let whole = content.ends_with('\n');
    if whole {
        content.pop();
    }
    Some(Piece {
        content: Text::from(content),
        whole,
        channel: channel(&entry.stream),
        time: time(&entry.time),
    })
}

/// `{"log":"…\n","stream":"stdout","time":"…"}` without any other escape: nothing is copied.
fn unpack_usual(text: &Text) -> Option<Piece> {
    let rest = text.strip_prefix(START)?;
    let length = memchr::memchr2(b'"', b'\\', rest.as_bytes())?;
    let rest = rest.get(length..)?.strip_prefix(r#"\n","stream":""#)?;
    let (stream, rest) = rest.split_once(r#"","time":""#).filter(|(stream, _)| !stream.contains('"'))?;
    let at = rest.strip_suffix(r#""}"#).filter(|at| !at.contains('"'))?;
    Some(Piece {
        content: text.slice(START.len()..START.len() + length),
        whole: true,
        channel: channel(stream),
        time: time(at),
    })
}

const START: &str = r#"{"log":""#;

fn channel(stream: &str) -> Channel {
    if stream == "stderr" { Channel::Stderr } else { Channel::Stdout }
}

fn time(text: &str) -> Option<Timestamp> {
    let instant: Instant = text.parse().ok()?;
    Some(Timestamp::from_nanos(instant.as_nanosecond()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::Flush;

    const LIMIT: usize = 10 << 20;

    type Seen = Vec<(u64, String, &'static str)>;

    fn read(records: &mut JsonFile, text: &str, offset: u64) -> (Seen, Kept) {
        let mut seen = Vec::new();
        let lines = Lines::new(text.as_bytes().to_vec(), Arc::from(*b"\n"), offset);
        let kept = records.read(lines, &mut |record| seen.push(shown(record)));
        (seen, kept)
    }

    fn shown(record: Record) -> (u64, String, &'static str) {
        let text = String::from_utf8(record.content.as_bytes().to_vec()).unwrap();
        (record.offset, text, record.channel.unwrap().as_str())
    }

    fn entry(log: &str, stream: &str) -> String {
        let log = serde_json::to_string(log).unwrap();
        format!("{{\"log\":{log},\"stream\":\"{stream}\",\"time\":\"2026-11-23T02:00:00.123456789Z\"}}\n")
    }

    #[test]
    fn lines_come_with_their_time_and_channel() {
        let text = entry("plain\n", "stdout") + &entry("with \"quotes\" and \u{e9}\t\n", "stderr");
        let lines = Lines::new(text.clone().into_bytes(), Arc::from(*b"\n"), 0);
        let mut records = Vec::new();
        assert_eq!(
            JsonFile::new(false, LIMIT).read(lines, &mut |record| records.push(record)),
            Kept::NOTHING
        );
        assert_eq!(records[0].time.unwrap().to_string(), "2026-11-23T02:00:00.123456789Z");
        assert_eq!(records[0].content.as_bytes(), b"plain");
        assert_eq!(records[1].content.as_bytes(), "with \"quotes\" and \u{e9}\t".as_bytes());
        assert_eq!(records[1].channel, Some(Channel::Stderr));
        assert_eq!(records[1].offset, text.find('\n').unwrap() as u64 + 1);
    }

    #[test]
    fn split_lines_are_joined_per_channel_and_hold_the_position() {
        let long = "x".repeat(SPLIT_AT);
        let first = entry(&long, "stdout");
        let between = entry("error\n", "stderr");
        let last = entry("end\n", "stdout");
        let mut records = JsonFile::new(false, LIMIT);
        let (seen, kept) = read(&mut records, &(first.clone() + &between), 100);
        assert_eq!(seen, [(100 + first.len() as u64, "error".to_owned(), "stderr")]);
        assert_eq!(kept.from, Some(100));
        let (seen, kept) = read(&mut records, &last, 1_000_000);
        assert_eq!(seen, [(100, format!("{long}end"), "stdout")]);
        assert_eq!(kept, Kept::NOTHING);
    }

    #[test]
    fn the_beginning_of_a_long_line_takes_no_memory() {
        let dir = tempfile::tempdir().unwrap();
        let mut records = JsonFile::new(false, LIMIT);
        records.joiner.keep_in(Arc::from(dir.path()));
        let part = entry(&"x".repeat(SPLIT_AT), "stdout");
        for nth in 0..20 {
            let (seen, kept) = read(&mut records, &(part.clone() + &entry("e\n", "stderr")), nth * 100_000);
            assert_eq!((seen.len(), kept.from), (1, Some(0)));
            assert_eq!(records.joiner.on_disk() > 0, nth >= 2);
        }
        let (seen, kept) = read(&mut records, &entry("end\n", "stdout"), 2_000_000);
        assert_eq!(seen, [(0, "x".repeat(20 * SPLIT_AT) + "end", "stdout")]);
        assert_eq!((kept, records.joiner.on_disk()), (Kept::NOTHING, 0));
    }

    #[test]
    fn the_last_words_without_an_end_of_line_are_a_line() {
        let mut records = JsonFile::new(false, LIMIT);
        let (seen, kept) = read(&mut records, &(entry("bye", "stdout") + &entry("again\n", "stdout")), 0);
        assert_eq!(seen.iter().map(|(_, text, _)| text.as_str()).collect::<Vec<_>>(), ["bye", "again"]);
        assert_eq!(kept, Kept::NOTHING);
        read(&mut records, &entry(&"y".repeat(SPLIT_AT), "stderr"), 0);
        let mut seen = Vec::new();
        let kept = records.flush(Flush::Rotated, &mut |record| seen.push(record));
        assert_eq!(kept, Kept { from: None, earlier: true });
        assert_eq!(records.flush(Flush::End, &mut |record| seen.push(record)), Kept::NOTHING);
        assert_eq!(seen.len(), 1);
    }

    /// Three records of one length, the middle one damaged by `damage`: which are read, and how many bytes are lost.
    fn damaged(damage: impl Fn(&mut Vec<u8>, std::ops::Range<usize>)) -> (Vec<String>, u64) {
        let lines = ["one\n", "two\n", "six\n"].map(|log| entry(log, "stdout"));
        let len = lines[0].len();
        let mut file = lines.concat().into_bytes();
        damage(&mut file, len..2 * len);
        let (mut records, mut seen) = (JsonFile::new(false, LIMIT), Vec::new());
        for _ in 0..2 {
            // The second time is after an output has given up.
            seen.clear();
            let lines = Lines::new(file.clone(), Arc::from(*b"\n"), 0);
            records.read(lines, &mut |record| {
                assert!(record.time.is_some());
                assert_eq!(record.offset % len as u64, 0, "named by its own place");
                seen.push(shown(record).1);
            });
        }
        (seen, records.take_unreadable())
    }

    #[test]
    fn damage_costs_no_neighbour_and_is_counted_once() {
        let len = entry("one\n", "stdout").len();
        // NUL bytes from any place of the record over its end.
        for from in 0..len {
            let (seen, lost) = damaged(|file, record| file[record][from..].fill(0));
            // All but the end of the line.
            if from == len - 1 {
                assert_eq!((seen, lost), (vec!["one".into(), "two".into(), "six".into()], 1));
            } else {
                assert_eq!((seen, lost), (vec!["one".into(), "six".into()], len as u64), "{from}");
            }
        }
        // From within one record into the next, which is lost too: the end of the first must not be that of the other.
        for (from, to) in [(len / 2, len + 3), (9, len + 10), (len - 10, 2 * len - 4)] {
            let (seen, lost) =
                damaged(|file, record| file[record.start + from - len..record.start + to - len].fill(0));
            assert_eq!((seen.last().map(String::as_str), lost), (Some("six"), 2 * len as u64 - 1), "{from}");
        }
        // A full disk: half a record, and the next right behind it.
        for keep in 1..len - 1 {
            let file =
                [&entry("one\n", "stdout").as_bytes()[..keep], entry("six\n", "stderr").as_bytes()].concat();
            let (mut records, mut seen) = (JsonFile::new(false, LIMIT), Vec::new());
            records.read(Lines::new(file, Arc::from(*b"\n"), 0), &mut |record| seen.push(shown(record)));
            assert_eq!(seen, [(keep as u64, "six".to_owned(), "stderr")], "{keep}");
            assert_eq!(records.take_unreadable(), keep as u64);
        }
    }

    #[test]
    fn half_a_long_line_is_not_joined_to_what_is_behind_the_damage() {
        let long = entry(&"x".repeat(SPLIT_AT), "stdout");
        let mut records = JsonFile::new(false, LIMIT);
        let (seen, kept) = read(&mut records, &(long + "\0\0\0" + &entry("next\n", "stdout")), 0);
        assert_eq!(seen.iter().map(|(_, text, _)| text.len()).collect::<Vec<_>>(), [SPLIT_AT, 4]);
        assert_eq!((kept, records.take_unreadable()), (Kept::NOTHING, 3));
    }

    #[test]
    fn a_terminals_carriage_return_is_no_part_of_the_line() {
        let split = "y".repeat(SPLIT_AT - 1) + "\r";
        let text =
            ["one\r\n", "50%\r100%\r\n", "\r\n", &split, "\n"].map(|log| entry(log, "stdout")).concat();
        let texts = |tty| -> Vec<String> {
            read(&mut JsonFile::new(tty, LIMIT), &text, 0).0.into_iter().map(|(_, text, _)| text).collect()
        };
        assert_eq!(texts(true), ["one", "50%\r100%", "", &split[..SPLIT_AT - 1]]);
        // A program's own.
        assert_eq!(texts(false), ["one\r", "50%\r100%\r", "\r", &split]);
    }

    #[test]
    fn the_file_and_the_api_give_the_same_lines() {
        use super::super::ApiLines;
        for tty in [false, true] {
            let logs = ["one\r\n", "two\n", "\n", "a\rb\n", "last\r"];
            let file = logs.map(|log| entry(log, "stdout")).concat();
            let from_file: Vec<_> = read(&mut JsonFile::new(tty, LIMIT), &file, 0)
                .0
                .into_iter()
                .map(|(_, text, _)| text)
                .collect();
            let api = logs.map(|log| format!("o.1 1 {}\n", log.trim_end_matches('\n'))).concat();
            let mut from_api = Vec::new();
            let lines = Lines::new(api.into_bytes(), Arc::from(*b"\n"), 0);
            ApiLines::new(tty, LIMIT).read(lines, &mut |record| from_api.push(shown(record).1));
            assert_eq!(from_file, from_api);
        }
    }
}
