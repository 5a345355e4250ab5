//! Whose queue is whose.
//!
//! `<root>/<pipeline>/` holds a directory for each queue, and in it `owner.json` says whose records these are. A
//! configuration may have changed since. So each output looks for a queue of the same plugin: first its own, then one
//! for the same destination under another id (outputs without an `id` are numbered), then one under its id for
//! another destination (an address was corrected). What nobody takes is left where it is (`left.rs`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;
use tracing::warn;

use super::budget::Budget;
use super::queue::{DiskQueue, Limits};
use crate::checksum::checksum;
use crate::durable::{replace_file, sync_directory};
use crate::pipeline::directory_name::directory_name;

/// The output that a queue belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// Name of the plugin.
    pub(crate) plugin: String,
    /// Its id in the configuration.
    pub(crate) id: String,
    /// Where it sends, as [`crate::sink::LogSink::name`].
    pub(crate) place: String,
    /// It is the queue of what waits aside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) aside: bool,
}

/// The queues of one pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(super) dir: PathBuf,
    pub(super) limits: Limits,
    pub(super) budget: Arc<Budget>,
    pub(super) lease: Arc<tokio::sync::Mutex<()>>,
}

/// Holds the queues of a pipeline: they are those of one run of it at a time.
pub(crate) type Lease = Arc<OwnedMutexGuard<()>>;

const OWNER: &str = "owner.json";

impl Home {
    /// The right to use the queues, or what waits for it: in the order of these calls, whoever is polled first.
    pub(crate) fn lease(&self) -> Result<Lease, impl Future<Output = Lease> + use<>> {
        let mut lease = Box::pin(Arc::clone(&self.lease).lock_owned());
        // The first poll puts it in line.
        match lease.as_mut().now_or_never() {
            Some(lease) => Ok(Arc::new(lease)),
            None => Err(async { Arc::new(lease.await) }),
        }
    }

    /// Opens the queues that there are for these outputs.
    ///
    /// # Errors
    ///
    /// When the directory or a queue in it cannot be used.
    pub(crate) fn claim(&self, outputs: &[Owner]) -> io::Result<Vec<Option<DiskQueue>>> {
        let there = queues_in(&self.dir)?;
        let owners: Vec<Owner> = there.iter().map(|(_, owner)| owner.clone()).collect();
        let assigned = assign(outputs, &owners);
        for (_, (dir, _)) in there.iter().enumerate().filter(|(at, _)| !assigned.contains(&Some(*at))) {
            // One that holds something is named by whoever looks at what is left.
            let queue = self.open(dir)?;
            if queue.is_empty() {
                queue.remove();
            }
        }
        let open = |(found, output): (Option<usize>, &Owner)| {
            let Some((dir, owner)) = found.map(|at| &there[at]) else { return Ok(None) };
            if owner != output {
                let (before, now) = (&owner.place, &output.place);
                warn!(before, now, path = %dir.display(), "What waits on disk goes to another output now");
                write_owner(dir, output)?;
            }
            self.open(dir).map(Some)
        };
        assigned.into_iter().zip(outputs).map(open).collect()
    }

    fn open(&self, dir: &Path) -> io::Result<DiskQueue> {
        DiskQueue::open(dir, self.limits, &self.budget)
    }

    /// A new queue.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made.
    pub(crate) fn create(&self, owner: &Owner) -> io::Result<DiskQueue> {
        let kind = if owner.aside { "-aside" } else { "" };
        let name = format!("{}-{:016x}{kind}", directory_name(&owner.id), checksum(owner.place.as_bytes()));
        let names = std::iter::once(name.clone()).chain((2_u32..).map(|again| format!("{name}-{again}")));
        let Some(dir) = names.map(|name| self.dir.join(name)).find(|dir| !dir.exists()) else {
            return Err(io::ErrorKind::AlreadyExists.into());
        };
        fs::create_dir_all(&dir)?;
        write_owner(&dir, owner)?;
        // What is not in the directory above is gone after a power cut.
        dir.ancestors().skip(1).take(3).try_for_each(sync_directory)?;
        self.open(&dir)
    }
}

/// The queues below the directory of a pipeline, and their owners.
pub(super) fn queues_in(dir: &Path) -> io::Result<Vec<(PathBuf, Owner)>> {
    let mut queues = Vec::new();
    for dir in directories(dir)? {
        // Without: it was made a moment before a crash, and nobody has put anything in; or nobody knows.
        let owner = fs::read(dir.join(OWNER)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        queues.push((dir, owner.unwrap_or_default()));
    }
    queues.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(queues)
}

/// The directories in one that may not be there.
pub(super) fn directories(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut directories = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            directories.push(entry.path());
        }
    }
    Ok(directories)
}

fn write_owner(dir: &Path, owner: &Owner) -> io::Result<()> {
    replace_file(&dir.join(OWNER), &serde_json::to_vec(owner)?)
}

/// Which of the queues `there` each of the outputs takes.
fn assign(outputs: &[Owner], there: &[Owner]) -> Vec<Option<usize>> {
    type Fits = fn(&Owner, &Owner) -> bool;
    let fits: [Fits; 3] = [|a, b| a == b, |a, b| a.place == b.place, |a, b| a.id == b.id];
    let mut assigned = vec![None; outputs.len()];
    for fits in fits {
        for (at, output) in outputs.iter().enumerate() {
            if assigned[at].is_none() {
                let free = |queue: &usize| !assigned.contains(&Some(*queue));
                assigned[at] = (0..there.len())
                    .filter(free)
                    .filter(|queue| {
                        (output.aside, &output.plugin) == (there[*queue].aside, &there[*queue].plugin)
                    })
                    .find(|queue| fits(output, &there[*queue]));
            }
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::RecordBatch;

    fn owner(id: &str, place: &str) -> Owner {
        Owner { plugin: "http".into(), id: id.into(), place: place.into(), aside: false }
    }

    #[test]
    fn an_output_takes_its_own_queue_or_else_the_nearest() {
        let there = [owner("1", "a"), owner("2", "b"), owner("3", "c")];
        let same = [owner("2", "b"), owner("1", "a")];
        assert_eq!(assign(&same, &there), [Some(1), Some(0)]);
        // One was inserted before it: the ids move, the destinations stay.
        let inserted = [owner("1", "new"), owner("2", "a"), owner("3", "b")];
        assert_eq!(assign(&inserted, &there), [None, Some(0), Some(1)]);
        // An address was corrected.
        assert_eq!(assign(&[owner("1", "right")], &there), [Some(0)]);
        // What it could not send it does not take.
        let other = Owner { plugin: "file".into(), ..owner("1", "a") };
        assert_eq!(assign(&[other], &there), [None]);
        // What waits aside is no part of what comes in order.
        assert_eq!(assign(&[Owner { aside: true, ..owner("1", "a") }], &there), [None]);
        // Two of them never take the same.
        assert_eq!(assign(&[owner("8", "a"), owner("9", "a")], &there[..1]), [Some(0), None]);
    }

    #[test]
    fn runs_have_the_queues_in_the_order_of_their_starts() {
        let dir = tempfile::tempdir().unwrap();
        let home = super::super::Spools::new(dir.path(), 1).home("a", Limits::of(1)).unwrap();
        let first = home.lease().ok().unwrap();
        let (second, third) = (home.lease().err().unwrap(), home.lease().err().unwrap());
        let (mut second, mut third) = (Box::pin(second), Box::pin(third));
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "the one before it comes first");
        let of_second = second.as_mut().now_or_never().unwrap();
        assert!(third.as_mut().now_or_never().is_none());
        drop(of_second);
        assert!(third.as_mut().now_or_never().is_some());
    }

    #[test]
    fn what_no_output_takes_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let spools = super::super::Spools::new(dir.path(), 1 << 20);
        let home = spools.home("host/a", Limits { most_bytes: 1 << 20, segment_bytes: 1 << 16 }).unwrap();
        let mut batch = RecordBatch::default();
        batch.body.extend_from_slice(b"secret");
        batch.finish_record(None);
        for output in [owner("1", "a"), owner("2", "b")] {
            assert!(home.create(&output).unwrap().append(&[&batch], 0).unwrap().is_some());
        }
        drop(home.create(&owner("3", "empty")).unwrap());
        let mut claimed = home.claim(&[owner("1", "corrected"), owner("5", "e")]).unwrap();
        assert!(claimed.pop().unwrap().is_none(), "it is for another output");
        let mut queue = claimed.pop().flatten().expect("an address was corrected");
        assert_eq!(queue.read(100, 100).unwrap().unwrap().records.body, b"secret");
        assert_eq!(directories(&home.dir).unwrap().len(), 2, "an empty one is removed");
        let mode =
            |path: &Path| std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions());
        for dir in directories(&home.dir).unwrap() {
            for file in fs::read_dir(&dir).unwrap() {
                assert_eq!(mode(&file.unwrap().path()) & 0o777, 0o600, "it holds log data");
            }
        }
        drop(queue);
        let mut claimed = home.claim(&[owner("1", "corrected"), owner("2", "b")]).unwrap();
        assert_eq!(claimed.pop().flatten().map(|queue| queue.events()), Some(1));
    }
}
