//! Patterns over the files of the machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::glob::{self, Directories};

/// The paths below `root` that match `pattern`, as they are called from there.
pub(crate) fn expand(root: &Path, pattern: &str) -> Vec<PathBuf> {
    glob::expand(pattern, &Below(root))
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

struct Below<'a>(&'a Path);

impl Below<'_> {
    fn at(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Directories for Below<'_> {
    fn list(&self, directory: &Path) -> Vec<(OsString, bool)> {
        let Ok(entries) = std::fs::read_dir(self.at(directory)) else { return Vec::new() };
        entries
            .flatten()
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
