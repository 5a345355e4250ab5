//! A file that is read once, and what is done with it then.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::archive::{Broken, stamp};
use super::state::{After, State, has_all_of};
use crate::source::{Ended, Hanging, StreamPositions, StreamStatus};

/// A file that is read to its end once, and what is done then.
pub(super) struct Once {
    pub(super) read: Watching,
    pub(super) positions: StreamPositions,
    pub(super) completed: Completed,
    pub(super) shutdown: CancellationToken,
}

impl Once {
    pub(super) async fn read(
        self,
        reading: impl Future<Output = Result<Ended, Broken>>,
    ) -> (Arc<Path>, After) {
        let Self { read, positions, completed, shutdown } = self;
        let after = match reading.await {
            Err(broken) => After::Known(State::Broken(broken)),
            Ok(Ended::Finished) => {
                // All of a compressed file has; one that had its name before may never.
                let arrived = async {
                    if !is_compressed(&read.path) {
                        positions.all_arrived().await;
                    }
                };
                tokio::select! {
                    biased;
                    () = arrived => {}
                    () = shutdown.cancelled() => return (read.path, After::Nothing),
                }
                read.call(|path| completed.finish(path, positions)).await
            }
            Ok(ended) => read.after(ended).await,
        };
        (read.path, after)
    }
}

/// Who waits for the end of a file.
pub(super) struct Watching {
    pub(super) path: Arc<Path>,
    pub(super) status: Arc<StreamStatus>,
    pub(super) hanging: Hanging,
}

impl Watching {
    async fn call<T>(&self, call: impl FnOnce(&Path) -> T) -> T {
        self.hanging.call_of_machine(&self.path, &self.status, || call(&self.path)).await
    }

    /// What is known of the file when its reading has `ended`.
    pub(super) async fn after(&self, ended: Ended) -> After {
        let path = self.path.display();
        match ended {
            Ended::Stopped => After::Changed,
            Ended::Finished | Ended::PipelineGone => After::Nothing,
            Ended::Failed => {
                let error = self.status.snapshot().error.unwrap_or_default();
                warn!(%error, %path, "File cannot be read, it is left where it is");
                After::Known(State::Failed)
            }
            Ended::Quiet => {
                debug!(%path, "Quiet file closed");
                After::Known(State::Resting(self.call(stamp).await))
            }
        }
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
    /// The call may not come back.
    fn finish(&self, path: &Path, positions: StreamPositions) -> After {
        // By now another file may be behind the name, or more may be in it.
        if !std::fs::metadata(path).is_ok_and(|file| has_all_of(&positions, &file)) {
            debug!(path = %path.display(), "File has changed since it was read, it is read on");
            return After::Changed;
        }
        self.act(path, &positions);
        // What was removed is not remembered.
        if path.symlink_metadata().is_ok() { After::Known(State::Done(positions)) } else { After::Nothing }
    }

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
