//! The daemon's own files for the output of a container.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::{Directories, FileOpener, HostFile, Names, Opened, Stat};

/// The log of a container, with what its rotation leaves beside it: all of it is the container's.
#[derive(Clone, Debug)]
pub struct DaemonLog {
    file: HostFile,
    rung: &'static str,
}

impl DaemonLog {
    /// At the path that the daemon says, as this process sees it; `rung` is what this way to it is called.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, rung: &'static str) -> Self {
        // Nobody else has files in the directory of a container.
        Self { file: HostFile::new(path, &Directories::default()), rung }
    }
}

impl FileOpener for DaemonLog {
    fn path(&self) -> &Path {
        self.file.path()
    }

    fn has_own_mounts(&self) -> bool {
        true
    }

    fn open(&self, at: Option<&OsStr>) -> io::Result<Option<Opened>> {
        Ok(self.file.open(at)?.map(|opened| Opened { rung: self.rung, ..opened }))
    }

    fn stat(&self, at: Option<&OsStr>) -> io::Result<Option<Stat>> {
        self.file.stat(at)
    }

    fn names(&self, fresh: bool) -> io::Result<Names> {
        self.file.names(fresh)
    }

    fn owns_since(&self) -> Option<i64> {
        Some(i64::MIN)
    }

    fn device(&self) -> Option<u64> {
        self.file.device()
    }

    fn watched_directory(&self) -> Option<&Path> {
        self.file.watched_directory()
    }
}
