//! A queue in a directory: segments, and where in them the first record is that has not arrived.
//!
//! A segment is named after its first record. Records are only appended; a segment whose records have all arrived is
//! removed. What [`DiskQueue::append`] has returned for is synced, so it survives a crash; half an append does not
//! count, and is cut off. Where the queue begins is written down and not synced: after a power cut
//! some of what has arrived is sent again.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{error, warn};

use super::budget::{Budget, Taken};
use super::ranges::Ranges;
use super::record::{Stored, crc};
use super::segment::{Place, Reader};
use super::window::{Ticket, Window};
use crate::durable::{private, sync_directory};
use crate::event::Text;
use crate::sink::RecordBatch;

/// How much a queue holds, in bytes on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Most of the whole queue.
    pub(crate) most_bytes: u64,
    /// A segment that has so much is followed by another one.
    pub(crate) segment_bytes: u64,
}

impl Limits {
    /// For a queue of `most_bytes`. Room comes back segment by segment.
    pub(crate) fn of(most_bytes: u64) -> Self {
        Self { most_bytes, segment_bytes: (most_bytes / 8).min(8 << 20) }
    }
}

/// Records that were read.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) records: RecordBatch,
    pub(crate) ticket: Ticket,
}

/// Records of one output on disk, first in, first out. One owner at a time has the directory.
#[derive(Debug)]
pub(crate) struct DiskQueue {
    dir: PathBuf,
    limits: Limits,
    taken: Taken,
    // Oldest first; the last one is written to, if there is a writer.
    segments: VecDeque<Segment>,
    writer: Option<File>,
    // The number of the record that comes next.
    next: u64,
    // The first that has not arrived.
    head: Place,
    head_file: File,
    window: Window,
    // What has arrived behind the head: it is not read again.
    done: Ranges,
    reader: Option<(u64, Reader)>,
    // The next to be read; and all that is missing before this one is among the lost.
    read: u64,
    counted: u64,
    lost: Damage,
}

/// What was on disk and cannot be read: how many records, and the bytes in their place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    first: u64,
    bytes: u64,
}

impl DiskQueue {
    /// Opens the queue in the directory `dir`.
    ///
    /// # Errors
    ///
    /// When the directory or a file in it cannot be used.
    pub(crate) fn open(dir: &Path, limits: Limits, budget: &Arc<Budget>) -> io::Result<Self> {
        let head_file = private().read(true).create(true).truncate(false).open(dir.join(HEAD_FILE))?;
        let mut head = read_head(&head_file).unwrap_or_default();
        let mut segments = segments_in(dir)?;
        let mut next = head.number;
        if let Some(last) = segments.back_mut() {
            let path = path(dir, last.first);
            let end = end_of(&path, *last)?;
            if end.offset < last.bytes {
                // The tail of an append that did not come to its end.
                OpenOptions::new().write(true).open(&path)?.set_len(end.offset)?;
                last.bytes = end.offset;
            }
            next = next.max(end.number);
        }
        if let Some(first) = segments.front()
            && first.first > head.number
        {
            // Where it begins is not known, or segments are missing: all that is there is read.
            head = Place { number: first.first, offset: 0 };
        }
        let mut queue = Self {
            dir: dir.to_owned(),
            limits,
            taken: budget.taken(dir),
            segments,
            writer: None,
            next,
            head,
            head_file,
            window: Window::default(),
            done: Ranges::default(),
            reader: None,
            read: head.number,
            counted: head.number,
            lost: Damage::default(),
        };
        queue.remove_arrived();
        queue.taken.set(queue.bytes());
        Ok(queue)
    }

    /// The bytes that wait in the directory `dir`, of a queue that is not open.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub(super) fn bytes_in(dir: &Path) -> io::Result<u64> {
        let head = File::open(dir.join(HEAD_FILE)).ok().and_then(|file| read_head(&file)).unwrap_or_default();
        Ok(waiting(&segments_in(dir)?, head))
    }

    /// Appends all of `batches`, and nothing if there is no room for all. The first `sent` of them are on their way
    /// already, so they are not read; then all that was in the queue before has to be read. Says by which tickets these
    /// are known. All are on disk then.
    ///
    /// # Errors
    ///
    /// None of them counts then.
    pub(crate) fn append(
        &mut self,
        batches: &[&RecordBatch],
        sent: usize,
    ) -> io::Result<Option<Vec<Ticket>>> {
        let bytes = batches.iter().map(|batch| disk_size(batch)).sum();
        let fits =
            |queue: &mut Self| queue.bytes() + bytes <= queue.limits.most_bytes && queue.taken.more(bytes);
        if !fits(self) {
            // Perhaps a segment is kept that holds nothing any more.
            if !self.is_empty() {
                return Ok(None);
            }
            self.remove_all();
            self.taken.set(0);
            if !fits(self) {
                return Ok(None);
            }
        }
        let before = (self.next, self.segments.len(), self.last_bytes());
        let mut ends = Vec::with_capacity(batches.len());
        let written = self.write(batches, &mut ends);
        if written.is_err() {
            self.undo(before);
        }
        self.taken.set(self.bytes());
        written?;
        ends.truncate(sent);
        let (mut begin, mut tickets) = (before.0, Vec::new());
        for end in ends {
            tickets.push(self.window.begin(begin, end));
            begin = end.number;
        }
        if !tickets.is_empty() {
            self.read = begin;
            self.counted = self.counted.max(begin);
            self.reader = None;
        }
        Ok(Some(tickets))
    }

    fn write(&mut self, batches: &[&RecordBatch], ends: &mut Vec<Place>) -> io::Result<()> {
        let mut out = None;
        for batch in batches {
            let full = |last: &Segment| last.bytes >= self.limits.segment_bytes;
            if self.writer.is_none() || self.segments.back().is_none_or(full) {
                finish(out.take())?;
                self.begin_segment()?;
            }
            let out = match &mut out {
                Some(out) => out,
                out => {
                    let file = self.writer.as_ref().ok_or(io::ErrorKind::NotFound)?.try_clone()?;
                    out.insert(BufWriter::with_capacity(BUFFER, file))
                }
            };
            for stored in stored(batch, self.next) {
                out.write_all(&stored.head().ok_or(io::ErrorKind::FileTooLarge)?)?;
                out.write_all(stored.route.unwrap_or_default().as_bytes())?;
                out.write_all(stored.body)?;
            }
            self.next += batch.len() as u64;
            if let Some(last) = self.segments.back_mut() {
                last.bytes += disk_size(batch);
                ends.push(Place { number: self.next, offset: last.bytes });
            }
        }
        finish(out)
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let path = path(&self.dir, self.next);
        self.writer = Some(private().create(true).truncate(true).open(path)?);
        if self.segments.back().is_none_or(|last| last.first != self.next) {
            self.segments.push_back(Segment { first: self.next, bytes: 0 });
        }
        // A file without an entry in its directory is gone after a power cut.
        sync_directory(&self.dir)
    }

    /// Takes back what an append has written. A file that could not be written or synced is not trusted with more.
    fn undo(&mut self, (next, segments, bytes): (u64, usize, u64)) {
        self.writer = None;
        self.next = next;
        while self.segments.len() > segments
            && let Some(new) = self.segments.pop_back()
        {
            // What cannot be removed or cut has numbers that are given again, to a later segment: these hold.
            let _left = fs::remove_file(path(&self.dir, new.first));
        }
        if let Some(last) = self.segments.back_mut() {
            last.bytes = bytes;
            let file = OpenOptions::new().write(true).open(path(&self.dir, last.first));
            let _left = file.and_then(|file| file.set_len(bytes));
        }
    }

    /// The next records, of at most about `most_bytes` and `most_records`; one is given however large it is. `None`
    /// when all have been read. They are on their way until [`DiskQueue::arrived`] or [`DiskQueue::wind_back`]. What has
    /// arrived is not among them.
    ///
    /// # Errors
    ///
    /// When a segment cannot be read. What could is read again then.
    pub(crate) fn read(&mut self, most_bytes: usize, most_records: usize) -> io::Result<Option<Chunk>> {
        let mut records = RecordBatch::default();
        records.body.reserve(most_bytes.min(usize::try_from(self.bytes()).unwrap_or(most_bytes)));
        let (begin, mut end) = (self.read, Place::default());
        while self.read < self.next {
            // The segment it is in, and the first number that is not.
            let at = self.segments.partition_point(|segment| segment.first <= self.read).max(1) - 1;
            let Some(segment) = self.segments.get(at).copied() else { break };
            let behind = self.segments.get(at + 1).map_or(self.next, |next| next.first);
            let mut reader = match self.reader.take_if(|(first, _)| *first == segment.first) {
                Some((_, reader)) => reader,
                None => Reader::open(&path(&self.dir, segment.first), self.offset_of_read(segment))?,
            };
            let from = reader.offset();
            let found = match reader.next(segment.bytes) {
                Ok(found) => found,
                Err(error) => {
                    self.read = begin;
                    return Err(error);
                }
            };
            let Some(found) = found else {
                // What is missing up to the next segment was damaged.
                self.reach(behind, segment, from..segment.bytes);
                continue;
            };
            let stored = reader.stored(found).filter(|stored| (self.read..behind).contains(&stored.number));
            if let Some(stored) = stored {
                self.reach(stored.number, segment, from..reader.begin_of(found));
                let behind = Place { number: stored.number + 1, offset: reader.offset() };
                if self.done.contains(stored.number) {
                    self.read = behind.number;
                    end = behind;
                    self.reader = Some((segment.first, reader));
                    continue;
                }
                let full =
                    records.len() >= most_records || records.body.len() + stored.body.len() > most_bytes;
                if full && !records.is_empty() {
                    reader.put_back(found);
                    self.reader = Some((segment.first, reader));
                    break;
                }
                records.body.extend_from_slice(stored.body);
                records.finish_record(stored.route.map(|route| Text::from(route.to_owned())));
                end = behind;
                self.read = end.number;
                self.counted = self.counted.max(end.number);
            }
            self.reader = Some((segment.first, reader));
        }
        if records.is_empty() {
            if self.window.is_empty() && !self.is_empty() {
                // Nothing but damage was left.
                self.move_head(Place { number: self.next, offset: self.last_bytes() });
            }
            return Ok(None);
        }
        Ok(Some(Chunk { ticket: self.window.begin(begin, end), records }))
    }

    /// Where in `segment` the next record to be read is, or one before it.
    fn offset_of_read(&self, segment: Segment) -> u64 {
        let begun = self.read == self.head.number && segment.first < self.head.number;
        if begun { self.head.offset.min(segment.bytes) } else { 0 }
    }

    /// The next record that is there is `number`, or none before it. What is missing before it was at `place` in `segment`.
    fn reach(&mut self, number: u64, segment: Segment, place: Range<u64>) {
        let missing = number.saturating_sub(self.read.max(self.counted));
        if missing > 0 {
            let bytes = place.end.saturating_sub(place.start);
            self.lost.records += missing;
            self.lost.bytes += bytes;
            let path = path(&self.dir, segment.first);
            error!(
                events = missing, lost_bytes = bytes, path = %path.display(), offset = place.start,
                "Events that waited on disk are damaged and lost"
            );
        }
        self.counted = self.counted.max(number);
        self.read = self.read.max(number);
    }

    /// What was on its way has arrived. What is before all that is still on its way is removed.
    pub(crate) fn arrived(&mut self, ticket: Ticket) {
        let Some((records, moved)) = self.window.arrived(ticket) else { return };
        self.done.insert(records);
        if let Some(head) = moved {
            self.move_head(head);
        }
    }

    /// Whether anything was read that has not arrived.
    pub(crate) fn waits(&self) -> bool {
        !self.window.is_empty()
    }

    /// Whether a batch keeps more from being removed than waits: then it is better put behind the others.
    pub(crate) fn is_in_the_way(&self, ticket: Ticket) -> bool {
        self.window.is_first(ticket) && self.done.count() > self.events()
    }

    /// What is on its way is given up, and read again; the tickets hold no longer.
    pub(crate) fn wind_back(&mut self) {
        self.window.wind_back();
        self.read = self.head.number;
        self.reader = None;
    }

    fn move_head(&mut self, head: Place) {
        self.head = head;
        self.done.forget_below(head.number);
        let mut bytes = [0; HEAD_BYTES];
        bytes[..8].copy_from_slice(&head.number.to_le_bytes());
        bytes[8..16].copy_from_slice(&head.offset.to_le_bytes());
        let sum = crc(&[&bytes[..16]]);
        bytes[16..].copy_from_slice(&sum.to_le_bytes());
        // Without it some of what has arrived is sent again after a crash.
        if let Err(error) = self.head_file.write_all_at(&bytes, 0) {
            warn!(%error, path = %self.dir.display(), "Where a queue on disk begins could not be written down");
        }
        self.remove_arrived();
        self.taken.set(self.bytes());
    }

    fn remove_arrived(&mut self) {
        while self.segments.get(1).is_some_and(|second| second.first <= self.head.number)
            && let Some(first) = self.segments.pop_front()
        {
            self.remove_file(first);
        }
        // The last one goes when it would get nothing more.
        if self.is_empty() && (self.writer.is_none() || self.last_bytes() >= self.limits.segment_bytes) {
            self.remove_all();
        }
    }

    fn remove_all(&mut self) {
        self.writer = None;
        self.reader = None;
        while let Some(segment) = self.segments.pop_front() {
            self.remove_file(segment);
        }
        self.head.offset = 0;
    }

    fn remove_file(&self, segment: Segment) {
        let path = path(&self.dir, segment.first);
        if let Err(error) = fs::remove_file(&path) {
            warn!(%error, path = %path.display(), "A segment that has been delivered could not be removed");
        }
    }

    /// Removes the directory of an empty queue.
    pub(crate) fn remove(mut self) {
        self.remove_all();
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            warn!(%error, path = %self.dir.display(), "The directory of an empty queue could not be removed");
        }
    }

    /// Whether all that was ever put in has arrived, or is lost.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.number >= self.next
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Records that wait or are on their way.
    pub(crate) fn events(&self) -> u64 {
        self.next.saturating_sub(self.head.number) - self.done.count()
    }

    /// Their bytes on disk.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        waiting(&self.segments, self.head)
    }

    /// What was on disk and could not be read, so far.
    pub(crate) fn lost(&self) -> Damage {
        self.lost
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn last_bytes(&self) -> u64 {
        self.segments.back().map_or(0, |last| last.bytes)
    }
}

/// The bytes behind `head`.
fn waiting(segments: &VecDeque<Segment>, head: Place) -> u64 {
    let arrived = segments.front().filter(|first| first.first < head.number);
    let all: u64 = segments.iter().map(|segment| segment.bytes).sum();
    all - arrived.map_or(0, |first| head.offset.min(first.bytes))
}

/// The records of a batch as they are stored, the first under `number`.
fn stored(batch: &RecordBatch, number: u64) -> impl Iterator<Item = Stored<'_>> {
    batch.records.iter().zip(0..).map(move |(record, at)| Stored {
        number: number + at as u64,
        route: record.route.as_deref(),
        body: batch.bytes(at),
    })
}

/// What the records of a batch take on disk.
fn disk_size(batch: &RecordBatch) -> u64 {
    stored(batch, 0).map(|stored| stored.len() as u64).sum()
}

/// Brings what was written to the disk.
fn finish(out: Option<BufWriter<File>>) -> io::Result<()> {
    let Some(out) = out else { return Ok(()) };
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()
}

fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}{SUFFIX}"))
}

fn segments_in(dir: &Path) -> io::Result<VecDeque<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let first =
            name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).and_then(|name| name.parse().ok());
        if let Some(first) = first {
            segments.push(Segment { first, bytes: entry.metadata()?.len() });
        }
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments.into())
}

fn read_head(file: &File) -> Option<Place> {
    let mut bytes = [0; HEAD_BYTES];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let (place, sum) = bytes.split_at(16);
    if crc(&[place]).to_le_bytes() != sum {
        return None;
    }
    let (number, offset) = place.split_first_chunk::<8>()?;
    Some(Place { number: u64::from_le_bytes(*number), offset: u64::from_le_bytes(offset.try_into().ok()?) })
}

/// Where the last whole record of a segment ends, and the number behind it.
fn end_of(path: &Path, segment: Segment) -> io::Result<Place> {
    let mut reader = Reader::open(path, 0)?;
    let mut end = Place { number: segment.first, offset: 0 };
    while let Some(found) = reader.next(segment.bytes)? {
        if found.number >= end.number {
            end = Place { number: found.number + 1, offset: reader.offset() };
        }
    }
    Ok(end)
}

/// Where the queue begins, and a checksum.
const HEAD_BYTES: usize = 20;
/// Written at once.
const BUFFER: usize = 64 << 10;
const SUFFIX: &str = ".records";
const HEAD_FILE: &str = "head";
