//! A file of this machine, by its path.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{FileOpener, Identity, Opened};

/// Opens the file at a path; links are followed.
#[derive(Clone, Debug)]
pub struct HostFile {
    path: PathBuf,
}

impl HostFile {
    /// For `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl FileOpener for HostFile {
    fn open(&self) -> io::Result<Option<Opened>> {
        open_regular(&self.path)
    }

    fn identity(&self) -> io::Result<Option<Identity>> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) => Ok(Some(Identity::of(&metadata))),
            Err(error) => none_if_absent(error),
        }
    }

    /// Looks through the directory: a rotation renames within it.
    fn find(&self, identity: Identity) -> io::Result<Option<Opened>> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => return none_if_absent(error),
        };
        for entry in entries {
            let entry = entry?;
            let is_it = |metadata: std::fs::Metadata| Identity::of(&metadata) == identity;
            if entry.metadata().is_ok_and(is_it)
                && let Some(opened) = open_regular(&entry.path())?
                && opened.identity == identity
            {
                return Ok(Some(opened));
            }
        }
        Ok(None)
    }
}

fn open_regular(path: &Path) -> io::Result<Option<Opened>> {
    // Not to wait for the writer of a pipe before we know that it is one.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file: File = match OpenOptions::new().read(true).custom_flags(nonblocking).open(path) {
        Ok(file) => file,
        Err(error) => return none_if_absent(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            format!("`{}` is not a regular file", path.display()),
        ));
    }
    Ok(Some(Opened { identity: Identity::of(&metadata), file, rung: "host", notifies: true }))
}

fn none_if_absent<T>(error: io::Error) -> io::Result<Option<T>> {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_file_is_found_by_its_identity() {
        let dir = tempfile::tempdir().unwrap();
        let opener = HostFile::new(dir.path().join("app.log"));
        assert!(opener.open().unwrap().is_none());
        std::fs::write(opener.path(), "x").unwrap();
        let identity = opener.identity().unwrap().unwrap();
        std::fs::rename(opener.path(), dir.path().join("app.log.1")).unwrap();
        assert_eq!(opener.identity().unwrap(), None);
        assert_eq!(opener.find(identity).unwrap().unwrap().identity, identity);
        assert!(opener.find(Identity { ino: 1, ..identity }).unwrap().is_none());
    }

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        assert!(HostFile::new(dir.path()).open().is_err());
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(HostFile::new(pipe).open().is_err());
    }
}
