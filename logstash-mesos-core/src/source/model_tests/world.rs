//! A stream that reads these files, and a story that is told of both.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::disk::{Act, Disk, act};
use crate::event::Ack;
use crate::source::holdings::Holdings;
use crate::source::room::{Room, Slot};
use crate::source::tail::{Shared, Step, Tail};
use crate::source::writers::Writers;
use crate::source::{
    Checkpoints, Directories, FileOpener, Framing, HoldLimits, HostFile, Identity, Names, Opened, Stat,
    StreamStatus, TailSettings,
};

/// What may happen to a file and its reader.
#[derive(Clone, Debug)]
pub(super) enum Happens {
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

pub(super) fn happens() -> impl Strategy<Value = Happens> {
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

pub(super) struct World {
    pub(super) disk: Arc<Mutex<Disk>>,
    pub(super) checkpoints: Checkpoints,
    pub(super) room: Room,
    // So much is read at a time, and no more held of an unfinished line.
    block_bytes: usize,
    // What other streams have of it.
    pub(super) taken: Vec<Slot>,
    pub(super) tail: Option<Tail>,
    pub(super) status: Arc<StreamStatus>,
    pub(super) lost: u64,
    // Taken, in order; those at the end are not told delivered.
    pub(super) arrived: Vec<Event>,
    pub(super) on_its_way: VecDeque<(Vec<Event>, Ack)>,
}

/// What came as one line: the numbers of the halves of lines that are in it.
pub(super) type Event = Vec<u32>;

/// Half 2n is `nnnn-`, half 2n + 1 is `nnnn` and the end of the line.
pub(super) fn event(line: &[u8]) -> Event {
    let text = std::str::from_utf8(line).unwrap();
    let number =
        |digits: &str| digits.parse::<u32>().unwrap_or_else(|_| panic!("no half of a line: {text:?}"));
    let (beginnings, end) = text.rsplit_once('-').map_or((None, text), |(all, end)| (Some(all), end));
    let beginnings = beginnings.into_iter().flat_map(|all| all.split('-')).map(|digits| 2 * number(digits));
    beginnings.chain((!end.is_empty()).then(|| 2 * number(end) + 1)).collect()
}

impl World {
    /// So many files may be open behind the names of this and other streams.
    pub(super) fn new(most_open: usize) -> Self {
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

    pub(super) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }

    pub(super) fn happens(&mut self, what: &Happens) {
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

    pub(super) fn crowd(&mut self) {
        if self.disk().removes() {
            self.settle();
        }
        let other = Arc::default();
        if self.room.demand(&other).map(|slot| self.taken.push(slot)).is_none() {
            self.tail().make_room();
            self.taken.extend(self.room.demand(&other));
        }
    }

    pub(super) fn begins(&mut self, act: Act) {
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
    pub(super) fn settle(&mut self) {
        let removes = self.disk().settle();
        if removes {
            // Nobody can count what nobody has seen, once it is gone.
            self.look();
        }
    }

    pub(super) fn look(&mut self) {
        self.tail().look(Instant::now());
        self.note_held();
    }

    pub(super) fn note_held(&mut self) {
        let held = self.tail().current().map(|(file, _)| file);
        self.disk().held.extend(held);
    }

    pub(super) fn take(&mut self) -> bool {
        self.take_if(false)
    }

    /// `finishing`: nothing more will come.
    pub(super) fn take_if(&mut self, finishing: bool) -> bool {
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

    pub(super) fn deliver(&mut self) {
        for (lines, ack) in self.on_its_way.drain(..) {
            self.arrived.extend(lines);
            ack.delivered();
        }
    }

    pub(super) fn restart(&mut self) {
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
    pub(super) fn lost(&self) -> u64 {
        self.lost + self.status.snapshot().lost.values().sum::<u64>()
    }

    pub(super) fn tail(&mut self) -> &mut Tail {
        self.tail.as_mut().unwrap()
    }
}

/// Always lists the directory (how old a listing may be is a matter of cost, and not of what it means), and lets
/// something happen before each call.
pub(super) struct Interrupted {
    file: HostFile,
    disk: Arc<Mutex<Disk>>,
}

impl Interrupted {
    pub(super) fn file(&self) -> &HostFile {
        self.disk.lock().unwrap().called();
        &self.file
    }

    pub(super) fn identity(&self, of: Identity) -> Identity {
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
pub(super) const HALF: u64 = 5;

/// Has all of it happen, takes what there is, and compares; also where a line is longer than what may be held of it.
pub(super) fn tell(most_open: usize, story: &[Happens]) {
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
