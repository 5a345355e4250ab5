//! A queue on disk against a list, with a crash at any moment: what an append had returned for is there, once or again
//! and in order, and half an append harms nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::budget::Budget;
use super::queue::{Damage, DiskQueue, Limits};
use super::window::Ticket;
use crate::event::Text;
use crate::sink::RecordBatch;

#[derive(Clone, Debug)]
enum Step {
    /// Batches with records of so many bytes.
    Append {
        batches: Vec<Vec<usize>>,
        /// Whether the first of them is on its way already.
        sent: bool,
    },
    Read {
        most_bytes: usize,
    },
    /// One of those on their way.
    Arrive(usize),
    WindBack,
    /// Closed and opened.
    Reopen,
    /// The power goes while this is appended.
    Crash {
        appending: Vec<Vec<usize>>,
        power: Power,
    },
}

/// What is left of that which was not synced.
#[derive(Clone, Copy, Debug)]
struct Power {
    /// How much of what was written last, in 1/1000.
    written: usize,
    /// Whether the file has its new length all the same, with NUL bytes.
    holes: bool,
    /// How many writes of the head are forgotten.
    heads: usize,
    /// How many removals of segments are forgotten.
    removals: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let batches = || proptest::collection::vec(proptest::collection::vec(0_usize..200, 1..6), 1..4);
    let power = (0..=1000_usize, any::<bool>(), 0..4_usize, 0..3_usize)
        .prop_map(|(written, holes, heads, removals)| Power { written, holes, heads, removals });
    prop_oneof![
        4 => (batches(), any::<bool>()).prop_map(|(batches, sent)| Step::Append { batches, sent }),
        4 => (1..2000_usize).prop_map(|most_bytes| Step::Read { most_bytes }),
        4 => any::<usize>().prop_map(Step::Arrive),
        1 => Just(Step::WindBack),
        1 => Just(Step::Reopen),
        2 => (prop_oneof![batches(), Just(Vec::new())], power)
            .prop_map(|(appending, power)| Step::Crash { appending, power }),
    ]
}

type Record = (Option<Text>, Vec<u8>);

const LIMITS: Limits = Limits { most_bytes: 6000, segment_bytes: 900 };

struct Model {
    queue: Option<DiskQueue>,
    budget: Arc<Budget>,
    /// All that is safely in the queue, from its first day; how many of them have arrived without a gap, and which others.
    kept: Vec<Record>,
    arrived: usize,
    done: BTreeSet<usize>,
    /// Read, and where the next read begins.
    on_the_way: Vec<(Ticket, Vec<usize>)>,
    read: usize,
    made: usize,
    heads: Vec<Vec<u8>>,
    removed: Vec<(String, Vec<u8>)>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Model {
    fn open(dir: &Path) -> Self {
        Self::with(dir, 1 << 20)
    }

    fn with(dir: &Path, budget: u64) -> Self {
        let budget = Arc::new(Budget::new(budget));
        let queue = Some(DiskQueue::open(dir, LIMITS, &budget).unwrap());
        Self {
            queue,
            budget,
            kept: Vec::new(),
            arrived: 0,
            done: BTreeSet::new(),
            on_the_way: Vec::new(),
            read: 0,
            made: 0,
            heads: Vec::new(),
            removed: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    fn queue(&mut self) -> &mut DiskQueue {
        self.queue.as_mut().unwrap()
    }

    fn batch(&mut self, sizes: &[usize]) -> (RecordBatch, Vec<Record>) {
        let (mut batch, mut records) = (RecordBatch::default(), Vec::new());
        for size in sizes {
            self.made += 1;
            let route = self.made.is_multiple_of(3).then(|| Text::from(format!("route {}", self.made)));
            let mut body = format!("{} ", self.made).into_bytes();
            // It may look like the beginning of a record.
            body.extend(b"LMq\x01".iter().cycle().take(*size));
            batch.body.extend_from_slice(&body);
            batch.finish_record(route.clone());
            records.push((route, body));
        }
        (batch, records)
    }

    /// The first of them is on its way already, if `sent`.
    fn append(&mut self, sizes: &[Vec<usize>], sent: bool) -> Vec<Record> {
        let (batches, records): (Vec<_>, Vec<_>) = sizes.iter().map(|sizes| self.batch(sizes)).unzip();
        let bytes = self.queue().waiting_bytes();
        match self.queue().append(&batches.iter().collect::<Vec<_>>(), sent.into()).unwrap() {
            Some(tickets) => {
                for ticket in tickets {
                    let behind = self.read + records[0].len();
                    self.on_the_way.push((ticket, (self.read..behind).collect()));
                    self.read = behind;
                }
                records.into_iter().flatten().collect()
            }
            None => {
                assert!(bytes > 0, "there is no room in an empty queue");
                Vec::new()
            }
        }
    }

    fn read(&mut self, most_bytes: usize) -> Vec<Record> {
        let Some(chunk) = self.queue().read(most_bytes, 4).unwrap() else { return Vec::new() };
        let records = chunk.records;
        assert!(records.len() <= 4 && (records.len() == 1 || records.body.len() <= most_bytes));
        let due = (self.read..).filter(|index| !self.done.contains(index)).take(records.len());
        self.on_the_way.push((chunk.ticket, due.collect()));
        (0..records.len()).map(|at| (records.records[at].route.clone(), records.bytes(at).to_vec())).collect()
    }

    fn wind_back(&mut self) {
        self.queue().wind_back();
        self.on_the_way.clear();
        self.read = self.arrived;
    }

    /// Notes what a power cut may bring back.
    fn look(&mut self, dir: &Path) {
        let now = files(dir);
        for (name, bytes) in &self.files {
            if !now.contains_key(name) {
                self.removed.push((name.clone(), bytes.clone()));
            }
        }
        if let Some(head) = now.get("head")
            && self.heads.last() != Some(head)
        {
            self.heads.push(head.clone());
        }
        self.files = now;
    }

    /// Lets the directory be as a power cut leaves it, when all of `self.files` was synced but the head, and nothing that
    /// came to it since.
    fn cut(&self, dir: &Path, power: Power) {
        let synced = |name: &str| self.files.get(name).map_or(0, Vec::len);
        let grown =
            files(dir).into_iter().filter(|(name, bytes)| name != "head" && bytes.len() > synced(name));
        let grown: Vec<_> = grown.collect();
        let new: usize = grown.iter().map(|(name, bytes)| bytes.len() - synced(name)).sum();
        let mut left = new * power.written / 1000;
        let mut cut = false;
        for (name, mut bytes) in grown {
            // A segment is begun when the one before it is synced.
            if cut {
                fs::remove_file(dir.join(name)).unwrap();
                continue;
            }
            let kept = bytes.len().min(synced(&name) + left);
            left -= kept - synced(&name);
            cut = kept < bytes.len();
            if power.holes {
                bytes[kept..].fill(0);
            } else {
                bytes.truncate(kept);
            }
            fs::write(dir.join(name), bytes).unwrap();
        }
        if let Some(at) = self.heads.len().checked_sub(1 + power.heads) {
            fs::write(dir.join("head"), &self.heads[at]).unwrap();
        } else if power.heads == 3 {
            // Torn.
            fs::write(dir.join("head"), b"half").unwrap();
        }
        for (name, bytes) in self.removed.iter().rev().take(power.removals) {
            // A name that was given again is that of the new file.
            if !dir.join(name).exists() {
                fs::write(dir.join(name), bytes).unwrap();
            }
        }
    }

    /// Opens it again. `torn` is what an append had not returned for.
    fn reopen(&mut self, dir: &Path, torn: &[Record]) {
        self.queue = None;
        assert!(self.budget.more_is_left(1 << 20), "a closed queue takes nothing of the budget");
        self.queue = Some(DiskQueue::open(dir, LIMITS, &self.budget).unwrap());
        let mut found = Vec::new();
        loop {
            let more = self.read(700);
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        let all: Vec<Record> = self.kept.iter().chain(torn).cloned().collect();
        let begins = found.first().map(|first| all.iter().position(|record| record == first).unwrap());
        let begins = begins.unwrap_or(self.kept.len());
        assert!(begins <= self.arrived, "{} to {begins} are gone", self.arrived);
        assert!(begins + found.len() >= self.kept.len(), "the last of {} are gone", self.kept.len());
        assert_eq!(found, all[begins..begins + found.len()]);
        self.kept = all[..begins + found.len()].to_vec();
        self.arrived = begins;
        self.done.clear();
        self.wind_back();
        (self.heads, self.removed) = (Vec::new(), Vec::new());
        self.files = files(dir);
    }

    fn step(&mut self, step: &Step, dir: &Path) {
        match step {
            Step::Append { batches, sent } => {
                let appended = self.append(batches, *sent && self.read == self.kept.len());
                assert!(appended.is_empty() || self.queue().waiting_bytes() <= LIMITS.most_bytes);
                self.kept.extend(appended);
            }
            Step::Read { most_bytes } => {
                let due: Vec<usize> =
                    (self.read..self.kept.len()).filter(|index| !self.done.contains(index)).collect();
                let records = self.read(*most_bytes);
                let expected: Vec<_> =
                    due.iter().take(records.len()).map(|index| self.kept[*index].clone()).collect();
                assert_eq!(records, expected);
                assert_eq!(records.is_empty(), due.is_empty());
                self.read = due.get(records.len()).copied().unwrap_or(self.kept.len());
            }
            Step::Arrive(which) => {
                if let Some(at) = which.checked_rem(self.on_the_way.len()) {
                    let (ticket, records) = self.on_the_way.remove(at);
                    self.queue().arrived(ticket);
                    self.done.extend(records);
                    while self.done.remove(&self.arrived) {
                        self.arrived += 1;
                    }
                }
            }
            Step::WindBack => self.wind_back(),
            Step::Reopen => self.reopen(dir, &[]),
            Step::Crash { appending, power } => {
                let torn = self.append(appending, false);
                self.queue = None;
                self.cut(dir, *power);
                self.reopen(dir, &torn);
            }
        }
        let waiting = (self.kept.len() - self.arrived - self.done.len()) as u64;
        let queue = self.queue.as_ref().unwrap();
        assert_eq!(
            (queue.events(), queue.is_empty(), queue.lost()),
            (waiting, waiting == 0, Damage::default())
        );
        self.look(dir);
    }
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn a_queue_on_disk_is_a_list_whatever_crashes(steps in proptest::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let mut model = Model::open(dir.path());
        model.look(dir.path());
        for step in &steps {
            model.step(step, dir.path());
        }
    }
}

#[test]
fn a_damaged_record_costs_that_record_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::open(dir.path());
    let records = model.append(&[vec![100; 5], vec![100; 5], vec![100; 5]], false);
    let segment = dir.path().join("00000000000000000000.records");
    let mut bytes = fs::read(&segment).unwrap();
    // In the third record, and in the last of this segment.
    let end = bytes.len();
    let size = end as u64;
    (bytes[300], bytes[end - 1]) = (bytes[300] ^ 1, bytes[end - 1] ^ 1);
    fs::write(&segment, bytes).unwrap();
    let mut found = Vec::new();
    loop {
        let more = model.read(700);
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    assert_eq!(found, [&records[..2], &records[3..9], &records[10..]].concat());
    let each = size / 10;
    let lost = model.queue().lost();
    assert!(lost.records == 2 && lost.bytes.abs_diff(2 * each) < 10, "{lost:?} of {each} each");
    model.on_the_way.clone().into_iter().for_each(|(ticket, _)| model.queue().arrived(ticket));
    assert!(model.queue().is_empty());
}

#[test]
fn a_queue_takes_no_more_than_all_of_them_may() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::with(dir.path(), 400);
    assert_eq!(model.append(&[vec![10]], false).len(), 1);
    assert!(model.append(&[vec![100], vec![100], vec![100]], false).is_empty());
    assert_eq!(model.append(&[vec![100], vec![100]], false).len(), 2);
    assert!(model.append(&[vec![100]], false).is_empty());
    while !model.read(1000).is_empty() {}
    model.on_the_way.clone().into_iter().for_each(|(ticket, _)| model.queue().arrived(ticket));
    assert_eq!(model.append(&[vec![100]], false).len(), 1, "what has arrived needs no room");
}
