//! Chaos: writers number their records, faults of every kind happen at random, and in the end every record is there.
//!
//! One machine of a real cluster ships what one container writes: files in a volume and in its own layer, rotated in six
//! ways at any pace, and its standard output, which Docker rotates. Half of it goes to OpenSearch, half through a second
//! configuration to a receiver that can misbehave. All that is random comes from one seed. What the threads and the kernel make of it differs from run to run all the same.

mod faults;
mod ledger;
mod receiver;
mod record;
mod system;
mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use self::faults::Fault;
use self::ledger::Ledger;
use self::record::Record;
use self::system::System;
use self::writer::{Rotation, Writer};
use crate::place::Place;

/// What is written, and for how long faults happen.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where everything random comes from.
    pub seed: u64,
    /// How many records are written for the receiver.
    pub received: u64,
    /// How many for OpenSearch.
    pub searched: u64,
    /// How long that takes at least.
    pub time: Duration,
    /// The name of the one fault that happens, as a report has it; all of them if none.
    pub only: Option<String>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// How many records were written for the receiver.
    pub received: u64,
    /// How many for OpenSearch.
    pub searched: u64,
    /// Those that never arrived: a line for each stream that lacks any.
    pub lost: Vec<String>,
    /// How often a record arrived once more at the receiver, by what had gone wrong last. The search engine overwrites
    /// those.
    pub duplicates: BTreeMap<String, u64>,
    /// What arrived and was never written, or damaged.
    pub wrong: Vec<String>,
    /// What happened, by name.
    pub faults: Vec<(&'static str, u32)>,
    /// How often a file was rotated.
    pub rotations: u64,
    /// From the first record to the last arrival.
    pub took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after: Vec<_> =
            self.duplicates.iter().map(|(trouble, count)| format!("{count} after {trouble}")).collect();
        let faults: Vec<_> = self.faults.iter().map(|(name, count)| format!("{name} {count}")).collect();
        write!(
            f,
            "{} records to the receiver and {} to OpenSearch in {} s, {} rotations, faults: {}: {} streams lack records, {} \
             duplicates ({}), {} wrong",
            self.received,
            self.searched,
            self.took.as_secs(),
            self.rotations,
            faults.join(", "),
            self.lost.len(),
            self.duplicates.values().sum::<u64>(),
            after.join(", "),
            self.wrong.len()
        )
    }
}

/// The files, and how they are rotated. Those whose names begin with `search` go to OpenSearch, and that of the layer lies
/// there.
const FILES: [(&str, Rotation); 7] = [
    ("receive-renamed", Rotation::Renamed),
    ("search-copied", Rotation::Copied),
    ("search-dated", Rotation::Dated),
    ("receive-packed", Rotation::Packed),
    ("search-layer", Rotation::Renamed),
    ("search-late", Rotation::PackedLater),
    ("receive-cut", Rotation::CopiedPacked),
];
const STDOUT: &str = "receive-stdout";

/// Writes, breaks, mends, and waits until everything has arrived or nothing more comes.
#[must_use]
pub fn run(plan: &Plan) -> Report {
    println!("chaos: {plan:?}");
    let place = Place::new("chaos");
    let ledger = Ledger::default();
    let mut system = System::start(&place, &ledger);
    let mut rng = Rng::with_seed(plan.seed);
    let only = plan.only.as_deref();

    let searching = FILES.iter().filter(|(name, _)| is_searched(name)).count() as u64;
    let receiving = FILES.len() as u64 + 1 - searching;
    let each = |name| if is_searched(name) { plan.searched / searching } else { plan.received / receiving };
    let mut writers: Vec<_> = FILES
        .iter()
        .map(|&(name, rotation)| {
            let directory = if name == "search-layer" { system.layer() } else { system.volume() };
            (name, Writer::file(&directory, name, rotation, rng.fork()))
        })
        .collect();
    // What was rotated before anybody has seen its stream is no part of that.
    system.await_streams(FILES.map(|(name, _)| name));
    writers.push((STDOUT, Writer::pipe(&system.pipe(), STDOUT, rng.fork())));
    let began = Instant::now();
    let writers: Vec<_> =
        writers.into_iter().map(|(name, writer)| writer.start(each(name), plan.time)).collect();

    let mut report = Report::default();
    while !writers.iter().all(writer::Writing::is_done) {
        thread::sleep(Duration::from_millis(rng.u64(200..3_000)));
        // Two at once, so that nothing may rely on the rest being well.
        let mut now = vec![Fault::random(&mut rng, only)];
        let other = Fault::random(&mut rng, only);
        if rng.bool() && !now[0].meets(&other) {
            now.push(other);
            now.sort_unstable();
        }
        let names: Vec<_> = now.iter().map(Fault::name).collect();
        ledger.trouble(names.join(" and "));
        for fault in &now {
            println!("chaos: {:.1} s: {fault:?}", began.elapsed().as_secs_f32());
            report.count(fault.name());
            system.begin(fault);
        }
        thread::sleep(Duration::from_millis(rng.u64(300..6_000)));
        for fault in &now {
            system.end(fault);
        }
    }
    for writing in writers {
        let (name, written, rotations) = writing.join();
        report.rotations += rotations;
        // When the daemon is killed it loses output, parts of lines too, that it had read and not yet written: its file
        // is the truth.
        let (numbers, torn) =
            if name == STDOUT { system.kept_output() } else { ((0..written).collect(), Vec::new()) };
        let count = if is_searched(name) { &mut report.searched } else { &mut report.received };
        *count += numbers.len() as u64;
        ledger.expect(name, numbers, torn);
    }
    system.settle(&ledger);
    report.took = began.elapsed();
    (report.lost, report.duplicates, report.wrong) = ledger.judge();
    if !report.is_whole() {
        println!("chaos: the status says {}", system.status());
        drop(system);
        println!("chaos: files are below {}", place.path().display());
        std::mem::forget(place);
    }
    report
}

fn is_searched(stream: &str) -> bool {
    stream.starts_with("search")
}

impl Report {
    /// Whether every record has arrived as it was written.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost.is_empty() && self.wrong.is_empty()
    }

    fn count(&mut self, name: &'static str) {
        match self.faults.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => self.faults.push((name, 1)),
        }
    }

    /// Prints the figures, and checks that every record has arrived as it was written.
    ///
    /// # Panics
    ///
    /// When something is lost; the seed says how to see it again.
    #[track_caller]
    pub fn assert_whole(&self, seed: u64) {
        println!("figure: chaos, seed {seed}: {self}");
        for wrong in &self.wrong {
            println!("figure: chaos, seed {seed}: {wrong}");
        }
        let what = [self.lost.as_slice(), &self.wrong].concat().join("\n");
        assert!(self.is_whole(), "seed {seed}: {self}\n{what}");
    }
}
