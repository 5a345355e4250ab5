//! Queues on disk that no output takes: their configuration was removed or renamed, or has another output now.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;
use tracing::warn;

use super::Spools;
use super::home::{directories, queues_in};
use super::queue::DiskQueue;

/// A queue on disk that no output takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftQueue {
    /// The directory that the queue lies in.
    pub path: PathBuf,
    /// The name of the pipeline that it is from.
    pub pipeline_id: String,
    /// The name of the output's plugin; empty where it is not known.
    pub plugin: String,
    /// Where that output sent to, as [`crate::sink::LogSink::name`].
    pub place: String,
    /// What waits in it, in bytes on disk.
    pub bytes: u64,
}

/// Looks for such queues from time to time, and says each when it is found.
#[derive(Debug)]
pub struct LeftQueues {
    spools: Spools,
    looked: Option<Instant>,
    left: Vec<LeftQueue>,
    said: BTreeSet<PathBuf>,
}

/// How old what is known of them may be.
const FRESH: Duration = Duration::from_secs(10);

impl LeftQueues {
    /// Of those that are in `spools`.
    #[must_use]
    pub fn of(spools: Spools) -> Self {
        Self { spools, looked: None, left: Vec::new(), said: BTreeSet::new() }
    }

    /// Those that there are now, or were a few seconds ago. Reads directories. To be called once the pipelines have
    /// started: before that no output takes anything.
    pub fn look(&mut self) -> &[LeftQueue] {
        if self.looked.is_none_or(|at| at.elapsed() >= FRESH) {
            self.looked = Some(Instant::now());
            match self.spools.left() {
                Ok(left) => self.left = left,
                Err(error) => warn!(%error, "Queues on disk that no output takes cannot be looked for"),
            }
            self.say();
        }
        &self.left
    }

    fn say(&mut self) {
        for left in self.left.iter().filter(|left| !self.said.contains(&left.path)) {
            let LeftQueue { path, pipeline_id, plugin, place, bytes } = left;
            warn!(
                path = %path.display(), pipeline_id, plugin, output = place, byte_size = bytes,
                "A queue on disk belongs to no output any more: give its configuration that output again, or remove \
                 the directory"
            );
        }
        self.said = self.left.iter().map(|left| left.path.clone()).collect();
    }
}

impl Spools {
    fn left(&self) -> io::Result<Vec<LeftQueue>> {
        let mut left = Vec::new();
        let Some(inner) = &self.0 else { return Ok(left) };
        for of_pipeline in directories(&inner.root)? {
            for (path, owner) in queues_in(&of_pipeline)? {
                if inner.budget.open().contains(&path) {
                    continue;
                }
                let bytes = DiskQueue::bytes_in(&path)?;
                if bytes > 0 {
                    let name = of_pipeline.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                    let pipeline_id = percent_decode_str(name).decode_utf8_lossy().into_owned();
                    left.push(LeftQueue {
                        path,
                        pipeline_id,
                        plugin: owner.plugin,
                        place: owner.place,
                        bytes,
                    });
                }
            }
        }
        left.sort_by(|a: &LeftQueue, b| a.path.cmp(&b.path));
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Owner};
    use super::*;
    use crate::sink::RecordBatch;

    #[test]
    fn what_no_output_takes_is_found_as_long_as_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let spools = Spools::new(&dir.path().join("queue"), 1 << 20);
        assert_eq!(spools.left().unwrap(), []);
        let owner =
            |id: &str| Owner { plugin: "tcp".into(), id: id.into(), place: "tcp h:1".into(), aside: false };
        let mut batch = RecordBatch::default();
        batch.body.extend_from_slice(b"record");
        batch.finish_record(None);
        let home = |pipeline: &str| spools.home(pipeline, Limits::of(1 << 20)).unwrap();
        for pipeline in ["host/removed", "host/kept"] {
            for id in ["a", "b"] {
                home(pipeline).create(&owner(id)).unwrap().append(&[&batch], 0).unwrap();
            }
        }
        drop(home("host/kept").create(&owner("empty")).unwrap());
        let taken = home("host/kept").claim(&[owner("a")]).unwrap();
        let mut queues = LeftQueues::of(spools.clone());
        let left = queues.look().to_vec();
        let named: Vec<_> = left.iter().map(|left| (&*left.pipeline_id, left.bytes > 6)).collect();
        assert_eq!(named, [("host/kept", true), ("host/removed", true), ("host/removed", true)]);
        assert_eq!((&*left[0].plugin, &*left[0].place), ("tcp", "tcp h:1"));

        for removed in &left[1..] {
            std::fs::remove_dir_all(&removed.path).unwrap();
        }
        assert_eq!(spools.left().unwrap(), left[..1]);
        drop(taken);
        // What has arrived is not left.
        let mut queue = home("host/kept").claim(&[owner("b")]).unwrap().pop().flatten().unwrap();
        let ticket = queue.read(100, 100).unwrap().unwrap().ticket;
        queue.arrived(ticket);
        drop(queue);
        let left = spools.left().unwrap();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
