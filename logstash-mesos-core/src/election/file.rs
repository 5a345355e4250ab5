//! Candidates on one machine, by the lock of a file.

use super::{Election, Leader, Leadership};
use crate::store::error::{Result, StoreError};
use async_trait::async_trait;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Lets the process lead that holds `flock` on `DIR/lock`.
///
/// The file holds the [`Leader`] as JSON. The system lets go of the lock when the process ends, however it
/// ends; what the file says counts only while it is locked. Candidates look whether it is free ten times a
/// second, in no order among them.
#[derive(Debug)]
pub struct FileElection {
    path: PathBuf,
    leader: watch::Sender<Option<Leader>>,
    following: AbortHandle,
}

impl FileElection {
    /// Uses the file `lock` of `dir`, which must be there. Needs a Tokio runtime, where a task looks four
    /// times a second who leads, until this is dropped.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        let path = dir.as_ref().join("lock");
        let leader = watch::Sender::new(None);
        let following = tokio::spawn(follow(path.clone(), leader.clone())).abort_handle();
        Self { path, leader, following }
    }

    fn unusable(&self, error: io::Error) -> StoreError {
        StoreError::Unusable {
            backend: format!("file:{}", self.path.display()),
            problem:
                "it cannot be written and locked; give --state a directory that this program may write to"
                    .to_owned(),
            source: Some(error),
        }
    }
}

impl Drop for FileElection {
    fn drop(&mut self) {
        self.following.abort();
    }
}

#[async_trait]
impl Election for FileElection {
    async fn campaign(&self, candidate: &Leader) -> Result<Leadership> {
        let mut said = Instant::now();
        let lock = loop {
            match take(&self.path, candidate) {
                Ok(Some(lock)) => break lock,
                Ok(None) => {}
                Err(error) => return Err(self.unusable(error)),
            }
            if said.elapsed() >= Duration::from_secs(15) {
                said = Instant::now();
                let leader = self.leader.borrow().as_ref().map(|l| l.holder.clone());
                tracing::info!(path = %self.path.display(), leader, "Waiting for the lead");
            }
            sleep(CAMPAIGN_POLL).await;
        };
        self.leader.send_replace(Some(candidate.clone()));
        let lost = CancellationToken::new();
        let watching = tokio::spawn(watch_place(self.path.clone(), identity(&lock), lost.clone()));
        let leader = self.leader.clone();
        Ok(Leadership::new(lost, move || async move {
            watching.abort();
            leader.send_replace(None);
            // The lock goes with the descriptor: what is written beforehand only spares a line of the past.
            let _left_as_it_is = lock.set_len(0);
        }))
    }

    fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.leader.subscribe()
    }
}

/// Locks the file and writes the candidate down, or returns `None` when another process has it.
fn take(path: &Path, candidate: &Leader) -> io::Result<Option<File>> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    if fs::metadata(path).ok().map(|there| (there.dev(), there.ino())) != identity(&file) {
        // It was removed between opening and locking: whoever comes next locks another file.
        return Ok(None);
    }
    file.set_len(0)?;
    file.write_all(serde_json::to_string(candidate)?.as_bytes())?;
    Ok(Some(file))
}

fn identity(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().map(|file| (file.dev(), file.ino()))
}

/// A lock on a file that was removed or replaced keeps nobody out.
async fn watch_place(path: PathBuf, ours: Option<(u64, u64)>, lost: CancellationToken) {
    while fs::metadata(&path).ok().map(|there| (there.dev(), there.ino())) == ours {
        sleep(CAMPAIGN_POLL).await;
    }
    tracing::warn!(path = %path.display(), "The lock file was removed or replaced: the lead is lost");
    lost.cancel();
}

/// Tells who leads, also to whoever is no candidate.
async fn follow(path: PathBuf, leader: watch::Sender<Option<Leader>>) {
    loop {
        // While it is being written, it says nothing yet.
        if let Some(found) = look(&path) {
            leader.send_if_modified(|known| {
                let changed = *known != found;
                *known = found;
                changed
            });
        }
        sleep(LEADER_POLL).await;
    }
}

/// Who leads; the outer `None` when that cannot be said now.
fn look(path: &Path) -> Option<Option<Leader>> {
    let Ok(file) = File::open(path) else { return Some(None) };
    // Shared, so that those who look do not see each other; a candidate that meets it tries again.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Some(None),
        Err(Errno::WOULDBLOCK) => {
            let text = io::read_to_string(file).ok()?;
            serde_json::from_str(&text).ok().map(Some)
        }
        Err(_) => None,
    }
}

const CAMPAIGN_POLL: Duration = Duration::from_millis(100);
const LEADER_POLL: Duration = Duration::from_millis(250);

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::election;
    use std::sync::Arc;

    #[tokio::test]
    async fn conforms() {
        election::conformance(async || {
            let dir = Arc::new(tempfile::tempdir().expect("a directory"));
            async move || Arc::new(FileElection::new(dir.path())) as Arc<dyn Election>
        })
        .await;
    }

    #[tokio::test]
    async fn a_lock_that_was_taken_away_loses_the_lead() {
        let dir = tempfile::tempdir().expect("a directory");
        let election = FileElection::new(dir.path());
        let leadership = election.campaign(&election::candidate("a")).await.expect("leads");
        fs::remove_file(dir.path().join("lock")).expect("is there");
        tokio::time::timeout(election::PATIENCE, leadership.lost().cancelled()).await.expect("is lost");
    }

    #[tokio::test]
    async fn a_place_that_cannot_be_locked_is_final() {
        let dir = tempfile::tempdir().expect("a directory");
        let election = FileElection::new(dir.path().join("missing"));
        let error = election.campaign(&election::candidate("a")).await.expect_err("cannot lead");
        assert!(!error.is_transient() && error.to_string().contains("--state"), "{error}");
    }
}
