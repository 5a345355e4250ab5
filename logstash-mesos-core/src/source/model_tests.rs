//! Files of a stream against a simple model: whatever happens to them, and in whatever order, each line that was
//! written arrives once and in order, or its bytes are counted as lost.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
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
    Checkpoints, Directories, FileOpener, Framing, HoldLimits, HostFile, Identity, Names, Opened, Stat,
    StreamStatus, TailSettings,
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
    /// logrotate copies the file and cuts it, in the middle of a line perhaps.
    CopiesAndCuts,
    /// The same, and between the two the program ends its line and writes so many others, and perhaps half a line: what
    /// nobody reads in time is lost.
    CopiesAndCutsLate(u8, bool),
    /// The file is compressed beside itself and cut: `gzip -c app.log > app.log.1.gz && : > app.log`.
    PacksAndCuts,
    /// A rotated file is compressed: the newest, or (`delaycompress`) the one before.
    Compresses(usize),
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
    /// The compressed file of this number has so many quarters.
    Pack(usize, usize),
    /// The compressed copy has so many quarters.
    PackCopy(usize),
    RemovePacked(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1..4_u8).prop_map(Act::Writes),
        2 => Just(Act::Begins),
        2 => Just(Act::Renames),
        3 => Just(Act::CopiesAndCuts),
        2 => (0..3_u8, any::<bool>()).prop_map(|(lines, begins)| Act::CopiesAndCutsLate(lines, begins)),
        1 => Just(Act::PacksAndCuts),
        1 => (1..3_usize).prop_map(Act::Compresses),
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
            Self::CopiesAndCuts => shifts.chain((0..=4).map(Micro::Copy)).chain([Micro::Cut]).collect(),
            Self::CopiesAndCutsLate(lines, begins) => {
                let mut steps: Vec<Micro> = shifts.chain((0..=4).map(Micro::Copy)).collect();
                steps.push(Micro::Finish);
                steps.extend(vec![Micro::Line; lines.into()]);
                steps.extend(begins.then_some(Micro::Beginning));
                steps.push(Micro::Cut);
                steps
            }
            Self::PacksAndCuts => shifts.chain((0..=4).map(Micro::PackCopy)).chain([Micro::Cut]).collect(),
            Self::Compresses(which) => {
                let pack = (0..=4).map(|quarters| Micro::Pack(which, quarters));
                pack.chain([Micro::RemovePacked(which)]).collect()
            }
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
    // How many halves of lines had been written when it was copied last; and those that are in no copy.
    copied: u32,
    at_risk: BTreeSet<u32>,
    // The files that the reader has seen, and those that a look has left it with; those that were cut behind these halves,
    // and of their copies if they had not been seen before; and the halves of which nothing tells what they go on with.
    seen: HashSet<Identity>,
    held: HashSet<Identity>,
    cut_behind: Vec<(Identity, u32)>,
    untold: BTreeSet<u32>,
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
            copied: 0,
            at_risk: BTreeSet::new(),
            seen: HashSet::new(),
            held: HashSet::new(),
            cut_behind: Vec::new(),
            untold: BTreeSet::new(),
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
                writeln!(self.writer, "{0:04}-{0:04}", self.written).unwrap();
                self.written += 1;
            }
            Micro::Beginning => {
                self.finish();
                write!(self.writer, "{:04}-", self.written).unwrap();
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
                self.copied = self.halves();
            }
            Micro::PackCopy(quarters) => {
                if quarters == 0 {
                    self.tick();
                }
                let packed = super::tests::packed(&fs::read(self.path(0)).unwrap());
                fs::write(self.packed(1), &packed[..packed.len() * quarters / 4]).unwrap();
                self.copied = self.halves();
            }
            Micro::Cut => {
                self.writer.set_len(0).unwrap();
                self.at_risk.extend(self.copied..self.halves());
                let (plain, packed) = (fs::metadata(self.path(1)), fs::metadata(self.packed(1)));
                let nothing = if plain.is_ok() { 0 } else { super::tests::packed(b"").len() as u64 };
                let is_packed = plain.is_err();
                let copy = plain.or(packed).unwrap();
                if !self.copied.is_multiple_of(2) {
                    let half = self.copied - 1;
                    let cut = Identity::of(&self.writer.metadata().unwrap());
                    self.cut_behind.push((cut, half));
                    let is_new = !self.seen.contains(&cut);
                    self.cut_behind.extend(is_new.then(|| (Identity::of(&copy), half)));
                    self.untold.extend((is_packed && !self.held.contains(&cut)).then_some(half));
                }
                if self.begun && copy.len() == nothing {
                    // It is as if it had been cut and copied nowhere.
                    self.untold.insert(2 * self.written);
                }
            }
            Micro::Pack(which, quarters) => {
                if let Ok(plain) = fs::read(self.path(which)) {
                    let packed = super::tests::packed(&plain);
                    fs::write(self.packed(which), &packed[..packed.len() * quarters / 4]).unwrap();
                }
            }
            Micro::RemovePacked(which) => {
                if self.path(which).exists() && self.packed(which).exists() {
                    let plain = Identity::of(&fs::metadata(self.path(which)).unwrap());
                    let cut = self.cut_behind.iter().filter(|(cut, _)| *cut == plain);
                    self.untold.extend(cut.map(|(_, half)| half));
                    super::tests::finish_compressing(&self.path(which), &self.packed(which));
                }
            }
        }
    }

    fn finish(&mut self) {
        if std::mem::take(&mut self.begun) {
            writeln!(self.writer, "{:04}", self.written).unwrap();
            self.written += 1;
        }
    }

    /// How many halves of lines have been written.
    fn halves(&self) -> u32 {
        2 * self.written + u32::from(self.begun)
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
    // So much is read at a time, and no more held of an unfinished line.
    block_bytes: usize,
    // What other streams have of it.
    taken: Vec<Slot>,
    tail: Option<Tail>,
    status: Arc<StreamStatus>,
    lost: u64,
    // Taken, in order; those at the end are not told delivered.
    arrived: Vec<Event>,
    on_its_way: VecDeque<(Vec<Event>, Ack)>,
}

/// What came as one line: the numbers of the halves of lines that are in it.
type Event = Vec<u32>;

/// Half 2n is `nnnn-`, half 2n + 1 is `nnnn` and the end of the line.
fn event(line: &[u8]) -> Event {
    let text = std::str::from_utf8(line).unwrap();
    let number =
        |digits: &str| digits.parse::<u32>().unwrap_or_else(|_| panic!("no half of a line: {text:?}"));
    let (beginnings, end) = text.rsplit_once('-').map_or((None, text), |(all, end)| (Some(all), end));
    let beginnings = beginnings.into_iter().flat_map(|all| all.split('-')).map(|digits| 2 * number(digits));
    beginnings.chain((!end.is_empty()).then(|| 2 * number(end) + 1)).collect()
}

impl World {
    /// So many files may be open behind the names of this and other streams.
    fn new(most_open: usize) -> Self {
        Self::with(most_open, Framing::default().block_bytes)
    }

    fn with(most_open: usize, block_bytes: usize) -> Self {
        let disk = Arc::new(Mutex::new(Disk::new()));
        let checkpoints = Checkpoints::in_memory();
        let room = Room::new(most_open);
        let (tail, status) = tail(&disk, &checkpoints, &room, block_bytes);
        Self {
            disk,
            checkpoints,
            room,
            block_bytes,
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
        self.note_held();
    }

    fn note_held(&mut self) {
        let held = self.tail().current().map(|(file, _)| file);
        self.disk().held.extend(held);
    }

    fn take(&mut self) -> bool {
        self.take_if(false)
    }

    /// `finishing`: nothing more will come.
    fn take_if(&mut self, finishing: bool) -> bool {
        self.tail().look_again();
        let mut room = 0;
        let step = loop {
            match self.tail().step(Instant::now(), finishing, room) {
                Step::NoRoom(needs) => {
                    assert!(room < needs.max(1), "there was room");
                    room = needs.max(self.block_bytes);
                }
                step => break step,
            }
        };
        self.note_held();
        match step {
            Step::First(lines, tracker) | Step::Lines(lines, tracker) => {
                let ack = tracker.begin(lines.end());
                let events = lines.into_iter().map(|line| event(line.content.as_bytes()));
                self.on_its_way.push_back((events.collect(), ack));
                true
            }
            Step::FileEnded => true,
            Step::Idle | Step::NoRoom(_) => false,
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
        let (tail, status) = tail(&self.disk, &self.checkpoints, &self.room, self.block_bytes);
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
        let mut disk = self.disk.lock().unwrap();
        disk.seen.insert(of);
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

    fn device(&self) -> Option<u64> {
        self.file.device()
    }
}

fn tail(
    disk: &Arc<Mutex<Disk>>,
    checkpoints: &Checkpoints,
    room: &Room,
    block_bytes: usize,
) -> (Tail, Arc<StreamStatus>) {
    let framing = Framing { block_bytes, ..Framing::default() };
    let settings =
        TailSettings { rotate_wait: Duration::from_secs(3600), framing, ..TailSettings::default() };
    let status = Arc::<StreamStatus>::default();
    let file = HostFile::new(disk.lock().unwrap().path(0), &Directories::default());
    let opener = Arc::new(Interrupted { file, disk: Arc::clone(disk) });
    let holdings = Holdings::new(HoldLimits::default());
    let shared = Shared { writers: Writers::new("/proc".into()), holdings, room: room.clone() };
    let positions = checkpoints.stream("app.log");
    (Tail::new(opener, settings, positions, Arc::clone(&status), shared, Arc::default()), status)
}

/// Four digits, and one more character.
const HALF: u64 = 5;

/// Has all of it happen, takes what there is, and compares; also where a line is longer than what may be held of it.
fn tell(most_open: usize, story: &[Happens]) {
    for block_bytes in [Framing::default().block_bytes, 4] {
        tell_in(World::with(most_open, block_bytes), story);
    }
}

fn tell_in(mut world: World, story: &[Happens]) {
    // Where a stream is begun is not what this is about.
    world.look();
    for what in story {
        world.happens(what);
    }
    world.settle();
    world.disk().finish();
    world.taken.clear();
    let written = world.disk().halves();
    let at_risk = std::mem::take(&mut world.disk().at_risk);
    let bytes = |halves: usize| halves as u64 * HALF;
    let mut missing = BTreeSet::new();
    // A directory that took long to list is not listed again at once.
    for _ in 0..20 {
        while world.take_if(true) {}
        world.deliver();
        missing = (0..written).collect();
        for half in world.arrived.iter().flatten() {
            missing.remove(half);
        }
        if (bytes(missing.difference(&at_risk).count())..=bytes(missing.len())).contains(&world.lost()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let lost = world.lost();
    let told = format!(
        "{:?}, {missing:?} missing, {at_risk:?} at risk, {lost} bytes counted in {story:?}",
        world.arrived
    );
    let all: BTreeSet<u32> = world.arrived.iter().flatten().copied().collect();
    assert_eq!(all.len(), world.arrived.iter().flatten().count(), "more than once: {told}");
    // The beginning of a line of which nothing more comes is waited for, and others are not kept waiting meanwhile.
    let is_left = |event: &&Event| event[event.len() - 1].is_multiple_of(2);
    let in_time = world.arrived.iter().filter(|event| !is_left(event)).flatten();
    assert!(in_time.is_sorted_by(|a, b| a < b), "not in order: {told}");
    for halves in world.arrived.iter().flat_map(|event| event.windows(2)) {
        // Nobody can know what was written between copy and cut if nobody saw it.
        let end = halves[0] + 1;
        let is_lost = at_risk.contains(&end) && missing.contains(&end);
        assert!(
            halves[1] == end || (halves[0].is_multiple_of(2) && is_lost),
            "lines that are not one: {told}"
        );
    }
    // Nothing tells whose copy it is if the file that was cut is not held, and has been renamed and compressed, or had not
    // been seen, and the copy has been compressed.
    let untold = |half: u32| world.disk().untold.contains(&half);
    for event in &world.arrived {
        let (first, last) = (event[0], event[event.len() - 1]);
        let ends = first.is_multiple_of(2) || missing.contains(&(first - 1)) || untold(first - 1);
        assert!(ends, "the end of a line alone: {told}");
        let begins = !last.is_multiple_of(2) || missing.contains(&(last + 1)) || untold(last);
        assert!(begins, "the beginning of a line alone: {told}");
    }
    let (known, all) = (bytes(missing.difference(&at_risk).count()), bytes(missing.len()));
    assert!((known..=all).contains(&lost), "what is missing is counted: {told}");
    let is_removal =
        |what: &Happens| matches!(what, Happens::Acts(Act::Removes) | Happens::Meanwhile(Act::Removes, _));
    let leaves = story.iter().any(|what| matches!(what, Happens::Restarts | Happens::Crowds(true)));
    let removes = story.iter().any(is_removal);
    assert!(known == 0 || (removes && leaves), "nothing need be lost: {told}");
}

/// Whatever a file goes through while half a line of it has been read: the line is whole in the end.
#[test]
fn half_a_line_is_never_given_out_while_a_file_can_complete_it() {
    use Happens::{Acts, Looks, Meanwhile, Restarts, Settles, Takes};
    let acts = [Act::CopiesAndCuts, Act::Renames, Act::Removes, Act::Compresses(1), Act::Compresses(2)];
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
    // The youngest file may have got it in truth.
    world.disk().inodes = Some(HashMap::from([(again, before), (before, again)]));
    world.disk().step(Micro::Line);
    while world.take() {}
    world.deliver();
    assert_eq!((world.arrived.as_slice(), world.lost()), (&whole([0, 1, 2])[..], 0));
}

/// So many bytes were written when they were taken last.
fn whole(lines: impl IntoIterator<Item = u32>) -> Vec<Event> {
    lines.into_iter().map(|line| vec![2 * line, 2 * line + 1]).collect()
}

/// What is written between copy and cut comes once if it was read, is counted if it was seen, and makes no line that nobody
/// wrote; whether or not another process reads on.
#[test]
fn what_is_written_between_copy_and_cut_comes_once_or_is_counted() {
    for (in_time, restarts, compresses) in
        [0_u8, 1, 2, 3, 4, 5, 6, 7].map(|n| (n & 1 > 0, n & 2 > 0, n & 4 > 0))
    {
        let mut world = World::new(1);
        world.look();
        world.happens(&Happens::Acts(Act::Writes(2)));
        world.disk().step(Micro::Beginning);
        while world.take() {}
        world.disk().step(Micro::Copy(0));
        world.disk().step(Micro::Copy(4));
        world.disk().step(Micro::Line);
        if in_time {
            while world.take() {}
        } else {
            world.look()
        }
        world.deliver();
        if restarts {
            world.restart();
        }
        world.disk().step(Micro::Cut);
        if compresses {
            world.disk().step(Micro::Pack(1, 4));
            world.disk().step(Micro::RemovePacked(1));
        }
        world.disk().step(Micro::Line);
        while world.take_if(true) {}
        world.deliver();
        let story = format!("in_time {in_time}, restarts {restarts}, compresses {compresses}");
        if in_time {
            assert_eq!((world.arrived, world.lost), (whole(0..5), 0), "{story}");
        } else {
            let mut arrived = whole([0, 1]);
            arrived.extend([vec![4], vec![8, 9]]);
            assert_eq!((&world.arrived, world.lost()), (&arrived, 3 * HALF), "{story}");
        }
    }
}

/// What the property test has found once, told in the shortest way.
#[test]
fn lines_that_were_cut_are_one_whatever_comes_between() {
    use Happens::{Acts, Crowds, Looks, Meanwhile, Restarts, Settles, Takes};
    let (copies, late) = (Acts(Act::CopiesAndCuts), Act::CopiesAndCutsLate);
    // A copy that nobody has seen comes between the beginning of a line and its end.
    tell(
        1,
        &[
            Acts(Act::Begins),
            Takes(3),
            Meanwhile(Act::CopiesAndCuts, 0),
            Takes(2),
            Settles(false),
            copies.clone(),
            Acts(Act::Writes(1)),
            copies.clone(),
        ],
    );
    for calls in 0..16 {
        // A file is cut once more behind a copy that goes on in it, and nothing holds what it had.
        let renamed = vec![Acts(Act::Renames); 6];
        let cut = [Acts(Act::Begins), copies.clone(), Looks, Acts(Act::Begins), copies.clone()];
        tell(1, &[&renamed[..], &cut[..], &[Meanwhile(late(0, false), calls), Looks]].concat());
        // An older copy is like the file that was cut, a younger one more so.
        tell(
            1,
            &[
                Acts(Act::Begins),
                copies.clone(),
                Acts(Act::Writes(1)),
                Meanwhile(late(1, true), calls),
                Looks,
            ],
        );
        // The file is opened, and closed at once for others, while it is copied and cut.
        tell(1, &[Crowds(true), Acts(Act::Writes(2)), Meanwhile(late(1, false), calls), Looks]);
        // It has grown since it was known which files there were; another process finds a copy that is shorter.
        let read_and_given_up = [Meanwhile(late(2, true), calls), Takes(3), Settles(false), Restarts];
        tell(1, &[&[Looks, Acts(Act::Writes(1))], &read_and_given_up[..]].concat());
        // What is given up of a file that is not there any more is counted once, also by the next process.
        let read_and_given_up = [Meanwhile(late(2, false), calls), Takes(3), Settles(false), Restarts];
        tell(1, &[&[copies.clone(), copies.clone()], &read_and_given_up[..]].concat());
    }
}

/// A program that writes in pieces is cut in the middle of a line, again and again: the line is one in the end, also where
/// its parts are read by different processes.
#[test]
fn a_line_that_goes_on_in_the_next_files_is_one() {
    for restarts in [false, true] {
        let mut world = World::new(1);
        world.look();
        world.happens(&Happens::Acts(Act::Writes(1)));
        for piece in ["00", "", "01", "-00", "01"] {
            world.disk().writer.write_all(piece.as_bytes()).unwrap();
            while world.take() {}
            world.deliver();
            world.happens(&Happens::Acts(Act::CopiesAndCuts));
            if restarts {
                world.restart();
            }
        }
        while world.take() {}
        world.deliver();
        assert_eq!(world.arrived, whole([0]));
        world.disk().writer.write_all(b"\n").unwrap();
        world.disk().written += 1;
        world.happens(&Happens::Acts(Act::Writes(1)));
        while world.take() {}
        // Given up, it is made once more.
        world.happens(&Happens::Settles(false));
        while world.take() {}
        world.deliver();
        assert_eq!((world.arrived.as_slice(), world.lost()), (&whole(0..3)[..], 0));
        // All of it has been told arrived: another process finds nothing to do.
        world.restart();
        assert!(!world.take());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(400)))]

    #[test]
    fn every_line_arrives_once_or_is_counted(
        most_open in 1..3_usize,
        story in prop::collection::vec(happens(), 1..40),
    ) {
        tell(most_open, &story);
    }
}
