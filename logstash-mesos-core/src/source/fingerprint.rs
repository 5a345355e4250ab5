//! The first bytes of a file, hashed: tells a file from another that got its inode.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

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
    /// Of as much of the head of `file` as there is, at most 1 KiB.
    ///
    /// # Errors
    ///
    /// What reading the file says.
    pub fn of(file: &File) -> io::Result<Self> {
        Self::of_first(file, MOST)
    }

    /// Of the first bytes of a file.
    #[cfg_attr(
        not(feature = "docker"),
        expect(dead_code, reason = "only files inside containers come as bytes")
    )]
    pub(super) fn of_bytes(head: &[u8]) -> Self {
        let head = &head[..head.len().min(MOST as usize)];
        Self { len: u32::try_from(head.len()).unwrap_or(MOST), hash: fnv(head) }
    }

    /// As [`Fingerprint::matches`], for a file that begins with `head`.
    #[cfg_attr(
        not(feature = "docker"),
        expect(dead_code, reason = "only files inside containers come as bytes")
    )]
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

    fn of_first(file: &File, len: u32) -> io::Result<Self> {
        let mut head = [0; MOST as usize];
        let have = read_head(file, &mut head[..len.min(MOST) as usize])?;
        Ok(Self { len: u32::try_from(have).unwrap_or(MOST), hash: fnv(&head[..have]) })
    }
}

fn read_head(file: &File, head: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while have < head.len() {
        match file.read_at(&mut head[have..], have as u64) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
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
}
