//! The copy of a file that was cut, and what is known of the file by it.

use std::io;

use super::{Body, Fingerprint, Heads, Mark, Opened};

/// It is complete: a file is copied before it is cut. What was written between the two is not in it.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) opened: Opened,
    pub(super) compressed: bool,
    /// How many bytes there are, when unpacked.
    pub(super) size: u64,
    pub(super) fingerprint: Fingerprint,
    pub(super) heads: Heads,
    pub(super) mark: Mark,
}

impl Copied {
    /// The copy of a file that had `seen` bytes when it was seen last, and of which `mark` was read last.
    pub(super) fn of(opened: Opened, compressed: bool, seen: u64, mark: Mark) -> io::Result<Self> {
        let mut body = Body::new(opened.file.try_clone()?, compressed);
        // What a compressed one says of its size is modulo 4 GiB.
        let size = if compressed && seen > u64::from(u32::MAX) { seen } else { body.len()? };
        let head = body.head()?;
        let mark = match mark.end <= size {
            true => mark,
            false if compressed => Mark::default(),
            false => Mark::at(body.file(), size)?,
        };
        let (fingerprint, heads) = (Fingerprint::of_bytes(&head), Heads::of(&head));
        Ok(Self { opened, compressed, size, fingerprint, heads, mark })
    }

    /// How many of the bytes that were `seen` are not in it, nor have been read.
    pub(super) fn lacks(&self, seen: u64, read: u64) -> u64 {
        seen.saturating_sub(self.size.max(read))
    }
}
