//! The files of the model, what may happen to them, and the program that writes them.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::source::Identity;
use crate::source::tests::{finish_compressing, packed};

/// What happens to the files.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
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
pub(super) enum Micro {
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

pub(super) fn act() -> impl Strategy<Value = Act> {
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

impl Act {
    /// What it comes to where there are so many rotated files.
    pub(super) fn steps(self, rotated: usize) -> Vec<Micro> {
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
pub(super) struct Disk {
    pub(super) dir: tempfile::TempDir,
    pub(super) writer: File,
    pub(super) written: u32,
    // A line has been begun.
    pub(super) begun: bool,
    pub(super) removed: bool,
    // How many halves of lines had been written when it was copied last; and those that are in no copy.
    pub(super) copied: u32,
    pub(super) at_risk: BTreeSet<u32>,
    // The files that the reader has seen, and those that a look has left it with; those that were cut behind these halves,
    // and of their copies if they had not been seen before; and the halves of which nothing tells what they go on with.
    pub(super) seen: HashSet<Identity>,
    pub(super) held: HashSet<Identity>,
    pub(super) cut_behind: Vec<(Identity, u32)>,
    pub(super) untold: BTreeSet<u32>,
    // Files do not say when they were made, as in containers; and inodes have these numbers.
    pub(super) inodes: Option<HashMap<u64, u64>>,
    // To happen before one of the reader's next calls.
    pub(super) coming: VecDeque<Micro>,
    pub(super) calls_before: u8,
}

impl Disk {
    pub(super) fn new() -> Self {
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

    pub(super) fn path(&self, generation: usize) -> PathBuf {
        let log = self.dir.path().join("app.log");
        if generation == 0 { log } else { PathBuf::from(format!("{}.{generation}", log.display())) }
    }

    pub(super) fn packed(&self, generation: usize) -> PathBuf {
        PathBuf::from(format!("{}.gz", self.path(generation).display()))
    }

    /// The number of the oldest rotated file.
    pub(super) fn rotated(&self) -> usize {
        let is_there = |n: &usize| self.path(*n).exists() || self.packed(*n).exists();
        (1..100).take_while(is_there).count()
    }

    /// The reader makes a call.
    pub(super) fn called(&mut self) {
        if self.calls_before > 0 {
            self.calls_before -= 1;
        } else if let Some(step) = self.coming.pop_front() {
            self.step(step);
        }
    }

    pub(super) fn removes(&self) -> bool {
        self.removed || self.coming.iter().any(|step| matches!(step, Micro::Remove))
    }

    /// What has begun comes to its end. Returns whether a file was removed.
    pub(super) fn settle(&mut self) -> bool {
        while let Some(step) = self.coming.pop_front() {
            self.step(step);
        }
        std::mem::take(&mut self.removed)
    }

    pub(super) fn step(&mut self, step: Micro) {
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
                let packed = packed(&fs::read(self.path(0)).unwrap());
                fs::write(self.packed(1), &packed[..packed.len() * quarters / 4]).unwrap();
                self.copied = self.halves();
            }
            Micro::Cut => {
                self.writer.set_len(0).unwrap();
                self.at_risk.extend(self.copied..self.halves());
                let (plain, archive) = (fs::metadata(self.path(1)), fs::metadata(self.packed(1)));
                let nothing = if plain.is_ok() { 0 } else { packed(b"").len() as u64 };
                let is_packed = plain.is_err();
                let copy = plain.or(archive).unwrap();
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
                    let packed = packed(&plain);
                    fs::write(self.packed(which), &packed[..packed.len() * quarters / 4]).unwrap();
                }
            }
            Micro::RemovePacked(which) => {
                if self.path(which).exists() && self.packed(which).exists() {
                    let plain = Identity::of(&fs::metadata(self.path(which)).unwrap());
                    let cut = self.cut_behind.iter().filter(|(cut, _)| *cut == plain);
                    self.untold.extend(cut.map(|(_, half)| half));
                    finish_compressing(&self.path(which), &self.packed(which));
                }
            }
        }
    }

    pub(super) fn finish(&mut self) {
        if std::mem::take(&mut self.begun) {
            writeln!(self.writer, "{:04}", self.written).unwrap();
            self.written += 1;
        }
    }

    /// How many halves of lines have been written.
    pub(super) fn halves(&self) -> u32 {
        2 * self.written + u32::from(self.begun)
    }

    /// Waits for the next step of the clock that stamps files: in the same one, times do not tell what came first.
    pub(super) fn tick(&self) {
        let probe = self.dir.path().join("probe");
        let stamp = || {
            fs::write(&probe, "").unwrap();
            fs::metadata(&probe).unwrap().modified().unwrap()
        };
        let first = stamp();
        while stamp() == first {}
    }
}

pub(super) fn appending(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}
