//! A path inside a container, for a reader.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ContainerFiles, Rung, ViewError};
use crate::source::directory::Directory;
use crate::source::{FileOpener, Names, Opened, Stat};

/// Opens the file at a path inside a container, by whichever rung of the ladder works at the moment.
#[derive(Clone, Debug)]
pub struct ContainerFile {
    files: Arc<ContainerFiles>,
    path: PathBuf,
    names: Arc<Directory>,
}

impl ContainerFile {
    /// For `path` in the container behind `files`.
    #[must_use]
    pub fn new(files: Arc<ContainerFiles>, path: impl Into<PathBuf>) -> Self {
        Self { files, path: path.into(), names: Arc::default() }
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
