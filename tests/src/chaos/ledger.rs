//! What was written, and what has arrived of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Record;

/// Shared by whoever sees records arrive.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    // By stream, how often each number has arrived.
    seen: HashMap<String, Vec<u8>>,
    written: HashMap<String, Vec<u64>>,
    // What went wrong last; and how many records came once more since, by that.
    trouble: String,
    again: BTreeMap<String, u64>,
    // Lines that are no records and were written all the same.
    torn: HashSet<String>,
    // Lines that are no records.
    damaged: Vec<String>,
}

impl Ledger {
    /// Takes down what has arrived.
    pub(super) fn arrived<'a>(&self, lines: impl IntoIterator<Item = &'a str>) {
        let mut locked = self.lock();
        let entries = &mut *locked;
        let mut again = 0;
        for line in lines {
            match Record::read(line) {
                Some(record) => {
                    if !entries.seen.contains_key(record.stream) {
                        entries.seen.insert(record.stream.to_owned(), Vec::new());
                    }
                    let seen = entries.seen.get_mut(record.stream).expect("was put there");
                    let index = usize::try_from(record.number).expect("numbers fit into memory");
                    if seen.len() <= index {
                        seen.resize(index + 1, 0);
                    }
                    again += u64::from(seen[index] > 0);
                    seen[index] = seen[index].saturating_add(1);
                }
                None => entries.damaged.push(line.to_owned()),
            }
        }
        if again > 0 {
            *entries.again.entry(entries.trouble.clone()).or_default() += again;
        }
    }

    /// What arrives once more from now on does so after `trouble`.
    pub(super) fn trouble(&self, trouble: String) {
        self.lock().trouble = trouble;
    }

    /// Forgets what has arrived of the streams that `which` names: they are looked at once more, from the beginning.
    pub(super) fn forget(&self, which: impl Fn(&str) -> bool) {
        self.lock().seen.retain(|stream, _| !which(stream));
    }

    /// Says which numbers a stream has to have, and which lines are damaged where they are read.
    pub(super) fn expect(&self, stream: &str, numbers: Vec<u64>, torn: Vec<String>) {
        let mut entries = self.lock();
        entries.written.insert(stream.to_owned(), numbers);
        entries.torn.extend(torn);
    }

    /// How many records are missing of the streams that `which` names.
    pub(super) fn missing(&self, which: impl Fn(&str) -> bool) -> u64 {
        let entries = self.lock();
        let streams = entries.written.keys().filter(|stream| which(stream));
        streams.map(|stream| entries.lost(stream).len() as u64).sum()
    }

    /// How many records have to be there of the streams that `which` names.
    pub(super) fn expected(&self, which: impl Fn(&str) -> bool) -> u64 {
        let entries = self.lock();
        entries
            .written
            .iter()
            .filter(|(stream, _)| which(stream))
            .map(|(_, numbers)| numbers.len() as u64)
            .sum()
    }

    /// Returns a line for each stream that lacks records, how many came once more by what went wrong before, and what
    /// else is wrong.
    pub(super) fn judge(&self) -> (Vec<String>, BTreeMap<String, u64>, Vec<String>) {
        let entries = self.lock();
        let mut lost = Vec::new();
        for (stream, numbers) in &entries.written {
            let missing = entries.lost(stream);
            if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
                let (missing, all) = (missing.len(), numbers.len());
                lost.push(format!("{stream}: {missing} of {all} are missing, between {first} and {last}"));
            }
        }
        let damaged = entries.damaged.iter().filter(|line| !entries.torn.contains(*line));
        let mut wrong: Vec<_> = damaged.map(|line| format!("damaged: {line:?}")).collect();
        for (stream, seen) in &entries.seen {
            let written: &[u64] = entries.written.get(stream).map_or(&[], Vec::as_slice);
            let arrived = seen.iter().filter(|count| **count > 0).count();
            let known = written.iter().filter(|number| entries.count(stream, **number) > 0).count();
            if arrived > known {
                wrong.push(format!("{stream}: {} records were never written", arrived - known));
            }
        }
        (lost, entries.again.clone(), wrong)
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn count(&self, stream: &str, number: u64) -> u8 {
        let index = usize::try_from(number).expect("numbers fit into memory");
        self.seen.get(stream).and_then(|seen| seen.get(index)).copied().unwrap_or_default()
    }

    fn lost(&self, stream: &str) -> Vec<u64> {
        let written = self.written.get(stream).into_iter().flatten();
        written.copied().filter(|number| self.count(stream, *number) == 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_doubled_or_invented_is_found() {
        let line = |number| {
            let mut line = Vec::new();
            Record { stream: "a", number }.write(&mut line, 0);
            String::from_utf8(line).unwrap().trim_end().to_owned()
        };
        let ledger = Ledger::default();
        let lines: Vec<_> = [0, 1, 1, 3, 9].map(line).into();
        ledger.trouble("a kill".to_owned());
        ledger.arrived(lines.iter().map(String::as_str).chain(["damaged", "torn"]));
        ledger.expect("a", vec![0, 1, 2, 3], vec!["torn".to_owned()]);
        assert_eq!(ledger.missing(|_| true), 1);
        let (lost, duplicates, wrong) = ledger.judge();
        assert_eq!(lost, ["a: 1 of 4 are missing, between 2 and 2"]);
        assert_eq!(duplicates, BTreeMap::from([("a kill".to_owned(), 1)]));
        assert_eq!(wrong, ["damaged: \"damaged\"", "a: 1 records were never written"]);
    }
}
