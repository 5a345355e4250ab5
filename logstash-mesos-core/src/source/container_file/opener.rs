//! A path inside a container, for a reader.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ContainerFiles, Rung, ViewError};
use crate::source::{FileOpener, Identity, Opened};

/// Opens the file at a path inside a container, by whichever rung of the ladder works at the moment.
#[derive(Clone, Debug)]
pub struct ContainerFile {
    files: Arc<ContainerFiles>,
    path: PathBuf,
}

impl ContainerFile {
    /// For `path` in the container behind `files`.
    #[must_use]
    pub fn new(files: Arc<ContainerFiles>, path: impl Into<PathBuf>) -> Self {
        Self { files, path: path.into() }
    }

    fn open_at(&self, path: &Path) -> io::Result<Option<Opened>> {
        match self.files.open(path) {
            Ok((file, rung)) => {
                let identity = Identity::of(&file.metadata()?);
                // Writes through the container's mount are told only to watchers of the same mount's inode.
                Ok(Some(Opened { file, identity, rung: rung.as_str(), notifies: rung == Rung::ProcRoot }))
            }
            Err(error) => none_if_absent(error),
        }
    }
}

impl FileOpener for ContainerFile {
    fn open(&self) -> io::Result<Option<Opened>> {
        self.open_at(&self.path)
    }

    fn identity(&self) -> io::Result<Option<Identity>> {
        match self.files.identity(&self.path) {
            Ok(identity) => Ok(Some(identity)),
            Err(error) => none_if_absent(error),
        }
    }

    /// Looks through the directory: a rotation renames within it.
    fn find(&self, identity: Identity) -> io::Result<Option<Opened>> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let names = match self.files.list(directory) {
            Ok(names) => names,
            Err(error) => return none_if_absent(error),
        };
        for name in names {
            let path = directory.join(name);
            if self.files.identity(&path).is_ok_and(|found| found == identity)
                && let Some(opened) = self.open_at(&path)?
                && opened.identity == identity
            {
                return Ok(Some(opened));
            }
        }
        Ok(None)
    }
}

fn none_if_absent<T>(error: ViewError) -> io::Result<Option<T>> {
    match error {
        ViewError::NotFound | ViewError::Ended => Ok(None),
        ViewError::Io(error) => Err(error),
        other => Err(io::Error::other(other.to_string())),
    }
}
