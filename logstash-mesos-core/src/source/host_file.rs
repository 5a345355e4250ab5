//! A file of this machine, by its path.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chain;
use super::directory::{self, Directory};
use super::{Directories, FileOpener, Identity, Names, Opened, Stat};

/// Opens the file at a path; links are followed.
#[derive(Clone, Debug)]
pub struct HostFile {
    path: PathBuf,
    names: Arc<Directory>,
    reader_began: i64,
}

impl HostFile {
    /// For `path`. Streams with the same `directories` list a directory once for all of them.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, directories: &Directories) -> Self {
        let path = path.into();
        let names = directories.of(directory(&path));
        Self { path, names, reader_began: directories.began() }
    }

    /// Opens the file at `path`, once.
    ///
    /// # Errors
    ///
    /// What the system says; also for what is no regular file.
    pub fn open_once(path: &Path) -> io::Result<Option<Opened>> {
        open_regular(path)
    }

    fn at(&self, name: Option<&OsStr>) -> PathBuf {
        match name {
            Some(name) => directory(&self.path).join(name),
            None => self.path.clone(),
        }
    }
}

impl FileOpener for HostFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn has_own_mounts(&self) -> bool {
        true
    }

    fn open(&self, at: Option<&OsStr>) -> io::Result<Option<Opened>> {
        open_regular(&self.at(at))
    }

    fn stat(&self, at: Option<&OsStr>) -> io::Result<Option<Stat>> {
        match std::fs::metadata(self.at(at)) {
            Ok(metadata) => Ok(Some(Stat::of(&metadata))),
            Err(error) => none_if_absent(error),
        }
    }

    fn names(&self, fresh: bool) -> io::Result<Names> {
        let directory = directory(&self.path);
        let names = self.names.names(std::fs::metadata(directory), fresh, || {
            std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
        });
        names.or_else(|error| none_if_absent::<Names>(error).map(Option::unwrap_or_default))
    }

    fn owns_since(&self) -> Option<i64> {
        let directory = std::fs::metadata(directory(&self.path)).ok()?;
        directory::born(&directory).filter(|born| *born >= self.reader_began)
    }

    fn device(&self) -> Option<u64> {
        let way = std::path::absolute(&self.path).ok()?;
        way.ancestors()
            .skip(1)
            .find_map(|directory| std::fs::metadata(directory).ok())
            .map(|found| found.dev())
    }

    fn watched_directory(&self) -> Option<&Path> {
        Some(directory(&self.path))
    }
}

/// What rotation has left of the file at `path`, under other names, when there is no file under its own.
pub(crate) fn left_of(path: &Path) -> Vec<PathBuf> {
    let (Some(base), Err(_)) = (path.file_name(), std::fs::symlink_metadata(path)) else { return Vec::new() };
    let directory = directory(path);
    let names = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| chain::age(base, name).is_some()).map(|name| directory.join(name)).collect()
}

/// Whether nothing is at `path`.
pub(crate) fn is_gone(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| none_if_absent::<()>(error).is_ok())
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
    fn a_file_is_told_by_its_identity_under_whatever_name() {
        let dir = tempfile::tempdir().unwrap();
        let opener = HostFile::new(dir.path().join("app.log"), &Directories::default());
        assert!(opener.open(None).unwrap().is_none());
        std::fs::write(opener.path(), "x").unwrap();
        let identity = opener.stat(None).unwrap().unwrap().identity;
        std::fs::rename(opener.path(), dir.path().join("app.log.1")).unwrap();
        assert!(opener.stat(None).unwrap().is_none());
        let names = opener.names(true).unwrap();
        let rotated = names.iter().next().unwrap();
        assert_eq!(opener.open(Some(rotated)).unwrap().unwrap().identity, identity);
        std::fs::remove_file(dir.path().join(rotated)).unwrap();
        std::fs::write(dir.path().join("other"), "y").unwrap();
        let other = opener.stat(Some(OsStr::new("other"))).unwrap().unwrap();
        assert!(!other.identity.may_be(identity), "{other:?} {identity:?}");
    }

    #[test]
    fn what_is_left_of_a_file_that_has_no_successor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        for name in ["app.log", "app.log.1", "app.log-20260102.gz", "app.log.bak", "other.log.1"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        assert!(left_of(&path).is_empty());
        std::fs::remove_file(&path).unwrap();
        let mut left = left_of(&path);
        left.sort();
        assert_eq!(left, ["app.log-20260102.gz", "app.log.1"].map(|name| dir.path().join(name)));
        assert!(left_of(&dir.path().join("gone/app.log")).is_empty());
    }

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        assert!(HostFile::open_once(dir.path()).is_err());
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(HostFile::open_once(&pipe).is_err());
    }
}
