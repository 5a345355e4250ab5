//! Files of a stream against a simple model: whatever happens to them, and in whatever order, each line that was
//! written arrives once and in order, or its bytes are counted as lost.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::holdings::Holdings;
use super::tail::{Shared, Step, Tail};
use super::writers::Writers;
use super::{
    Checkpoints, Directories, FileOpener, HoldLimits, HostFile, Names, Opened, Stat, StreamStatus,
    TailSettings,
};
use crate::event::Ack;

/// What may happen to a file and its reader.
#[derive(Clone, Debug)]
enum Happens {
    /// The program writes so many lines.
    Writes(u8),
    /// logrotate renames, and the program writes to a new file.
    Renames,
    /// logrotate copies the file and cuts it.
    CopiesAndCuts,
    /// The newest rotated file is compressed.
    Compresses,
    /// The file is removed while the program has it open, which goes on in a new one.
    Removes,
    /// The reader looks, as it does while an output takes nothing.
    Looks,
    /// The output takes so many blocks.
    Takes(u8),
    /// What was taken and has not been told delivered arrives, or is given up.
    Settles(bool),
    /// The reader is stopped and started again.
    Restarts,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (1..4_u8).prop_map(Happens::Writes),
        2 => Just(Happens::Renames),
        2 => Just(Happens::CopiesAndCuts),
        1 => Just(Happens::Compresses),
        1 => Just(Happens::Removes),
        3 => Just(Happens::Looks),
        3 => (1..4_u8).prop_map(Happens::Takes),
        2 => any::<bool>().prop_map(Happens::Settles),
        1 => Just(Happens::Restarts),
    ]
}

struct World {
    dir: tempfile::TempDir,
    writer: File,
    written: u32,
    checkpoints: Checkpoints,
    tail: Option<Tail>,
    status: Arc<StreamStatus>,
    lost: u64,
    // Taken, in order; those at the end are not told delivered.
    arrived: Vec<u32>,
    on_its_way: VecDeque<(Vec<u32>, Ack)>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let writer = OpenOptions::new().create(true).append(true).open(dir.path().join("app.log")).unwrap();
        let checkpoints = Checkpoints::in_memory();
        let (tail, status) = tail(&dir.path().join("app.log"), &checkpoints);
        Self {
            dir,
            writer,
            written: 0,
            checkpoints,
            tail: Some(tail),
            status,
            lost: 0,
            arrived: Vec::new(),
            on_its_way: VecDeque::new(),
        }
    }

    fn path(&self, generation: usize) -> PathBuf {
        let log = self.dir.path().join("app.log");
        if generation == 0 { log } else { PathBuf::from(format!("{}.{generation}", log.display())) }
    }

    fn happens(&mut self, what: &Happens) {
        match what {
            Happens::Writes(lines) => {
                for _ in 0..*lines {
                    writeln!(self.writer, "line {:08}", self.written).unwrap();
                    self.written += 1;
                }
            }
            Happens::Renames => {
                self.make_room();
                fs::rename(self.path(0), self.path(1)).unwrap();
                self.reopen();
            }
            Happens::CopiesAndCuts => {
                self.make_room();
                self.tick();
                fs::copy(self.path(0), self.path(1)).unwrap();
                self.writer.set_len(0).unwrap();
                // Seen before the file is as long again and begins in the same way: nothing else tells of it.
                self.look();
            }
            Happens::Compresses => {
                if self.path(1).exists() {
                    super::tests::compress(&self.path(1));
                }
            }
            Happens::Removes => {
                // Held before it is gone: nobody can hold what nobody has seen.
                self.look();
                fs::remove_file(self.path(0)).unwrap();
                self.reopen();
                self.look();
            }
            Happens::Looks => self.look(),
            Happens::Takes(blocks) => {
                for _ in 0..*blocks {
                    self.take();
                }
            }
            Happens::Settles(true) => self.deliver(),
            Happens::Settles(false) => {
                self.on_its_way.clear();
                self.tail().rewind();
            }
            Happens::Restarts => self.restart(),
        }
    }

    /// Waits for the next step of the clock that stamps files: in the same one, times do not tell what came first.
    fn tick(&self) {
        let probe = self.dir.path().join("probe");
        let stamp = || {
            fs::write(&probe, "").unwrap();
            fs::metadata(&probe).unwrap().modified().unwrap()
        };
        let first = stamp();
        while stamp() == first {}
    }

    /// The numbers of the rotated files go up by one.
    fn make_room(&self) {
        for generation in (1..30).rev() {
            for end in ["", ".gz"] {
                let name = |n| PathBuf::from(format!("{}{end}", self.path(n).display()));
                let _not_there = fs::rename(name(generation), name(generation + 1));
            }
        }
    }

    fn reopen(&mut self) {
        self.writer = OpenOptions::new().create(true).append(true).open(self.path(0)).unwrap();
    }

    fn look(&mut self) {
        self.tail().look(Instant::now());
    }

    fn take(&mut self) -> bool {
        self.tail().look_again();
        match self.tail().step(Instant::now(), false) {
            Step::First(lines, tracker) | Step::Lines(lines, tracker) => {
                let ack = tracker.begin(lines.end());
                let numbers = lines.into_iter().map(|line| {
                    let text = String::from_utf8(line.content.as_bytes().to_vec()).unwrap();
                    text.strip_prefix("line ").unwrap().parse().unwrap()
                });
                self.on_its_way.push_back((numbers.collect(), ack));
                true
            }
            Step::FileEnded => true,
            Step::Idle => false,
        }
    }

    fn deliver(&mut self) {
        for (lines, ack) in self.on_its_way.drain(..) {
            self.arrived.extend(lines);
            ack.delivered();
        }
    }

    fn restart(&mut self) {
        self.on_its_way.clear();
        // The positions are free for the next one when this one has gone.
        self.tail = None;
        self.lost = self.lost();
        let (tail, status) = tail(&self.path(0), &self.checkpoints);
        (self.tail, self.status) = (Some(tail), status);
    }

    /// Bytes that are known to be lost.
    fn lost(&self) -> u64 {
        self.lost + self.status.snapshot().lost.values().sum::<u64>()
    }

    fn tail(&mut self) -> &mut Tail {
        self.tail.as_mut().unwrap()
    }
}

/// Always lists the directory: how old a listing may be is a matter of cost, and not of what it means.
struct Fresh(HostFile);

impl FileOpener for Fresh {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn open(&self, at: Option<&OsStr>) -> io::Result<Option<Opened>> {
        self.0.open(at)
    }

    fn stat(&self, at: Option<&OsStr>) -> io::Result<Option<Stat>> {
        self.0.stat(at)
    }

    fn names(&self, _: bool) -> io::Result<Names> {
        self.0.names(true)
    }
}

fn tail(log: &std::path::Path, checkpoints: &Checkpoints) -> (Tail, Arc<StreamStatus>) {
    let settings = TailSettings { rotate_wait: Duration::from_secs(3600), ..TailSettings::default() };
    let status = Arc::<StreamStatus>::default();
    let opener = Arc::new(Fresh(HostFile::new(log, &Directories::default())));
    let holdings = Holdings::new(HoldLimits::default());
    let shared = Shared { writers: Writers::new("/proc".into()), holdings };
    (Tail::new(opener, settings, checkpoints.stream("app.log"), Arc::clone(&status), shared), status)
}

/// `line `, eight digits, the end of the line.
const LINE: u64 = 14;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_line_arrives_once_or_is_counted(story in prop::collection::vec(happens(), 1..40)) {
        let mut world = World::new();
        // Where a stream is begun is not what this is about.
        world.look();
        for what in &story {
            world.happens(what);
        }
        let mut missing = 0;
        // A directory that took long to list is not listed again at once.
        for _ in 0..20 {
            while world.take() {}
            world.deliver();
            missing = u64::from(world.written).saturating_sub(world.arrived.len() as u64);
            if missing * LINE == world.lost() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let lost = world.lost();
        prop_assert!(world.arrived.is_sorted_by(|a, b| a < b), "{:?}", world.arrived);
        prop_assert_eq!(missing * LINE, lost, "{:?} of {}", world.arrived, world.written);
        let removes = story.iter().any(|what| matches!(what, Happens::Removes));
        let restarts = story.iter().any(|what| matches!(what, Happens::Restarts));
        prop_assert!(lost == 0 || (removes && restarts), "{} bytes lost", lost);
    }
}
