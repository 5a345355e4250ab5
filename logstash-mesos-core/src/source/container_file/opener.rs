//! A path inside a container, for a reader.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ContainerFiles, Rung, ViewError};
use crate::source::directory::{self, Directory};
use crate::source::{FileOpener, Names, Opened, Stat};

/// Opens the file at a path inside a container, by whichever rung of the ladder works at the moment.
#[derive(Clone, Debug)]
pub struct ContainerFile {
    files: Arc<ContainerFiles>,
    path: PathBuf,
    names: Arc<Directory>,
    reader_began: i64,
}

/// A container writes some time before the daemon says that it has started.
const BEFORE_START: i64 = 1_000_000_000;

impl ContainerFile {
    /// For `path` in the container behind `files`. If that began after the reader did, in nanoseconds since 1970, all that has
    /// been written since is a part of the stream.
    #[must_use]
    pub fn new(files: Arc<ContainerFiles>, path: impl Into<PathBuf>, reader_began: i64) -> Self {
        Self { files, path: path.into(), names: Arc::default(), reader_began }
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn at(&self, name: Option<&OsStr>) -> PathBuf {
        match name {
            Some(name) => self.directory().join(name),
            None => self.path.clone(),
        }
    }
}

impl FileOpener for ContainerFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, at: Option<&OsStr>) -> io::Result<Option<Opened>> {
        match self.files.open(&self.at(at)) {
            Ok((file, rung)) => {
                let identity = super::identity(&file.metadata()?, rung);
                // Writes through the container's mount are told only to watchers of the same mount's inode.
                let notifies = matches!(rung, Rung::ProcRoot | Rung::Sandbox);
                Ok(Some(Opened { file, identity, rung: rung.as_str(), notifies }))
            }
            Err(error) => none_if_absent(error),
        }
    }

    fn stat(&self, at: Option<&OsStr>) -> io::Result<Option<Stat>> {
        match self.files.stat(&self.at(at)) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) => none_if_absent(error),
        }
    }

    fn owns_since(&self) -> Option<i64> {
        let container = self.files.container();
        let (began, before) = if container.sandbox.is_some() {
            // It was made for the task.
            (directory::born(&self.files.directory_stat(Path::new("/")).ok()?)?, 0)
        } else {
            let started = container.started_at.parse::<jiff::Timestamp>().ok()?;
            (i64::try_from(started.as_nanosecond()).ok()?, BEFORE_START)
        };
        (began >= self.reader_began).then_some(began - before)
    }

    fn device(&self) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        let mut way = self.path.ancestors().skip(1);
        way.find_map(|directory| self.files.directory_stat(directory).ok()).map(|found| found.dev())
    }

    fn names(&self, fresh: bool) -> io::Result<Names> {
        let stat = match self.files.directory_stat(self.directory()) {
            Ok(stat) => stat,
            Err(error) => return none_if_absent(error).map(Option::unwrap_or_default),
        };
        self.names.names(Ok(stat), fresh, || {
            self.files
                .list(self.directory())
                .or_else(|error| none_if_absent(error).map(Option::unwrap_or_default))
        })
    }
}

fn none_if_absent<T>(error: ViewError) -> io::Result<Option<T>> {
    match error {
        ViewError::NotFound | ViewError::Ended => Ok(None),
        ViewError::Io(error) => Err(error),
        other => Err(io::Error::other(other)),
    }
}
