//! Patterns over the files of the machine.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::glob::{self, Directories};

/// The paths below `root` that match `pattern`, as they are called from there.
pub(crate) fn expand(root: &Path, pattern: &str) -> Vec<PathBuf> {
    look(root, pattern).0
}

/// The same, and the directories that could not be listed, in which there may be more.
pub(crate) fn look(root: &Path, pattern: &str) -> (Vec<PathBuf>, Vec<(PathBuf, io::Error)>) {
    let below = Below { root, unlisted: RefCell::default() };
    (glob::expand(pattern, &below), below.unlisted.into_inner())
}

/// The regular files of this machine that match `pattern`: a path with `*`, `?`, `[…]`, `{…}` and `**`.
///
/// # Errors
///
/// What the system says when a relative pattern has no directory to start from.
pub fn files_matching(pattern: &Path) -> std::io::Result<Vec<PathBuf>> {
    let pattern = std::path::absolute(pattern)?;
    let found = expand(Path::new("/"), &pattern.to_string_lossy());
    Ok(found.into_iter().filter(|path| path.is_file()).collect())
}

struct Below<'a> {
    root: &'a Path,
    unlisted: RefCell<Vec<(PathBuf, io::Error)>>,
}

impl Below<'_> {
    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn is_not_listed(&self, directory: &Path, error: io::Error) {
        if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
            self.unlisted.borrow_mut().push((directory.to_owned(), error));
        }
    }
}

impl Directories for Below<'_> {
    fn list(&self, directory: &Path) -> Vec<(OsString, bool)> {
        let entries = match std::fs::read_dir(self.at(directory)) {
            Ok(entries) => entries,
            Err(error) => {
                self.is_not_listed(directory, error);
                return Vec::new();
            }
        };
        let entries =
            entries.filter_map(|entry| entry.map_err(|error| self.is_not_listed(directory, error)).ok());
        entries
            .map(|entry| {
                let may_be_directory = entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink());
                (entry.file_name(), may_be_directory)
            })
            .collect()
    }

    fn exists(&self, path: &Path) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }
}
