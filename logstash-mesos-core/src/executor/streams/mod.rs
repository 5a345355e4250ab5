//! The streams that are read: started, shared out, drained and ended.

mod begin;
mod expand;
mod ladder;
mod left;
mod report;
mod start;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::{debug, warn};

use self::begin::Seen;
use self::left::Became;
use self::stream::Stream;
use super::metadata::Machine;
use super::pipelines::Pipelines;
use super::settings::ShipperSettings;
use super::state::{self, Limits, Pattern, StreamId, Wanted};
use super::totals::{StreamTotals, Totals};
#[cfg(feature = "docker")]
use crate::discovery::DockerEndpoint;
use crate::discovery::{Container, ContainerId, Discovered};
use crate::event::Clock;
use crate::source::archives::Archives;
use crate::source::asking::Asking;
use crate::source::container_file::ContainerFiles;
use crate::source::looks::Looks;
use crate::source::{Checkpoints, Directories, Lost, Readers};

/// All streams, and what is known of the containers they come from.
pub(crate) struct Streams {
    host_root: PathBuf,
    machine: Machine,
    /// How long the files of a removed container are still read.
    pub(super) drain_timeout: Duration,
    clock: Clock,
    #[cfg(feature = "docker")]
    docker: Option<DockerEndpoint>,
    asking: Asking<Pattern, Vec<PathBuf>>,
    archives: Archives<Pattern>,
    checkpoints: Checkpoints,
    readers: Arc<Readers>,
    directories: Directories,
    files: BTreeMap<ContainerId, Arc<ContainerFiles>>,
    running: BTreeMap<StreamId, Stream>,
    // Of what was found, until it is read.
    seen: Looks<Pattern, StreamId, Seen>,
    // What was read of the machine before the program was started, until it is known what rotation has left of it.
    before: Vec<StreamId>,
    aside: Looks<Pattern, StreamId, Became>,
    // What was counted by streams that have ended since this was last asked.
    ended: Vec<(String, StreamTotals)>,
}

impl Streams {
    pub(crate) fn new(settings: &ShipperSettings, checkpoints: Checkpoints, readers: Arc<Readers>) -> Self {
        Self {
            host_root: settings.host_root.clone(),
            machine: settings.machine.clone(),
            drain_timeout: settings.drain_timeout,
            clock: settings.compile.clock,
            #[cfg(feature = "docker")]
            docker: settings.docker.clone(),
            asking: Asking::new("which files match"),
            archives: Archives::default(),
            seen: Looks::new("what was found"),
            before: checkpoints.keys().iter().filter_map(|key| StreamId::of_host_file(key)).collect(),
            aside: Looks::new("which files were put aside"),
            checkpoints,
            readers,
            directories: Directories::default(),
            files: BTreeMap::new(),
            running: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    /// Takes over what is newly known of the containers. Positions of those that are gone are forgotten once nothing of
    /// them is read any more.
    pub(crate) fn update_containers(&mut self, containers: &BTreeMap<ContainerId, Arc<Container>>) {
        for (id, container) in containers {
            match self.files.get(id) {
                Some(files) => files.update(Arc::clone(container)),
                None => {
                    let files = ContainerFiles::new(Arc::clone(container), &self.host_root);
                    self.files.insert(id.clone(), Arc::new(files));
                }
            }
        }
        let is_read = |id: &ContainerId| self.running.keys().any(|stream| stream.container() == Some(id));
        let gone: Vec<ContainerId> =
            self.files.keys().filter(|id| !containers.contains_key(id) && !is_read(id)).cloned().collect();
        for id in gone {
            self.files.remove(&id);
            let of_it = format!("container:{id}:");
            for key in self.checkpoints.keys().into_iter().filter(|key| key.starts_with(&of_it)) {
                self.forget_container(&key);
            }
        }
    }

    /// Those that are there, and those that are gone and still read.
    pub(crate) fn containers(&self) -> impl Iterator<Item = Arc<Container>> + '_ {
        self.files.values().map(|files| files.container())
    }

    /// One of them.
    pub(crate) fn container(&self, id: &ContainerId) -> Option<Arc<Container>> {
        self.files.get(id).map(|files| files.container())
    }

    /// Forgets the positions of containers that were removed while nobody looked.
    pub(crate) fn forget_removed(&mut self, containers: &BTreeMap<ContainerId, Arc<Container>>) {
        for key in self.checkpoints.keys() {
            let id = key.strip_prefix("container:").and_then(|rest| rest.split(':').next());
            if let Some(id) = id
                && !containers.keys().any(|known| known.0 == *id)
                && !self
                    .running
                    .keys()
                    .any(|stream| stream.container().is_some_and(|running| running.0 == *id))
            {
                self.forget_container(&key);
            }
        }
    }

    /// Forgets the position `key` of a container that is gone, and counts what nobody has read.
    fn forget_container(&mut self, key: &str) {
        let lost_bytes = self.checkpoints.forget(key);
        if lost_bytes == 0 {
            debug!(stream = %key, "Container is gone, its position is forgotten");
        } else {
            warn!(stream = %key, lost_bytes, "Container was removed while nobody read it, with lines that have not arrived");
            self.count_lost(key, Lost::GoneWhileStopped, lost_bytes);
        }
    }

    /// Forgets the positions of files of the machine that no stream is for and that have not moved for so long. Those of
    /// containers go with their container, those of a stream that is read may be all that tells what is new of a quiet file.
    pub(crate) fn forget_unmoved(&mut self, since: Duration) {
        let running: BTreeSet<String> = self.running.keys().map(StreamId::position_key).collect();
        let is_left = |key: &str| StreamId::of_host_file(key).is_some() && !running.contains(key);
        for (key, bytes) in self.checkpoints.forget_unmoved(since, is_left) {
            self.count_lost(&key, Lost::Forgotten, bytes);
        }
    }

    /// Counts what will not arrive of a stream that is not read.
    fn count_lost(&mut self, key: &str, reason: Lost, bytes: u64) {
        let lost = [(reason.as_str().to_owned(), bytes)].into();
        self.ended.push((key.to_owned(), StreamTotals { lost, ..StreamTotals::default() }));
    }

    /// Starts what is wanted and not there, ends what is there and not wanted, and leaves the rest alone.
    pub(crate) async fn reconcile(
        &mut self,
        mut wanted: BTreeMap<StreamId, Wanted>,
        pipelines: &Pipelines,
        picture: &Discovered,
        limits: Limits<'_>,
    ) {
        let ids: Vec<StreamId> = self.running.keys().cloned().collect();
        for id in ids {
            let container = id.container().and_then(|container| picture.containers.get(container));
            let gone = id.container().is_some() && container.is_none();
            let news = container
                .filter(|now| self.running.get(&id).is_some_and(|stream| stream.describes_otherwise(now)))
                .map(|now| (Arc::clone(now), self.metadata(&id.place, Some(now))));
            let Some(stream) = self.running.get_mut(&id) else { continue };
            if let Some((now, metadata)) = news {
                stream.fan.set_metadata(metadata);
                stream.described = Some(now);
            }
            stream.take_end(&id).await;
            match wanted.remove(&id) {
                Some(want) => {
                    stream.stop.when_gone.store(false, Ordering::Release);
                    stream.retarget(&want, pipelines);
                    stream.follow_life(container, self.drain_timeout);
                    if stream.wants_new_start(container) {
                        self.forget(&id);
                        // It may have lines that are older.
                        wanted.insert(id, Wanted { ignore_older_secs: None, ..want });
                    }
                }
                None => {
                    // What is held of a container that was removed, or of a path that a pattern finds no more, may be
                    // all that is left of its lines.
                    let container = stream.container.iter();
                    let container = container.map(|known| (known.id.clone(), Arc::clone(known))).collect();
                    match state::wanted_if_there(pipelines.subscriptions(), &container, limits, &id) {
                        Some(want) if gone => {
                            stream.retarget(&want, pipelines);
                            stream.drain(Duration::ZERO, self.drain_timeout);
                            if stream.is_over() {
                                stream.count_left(self.checkpoints.forget(&id.position_key()));
                            }
                        }
                        Some(want) => {
                            stream.retarget(&want, pipelines);
                            stream.stop.when_gone.store(true, Ordering::Release);
                        }
                        None => stream.stop(),
                    }
                    if stream.is_over() {
                        self.forget(&id);
                    }
                }
            }
        }
        let left = self.left(&wanted, pipelines, picture, limits).await;
        for (id, want, from_outside) in self.that_may_begin(wanted).await {
            let container = id.container().and_then(|container| picture.containers.get(container)).cloned();
            self.start(id, &want, from_outside, pipelines, container.as_ref());
        }
        for (id, want) in left {
            self.start(id, &want, Ok(()), pipelines, None);
        }
    }

    /// Ends all streams where they are; leaves behind what has not ended at `deadline`.
    pub(crate) async fn stop_all(&mut self, deadline: tokio::time::Instant) {
        for stream in self.running.values_mut() {
            stream.stop();
        }
        for (id, stream) in &mut self.running {
            if let Some(mut reader) = stream.reader.take()
                && tokio::time::timeout_at(deadline, &mut reader).await.is_err()
            {
                warn!(stream = %id.position_key(), "Stream does not stop, it is left behind");
                reader.abort();
            }
        }
        for (id, stream) in std::mem::take(&mut self.running) {
            self.ended.push((id.position_key(), stream.counted()));
        }
    }

    /// What was counted by streams that have ended goes over to `totals`.
    pub(crate) fn reap(&mut self, totals: &mut Totals) {
        for (id, counted) in self.ended.drain(..) {
            totals.add_stream(&id, &counted);
        }
    }

    /// Adds what is counted now: by the streams that are read, and by those that have just ended.
    pub(crate) fn count(&self, totals: &mut Totals) {
        for (id, counted) in &self.ended {
            totals.add_stream(id, counted);
        }
        for (id, stream) in &self.running {
            totals.add_stream(&id.position_key(), &stream.counted());
        }
    }

    /// The streams that are read, and those of which a position is kept.
    pub(crate) fn known(&self) -> BTreeSet<String> {
        let running = self.running.keys().map(StreamId::position_key);
        running.chain(self.checkpoints.keys().iter().map(ToString::to_string)).collect()
    }

    fn forget(&mut self, id: &StreamId) {
        if let Some(stream) = self.running.remove(id) {
            self.ended.push((id.position_key(), stream.counted()));
            debug!(stream = %id.position_key(), "Stream has ended");
        }
    }
}
