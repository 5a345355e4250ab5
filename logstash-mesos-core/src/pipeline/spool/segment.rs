//! A file of a queue, from its first record to its last, and over what is damaged in between.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::record::{self, HEAD, Parsed, Stored};

/// A place between two records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the record behind it.
    pub(crate) number: u64,
    /// Where that begins in the segment of the one before it.
    pub(crate) offset: u64,
}

/// Reads the records of one file in order.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    buffer: Vec<u8>,
    // Where the bytes that nobody has looked at begin in the buffer, and in the file.
    start: usize,
    offset: u64,
}

/// A record in the buffer of its reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) number: u64,
    start: usize,
    len: usize,
}

/// Read at once.
const BLOCK: usize = 64 << 10;

impl Reader {
    /// From `offset`, at which a record begins.
    pub(super) fn open(path: &Path, offset: u64) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, buffer: Vec::new(), start: 0, offset })
    }

    /// The next whole record of those that end at `end` or before. What is none is passed over.
    pub(super) fn next(&mut self, end: u64) -> io::Result<Option<Found>> {
        loop {
            let left = usize::try_from(end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
            let there = &self.buffer[self.start..];
            let there = &there[..there.len().min(left)];
            match record::parse(there) {
                Parsed::Whole(Stored { number, .. }, len) => {
                    let found = Found { number, start: self.start, len };
                    self.pass(len);
                    return Ok(Some(found));
                }
                Parsed::Short(more) if more <= left => self.fill(more, left)?,
                Parsed::Short(_) | Parsed::Wrong => {
                    let skip = record::next_beginning(there).max(1);
                    if there.len() < left.min(HEAD) {
                        self.fill(HEAD.min(left), left)?;
                    } else if left == 0 {
                        return Ok(None);
                    } else {
                        self.pass(skip);
                    }
                }
            }
        }
    }

    /// What was found last.
    pub(super) fn stored(&self, found: Found) -> Option<Stored<'_>> {
        record::stored(self.buffer.get(found.start..found.start + found.len)?)
    }

    /// Where in the file what was found last begins.
    pub(super) fn begin_of(&self, found: Found) -> u64 {
        self.offset - found.len as u64
    }

    /// Where in the file what was found last ends.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Puts what was found last back.
    pub(super) fn put_back(&mut self, found: Found) {
        self.start = found.start;
        self.offset -= found.len as u64;
    }

    fn pass(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Has at least `least` of the `left` bytes in the buffer.
    fn fill(&mut self, least: usize, left: usize) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let there = self.buffer.len();
        self.buffer.resize(least.max(BLOCK).min(left).max(there), 0);
        let read = self.file.read_exact_at(&mut self.buffer[there..], self.offset + there as u64);
        if read.is_err() {
            self.buffer.truncate(there);
        }
        read
    }
}
