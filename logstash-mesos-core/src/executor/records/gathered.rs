//! The text of a line that comes in pieces, perhaps for hours: beyond a little it lies in a file without a name, as all
//! containers may have such a line at the same time.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use logstash_mesos_engine::time::Seldom;
use tracing::warn;

use crate::durable::private;

/// Pieces, behind one another.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    memory: Vec<u8>,
    // With what came first, and how much that is; then nothing is in `memory`.
    file: Option<(File, usize)>,
    // There is no file to be had.
    stays: bool,
}

/// So much of a line is in memory: two pieces.
const FREE_BYTES: usize = 32 << 10;
/// Tells the files of a process apart for as long as they have names.
static NEXT: AtomicU64 = AtomicU64::new(0);
static SAID: LazyLock<Seldom> = LazyLock::new(Seldom::default);

impl Gathered {
    pub(super) fn len(&self) -> usize {
        self.on_disk() + self.memory.len()
    }

    /// How much of it takes no memory.
    pub(super) fn on_disk(&self) -> usize {
        self.file.as_ref().map_or(0, |(_, len)| *len)
    }

    /// Adds `bytes`. A file is made in `dir`, if one is said; what cannot be put there stays in memory.
    pub(super) fn push(&mut self, bytes: &[u8], dir: Option<&Path>) {
        if let Err(error) = self.try_push(bytes, dir) {
            if SAID.is_due() {
                warn!(%error, "A line that comes in pieces is held in memory, it cannot be written to the data directory");
            }
            let mut memory = std::mem::take(self).into_bytes();
            memory.extend_from_slice(bytes);
            *self = Self { memory, file: None, stays: true };
        }
    }

    fn try_push(&mut self, bytes: &[u8], dir: Option<&Path>) -> io::Result<()> {
        if let Some((file, len)) = &mut self.file {
            file.write_all(bytes)?;
            *len += bytes.len();
            return Ok(());
        }
        let dir = dir.filter(|_| !self.stays && self.len() + bytes.len() > FREE_BYTES);
        if let Some(dir) = dir {
            let mut file = nameless(dir)?;
            file.write_all(&self.memory)?;
            file.write_all(bytes)?;
            let len = self.memory.len() + bytes.len();
            (self.memory, self.file) = (Vec::new(), Some((file, len)));
        } else {
            self.memory.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// All of it. What cannot be read from the file any more is left out.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let Some((mut file, len)) = self.file else { return self.memory };
        let mut bytes = Vec::with_capacity(len);
        let read = file.rewind().and_then(|()| file.take(len as u64).read_to_end(&mut bytes));
        if let Err(error) = read {
            warn!(%error, byte_size = len, "A line that came in pieces cannot be read from the data directory");
        }
        bytes
    }
}

/// A file in `dir` that is gone when it is closed.
fn nameless(dir: &Path) -> io::Result<File> {
    // One that a process left that was killed here is used again.
    let path = dir.join(format!(".line-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let file = private().read(true).create(true).truncate(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_takes_no_memory_and_comes_back_whole() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        let pieces = [10, 30 << 10, 16 << 10, 1, 16 << 10].map(|len| vec![b'a' + (len % 7) as u8; len]);
        for (dir, takes_none) in [(Some(dir.path()), true), (Some(&*gone), false), (None, false)] {
            let mut gathered = Gathered::default();
            for piece in &pieces {
                gathered.push(piece, dir);
                assert!(!takes_none || gathered.memory.len() <= FREE_BYTES);
            }
            assert_eq!(gathered.len(), pieces.concat().len());
            assert_eq!(gathered.on_disk() > 0, takes_none);
            assert_eq!(gathered.into_bytes(), pieces.concat());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_full_disk_does_not_take_stays_in_memory() {
        let full = File::options().read(true).write(true).open("/dev/full").unwrap();
        let mut gathered = Gathered { file: Some((full, 0)), ..Gathered::default() };
        gathered.push(&[b'b'; 50_000], None);
        gathered.push(b"c", None);
        assert_eq!((gathered.on_disk(), gathered.len()), (0, 50_001));
    }
}
