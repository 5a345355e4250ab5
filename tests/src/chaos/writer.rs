//! Who writes records, and rotates the files meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::Record;

/// How a file gives way to the next one. Nothing is removed: what is missing in the end was lost on the way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rotation {
    /// `name.log.1`, `name.log.2`, …: `create` of logrotate.
    Renamed,
    /// Copied to `name.log.1` and cut: `copytruncate`.
    Copied,
    /// `name.log-20260101-NNNN`: `dateext`.
    Dated,
    /// As renamed, and compressed at once: `compress`.
    Packed,
    /// Compressed when the next one is put aside: `delaycompress`.
    PackedLater,
    /// As copied, and compressed at once.
    CopiedPacked,
}

/// A stream before it is written.
#[derive(Debug)]
pub(super) struct Writer {
    name: &'static str,
    out: File,
    // Nothing to rotate where it is a pipe.
    path: Option<(PathBuf, Rotation)>,
    generation: usize,
    rng: Rng,
}

/// A stream that is being written.
#[derive(Debug)]
pub(super) struct Writing {
    name: &'static str,
    thread: JoinHandle<(u64, u64)>,
}

impl Writer {
    pub(super) fn file(directory: &Path, name: &'static str, rotation: Rotation, rng: Rng) -> Self {
        let path = directory.join(format!("{name}.log"));
        Self { name, out: appending(&path), path: Some((path, rotation)), generation: 0, rng }
    }

    pub(super) fn pipe(path: &Path, name: &'static str, rng: Rng) -> Self {
        let out = OpenOptions::new().write(true).open(path).expect("the container reads it");
        Self { name, out, path: None, generation: 0, rng }
    }

    /// Writes `records`, spread over `time`.
    pub(super) fn start(mut self, records: u64, time: Duration) -> Writing {
        let name = self.name;
        let thread = thread::spawn(move || {
            let began = Instant::now();
            let mut written = 0;
            let mut rotate_at = self.next_rotation();
            while written < records {
                let due = (began.elapsed().as_secs_f64() / time.as_secs_f64() * records as f64) as u64;
                let until = due.clamp(written, records);
                self.burst(written..until);
                written = until;
                if began.elapsed() >= rotate_at {
                    // Now and then several in a row, faster than anybody looks.
                    for _ in 0..*self.rng.choice(&[1, 1, 1, 2, 3]).expect("is not empty") {
                        self.rotate();
                        let until = (written + 3).min(records);
                        self.burst(written..until);
                        written = until;
                    }
                    rotate_at = began.elapsed() + self.next_rotation();
                }
                thread::sleep(Duration::from_millis(self.rng.u64(1..40)));
            }
            (written, self.generation as u64)
        });
        Writing { name, thread }
    }

    fn next_rotation(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(500..8_000))
    }

    fn burst(&mut self, numbers: std::ops::Range<u64>) {
        let mut lines = Vec::new();
        for number in numbers {
            Record { stream: self.name, number }.write(&mut lines, self.rng.usize(0..200));
        }
        // Programs write in pieces that know nothing of lines.
        let cut = self.rng.usize(0..=lines.len());
        self.write(&lines[..cut]);
        if self.rng.u8(..) < 16 {
            thread::sleep(Duration::from_millis(self.rng.u64(1..300)));
        }
        self.write(&lines[cut..]);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.out.write_all(bytes).unwrap_or_else(|error| panic!("{} cannot be written: {error}", self.name));
    }

    fn rotate(&mut self) {
        let Some((path, rotation)) = self.path.clone() else { return };
        self.generation += 1;
        match rotation {
            Rotation::Renamed => self.put_aside(&path, ""),
            Rotation::Packed => {
                self.put_aside(&path, ".gz");
                pack(&with(&path, ".1"));
            }
            Rotation::PackedLater => {
                if self.generation > 1 {
                    pack(&with(&path, ".1"));
                }
                self.put_aside(&path, ".gz");
            }
            Rotation::Dated => {
                rename(&path, &with(&path, &format!("-20260101-{:04}", self.generation)));
                self.out = appending(&path);
            }
            Rotation::Copied => self.copy_and_cut(&path, ""),
            Rotation::CopiedPacked => {
                self.copy_and_cut(&path, ".gz");
                pack(&with(&path, ".1"));
            }
        }
    }

    /// Moves the older ones up, with `suffix` in their names.
    fn move_up(&self, path: &Path, suffix: &str) {
        for number in (1..self.generation).rev() {
            let name = |number: usize| with(path, &format!(".{number}{suffix}"));
            rename(&name(number), &name(number + 1));
        }
    }

    /// The file becomes `.1`, and the older ones move up.
    fn put_aside(&mut self, path: &Path, suffix: &str) {
        self.move_up(path, suffix);
        rename(path, &with(path, ".1"));
        self.out = appending(path);
    }

    /// The same with a copy, and the file is cut.
    fn copy_and_cut(&mut self, path: &Path, suffix: &str) {
        self.move_up(path, suffix);
        let all = fs::read(path).expect("the file is there");
        let mut copy = appending(&with(path, ".1"));
        // A large file is seen half-way.
        let (some, rest) = all.split_at(self.rng.usize(0..=all.len()));
        for part in [some, rest] {
            copy.write_all(part).expect("the directory is writable");
            thread::sleep(Duration::from_millis(self.rng.u64(0..50)));
        }
        self.out.set_len(0).expect("the file is writable");
    }
}

impl Writing {
    pub(super) fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Returns name, how many records, and how many rotations there were.
    pub(super) fn join(self) -> (&'static str, u64, u64) {
        let (written, rotations) = self.thread.join().expect("the writer did not panic");
        (self.name, written, rotations)
    }
}

fn appending(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("the directory is writable")
}

fn pack(path: &Path) {
    let packed = Command::new("gzip").arg("--fast").arg(path).status();
    assert!(packed.is_ok_and(|status| status.success()), "gzip cannot pack {}", path.display());
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap_or_else(|error| panic!("cannot rename {}: {error}", from.display()));
}
