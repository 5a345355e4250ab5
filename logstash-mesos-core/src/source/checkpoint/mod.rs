//! Where each stream has arrived, kept in one file.
//!
//! What has changed within a tenth of a second is added to the file, line by line, each with a checksum, and what is left when
//! the last handle goes. Now and then the file is written anew beside itself and renamed over. A line that is damaged costs that
//! position; a file that holds something else is never overwritten.

mod files;
mod journal;
mod live;
mod position;
mod record;
mod shared;
mod stream;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;
use tracing::{info, warn};

pub(super) use self::live::LiveFile;
pub use self::position::FilePosition;
pub use self::stream::StreamPositions;

use self::files::Entry;
use self::record::Kept;
use self::shared::{Saver, Shared, State};
use super::Identity;

/// The positions of the streams of one reader.
///
/// Clones share the same positions; the last one to go saves them.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    shared: Arc<Shared>,
    _saver: Option<Arc<Saver>>,
}

/// Why positions cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file is there and is not what we write.
    #[error(
        "cannot read the positions in `{path}`: {reason}; nothing was changed: restore the file from a copy, or \
         remove it to read every stream from its beginning"
    )]
    Unreadable {
        /// The file with the positions.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The directory or the file cannot be used.
    #[error("cannot keep positions in `{path}`")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Checkpoints {
    /// Positions that are forgotten with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { shared: Arc::new(Shared::new(None, State::default())), _saver: None }
    }

    /// The positions in the file `positions.json` of `directory`, which is made if need be.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Unreadable`] for a file that holds something else: it is left as it is.
    pub fn open(directory: &Path) -> Result<Self, CheckpointError> {
        let failed = |source| CheckpointError::Io { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        Self::open_file(directory.join("positions.json"))
    }

    /// The positions in the file `path`.
    ///
    /// # Errors
    ///
    /// As [`Checkpoints::open`].
    pub fn open_file(path: impl Into<PathBuf>) -> Result<Self, CheckpointError> {
        let path = path.into();
        let state = match fs::read(&path) {
            Ok(bytes) => {
                let kept = Kept::read(&bytes)
                    .map_err(|reason| CheckpointError::Unreadable { path: path.clone(), reason })?;
                tell_damage(&path, &kept);
                State::of(kept)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(source) => return Err(CheckpointError::Io { path, source }),
        };
        let shared = Arc::new(Shared::new(Some(path.clone()), state));
        let saver =
            Saver::start(Arc::clone(&shared)).map_err(|source| CheckpointError::Io { path, source })?;
        Ok(Self { shared, _saver: Some(Arc::new(saver)) })
    }

    /// The part that belongs to the stream `key`.
    #[must_use]
    pub fn stream(&self, key: &str) -> StreamPositions {
        StreamPositions { key: Arc::from(key), checkpoints: self.clone() }
    }

    /// Whether some stream has this file open.
    #[must_use]
    pub fn is_live(&self, identity: Identity) -> bool {
        let state = self.shared.lock();
        state
            .files
            .that_may_be(identity)
            .any(|(_, entry)| entry.live && entry.position.identity() == identity)
    }

    /// The keys of all streams something is kept for.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<str>> {
        let state = self.shared.lock();
        let mut keys: Vec<_> = state
            .files
            .iter()
            .map(|(_, entry)| &entry.stream)
            .chain(state.cursors.streams())
            .cloned()
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The files of which something was seen that has not arrived, and that nobody reads, by the keys of their streams.
    #[must_use]
    pub fn behind(&self) -> BTreeMap<Arc<str>, Vec<FilePosition>> {
        let state = self.shared.lock();
        let mut behind = BTreeMap::<_, Vec<_>>::new();
        for (_, Entry { stream, position, live, .. }) in state.files.iter() {
            if !live && position.behind() > 0 {
                behind.entry(Arc::clone(stream)).or_default().push(position.clone());
            }
        }
        behind
    }

    /// Forgets the files that nobody reads now and whose position has not moved for so long, of the streams for whose keys
    /// `is_left` holds: they are not read any more. Says so, and returns how many bytes were known to be there and have not
    /// arrived, of each stream of which there are any.
    pub fn forget_unmoved(&self, since: Duration, is_left: impl Fn(&str) -> bool) -> BTreeMap<Arc<str>, u64> {
        let oldest = now_secs().saturating_sub(since.as_secs());
        let mut gone = Vec::new();
        self.shared.change(|state| {
            let keep = |entry: &Entry| entry.live || entry.position.at >= oldest || !is_left(&entry.stream);
            gone = state.files.retain(keep);
        });
        let mut behind = BTreeMap::<_, u64>::new();
        for Entry { stream, position, .. } in gone.iter().filter(|entry| entry.position.behind() > 0) {
            *behind.entry(Arc::clone(stream)).or_default() += position.behind();
        }
        for (stream, byte_size) in &behind {
            warn!(%stream, byte_size, "Position that nobody has used for long is forgotten, with bytes that were seen and have not arrived: if the file is still there and is wanted again, it is read as a new one");
        }
        if !gone.is_empty() {
            info!(count = gone.len(), "Positions that nobody has used for long are forgotten");
        }
        behind
    }

    /// Forgets everything about the stream `key`, which nobody reads any more. Returns how many bytes were known to be there
    /// and have not arrived.
    pub fn forget(&self, key: &str) -> u64 {
        let mut left = 0;
        self.shared.change(|state| {
            let gone = state.files.retain(|entry| &*entry.stream != key);
            left = gone.iter().map(|entry| entry.position.behind()).sum();
            state.cursors.remove(key);
        });
        left
    }

    /// Writes what has changed, now and durably.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Io`] when the file cannot be written: it holds the last saved positions then.
    pub fn save(&self) -> Result<(), CheckpointError> {
        self.shared.save(true)
    }

    /// Removes the file, for good: nothing is written any more.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Io`] when it cannot be removed.
    pub fn discard(&self) -> Result<(), CheckpointError> {
        let Some(journal) = self.shared.journal() else { return Ok(()) };
        self.shared.lock().discarded = true;
        match fs::remove_file(journal.path()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(CheckpointError::Io { path: journal.path().to_owned(), source })
            }
            _ => Ok(()),
        }
    }
}

/// Names what could not be read of a file that could.
fn tell_damage(path: &Path, kept: &Kept) {
    let path = path.display();
    for line in &kept.damaged {
        warn!(%path, line, "A line of the positions is damaged: what it was about may be read again, from where an older line or nothing says");
    }
    if kept.torn {
        info!(%path, "The last line of the positions is not whole, as after a kill: what it was about is read again from before");
    }
}

fn now_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
