//! Which record of a container's output was the last to arrive, and where it is among what the daemon gives.
//!
//! Only the order in which the daemon gives records is the same each time. Their times are not unique, they are not in
//! order between the two channels, and they go back with the clock: so a record is not behind another one because it
//! is younger.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Record;
use crate::checksum::checksum;

/// A record, to be known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    channel: char,
    // In nanoseconds since 1970.
    time: i64,
    // Among those of the same time that follow one another on its channel.
    number: u32,
    // Of its first bytes; earlier versions did not keep it.
    content: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Mark(Mark),
    /// What earlier versions kept: the last time of each channel, and how many records had it.
    LastTimes(BTreeMap<char, (i64, u32)>),
}

/// So much of a record tells it from others of the same nanosecond.
const HASHED: usize = 64;

impl Mark {
    /// Of a record with its number, see [`Numbers`].
    pub(super) fn of(record: &Record, number: u32) -> Self {
        let content = checksum(&record.content[..record.content.len().min(HASHED)]);
        Self { channel: record.channel, time: record.time, number, content: Some(content) }
    }

    /// From the text that was kept; `None` where nothing has arrived yet.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match serde_json::from_str(text).ok()? {
            Stored::Mark(mark) => Some(mark),
            Stored::LastTimes(times) => {
                let (channel, (time, number)) = times.into_iter().max_by_key(|(_, (time, _))| *time)?;
                Some(Self { channel, time, number, content: None })
            }
        }
    }

    /// When the record was written.
    pub(super) fn time(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(self.time.into()).unwrap_or_default()
    }

    fn is(&self, record: &Record, number: u32) -> bool {
        (self.channel, self.time, self.number) == (record.channel, record.time, number)
            && (self.content.is_none() || self.content == Self::of(record, number).content)
    }
}

/// Numbers the records of each channel that have the same time and follow one another.
#[derive(Debug, Default)]
pub(super) struct Numbers([Option<(i64, u32)>; 2]);

impl Numbers {
    pub(super) fn next(&mut self, record: &Record) -> u32 {
        let last = &mut self.0[record.channel_index()];
        let number = last.filter(|(time, _)| *time == record.time).map_or(1, |(_, number)| number + 1);
        *last = Some((record.time, number));
        number
    }
}

/// Looks for a mark among the records of a window: all there are, or only the last ones.
#[derive(Debug)]
pub(super) struct Search {
    mark: Mark,
    // The time with which each channel begins, where there may be more records of it in front of the window: their
    // numbers are not known.
    first: Option<[Option<i64>; 2]>,
}

impl Search {
    pub(super) fn new(mark: Mark, window_is_all: bool) -> Self {
        Self { mark, first: (!window_is_all).then(Default::default) }
    }

    /// Whether it is this record, the next one of the window.
    pub(super) fn is_at(&mut self, record: &Record, number: u32) -> bool {
        if let Some(first) = &mut self.first
            && *first[record.channel_index()].get_or_insert(record.time) == record.time
        {
            return false;
        }
        self.mark.is(record, number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(channel: char, time: i64, content: &str) -> Record {
        Record { channel, time, content: content.as_bytes().to_vec(), whole: true }
    }

    /// The records behind the mark, if it is found.
    fn behind(mark: Mark, window: &[Record], is_all: bool) -> Option<usize> {
        let (mut numbers, mut search) = (Numbers::default(), Search::new(mark, is_all));
        let at = window.iter().position(|record| {
            let number = numbers.next(record);
            search.is_at(record, number)
        })?;
        Some(window.len() - at - 1)
    }

    fn mark_of(records: &[Record]) -> Mark {
        let mut numbers = Numbers::default();
        records.iter().map(|record| Mark::of(record, numbers.next(record))).last().unwrap()
    }

    proptest! {
        /// A coarse clock that goes back now and then, two channels, few contents: wherever reading stopped it goes on
        /// there, or is told that it has to look further back.
        #[test]
        fn reading_goes_on_where_it_was(
            steps in prop::collection::vec((any::<bool>(), -1_i64..3, "[ab]"), 2..60),
            stopped in any::<prop::sample::Index>(),
            window in any::<prop::sample::Index>(),
        ) {
            let (mut clock, mut time) = (0, 0);
            let records: Vec<Record> = steps.iter().enumerate().map(|(at, (error, step, content))| {
                // It may stand; it does not come to the same nanosecond twice.
                if *step != 0 {
                    clock += step;
                    time = clock * 1000 + at as i64;
                }
                record(if *error { 'e' } else { 'o' }, time, content)
            }).collect();
            let stopped = 1 + stopped.index(records.len() - 1);
            let mark = mark_of(&records[..stopped]);
            prop_assert_eq!(behind(mark, &records, true), Some(records.len() - stopped));
            let window = &records[window.index(records.len())..];
            let found = behind(mark, window, false);
            prop_assert!(found.is_none() || found == Some(records.len() - stopped), "{:?}", found);
        }
    }

    #[test]
    fn what_earlier_versions_kept_is_the_youngest_record() {
        let mark = Mark::parse(r#"{"e":[7,1],"o":[9,2]}"#).unwrap();
        let all = [record('e', 7, "a"), record('o', 9, "b"), record('o', 9, "c"), record('e', 8, "d")];
        assert_eq!(behind(mark, &all, true), Some(1));
        let now = mark_of(&all);
        assert_eq!(Mark::parse(&serde_json::to_string(&Some(now)).unwrap()), Some(now));
        for nothing in ["null", "{}", ""] {
            assert_eq!(Mark::parse(nothing), None);
        }
    }
}
