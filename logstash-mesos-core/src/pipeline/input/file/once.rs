//! A file that is read once, and what is done with it then.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::archive::Broken;
use super::state::has_all_of;
use crate::source::{Ended, StreamPositions, StreamStatus};

/// How the reading of a file ended.
pub(super) type Read = Result<Ended, Broken>;

/// A file that is read to its end once, and what is done then.
pub(super) struct Once {
    pub(super) path: Arc<Path>,
    pub(super) status: Arc<StreamStatus>,
    pub(super) positions: StreamPositions,
    pub(super) completed: Completed,
    pub(super) shutdown: CancellationToken,
}

impl Once {
    pub(super) async fn read(self, reading: impl Future<Output = Read>) -> (Arc<Path>, Read) {
        let Self { path, status, positions, completed, shutdown } = self;
        let ended = reading.await;
        match &ended {
            Ok(Ended::Finished) => {}
            Ok(Ended::Failed) => {
                let error = status.snapshot().error.unwrap_or_default();
                warn!(%error, path = %path.display(), "File cannot be read, it is left where it is");
                return (path, ended);
            }
            _ => return (path, ended),
        }
        // All of a compressed file has; one that had its name before may never.
        if !is_compressed(&path) {
            tokio::select! {
                () = positions.all_arrived() => {}
                () = shutdown.cancelled() => return (path, ended),
            }
        }
        // By now another file may be behind the name, or more may be in it.
        if std::fs::metadata(&path).is_ok_and(|file| has_all_of(&positions, &file)) {
            completed.act(&path, &positions);
            return (path, ended);
        }
        debug!(path = %path.display(), "File has changed since it was read, it is read on");
        (path, Ok(Ended::Stopped))
    }
}

/// What is done with a file of which all has arrived.
#[derive(Clone, Debug)]
pub(super) struct Completed {
    pub(super) log: Option<PathBuf>,
    pub(super) writes_log: bool,
    pub(super) delete: bool,
}

impl Completed {
    fn act(&self, path: &Path, positions: &StreamPositions) {
        if let Some(log) = self.log.as_ref().filter(|_| self.writes_log) {
            let written = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(log)
                .and_then(|mut file| writeln!(file, "{}", path.display()));
            if let Err(error) = written {
                warn!(%error, path = %log.display(), "Name of a completed file could not be written");
                return;
            }
        }
        if !self.delete {
            return;
        }
        // Under another name it is not to be read again.
        let has_another = std::fs::metadata(path).is_ok_and(|file| file.nlink() > 1);
        match std::fs::remove_file(path) {
            Ok(()) if !has_another => positions.forget(),
            Ok(()) => {}
            Err(error) => warn!(%error, path = %path.display(), "Completed file could not be removed"),
        }
    }
}

pub(super) fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz" || extension == "gzip")
}
