//! Docker's `json-file` log: one JSON object for each line, or each 16 KiB of a longer one.

use jiff::Timestamp as Instant;
use serde::Deserialize;
use tracing::debug;

use super::joiner::Joiner;
use super::{Channel, Record, Records};
use crate::event::{Text, Timestamp};
use crate::source::{Content, Flush, Kept, Lines};

/// Unpacks the daemon's log and joins the lines that it split.
#[derive(Debug, Default)]
pub(crate) struct JsonFile {
    joiner: Joiner,
    unreadable: u64,
}

/// The daemon splits after this many bytes; a shorter piece without an end of line is the program's last.
const SPLIT_AT: usize = 16 << 10;

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
            let offset = line.offset;
            let Some(Piece { content, whole, channel, time }) = unpack(line.content) else {
                // A crash of the machine leaves such lines behind.
                self.unreadable += 1;
                debug!(offset, count = self.unreadable, "Line of the daemon's log is not readable");
                continue;
            };
            let whole = whole || content.len() < SPLIT_AT;
            let record =
                Record { content: Content::Text(content), offset, at: offset, time, channel: Some(channel) };
            self.joiner.add(record, whole, emit);
        }
        self.joiner.kept()
    }

    fn flush(&mut self, reason: Flush, emit: &mut dyn FnMut(Record)) -> Kept {
        self.joiner.flush(reason, emit)
    }

    fn reset(&mut self) {
        self.joiner = Joiner::default();
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

fn unpack(line: Content) -> Option<Piece> {
    let text = match line {
        Content::Text(text) => text,
        // The daemon writes UTF-8; a block with a damaged line in it has good ones too.
        Content::Bytes(bytes) => Text::try_from(bytes).ok()?,
    };
    if let Some(found) = unpack_usual(&text) {
        return Some(found);
    }
    let entry: Entry<'_> = serde_json::from_str(&text).ok()?;
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
    let (stream, rest) = rest.split_once(r#"","time":""#)?;
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
        assert_eq!(JsonFile::default().read(lines, &mut |record| records.push(record)), Kept::NOTHING);
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
        let mut records = JsonFile::default();
        let (seen, kept) = read(&mut records, &(first.clone() + &between), 100);
        assert_eq!(seen, [(100 + first.len() as u64, "error".to_owned(), "stderr")]);
        assert_eq!(kept.from, Some(100));
        let (seen, kept) = read(&mut records, &last, 1_000_000);
        assert_eq!(seen, [(100, format!("{long}end"), "stdout")]);
        assert_eq!(kept, Kept::NOTHING);
    }

    #[test]
    fn the_last_words_without_an_end_of_line_are_a_line() {
        let mut records = JsonFile::default();
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

    #[test]
    fn a_damaged_line_does_not_stop_the_others() {
        let mut records = JsonFile::default();
        let (seen, _) =
            read(&mut records, &format!("{{\"log\":\"cut\n\0\0\n{}", entry("fine\n", "stdout")), 0);
        assert_eq!(seen.len(), 1);
    }
}
