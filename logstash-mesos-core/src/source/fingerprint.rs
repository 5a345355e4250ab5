//! The first bytes of a file, hashed: tells a file from another that got its inode.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use crate::checksum::checksum;

/// Hash of the first `len` bytes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// How many bytes it covers; 0 matches every file.
    pub len: u32,
    /// FNV-1a over them.
    pub hash: u64,
}

/// Log files differ within their first lines, which hold times.
const MOST: u32 = 1024;

impl Fingerprint {
    /// How many bytes it covers at most.
    pub(super) const MOST: usize = MOST as usize;

    /// Of as much of the head of `file` as there is, at most 1 KiB.
    ///
    /// # Errors
    ///
    /// What reading the file says.
    pub fn of(file: &File) -> io::Result<Self> {
        Self::of_first(file, MOST)
    }

    /// Of the first bytes of a file.
    pub(super) fn of_bytes(head: &[u8]) -> Self {
        let head = &head[..head.len().min(MOST as usize)];
        Self { len: u32::try_from(head.len()).unwrap_or(MOST), hash: checksum(head) }
    }

    /// As [`Fingerprint::matches`], for a file that begins with `head`.
    pub(super) fn matches_bytes(&self, head: &[u8]) -> bool {
        self.len == 0 || head.get(..self.len as usize).is_some_and(|head| Self::of_bytes(head) == *self)
    }

    /// Whether the head of `file` is (still) the one this was made from.
    ///
    /// # Errors
    ///
    /// What reading the file says.
    pub fn matches(&self, file: &File) -> io::Result<bool> {
        Ok(self.len == 0 || Self::of_first(file, self.len)? == *self)
    }

    /// Whether it covers as much as it ever will.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len == MOST
    }

    /// As many of the first bytes of `file` as it covers at most.
    pub(super) fn head(file: &File) -> io::Result<Vec<u8>> {
        let mut head = vec![0; MOST as usize];
        let have = read_at(file, &mut head, 0)?;
        head.truncate(have);
        Ok(head)
    }

    fn of_first(file: &File, len: u32) -> io::Result<Self> {
        let mut head = [0; MOST as usize];
        let have = read_at(file, &mut head[..len.min(MOST) as usize], 0)?;
        Ok(Self { len: u32::try_from(have).unwrap_or(MOST), hash: checksum(&head[..have]) })
    }
}

/// Hashes of the first 4, 8, 16, … 512 bytes of a file, as far as there are so many: tells a file from the beginning of
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads([u32; 8]);

impl Heads {
    /// Of the first bytes of a file.
    pub(super) fn of(head: &[u8]) -> Self {
        let mut heads = [0; 8];
        for (at, hash) in heads.iter_mut().enumerate() {
            *hash = head.get(..4 << at).map_or(0, short);
        }
        Self(heads)
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// How many bytes are known to be the same in a file that begins with `head`: more than half of those that are
    /// there, or none.
    pub(super) fn alike(&self, head: &[u8]) -> u32 {
        let longest = (0..8).rev().find_map(|at| Some((at, head.get(..4 << at)?)));
        longest.filter(|(at, head)| self.0[*at] == short(head)).map_or(0, |(at, _)| 4 << at)
    }
}

/// The lower half of a hash, and never 0.
fn short(bytes: &[u8]) -> u32 {
    let [.., a, b, c, d] = checksum(bytes).to_be_bytes();
    u32::from_be_bytes([a, b, c, d]).max(1)
}

/// Some bytes in the middle of a file, hashed: tells whether what was read up to there is still there. A file
/// that was cut and has grown again may well begin as before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Where they end.
    pub end: u64,
    /// How many, and their hash; none match every file.
    pub bytes: Fingerprint,
}

/// How many bytes a [`Mark`] is made of.
pub(super) const MARK: usize = 256;

impl Mark {
    /// Of the last of `bytes`, which end at `end` of the file.
    pub(super) fn of(bytes: &[u8], end: u64) -> Self {
        let last = &bytes[bytes.len().saturating_sub(MARK)..];
        Self { end, bytes: Fingerprint::of_bytes(last) }
    }

    /// Of the bytes of `file` before `end`.
    pub(super) fn at(file: &File, end: u64) -> io::Result<Self> {
        let mut bytes = [0; MARK];
        let want = usize::try_from(end).unwrap_or(MARK).min(MARK);
        let have = read_at(file, &mut bytes[..want], end - want as u64)?;
        Ok(Self::of(&bytes[..have], end))
    }

    /// Whether `file` (still) has them.
    ///
    /// # Errors
    ///
    /// What reading the file says.
    pub fn matches(&self, file: &File) -> io::Result<bool> {
        let mut found = [0; MARK];
        let Some((start, len)) = self.place() else { return Ok(false) };
        let have = read_at(file, &mut found[..len], start)?;
        Ok(self.is_of(&found[..have]))
    }

    /// Where they begin, and how many they are; `None` if there can be no such bytes.
    pub(super) fn place(&self) -> Option<(u64, usize)> {
        let len = usize::try_from(self.bytes.len).ok().filter(|len| *len <= MARK)?;
        Some((self.end.checked_sub(len as u64)?, len))
    }

    /// Whether `found` is what is at its place.
    pub(super) fn is_of(&self, found: &[u8]) -> bool {
        self.bytes.len == 0 || Fingerprint::of_bytes(found) == self.bytes
    }
}

/// Fills `into` from the place `start` of a file on, as far as there is something. Returns how much there was.
pub(super) fn read_at(file: &File, into: &mut [u8], start: u64) -> io::Result<usize> {
    let mut have = 0;
    while have < into.len() {
        match file.read_at(&mut into[have..], start + have as u64) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_growing_file_keeps_its_fingerprint_and_a_rewritten_one_does_not() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"first line\n").unwrap();
        let small = Fingerprint::of(&file).unwrap();
        assert_eq!(small.len, 11);
        file.write_all(&[b'x'; 4000]).unwrap();
        assert!(small.matches(&file).unwrap());
        let full = Fingerprint::of(&file).unwrap();
        assert!(full.is_full());
        file.write_all_at(b"F", 0).unwrap();
        assert!(!small.matches(&file).unwrap());
        assert!(!full.matches(&file).unwrap());
        file.set_len(3).unwrap();
        assert!(!full.matches(&file).unwrap());
    }

    #[test]
    fn a_file_that_was_cut_and_begins_as_before_is_told_by_its_mark() {
        let mut file = tempfile::tempfile().unwrap();
        let head = "the same beginning\n".repeat(100);
        file.write_all(head.as_bytes()).unwrap();
        file.write_all(b"one\ntwo\n").unwrap();
        let fingerprint = Fingerprint::of(&file).unwrap();
        let mark = Mark::of(b"one\ntwo\n", head.len() as u64 + 8);
        assert!(mark.matches(&file).unwrap());
        file.write_all_at(b"three\nfour\n", head.len() as u64).unwrap();
        assert!(fingerprint.matches(&file).unwrap() && !mark.matches(&file).unwrap());
        file.set_len(4).unwrap();
        assert!(!mark.matches(&file).unwrap() && Mark::default().matches(&file).unwrap());
    }
}
