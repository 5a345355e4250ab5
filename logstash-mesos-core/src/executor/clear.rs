//! What a shipper leaves on disk is removed.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::source::{CheckpointError, Checkpoints};

/// Why something is still there of what a shipper keeps on disk.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClearError {
    /// The shipper has ended before: nothing was removed.
    #[error("the shipper has ended")]
    Ended,
    /// The positions are still there.
    #[error(transparent)]
    Positions(#[from] CheckpointError),
    /// A file or a directory is still there.
    #[error("cannot remove `{}`", path.display())]
    Remove {
        /// The file or directory that is still there.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Removes what a shipper made in `data_dir`, and nothing else: others may use it too. Goes on after an error.
pub(super) fn clear(data_dir: &Path, checkpoints: &Checkpoints, keep_positions: bool) -> Vec<ClearError> {
    let mut problems = Vec::new();
    let mut names = vec!["configurations.json"];
    if !keep_positions {
        problems.extend(checkpoints.discard().err().map(ClearError::from));
        names.extend(["plugins", "dead-letters", "queue", "totals.json"]);
    }
    for path in names.into_iter().map(|name| data_dir.join(name)) {
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        if let Err(source) = removed
            && source.kind() != io::ErrorKind::NotFound
        {
            problems.push(ClearError::Remove { path, source });
        }
    }
    if !keep_positions {
        let _others_may_use_it =
            std::fs::remove_file(data_dir.join("lock")).and_then(|()| std::fs::remove_dir(data_dir));
    }
    problems
}
