//! Which files there are to a pattern.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::event::Text;
use crate::source::archives::without_archives;
use crate::source::{FilePosition, Identity, glob, host_glob, is_gone, left_of};

/// What there is to a pattern.
pub(super) struct Found {
    // Files that nobody reads, with what the system says of each.
    pub(super) files: Vec<(PathBuf, io::Result<Metadata>)>,
    // Directories that could not be listed.
    pub(super) unlisted: Vec<(PathBuf, io::Error)>,
    // Files that were read before, and were put aside or removed without a successor.
    pub(super) left: Vec<PathBuf>,
    // Compressed files that are not followed.
    pub(super) archives: Vec<PathBuf>,
}

/// What there is to `pattern` beside the files that are `read`; `before` is what is left of those that were read by an earlier
/// process. `reads`: files are read once, compressed ones too. May take as long as the file system does.
pub(super) fn unread(
    pattern: &str,
    reads: bool,
    exclude: &[Text],
    read: &HashSet<Arc<Path>>,
    before: &Before,
) -> Found {
    let (mut paths, unlisted) = host_glob::look(Path::new("/"), pattern);
    let mut archives = Vec::new();
    if !reads && glob::is_pattern(pattern) {
        (paths, archives) = without_archives(pattern, paths);
        archives.retain(|path| !is_excluded(path, exclude));
    }
    let would_find = |path: &&Path| glob::would_find(pattern, path) && !is_excluded(path, exclude);
    let is_left = |path: &&Path| {
        // The pattern may find it under its new name, too.
        let left = left_of(path);
        !left.is_empty() && !left.iter().any(|left| paths.binary_search(left).is_ok())
    };
    let keys = before.keys.iter().map(|key| Path::new(&**key));
    let mut left: Vec<PathBuf> = keys.filter(would_find).filter(is_left).map(Path::to_path_buf).collect();
    paths.retain(|path| !is_excluded(path, exclude) && !read.contains(&**path));
    let files: Vec<_> = paths.into_iter().map(|path| (path.clone(), std::fs::metadata(path))).collect();
    let is_there = |position: &FilePosition| {
        let mut found = files.iter().filter_map(|(_, metadata)| Some(Identity::of(metadata.as_ref().ok()?)));
        found.any(|file| file.may_be(position.identity()))
    };
    let behind = before.behind.iter().map(|(key, files)| (Path::new(&**key), files));
    // Its stream counts what is gone.
    let gone =
        behind.filter(|(path, files)| would_find(path) && is_gone(path) && !files.iter().all(is_there));
    left.extend(gone.map(|(path, _)| path.to_path_buf()));
    Found { files, unlisted, left, archives }
}

/// What an earlier process has left of its streams.
#[derive(Default)]
pub(super) struct Before {
    // The streams.
    pub(super) keys: Vec<Arc<str>>,
    // The files of which something was seen that has not arrived.
    pub(super) behind: BTreeMap<Arc<str>, Vec<FilePosition>>,
}

fn is_excluded(path: &Path, exclude: &[Text]) -> bool {
    let excluded = |name: &OsStr| exclude.iter().any(|not| glob::matches(not.as_bytes(), name.as_bytes()));
    path.file_name().is_some_and(excluded)
}
