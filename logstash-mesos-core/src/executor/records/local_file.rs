//! The files of Docker's log driver `local`, which are also the copies that the daemon keeps for drivers it cannot read
//! (`container-cached.log`): messages of protobuf, each between its length and its length once more, four bytes in
//! network order. `api/types/plugins/logdriver/entry.proto` of Moby says what is in them.

use memchr::memmem;
use prost::Message;

use super::joiner::Joiner;
use super::{Channel, Record, Records, SPLIT_AT};
use crate::event::{Blob, Timestamp};
use crate::source::{Content, Flush, Kept, Lines};

/// Unpacks the daemon's log and joins the lines that it split. It is given blocks, and cuts them itself.
///
/// A line is copied once, out of its block; a block is copied once more if a message began in the one before.
#[derive(Debug)]
pub(crate) struct LocalFile {
    joiner: Joiner,
    // The beginning of a message, and where it is in the file.
    half: (u64, Vec<u8>),
}

/// What is at a place of the file.
enum Found {
    /// A message, and how many bytes it takes.
    Entry(Entry, usize),
    /// Its end is not there yet.
    Half,
    /// Bytes that are no message, as after a power cut.
    Damage,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    source: String,
    #[prost(int64, tag = "2")]
    time_nano: i64,
    #[prost(bytes = "vec", tag = "3")]
    line: Vec<u8>,
    #[prost(bool, tag = "4")]
    partial: bool,
    #[prost(message, optional, tag = "5")]
    piece: Option<Piece>,
}

/// Which piece of a line it is that was split.
#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(bool, tag = "1")]
    last: bool,
}

/// The length before a message, and behind it.
const LENGTH: usize = 4;
/// The daemon splits lines long before that.
const LONGEST: usize = 1 << 20;
/// How a message begins behind its length: the field `source`, of six bytes, `stdout` or `stderr`.
const START: &[u8] = b"\x0a\x06std";

impl LocalFile {
    /// Of a container with a terminal (`tty`) or without.
    pub(crate) fn new(tty: bool, max_line_bytes: usize) -> Self {
        let joiner = Joiner::new(tty, max_line_bytes);
        Self { joiner, half: (0, Vec::new()) }
    }

    fn add(&mut self, entry: Entry, offset: u64, emit: &mut dyn FnMut(Record)) {
        let channel = if entry.source == "stderr" { Channel::Stderr } else { Channel::Stdout };
        let is_last = !entry.partial || entry.piece.is_some_and(|piece| piece.last);
        // A shorter piece is the program's last, without an end of line.
        let whole = is_last || entry.line.len() < SPLIT_AT;
        let record = Record {
            content: Content::Bytes(Blob::from(entry.line)),
            offset,
            at: offset,
            time: Some(Timestamp::from_nanos(entry.time_nano.into())),
            channel: Some(channel),
            cut: 0,
        };
        self.joiner.add(record, whole, emit);
    }

    /// Reads what is whole in `bytes`, which begin at `offset`. Returns how many bytes that were.
    fn unpack(&mut self, bytes: &[u8], offset: u64, emit: &mut dyn FnMut(Record)) -> usize {
        let mut at = 0;
        loop {
            match found(&bytes[at..]) {
                Found::Entry(entry, len) => {
                    self.add(entry, offset + at as u64, emit);
                    at += len;
                }
                Found::Half => return at,
                // The message before was torn just where it ended, and the length of this one was taken for its own.
                Found::Damage if at >= LENGTH && bytes[at..].starts_with(START) => at -= LENGTH,
                Found::Damage => {
                    self.joiner.give_up(emit);
                    // Behind its own beginning, if it has one.
                    let behind = at + LENGTH + 1;
                    let start = memmem::find(bytes.get(behind..).unwrap_or_default(), START);
                    // A beginning may go on in the next block.
                    let rest = bytes.len().saturating_sub(LENGTH + START.len() - 1).max(at);
                    let next = start.map_or(rest, |start| behind + start - LENGTH);
                    let lost = (next - at) as u64;
                    self.joiner.damage.met(offset + at as u64, lost, lost);
                    if start.is_none() {
                        return next;
                    }
                    at = next;
                }
            }
        }
    }
}

fn found(bytes: &[u8]) -> Found {
    let length = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + LENGTH)?.try_into().ok()?) as usize);
    let Some(len) = length(0) else { return Found::Half };
    if len > LONGEST {
        return Found::Damage;
    }
    let Some(behind) = length(LENGTH + len) else { return Found::Half };
    let message = &bytes[LENGTH..LENGTH + len];
    match Entry::decode(message) {
        Ok(entry) if behind == len && len > 0 => Found::Entry(entry, LENGTH + len + LENGTH),
        _ => Found::Damage,
    }
}

impl Records for LocalFile {
    fn read(&mut self, blocks: Lines, emit: &mut dyn FnMut(Record)) -> Kept {
        for block in blocks {
            let content = block.content.into_blob();
            let (offset, mut bytes) = std::mem::take(&mut self.half);
            let half = if bytes.is_empty() {
                let read = self.unpack(&content, block.offset, emit);
                (block.offset + read as u64, content[read..].to_vec())
            } else {
                bytes.extend_from_slice(&content);
                let read = self.unpack(&bytes, offset, emit);
                (offset + read as u64, bytes.split_off(read))
            };
            self.half = half;
        }
        let (at, half) = &self.half;
        self.joiner.kept().and(Kept { from: (!half.is_empty()).then_some(*at), earlier: false })
    }

    fn cuts_blocks(&self) -> bool {
        true
    }

    fn flush(&mut self, reason: Flush, emit: &mut dyn FnMut(Record)) -> Kept {
        let mut kept = Kept::NOTHING;
        if reason == Flush::Idle {
            let (at, half) = &self.half;
            kept.from = (!half.is_empty()).then_some(*at);
        } else {
            // No more of it will come.
            let (at, half) = std::mem::take(&mut self.half);
            self.joiner.damage.met(at, half.len() as u64, half.len() as u64);
        }
        self.joiner.flush(reason, emit).and(kept)
    }

    fn joiner(&mut self) -> Option<&mut Joiner> {
        Some(&mut self.joiner)
    }

    fn reset(&mut self) {
        self.half = (0, Vec::new());
        self.joiner.forget();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LIMIT: usize = 10 << 20;

    fn entry(line: &str, source: &str) -> Vec<u8> {
        piece(Entry { line: line.into(), source: source.into(), time_nano: 7, ..Entry::default() })
    }

    fn piece(entry: Entry) -> Vec<u8> {
        let message = entry.encode_to_vec();
        let len = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&len[..], &message, &len].concat()
    }

    fn block(bytes: &[u8], offset: u64) -> Lines {
        Lines::new(bytes.to_vec(), Arc::from(*b""), offset)
    }

    fn read(records: &mut LocalFile, bytes: &[u8], offset: u64) -> (Vec<(u64, String, &'static str)>, Kept) {
        let mut seen = Vec::new();
        let kept = records.read(block(bytes, offset), &mut |record| {
            let text = String::from_utf8(record.content.as_bytes().to_vec()).unwrap();
            seen.push((record.offset, text, record.channel.unwrap().as_str()));
        });
        (seen, kept)
    }

    /// As Docker 20.10 writes `hi` to a terminal.
    #[test]
    fn what_the_daemon_writes_is_read() {
        let file =
            b"\0\0\0\x17\x0a\x06stdout\x10\xa8\xde\xca\xe1\xb0\x91\xa3\xf6\x18\x1a\x03hi\x0d\0\0\0\x17";
        let mut seen = Vec::new();
        let kept = LocalFile::new(true, LIMIT).read(block(file, 0), &mut |record| seen.push(record));
        assert_eq!(kept, Kept::NOTHING);
        assert_eq!((seen.len(), seen[0].content.as_bytes()), (1, &b"hi"[..]));
        assert_eq!(seen[0].time.unwrap().to_string(), "2026-11-29T15:08:00.246976296Z");
    }

    #[test]
    fn wherever_blocks_end_each_record_comes_whole_and_holds_its_position() {
        let entries = [entry("one\ntwo", "stdout"), entry("", "stderr"), entry("three", "stdout")];
        let file = entries.concat();
        let starts = [0, entries[0].len() as u64, (entries[0].len() + entries[1].len()) as u64];
        for cut in 0..=file.len() {
            let mut records = LocalFile::new(false, LIMIT);
            let (mut seen, kept) = read(&mut records, &file[..cut], 0);
            let next = starts.iter().copied().rfind(|start| *start <= cut as u64).unwrap();
            let is_within = next < cut as u64 && cut < file.len();
            assert_eq!(kept.from, is_within.then_some(next), "{cut}");
            let (more, kept) = read(&mut records, &file[cut..], cut as u64);
            seen.extend(more);
            let texts = [
                (starts[0], "one\ntwo", "stdout"),
                (starts[1], "", "stderr"),
                (starts[2], "three", "stdout"),
            ];
            assert!(
                seen.iter().map(|(at, text, channel)| (*at, text.as_str(), *channel)).eq(texts),
                "{cut}: {seen:?}"
            );
            assert_eq!((kept, records.take_unreadable()), (Kept::NOTHING, 0));
        }
    }

    #[test]
    fn split_lines_are_joined() {
        let long = "x".repeat(SPLIT_AT);
        let part = |line: &str, last| {
            let piece_of = Some(Piece { last });
            piece(Entry {
                line: line.into(),
                source: "stdout".into(),
                partial: true,
                piece: piece_of,
                ..Entry::default()
            })
        };
        // The last piece may be as long as the others.
        let file = [part(&long, false), part(&long, true), part(&long, false), part("bye", false)].concat();
        let (seen, kept) = read(&mut LocalFile::new(false, LIMIT), &file, 0);
        let lengths: Vec<usize> = seen.iter().map(|(_, text, _)| text.len()).collect();
        assert_eq!((lengths, kept), (vec![2 * SPLIT_AT, SPLIT_AT + 3], Kept::NOTHING));
    }

    #[test]
    fn damage_costs_no_neighbour_and_is_counted_once() {
        let entries = ["one", "two", "six"].map(|line| entry(line, "stdout"));
        let len = entries[0].len();
        let whole = entries.concat();
        for from in 0..len {
            // A power cut leaves NUL bytes, a full disk half a message with the next one right behind it.
            let mut zeros = whole.clone();
            zeros[len + from..2 * len].fill(0);
            let half = [&whole[..len + from], &entries[2]].concat();
            let torn_behind = from == len - LENGTH;
            for (file, lost, is_whole) in [(zeros, len, false), (half, from, torn_behind)] {
                let (texts, lost) = match is_whole {
                    true => (&["one", "two", "six"][..], 0),
                    false => (&["one", "six"][..], lost as u64),
                };
                let mut records = LocalFile::new(false, LIMIT);
                for _ in 0..2 {
                    // The second time is after an output has given up.
                    let (seen, kept) = read(&mut records, &file, 0);
                    let read: Vec<&str> = seen.iter().map(|(_, text, _)| text.as_str()).collect();
                    assert_eq!((&read[..], kept), (texts, Kept::NOTHING), "{from}");
                    assert_eq!(seen.last().map(|(at, ..)| *at), Some((file.len() - len) as u64));
                }
                assert_eq!(records.take_unreadable(), lost, "{from}");
            }
        }
    }

    #[test]
    fn the_beginning_of_a_message_that_does_not_go_on_is_lost_with_its_file() {
        let mut records = LocalFile::new(false, LIMIT);
        let bytes = entry("one", "stdout");
        let (_, kept) = read(&mut records, &bytes[..9], 40);
        assert_eq!((kept.from, records.flush(Flush::Idle, &mut |_| {}).from), (Some(40), Some(40)));
        assert_eq!(records.flush(Flush::Rotated, &mut |_| {}), Kept::NOTHING);
        assert_eq!(records.take_unreadable(), 9);
        assert_eq!(read(&mut records, &bytes, 0).0.len(), 1);
    }
}
