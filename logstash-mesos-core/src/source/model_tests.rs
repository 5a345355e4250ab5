//! Files of a stream against a simple model: whatever happens to them, and in whatever order, each line that was
//! written arrives once and in order, or its bytes are counted as lost.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::holdings::Holdings;
use super::room::{Room, Slot};
use super::tail::{Shared, Step, Tail};
use super::writers::Writers;
use super::{
    Checkpoints, Directories, FileOpener, HoldLimits, HostFile, Identity, Names, Opened, Stat, StreamStatus,
    TailSettings,
};
use crate::event::Ack;

/// What may happen to a file and its reader.
#[derive(Clone, Debug)]
enum Happens {
    /// Something happens to the files, between two calls of the reader.
    Acts(Act),
    /// The same step by step, each before one of the next calls of the system that the reader makes.
    Meanwhile(Act, u8),
    /// The reader looks, as it does while an output takes nothing.
    Looks,
    /// The output takes so many blocks.
    Takes(u8),
    /// What was taken and has not been told delivered arrives, or is given up.
    Settles(bool),
    /// Another stream needs room for an open file; or one closes it.
    Crowds(bool),
    /// The reader is stopped and started again.
    Restarts,
}

/// What happens to the files.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// The program writes so many lines.
    Writes(u8),
    /// The program writes the beginning of a line.
    Begins,
    /// logrotate renames, and the program, which finishes its line, writes to a new file.
    Renames,
    /// logrotate copies the file and cuts it.
    CopiesAndCuts,
    /// The newest rotated file is compressed.
    Compresses,
    /// The file is removed while the program has it open, which finishes its line and goes on in a new one.
    Removes,
}

/// No act is shorter than such a step.
#[derive(Clone, Copy, Debug)]
enum Micro {
    Line,
    Beginning,
    /// The rest of a line that was begun.
    Finish,
    /// The rotated file of this number becomes the next older one.
    Shift(usize),
    Rename,
    Remove,
    Reopen,
    /// The copy has so many quarters of the file.
    Copy(u64),
    Cut,
    /// The compressed file has so many quarters.
    Pack(usize),
    RemovePacked,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1..4_u8).prop_map(Act::Writes),
        2 => Just(Act::Begins),
        2 => Just(Act::Renames),
        3 => Just(Act::CopiesAndCuts),
        1 => Just(Act::Compresses),
        1 => Just(Act::Removes),
    ]
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        8 => act().prop_map(Happens::Acts),
        4 => (act(), 0..12_u8).prop_map(|(act, calls)| Happens::Meanwhile(act, calls)),
        4 => Just(Happens::Looks),
        4 => (1..4_u8).prop_map(Happens::Takes),
        2 => any::<bool>().prop_map(Happens::Settles),
        3 => any::<bool>().prop_map(Happens::Crowds),
        1 => Just(Happens::Restarts),
    ]
}

impl Act {
    /// What it comes to where there are so many rotated files.
    fn steps(self, rotated: usize) -> Vec<Micro> {
        let shifts = (1..=rotated).rev().map(Micro::Shift);
        match self {
            Self::Writes(lines) => vec![Micro::Line; lines.into()],
            Self::Begins => vec![Micro::Beginning],
            Self::Renames => shifts.chain([Micro::Rename, Micro::Finish, Micro::Reopen]).collect(),
            Self::CopiesAndCuts => {
                let copy = (0..=4).map(Micro::Copy);
                // What is written between the copy and the cut is lost to everybody.
                [Micro::Finish].into_iter().chain(shifts).chain(copy).chain([Micro::Cut]).collect()
            }
            Self::Compresses => (0..=4).map(Micro::Pack).chain([Micro::RemovePacked]).collect(),
            Self::Removes => vec![Micro::Remove, Micro::Finish, Micro::Reopen],
        }
    }
}

/// The files, and the program that writes them.
struct Disk {
    dir: tempfile::TempDir,
    writer: File,
    written: u32,
    // A line has been begun.
    begun: bool,
    removed: bool,
    // Files do not say when they were made, as in containers; and inodes have these numbers.
    inodes: Option<HashMap<u64, u64>>,
    // To happen before one of the reader's next calls.
    coming: VecDeque<Micro>,
    calls_before: u8,
}

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let writer = appending(&dir.path().join("app.log"));
        Self {
            dir,
            writer,
            written: 0,
            begun: false,
            removed: false,
            inodes: None,
            coming: VecDeque::new(),
            calls_before: 0,
        }
    }

    fn path(&self, generation: usize) -> PathBuf {
        let log = self.dir.path().join("app.log");
        if generation == 0 { log } else { PathBuf::from(format!("{}.{generation}", log.display())) }
    }

    fn packed(&self, generation: usize) -> PathBuf {
        PathBuf::from(format!("{}.gz", self.path(generation).display()))
    }

    /// The number of the oldest rotated file.
    fn rotated(&self) -> usize {
        let is_there = |n: &usize| self.path(*n).exists() || self.packed(*n).exists();
        (1..100).take_while(is_there).count()
    }

    /// The reader makes a call.
    fn called(&mut self) {
        if self.calls_before > 0 {
            self.calls_before -= 1;
        } else if let Some(step) = self.coming.pop_front() {
            self.step(step);
        }
    }

    fn removes(&self) -> bool {
        self.removed || self.coming.iter().any(|step| matches!(step, Micro::Remove))
    }

    /// What has begun comes to its end. Returns whether a file was removed.
    fn settle(&mut self) -> bool {
        while let Some(step) = self.coming.pop_front() {
            self.step(step);
        }
        std::mem::take(&mut self.removed)
    }

    fn step(&mut self, step: Micro) {
        match step {
            Micro::Line => {
                self.finish();
                writeln!(self.writer, "line {:08}", self.written).unwrap();
                self.written += 1;
            }
            Micro::Beginning => {
                self.finish();
                write!(self.writer, "line {:04}", self.written / 10_000).unwrap();
                self.begun = true;
            }
            Micro::Finish => self.finish(),
            Micro::Shift(generation) => {
                let _not_there = fs::rename(self.path(generation), self.path(generation + 1));
                let _not_there = fs::rename(self.packed(generation), self.packed(generation + 1));
            }
            Micro::Rename => fs::rename(self.path(0), self.path(1)).unwrap(),
            Micro::Remove => {
                fs::remove_file(self.path(0)).unwrap();
                self.removed = true;
            }
            Micro::Reopen => self.writer = appending(&self.path(0)),
            Micro::Copy(quarters) => {
                if quarters == 0 {
                    self.tick();
                }
                let all = fs::read(self.path(0)).unwrap();
                let copied = all.len() * usize::try_from(quarters).unwrap() / 4;
                let mut copy = appending(&self.path(1));
                let there = usize::try_from(copy.metadata().unwrap().len()).unwrap();
                copy.write_all(&all[there..copied]).unwrap();
            }
            Micro::Cut => self.writer.set_len(0).unwrap(),
            Micro::Pack(quarters) => {
                if let Ok(plain) = fs::read(self.path(1)) {
                    let packed = super::tests::packed(&plain);
                    fs::write(self.packed(1), &packed[..packed.len() * quarters / 4]).unwrap();
                }
            }
            Micro::RemovePacked => {
                if self.path(1).exists() && self.packed(1).exists() {
                    super::tests::finish_compressing(&self.path(1), &self.packed(1));
                }
            }
        }
    }

    fn finish(&mut self) {
        if std::mem::take(&mut self.begun) {
            writeln!(self.writer, "{:04}", self.written % 10_000).unwrap();
            self.written += 1;
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
}

fn appending(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

struct World {
    disk: Arc<Mutex<Disk>>,
    checkpoints: Checkpoints,
    room: Room,
    // What other streams have of it.
    taken: Vec<Slot>,
    tail: Option<Tail>,
    status: Arc<StreamStatus>,
    lost: u64,
    // Taken, in order; those at the end are not told delivered.
    arrived: Vec<u32>,
    on_its_way: VecDeque<(Vec<u32>, Ack)>,
}

impl World {
    /// So many files may be open behind the names of this and other streams.
    fn new(most_open: usize) -> Self {
        let disk = Arc::new(Mutex::new(Disk::new()));
        let checkpoints = Checkpoints::in_memory();
        let room = Room::new(most_open);
        let (tail, status) = tail(&disk, &checkpoints, &room);
        Self {
            disk,
            checkpoints,
            room,
            taken: Vec::new(),
            tail: Some(tail),
            status,
            lost: 0,
            arrived: Vec::new(),
            on_its_way: VecDeque::new(),
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }

    fn happens(&mut self, what: &Happens) {
        match what {
            Happens::Acts(act) => {
                self.begins(*act);
                self.settle();
            }
            Happens::Meanwhile(act, calls) => {
                self.begins(*act);
                self.disk().calls_before = *calls;
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
            Happens::Crowds(true) => self.crowd(),
            Happens::Crowds(false) => drop(self.taken.pop()),
            Happens::Restarts => self.restart(),
        }
    }

    fn crowd(&mut self) {
        if self.disk().removes() {
            self.settle();
        }
        let other = Arc::default();
        if self.room.demand(&other).map(|slot| self.taken.push(slot)).is_none() {
            self.tail().make_room();
            self.taken.extend(self.room.demand(&other));
        }
    }

    fn begins(&mut self, act: Act) {
        self.settle();
        if matches!(act, Act::Removes) {
            // Held before it is gone: nobody can hold what nobody has seen.
            self.look();
            if self.tail().closed().is_some() {
                // What is not held is counted as it was seen.
                self.disk().finish();
                self.look();
            }
        }
        let mut disk = self.disk();
        let steps = act.steps(disk.rotated());
        disk.coming.extend(steps);
    }

    /// What has begun comes to its end.
    fn settle(&mut self) {
        let removes = self.disk().settle();
        if removes {
            // Nobody can count what nobody has seen, once it is gone.
            self.look();
        }
    }

    fn look(&mut self) {
        self.tail().look(Instant::now());
    }

    fn take(&mut self) -> bool {
        self.tail().look_again();
        match self.tail().step(Instant::now(), false, usize::MAX) {
            Step::First(lines, tracker) | Step::Lines(lines, tracker) => {
                let ack = tracker.begin(lines.end());
                let numbers = lines.into_iter().map(|line| {
                    let text = String::from_utf8(line.content.as_bytes().to_vec()).unwrap();
                    let whole = text.strip_prefix("line ").filter(|number| number.len() == 8);
                    whole.unwrap_or_else(|| panic!("half a line: {text:?}")).parse().unwrap()
                });
                self.on_its_way.push_back((numbers.collect(), ack));
                true
            }
            Step::FileEnded => true,
            Step::Idle | Step::NoRoom => false,
        }
    }

    fn deliver(&mut self) {
        for (lines, ack) in self.on_its_way.drain(..) {
            self.arrived.extend(lines);
            ack.delivered();
        }
    }

    fn restart(&mut self) {
        if self.disk().removes() {
            self.settle();
        }
        self.on_its_way.clear();
        // The positions are free for the next one when this one has gone.
        self.tail = None;
        self.lost = self.lost();
        let (tail, status) = tail(&self.disk, &self.checkpoints, &self.room);
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

/// Always lists the directory (how old a listing may be is a matter of cost, and not of what it means), and lets
/// something happen before each call.
struct Interrupted {
    file: HostFile,
    disk: Arc<Mutex<Disk>>,
}

impl Interrupted {
    fn file(&self) -> &HostFile {
        self.disk.lock().unwrap().called();
        &self.file
    }

    fn identity(&self, of: Identity) -> Identity {
        let disk = self.disk.lock().unwrap();
        disk.inodes.as_ref().map_or(of, |inodes| {
            let ino = inodes.get(&of.ino).copied().unwrap_or(of.ino);
            Identity { ino, born: 0, ..of }
        })
    }
}

impl FileOpener for Interrupted {
    fn path(&self) -> &Path {
        self.file.path()
    }

    fn open(&self, at: Option<&OsStr>) -> io::Result<Option<Opened>> {
        let opened = self.file().open(at)?;
        Ok(opened.map(|opened| Opened { identity: self.identity(opened.identity), ..opened }))
    }

    fn stat(&self, at: Option<&OsStr>) -> io::Result<Option<Stat>> {
        let stat = self.file().stat(at)?;
        Ok(stat.map(|stat| Stat { identity: self.identity(stat.identity), ..stat }))
    }

    fn names(&self, _: bool) -> io::Result<Names> {
        self.file().names(true)
    }
}

fn tail(disk: &Arc<Mutex<Disk>>, checkpoints: &Checkpoints, room: &Room) -> (Tail, Arc<StreamStatus>) {
    let settings = TailSettings { rotate_wait: Duration::from_secs(3600), ..TailSettings::default() };
    let status = Arc::<StreamStatus>::default();
    let file = HostFile::new(disk.lock().unwrap().path(0), &Directories::default());
    let opener = Arc::new(Interrupted { file, disk: Arc::clone(disk) });
    let holdings = Holdings::new(HoldLimits::default());
    let shared = Shared { writers: Writers::new("/proc".into()), holdings, room: room.clone() };
    let positions = checkpoints.stream("app.log");
    (Tail::new(opener, settings, positions, Arc::clone(&status), shared, Arc::default()), status)
}

/// `line `, eight digits, the end of the line.
const LINE: u64 = 14;

/// Has all of it happen, takes what there is, and compares.
fn tell(most_open: usize, story: &[Happens]) {
    let mut world = World::new(most_open);
    // Where a stream is begun is not what this is about.
    world.look();
    for what in story {
        world.happens(what);
    }
    world.settle();
    world.disk().finish();
    world.taken.clear();
    let written = world.disk().written;
    let mut missing = 0;
    // A directory that took long to list is not listed again at once.
    for _ in 0..20 {
        while world.take() {}
        world.deliver();
        missing = u64::from(written).saturating_sub(world.arrived.len() as u64);
        if missing * LINE == world.lost() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let lost = world.lost();
    assert!(world.arrived.is_sorted_by(|a, b| a < b), "{:?} in {story:?}", world.arrived);
    assert_eq!(missing * LINE, lost, "{:?} of {written} in {story:?}", world.arrived);
    let is_removal =
        |what: &Happens| matches!(what, Happens::Acts(Act::Removes) | Happens::Meanwhile(Act::Removes, _));
    let removes = story.iter().any(is_removal);
    let leaves = story.iter().any(|what| matches!(what, Happens::Restarts | Happens::Crowds(true)));
    assert!(lost == 0 || (removes && leaves), "{lost} bytes lost in {story:?}");
}

/// Whatever a file goes through while half a line of it has been read: the line is whole in the end.
#[test]
fn half_a_line_is_never_given_out_while_a_file_can_complete_it() {
    use Happens::{Acts, Looks, Meanwhile, Restarts, Settles, Takes};
    let acts = [Act::CopiesAndCuts, Act::Renames, Act::Removes, Act::Compresses];
    for (act, calls) in acts.into_iter().flat_map(|act| (0..12).map(move |calls| (act, calls))) {
        for between in [vec![Looks], vec![Takes(1)], vec![Looks, Restarts], vec![Takes(2), Settles(false)]] {
            let before = [Acts(Act::Writes(1)), Acts(Act::Renames), Acts(Act::Begins), Takes(3)];
            // Seen half-way, and once more when other files have come between.
            let after = [Acts(Act::CopiesAndCuts), Acts(Act::Writes(1)), Acts(Act::CopiesAndCuts), Looks];
            let story: Vec<Happens> =
                before.into_iter().chain([Meanwhile(act, calls)]).chain(between).chain(after).collect();
            tell(1, &story);
        }
    }
}

/// A file that is copied and cut while it is looked at for the first time after a start.
#[test]
fn a_copy_made_during_the_first_look_is_not_taken_for_older_than_the_stream() {
    use Happens::{Acts, Looks, Meanwhile, Restarts, Takes};
    for calls in 0..16 {
        for between in [vec![Looks], vec![Looks, Looks], vec![Takes(1)]] {
            let before = [Acts(Act::Writes(1)), Meanwhile(Act::CopiesAndCuts, calls), Restarts];
            let story: Vec<Happens> = before.into_iter().chain(between).chain([Restarts]).collect();
            tell(1, &story);
        }
    }
}

/// Rotation removes files, and new ones get their inodes.
#[test]
fn an_inode_that_is_used_again_is_another_file() {
    let mut world = World::new(1);
    world.disk().inodes = Some(HashMap::new());
    let rotated = world.disk().path(1);
    fs::write(&rotated, "older than the stream\n").unwrap();
    world.disk().step(Micro::Line);
    while world.take() {}
    let before = fs::metadata(&rotated).unwrap().ino();
    fs::remove_file(&rotated).unwrap();
    // Twice between two looks: the second file is seen when it has been put aside.
    for step in [Micro::Rename, Micro::Reopen, Micro::Line, Micro::Shift(1), Micro::Rename, Micro::Reopen] {
        world.disk().step(step);
    }
    let again = fs::metadata(&rotated).unwrap().ino();
    world.disk().inodes = Some(HashMap::from([(again, before)]));
    world.disk().step(Micro::Line);
    while world.take() {}
    world.deliver();
    assert_eq!((world.arrived.as_slice(), world.lost()), (&[0, 1, 2][..], 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_line_arrives_once_or_is_counted(
        most_open in 1..3_usize,
        story in prop::collection::vec(happens(), 1..40),
    ) {
        tell(most_open, &story);
    }
}
