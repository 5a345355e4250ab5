//! The records of the daemon's logs API, in the form that `source::docker_logs` gives them.

use super::joiner::Joiner;
use super::{Channel, Record, Records};
use crate::event::{Blob, Timestamp};
use crate::source::{Content, Kept, Lines};

/// Unpacks the records and joins the lines that the daemon split.
#[derive(Debug)]
pub(crate) struct ApiLines {
    joiner: Joiner,
}

impl ApiLines {
    /// Of a container with a terminal (`tty`) or without.
    pub(crate) fn new(tty: bool, max_line_bytes: usize) -> Self {
        Self { joiner: Joiner::new(tty, max_line_bytes) }
    }
}

impl Records for ApiLines {
    fn read(&mut self, lines: Lines, emit: &mut dyn FnMut(Record)) -> Kept {
        for line in lines {
            let at = line.offset;
            let blob = line.content.into_blob();
            let Some(piece) = unpack(&blob, at, line.cut) else { continue };
            let (record, whole) = piece;
            self.joiner.add(record, whole, emit);
        }
        self.joiner.kept()
    }

    fn joiner(&mut self) -> Option<&mut Joiner> {
        Some(&mut self.joiner)
    }
}

fn unpack(blob: &Blob, at: u64, cut: u64) -> Option<(Record, bool)> {
    let bytes = blob.as_slice();
    let channel = match bytes.first()? {
        b'e' => Channel::Stderr,
        _ => Channel::Stdout,
    };
    let whole = bytes.get(1) == Some(&b'.');
    let time_end = 2 + memchr::memchr(b' ', bytes.get(2..)?)?;
    let count_end = time_end + 1 + memchr::memchr(b' ', bytes.get(time_end + 1..)?)?;
    let number = |range: std::ops::Range<usize>| std::str::from_utf8(&bytes[range]).ok()?.parse::<i64>().ok();
    let nanos = number(2..time_end)?;
    let count = number(time_end + 1..count_end)?;
    let offset = name(nanos.unsigned_abs(), channel, count.unsigned_abs());
    let time = Some(Timestamp::from_nanos(i128::from(nanos)));
    let content = Content::Bytes(blob.slice(count_end + 1..));
    Some((Record { content, offset, at, time, channel: Some(channel), cut }, whole))
}

/// Names a record for ever: its time, then its channel and its number, from 1, among those of the same time. A
/// nanosecond has four names; where there are more records, the clock is coarse and the next ones have none.
fn name(nanos: u64, channel: Channel, number: u64) -> u64 {
    (nanos + number.saturating_sub(1) / 4) * 8 + u64::from(channel == Channel::Stderr) * 4 + number % 4
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn records_of_the_same_time_have_names_of_their_own() {
        let mut names = BTreeSet::new();
        for micros in 0..2 {
            for channel in [Channel::Stdout, Channel::Stderr] {
                names.extend((1..=4000).map(|number| name(micros * 1000, channel, number)));
            }
        }
        assert_eq!(names.len(), 16_000);
    }
}
