//! The dead letters of one configuration on disk.
//!
//! ```text
//! dead-letters/<configuration>/lock                 held while anything is changed, by whichever process
//! dead-letters/<configuration>/<first id>.jsonl     letters, a line each, the oldest file first
//! dead-letters/<configuration>/replay/…             letters on their way back to their outputs
//! dead-letters/<configuration>/replay/lock          held by the one pipeline that takes them there
//! ```
//!
//! A letter is synced before it counts as stored. What a crash leaves of the last line was never stored and is cut off by
//! the next letter. A file is changed in its middle by writing it anew beside itself. So whoever only reads needs no lock.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::percent_decode_str;
use rustix::fs::{FlockOperation, flock};

use super::letter::Letter;
use super::settings::{DeadLetterSettings, StoragePolicy};
use crate::durable::{private, replace_file, sync_directory};
use crate::pipeline::directory_name::directory_name;

/// The letters of one configuration. Any number of these, in any process, may be at work on the same directory.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    end: Mutex<End>,
    // Bytes and letters of each file that was counted, so that it is not read again while it is as it was.
    counted: Mutex<BTreeMap<PathBuf, Census>>,
}

/// What is known of the last file, so that it is not read for each letter.
#[derive(Debug, Default)]
struct End {
    path: PathBuf,
    bytes: u64,
    last_id: u64,
}

/// What became of letters that were to be stored, and of older ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Now on disk.
    pub stored: u64,
    /// Not stored, as there was no room: `drop_newer`, or larger than all there is.
    pub refused: u64,
    /// Older ones that made room: `drop_older`.
    pub displaced: u64,
    /// Older ones beyond `dead_letter_queue.retain.age`.
    pub expired: u64,
}

/// Which letters are meant. What is not said is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only those of this plugin, by its id.
    pub plugin_id: Option<String>,
    /// Only letters with one of these ids; of any if there are none.
    pub ids: Vec<u64>,
    /// Only later ones than this.
    pub after: u64,
}

/// What becomes of letters that are taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They are gone.
    Discard,
    /// They go back to their outputs, as soon as a pipeline with this configuration is at work.
    Replay,
}

/// A line that is no letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file with letters in which the line stands.
    pub path: PathBuf,
    /// The number of the line in it, from 1.
    pub line: usize,
}

struct Segment {
    path: PathBuf,
    first_id: u64,
    bytes: u64,
}

/// A new file is begun when the last one has so many bytes: what is displaced, expires or is sent again goes by files.
const SEGMENT_BYTES: u64 = 4 << 20;
const ENDING: &str = ".jsonl";
impl Store {
    /// Where letters of `configuration` are kept below `data_dir`. Nothing is made yet.
    #[must_use]
    pub fn of(data_dir: &Path, configuration: &str) -> Self {
        Self::at(data_dir.join(ROOM).join(directory_name(configuration)))
    }

    fn at(directory: PathBuf) -> Self {
        Self { directory, end: Mutex::default(), counted: Mutex::default() }
    }

    /// All that there are below `data_dir`, by name.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read; that there is none is no error.
    pub fn all(data_dir: &Path) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in or_none(fs::read_dir(data_dir.join(ROOM)))?.into_iter().flatten() {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                found.push(Self::at(entry.path()));
            }
        }
        found.sort_by(|a, b| a.directory.cmp(&b.directory));
        Ok(found)
    }

    /// The configuration, as far as the directory's name tells it: a very long one is cut.
    #[must_use]
    pub fn configuration(&self) -> String {
        let name = self.directory.file_name().unwrap_or_default().to_string_lossy();
        percent_decode_str(&name).decode_utf8_lossy().into_owned()
    }

    /// Where they are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Stores letters, which get their ids and times; returns when they are on disk. What became of them, and of older ones,
    /// is added to `done`.
    ///
    /// # Errors
    ///
    /// When they could not be stored, all or some of them: none of them counts as stored or as refused then. What had gone of
    /// older ones by then counts all the same.
    pub fn append(
        &self,
        configuration: &str,
        letters: &mut [Letter],
        settings: &DeadLetterSettings,
        done: &mut Appended,
    ) -> io::Result<()> {
        let mut put_out = Appended::default();
        let stored = self.append_all(configuration, letters, settings, &mut put_out);
        let (new, stored) =
            stored.map_or_else(|error| (Appended::default(), Err(error)), |new| (new, Ok(())));
        done.add(put_out);
        done.add(new);
        stored
    }

    /// What became of `letters`; what has gone of older ones is added to `put_out` as it goes.
    fn append_all(
        &self,
        configuration: &str,
        letters: &mut [Letter],
        settings: &DeadLetterSettings,
        put_out: &mut Appended,
    ) -> io::Result<Appended> {
        let _lock = self.lock()?;
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let mut segments = self.segments()?;
        self.find_end(&mut segments, &mut end)?;
        expire(&mut segments, settings.retain, &mut put_out.expired)?;
        let mut done = Appended::default();
        let most_in_file = SEGMENT_BYTES.min(settings.max_bytes / 8);
        let mut begun = false;
        let mut lines = Vec::new();
        for letter in letters {
            let id = now_micros().max(end.last_id + 1);
            letter.stamp(id, configuration);
            let line = letter.line();
            // What is on its way back does not count: its place is kept for it, as it may be refused again.
            let room = |segments: &[Segment]| {
                let used = segments.iter().map(|segment| segment.bytes).sum::<u64>();
                used + line.len() as u64 <= settings.max_bytes
            };
            let may_displace =
                settings.policy == StoragePolicy::DropOlder && line.len() as u64 <= settings.max_bytes;
            while may_displace && !room(&segments) && !segments.is_empty() {
                put_out.displaced += remove(&segments.remove(0).path)?;
                if segments.is_empty() {
                    // What was to be written to it.
                    done.displaced += newlines(&lines);
                    lines.clear();
                }
            }
            if !room(&segments) {
                done.refused += 1;
                continue;
            }
            if segments.last().is_none_or(|last| last.bytes >= most_in_file) {
                if let Some(full) = segments.last() {
                    write_synced(&full.path, &std::mem::take(&mut lines))?;
                }
                let path = self.directory.join(format!("{id:016}{ENDING}"));
                segments.push(Segment { path, first_id: id, bytes: 0 });
                begun = true;
            }
            if let Some(last) = segments.last_mut() {
                last.bytes += line.len() as u64;
            }
            lines.extend_from_slice(&line);
            end.last_id = id;
            done.stored += 1;
        }
        if let Some(last) = segments.last() {
            write_synced(&last.path, &lines)?;
            (end.path, end.bytes) = (last.path.clone(), last.bytes);
        }
        if begun {
            sync_directory(&self.directory)?;
        }
        Ok(done)
    }

    /// Visits the letters that are meant, the oldest first, until `visit` wants no more; returns what is damaged.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn read(&self, which: &Selection, mut visit: impl FnMut(Letter) -> bool) -> io::Result<Vec<Damage>> {
        let mut damaged = Vec::new();
        let segments = self.segments()?;
        for (at, segment) in segments.iter().enumerate() {
            if segments.get(at + 1).is_some_and(|next| next.first_id <= which.after) {
                continue;
            }
            // It may have been taken out meanwhile.
            let content = or_none(fs::read(&segment.path))?.unwrap_or_default();
            for (number, line) in whole_lines(&content).enumerate() {
                match serde_json::from_slice(line) {
                    Ok(letter) if which.has(&letter) => {
                        if !visit(letter) {
                            return Ok(damaged);
                        }
                    }
                    Ok(_) => {}
                    Err(_) => damaged.push(Damage { path: segment.path.clone(), line: number + 1 }),
                }
            }
        }
        Ok(damaged)
    }

    /// Takes out the letters that are meant; returns how many. A line that is no letter goes with its file when all
    /// are discarded, and stays otherwise.
    ///
    /// # Errors
    ///
    /// When the disk refuses: some may have been taken out then, and the others are as they were.
    pub fn take(&self, which: &Selection, fate: Fate) -> io::Result<u64> {
        if !self.directory.is_dir() {
            return Ok(0);
        }
        let _lock = self.lock()?;
        let mut count = 0;
        let all = fate == Fate::Discard && *which == Selection::default();
        for segment in self.segments()? {
            let content = fs::read(&segment.path)?;
            let (mut taken, mut rest, mut first_id) = (Vec::new(), Vec::new(), 0);
            for line in whole_lines(&content) {
                let letter = serde_json::from_slice::<Letter>(line).ok();
                match letter.filter(|letter| which.has(letter)) {
                    Some(letter) => {
                        count += 1;
                        first_id = if first_id == 0 { letter.id } else { first_id };
                        taken.extend_from_slice(line);
                    }
                    None if all => {}
                    None => rest.extend_from_slice(line),
                }
            }
            if taken.is_empty() && !(all && rest.is_empty()) {
                continue;
            }
            // First there, then gone here: a crash between the two sends them twice.
            if fate == Fate::Replay && !taken.is_empty() {
                let replay = self.directory.join(REPLAY);
                make_directory(&replay)?;
                // A clock that was set back may have given the number to one that is on its way.
                let mut names = (first_id..).map(|id| replay.join(format!("{id:016}{ENDING}")));
                let free = names.find(|name| !name.exists()).ok_or(io::ErrorKind::AlreadyExists)?;
                replace_file(&free, &taken)?;
            }
            if rest.is_empty() {
                fs::remove_file(&segment.path)?;
            } else {
                replace_file(&segment.path, &rest)?;
            }
        }
        sync_directory(&self.directory)?;
        Ok(count)
    }

    /// How many letters there are and how many bytes they have: those that wait, and those on their way back.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn census(&self) -> io::Result<(Census, Census)> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = BTreeMap::new();
        let mut count = |segments: Vec<Segment>| {
            let mut all = Census::default();
            for Segment { path, bytes, .. } in segments {
                let known = counted.get(&path).filter(|known| known.bytes == bytes).copied();
                let one = match known {
                    Some(known) => known,
                    None => Census { letters: count_lines(&path)?, bytes },
                };
                all.letters += one.letters;
                all.bytes += one.bytes;
                now.insert(path, one);
            }
            io::Result::Ok(all)
        };
        let waiting = count(self.segments()?)?;
        let on_their_way = count(files(&self.directory.join(REPLAY))?)?;
        *counted = now;
        Ok((waiting, on_their_way))
    }

    /// Takes the right to send letters again: `None` while another pipeline has it.
    ///
    /// # Errors
    ///
    /// When the lock cannot be made.
    pub(crate) fn replayer(&self) -> io::Result<Option<File>> {
        let file = private_file(&self.directory.join(REPLAY).join("lock"))?;
        match flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The files with letters that are to be sent again, the oldest first.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub(crate) fn replays(&self) -> io::Result<Vec<PathBuf>> {
        Ok(files(&self.directory.join(REPLAY))?.into_iter().map(|segment| segment.path).collect())
    }

    fn lock(&self) -> io::Result<File> {
        make_directory(&self.directory)?;
        let file = private_file(&self.directory.join("lock"))?;
        loop {
            match flock(file.as_fd(), FlockOperation::LockExclusive) {
                Ok(()) => return Ok(file),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn segments(&self) -> io::Result<Vec<Segment>> {
        files(&self.directory)
    }

    /// Learns the last id, and cuts off half a line.
    fn find_end(&self, segments: &mut [Segment], end: &mut End) -> io::Result<()> {
        let Some(last) = segments.last_mut() else { return Ok(()) };
        if (&end.path, end.bytes) == (&last.path, last.bytes) {
            return Ok(());
        }
        let content = fs::read(&last.path)?;
        let whole = whole_lines(&content).map(<[u8]>::len).sum::<usize>();
        if whole < content.len() {
            let file = OpenOptions::new().write(true).open(&last.path)?;
            file.set_len(whole as u64)?;
            file.sync_data()?;
        }
        last.bytes = whole as u64;
        let ids = whole_lines(&content).filter_map(|line| serde_json::from_slice::<Letter>(line).ok());
        end.last_id = ids.map(|letter| letter.id).max().unwrap_or(last.first_id).max(end.last_id);
        Ok(())
    }
}

/// Letters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// How many letters there are.
    pub letters: u64,
    /// Their bytes on disk.
    pub bytes: u64,
}

/// Reads a file of letters; lines that are none are left out and counted.
pub(crate) fn letters_in(path: &Path) -> io::Result<(Vec<Letter>, usize)> {
    let content = fs::read(path)?;
    let (mut letters, mut damaged) = (Vec::new(), 0);
    for line in whole_lines(&content) {
        match serde_json::from_slice(line) {
            Ok(letter) => letters.push(letter),
            Err(_) => damaged += 1,
        }
    }
    Ok((letters, damaged))
}

impl Selection {
    fn has(&self, letter: &Letter) -> bool {
        letter.id > self.after
            && (self.ids.is_empty() || self.ids.contains(&letter.id))
            && self.plugin_id.as_ref().is_none_or(|wanted| *wanted == letter.plugin_id)
    }
}

const ROOM: &str = "dead-letters";
const REPLAY: &str = "replay";

/// Removes the files in which everything is older than `retain`, and counts their letters: each is as old as the next one is
/// at its beginning, the last as old as its last change.
fn expire(segments: &mut Vec<Segment>, retain: Option<Duration>, expired: &mut u64) -> io::Result<()> {
    let Some(retain) = retain else { return Ok(()) };
    let oldest = now_micros().saturating_sub(u64::try_from(retain.as_micros()).unwrap_or(u64::MAX));
    while let Some(first) = segments.first() {
        let newest = match segments.get(1) {
            Some(next) => next.first_id,
            None => fs::metadata(&first.path)?.modified().map_or(u64::MAX, micros),
        };
        if newest >= oldest {
            break;
        }
        *expired += remove(&first.path)?;
        segments.remove(0);
    }
    Ok(())
}

/// Removes a file with letters; returns how many there were.
fn remove(path: &Path) -> io::Result<u64> {
    let count = count_lines(path)?;
    or_none(fs::remove_file(path))?;
    Ok(count)
}

/// The files with letters in `directory`, by their first letter.
fn files(directory: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in or_none(fs::read_dir(directory))?.into_iter().flatten() {
        let entry = entry?;
        let name = entry.file_name();
        let first_id = name.to_str().and_then(|name| name.strip_suffix(ENDING)?.parse().ok());
        if let (Some(first_id), Some(metadata)) = (first_id, or_none(entry.metadata())?) {
            found.push(Segment { path: entry.path(), first_id, bytes: metadata.len() });
        }
    }
    found.sort_by_key(|segment| segment.first_id);
    Ok(found)
}

/// Appends `lines`, all or none of them.
fn write_synced(path: &Path, lines: &[u8]) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut file = private_file(path)?;
    let before = file.seek(io::SeekFrom::End(0))?;
    file.write_all(lines).and_then(|()| file.sync_data()).inspect_err(|_| {
        // What is left of it would be cut off by the next letter as well.
        let _as_far_as_possible = file.set_len(before);
    })
}

/// Opens a file that holds log data: its owner's alone.
fn private_file(path: &Path) -> io::Result<File> {
    private().read(true).create(true).truncate(false).open(path)
}

fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    path.ancestors().skip(1).take(2).try_for_each(sync_directory)
}

fn whole_lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"))
}

fn count_lines(path: &Path) -> io::Result<u64> {
    let Some(mut file) = or_none(File::open(path))? else { return Ok(0) };
    let (mut buffer, mut count) = (vec![0; 64 << 10], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(count),
            read => count += newlines(&buffer[..read]),
        }
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// What is not there (any more) is no error.
fn or_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn now_micros() -> u64 {
    micros(SystemTime::now())
}

fn micros(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
