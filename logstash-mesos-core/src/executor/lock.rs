//! One reader per Docker daemon: the lock on the data directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use thiserror::Error;

/// Holds a data directory for as long as it lives; the system lets go of it when the process ends.
#[derive(Debug)]
pub struct DataDirLock {
    file: File,
}

/// Why a data directory is not ours.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else has it.
    #[error("{holder} holds the data directory `{path}`: one executor reads for each Docker daemon")]
    Held {
        /// What the process that holds it calls itself.
        holder: String,
        /// The data directory, or the lock in it.
        path: PathBuf,
    },
    /// It cannot be used.
    #[error(
        "cannot use the data directory `{path}`: {source}; give another one with --data-dir, on agents with \
         --executor-env LOGSTASH_MESOS_DATA_DIR=DIR"
    )]
    Io {
        /// The data directory, or the lock in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DataDirLock {
    /// Takes `directory`, which is made if need be, in the name of `holder`. Does not wait.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] when another process has it.
    pub fn take(directory: &Path, holder: &str) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join("lock"))
            .map_err(failed)?;
        match flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _unnamed = file.read_to_string(&mut text);
                let holder = if text.trim().is_empty() { "another executor" } else { text.trim() };
                return Err(LockError::Held { holder: holder.to_owned(), path: directory.to_owned() });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        let noted = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{holder}"));
        noted.map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for DataDirLock {
    fn drop(&mut self) {
        // Whoever comes next must not read our name as that of the holder.
        let _left_as_it_is = self.file.set_len(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it_and_gets_it_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        let first = DataDirLock::take(&data, "executor one").unwrap();
        let error = DataDirLock::take(&data, "executor two").unwrap_err().to_string();
        assert!(error.contains("executor one") && error.contains("a/b"), "{error}");
        drop(first);
        DataDirLock::take(&data, "executor two").unwrap();
    }
}
