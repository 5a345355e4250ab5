//! The streams that are read: started, shared out, drained and ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use super::asking::{Ask, Asking};
use super::fan::{Fan, FanDecoder};
use super::in_flight::InFlight;
use super::lag::Lag;
use super::metadata::{Machine, Metadata};
use super::pipelines::Pipelines;
#[cfg(feature = "docker")]
use super::records::{ApiLines, LocalFile};
use super::records::{JsonFile, PlainLines, Records};
use super::report::{StreamKind, StreamReport};
use super::settings::ShipperSettings;
use super::source::{LastLinesError, Source};
use super::state::{self, Limits, Pattern, Place, StreamId, Wanted};
use super::totals::{StreamTotals, Totals};
#[cfg(feature = "docker")]
use crate::discovery::DockerEndpoint;
use crate::discovery::{Container, ContainerId, ContainerState, Discovered};
use crate::event::{Clock, StreamKey};
use crate::pipeline::plugin::BatchSender;
use crate::source::container_file::{ContainerFile, ContainerFiles};
use crate::source::daemon_log::DaemonLog;
use crate::source::{
    Checkpoints, Directories, Ended, Follow, Framing, HostFile, Identity, Readers, StartPosition, Stop,
    StreamStatus, TailSettings,
};
#[cfg(feature = "docker")]
use crate::source::{daemon_stream::DaemonStream, docker_logs::DockerLogs, exec_tail, exec_tail::ExecTail};

/// All streams, and what is known of the containers they come from.
pub(crate) struct Streams {
    host_root: PathBuf,
    machine: Machine,
    /// How long the files of a removed container are still read.
    pub(super) drain_timeout: Duration,
    clock: Clock,
    #[cfg(feature = "docker")]
    docker: Option<DockerEndpoint>,
    asking: Asking,
    checkpoints: Checkpoints,
    readers: Arc<Readers>,
    directories: Directories,
    files: BTreeMap<ContainerId, Arc<ContainerFiles>>,
    running: BTreeMap<StreamId, Stream>,
    // What was counted by streams that have ended since this was last asked.
    ended: Vec<(String, StreamTotals)>,
}

/// A stream that is read, by whom, and how.
struct Stream {
    fan: Arc<Fan>,
    status: Arc<StreamStatus>,
    stop: Stop,
    reader: Option<JoinHandle<Ended>>,
    // As it was when reading began.
    container: Option<Arc<Container>>,
    // As it is in the metadata of the events: an agent notes a task some time after it has made its sandbox.
    described: Option<Arc<Container>>,
    method: Method,
    phase: Phase,
    readers: Vec<(crate::configs::ConfigKey, usize)>,
    // Of the pipelines the targets belong to: they change when a configuration is replaced.
    generation: Vec<u64>,
    in_flight: InFlight,
    lag: Lag,
}

/// How a stream is read, as far as it was decided here.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Method {
    /// The opener knows the rung.
    File,
    /// By the daemon; why not directly.
    #[cfg_attr(not(feature = "docker"), expect(dead_code, reason = "only a daemon is asked for it"))]
    Daemon(String),
    /// It cannot be read; why.
    Unreadable(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Reading,
    /// Its container has ended or is gone: it is read to its end, at most until then.
    Draining {
        until: Instant,
    },
    /// Everything has been read of a container that has ended.
    Drained,
    /// It was told to stop.
    Stopping,
}

/// What a container writes in its last moment may still be on its way through the daemon.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How often a container is asked what a pattern matches: each time is a process in it.
#[cfg(feature = "docker")]
const ASK_EVERY: Duration = Duration::from_secs(5);

/// How long a container's shell may take. A process stays behind in the container each time, so it is not asked again
/// soon.
#[cfg(feature = "docker")]
const ASK_PATIENCE: Duration = Duration::from_secs(300);

fn expand_inside(files: Option<&ContainerFiles>, pattern: &str) -> Vec<PathBuf> {
    let Some(files) = files else { return Vec::new() };
    files.expand(pattern).unwrap_or_else(|error| {
        debug!(%error, container_id = %files.container().id.short(), "Pattern cannot be expanded");
        Vec::new()
    })
}

#[cfg(feature = "docker")]
async fn ask_container(docker: &DockerEndpoint, files: &ContainerFiles, pattern: &str) -> Vec<PathBuf> {
    let container = files.container();
    let answer = tokio::time::timeout(ASK_PATIENCE, exec_tail::expand(docker, &container.id, pattern)).await;
    match answer {
        Ok(Ok(paths)) => paths,
        Ok(Err(error)) => {
            debug!(%error, container_id = %container.id.short(), "Container does not expand a pattern");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
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
            asking: Asking::default(),
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
                self.checkpoints.forget(&key);
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
    pub(crate) fn forget_removed(&self, containers: &BTreeMap<ContainerId, Arc<Container>>) {
        for key in self.checkpoints.keys() {
            let id = key.strip_prefix("container:").and_then(|rest| rest.split(':').next());
            if let Some(id) = id
                && !containers.keys().any(|known| known.0 == *id)
                && !self
                    .running
                    .keys()
                    .any(|stream| stream.container().is_some_and(|running| running.0 == *id))
            {
                info!(stream = %key, "Container was removed while nobody read it, its position is forgotten");
                self.checkpoints.forget(&key);
            }
        }
    }

    /// The files that match each pattern, as far as is known now.
    pub(crate) async fn expand(&mut self, patterns: Vec<Pattern>) -> BTreeMap<Pattern, Vec<PathBuf>> {
        let Self { asking, files, host_root, .. } = self;
        let files_of = |pattern: &Pattern| {
            pattern.container.as_ref().map(|container| files.get(container).map(Arc::clone))
        };
        #[cfg(feature = "docker")]
        let docker = self.docker.as_ref();
        // Whose files cannot be seen from outside: its shell is asked.
        #[cfg(feature = "docker")]
        let unseen = |pattern: &Pattern| {
            let files = files_of(pattern).flatten()?;
            let is_unseen = files.rung().is_err() && files.container().pid().is_some();
            Some((files, docker?.clone())).filter(|_| is_unseen)
        };
        let every = |_pattern: &Pattern| {
            #[cfg(feature = "docker")]
            if unseen(_pattern).is_some() {
                return ASK_EVERY;
            }
            Duration::ZERO
        };
        let ask = |pattern: &Pattern| {
            let text = pattern.pattern.clone();
            #[cfg(feature = "docker")]
            if let Some((files, docker)) = unseen(pattern) {
                return Ask::Hear(Box::pin(async move { ask_container(&docker, &files, &text).await }));
            }
            match files_of(pattern) {
                None => {
                    let host_root = host_root.clone();
                    Ask::Look(Box::new(move || crate::source::host_glob::expand(&host_root, &text)))
                }
                Some(files) => Ask::Look(Box::new(move || expand_inside(files.as_deref(), &text))),
            }
        };
        asking.expand(patterns, every, ask).await
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
                        self.start(id, &want, pipelines, container);
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
        for (id, want) in wanted {
            if want.by_pattern && !self.may_begin(&id) {
                continue;
            }
            if let Some(most) = want.ignore_older_secs
                && self.age_secs(&id).is_some_and(|age| age > most)
            {
                continue;
            }
            let container = id.container().and_then(|container| picture.containers.get(container)).cloned();
            self.start(id, &want, pipelines, container.as_ref());
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

    /// A file found by a pattern is begun unless another stream is still reading it under its old name.
    fn may_begin(&self, id: &StreamId) -> bool {
        let identity = match &id.place {
            Place::ContainerFile { container, path } => {
                let Some(files) = self.files.get(container) else { return false };
                if files.rung().is_err() {
                    return true;
                }
                files.stat(path).ok().map(|stat| stat.identity)
            }
            Place::HostFile { path } => {
                std::fs::metadata(self.below_root(path)).ok().map(|metadata| Identity::of(&metadata))
            }
            Place::ContainerOutput { .. } => None,
        };
        identity.is_some_and(|identity| !self.checkpoints.is_live(identity))
    }

    fn age_secs(&self, id: &StreamId) -> Option<u64> {
        let file = match &id.place {
            Place::ContainerFile { container, path } => self.files.get(container)?.open(path).ok()?.0,
            Place::HostFile { path } => std::fs::File::open(self.below_root(path)).ok()?,
            Place::ContainerOutput { .. } => return None,
        };
        let modified = file.metadata().ok()?.modified().ok()?;
        modified.elapsed().ok().map(|age| age.as_secs())
    }

    fn below_root(&self, path: &Path) -> PathBuf {
        self.host_root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn start(
        &mut self,
        id: StreamId,
        want: &Wanted,
        pipelines: &Pipelines,
        container: Option<&Arc<Container>>,
    ) {
        let max_line_bytes = pipelines.max_line_bytes();
        let container_now = container.map(|container| &**container);
        let Some(source) = self.source(&id.place, container_now, max_line_bytes) else { return };
        // There is nothing to ask for yet.
        let created = container.is_some_and(|container| container.state == ContainerState::Created);
        if created && matches!(id.place, Place::ContainerOutput { .. }) && !matches!(source, Source::File(..))
        {
            return;
        }
        let metadata = self.metadata(&id.place, container_now);
        let (targets, generation) = pipelines.targets(&want.readers);
        let in_flight = InFlight::default();
        let fan = Fan::new(targets, metadata, in_flight.clone());
        let status = Arc::new(StreamStatus::default());
        let stop = Stop::default();
        let positions = self.checkpoints.stream(&id.position_key());
        let key = StreamKey(Arc::clone(positions.key()));
        let decoder = |records| {
            let fan = Arc::clone(&fan);
            Box::new(FanDecoder::new(fan, records, key, self.clock, Arc::clone(&status)))
        };
        let sender = Arc::clone(&fan) as Arc<dyn BatchSender>;
        let framing =
            Framing { delimiter: id.delimiter.clone().into(), max_line_bytes, ..Framing::default() };
        let (method, reader) = match source {
            Source::File(opener, records) => {
                let framing = if records.cuts_blocks() {
                    Framing::blocks()
                } else {
                    Framing { max_line_bytes: records.longest(max_line_bytes), ..framing }
                };
                let settings = TailSettings {
                    framing,
                    start: if want.from_end { StartPosition::End } else { StartPosition::Beginning },
                    adopt: want.by_pattern,
                    keep_finished: want.by_pattern,
                    ..TailSettings::default()
                };
                let reader = self.readers.follow(Follow {
                    opener,
                    settings,
                    positions,
                    decoder: decoder(records),
                    sender,
                    status: Arc::clone(&status),
                    stop: stop.clone(),
                    close_after: None,
                });
                (Method::File, Some(reader))
            }
            #[cfg(feature = "docker")]
            Source::Exec { docker, container, path, reason } => {
                let decoder = decoder(Box::new(PlainLines));
                let (status, stop) = (Arc::clone(&status), stop.clone());
                let stream = DaemonStream { docker, container, positions, decoder, sender, status, stop };
                let tail = ExecTail { stream, path, framing };
                (Method::Daemon(reason), Some(tokio::spawn(tail.run())))
            }
            #[cfg(feature = "docker")]
            Source::Logs { docker, container, records, reason } => {
                let decoder = decoder(records);
                let (status, stop) = (Arc::clone(&status), stop.clone());
                let stream = DaemonStream { docker, container, positions, decoder, sender, status, stop };
                (Method::Daemon(reason), Some(tokio::spawn(DockerLogs(stream).run())))
            }
            Source::None(reason) => (Method::Unreadable(reason), None),
        };
        match &method {
            Method::Unreadable(reason) => {
                warn!(stream = %id.position_key(), error = %reason, "Stream cannot be read")
            }
            _ => info!(stream = %id.position_key(), "Reading a stream"),
        }
        let mut stream = Stream {
            fan,
            status,
            stop,
            reader,
            container: container.cloned(),
            described: container.cloned(),
            method,
            phase: Phase::Reading,
            readers: want.readers.clone(),
            generation,
            in_flight,
            lag: Lag::default(),
        };
        stream.follow_life(container, self.drain_timeout);
        self.running.insert(id, stream);
    }

    fn metadata(&self, place: &Place, container: Option<&Container>) -> Metadata {
        let path = match place {
            Place::ContainerFile { path, .. } | Place::HostFile { path } => path.as_path(),
            Place::ContainerOutput { .. } => Path::new(""),
        };
        let text = path.to_string_lossy();
        match container {
            None => Metadata::of_host(&self.machine, &text),
            Some(container) if container.sandbox.is_some() => {
                Metadata::of_sandbox(&self.machine, container, path)
            }
            Some(container) => {
                let path = Some(&*text).filter(|path| !path.is_empty());
                Metadata::of_container(&self.machine, container, path)
            }
        }
    }

    /// How the place is read; not at all while its container is not known.
    fn source(&self, place: &Place, container: Option<&Container>, max_line_bytes: usize) -> Option<Source> {
        Some(match place {
            Place::HostFile { path } => Source::File(
                Arc::new(HostFile::new(self.below_root(path), &self.directories)),
                Box::new(PlainLines),
            ),
            Place::ContainerFile { path, .. } => self.container_file(container?, path),
            Place::ContainerOutput { .. } => self.container_output(container?, max_line_bytes),
        })
    }

    /// The last lines of a stream that is read, `limit` at most, read now and beside everything else.
    pub(crate) fn last_lines(
        &self,
        stream: &str,
        limit: usize,
        max_line_bytes: usize,
    ) -> impl Future<Output = Result<Vec<String>, LastLinesError>> + Send + use<> {
        let found = self.running.iter().find(|(id, _)| id.position_key() == stream);
        // What nobody may read any more ends.
        let found = found.filter(|(_, running)| running.phase != Phase::Stopping);
        let source = found.and_then(|(id, running)| {
            let container = running.container.as_deref();
            #[cfg(feature = "docker")]
            if let (Place::ContainerOutput { .. }, Some(container), Some(docker)) =
                (&id.place, container, &self.docker)
                && container.log.name != "json-file"
            {
                // What is not made of lines has no end that could be found from behind: the daemon knows it.
                let records = Box::new(ApiLines::new(container.tty, max_line_bytes));
                let (docker, container, reason) = (docker.clone(), container.id.clone(), String::new());
                return Some((Source::Logs { docker, container, records, reason }, id.delimiter.clone()));
            }
            let source = self.source(&id.place, container, max_line_bytes)?;
            Some((source, id.delimiter.clone()))
        });
        async move {
            let (source, delimiter) = source.ok_or(LastLinesError::NotRead)?;
            source.last_lines(delimiter, limit).await
        }
    }

    /// The ladder: from the machine's side where that is possible, from inside the container otherwise.
    fn container_file(&self, container: &Container, path: &Path) -> Source {
        let Some(files) = self.files.get(&container.id) else {
            return Source::None("the container is not known".to_owned());
        };
        #[cfg(feature = "docker")]
        if let Err(unseen) = files.rung()
            && let Some(docker) = self.docker.clone()
            && container.pid().is_some()
        {
            let reason = unseen.to_string();
            return Source::Exec { docker, container: container.id.clone(), path: path.to_owned(), reason };
        }
        Source::File(Arc::new(ContainerFile::new(Arc::clone(files), path)), Box::new(PlainLines))
    }

    /// The daemon's own file where it can be read, the logs API otherwise.
    fn container_output(&self, container: &Container, max_line_bytes: usize) -> Source {
        let reason = match self.daemon_log(container, max_line_bytes) {
            Ok((log, records)) => return Source::File(Arc::new(log), records),
            Err(reason) => reason,
        };
        if container.log.name == "none" {
            return Source::None(
                "the container's log driver is `none`, which keeps nothing: start it with another one"
                    .to_owned(),
            );
        }
        #[cfg(feature = "docker")]
        if let Some(docker) = self.docker.clone() {
            let records = Box::new(ApiLines::new(container.tty, max_line_bytes));
            return Source::Logs { docker, container: container.id.clone(), records, reason };
        }
        Source::None(reason)
    }

    fn daemon_log(
        &self,
        container: &Container,
        max_line_bytes: usize,
    ) -> Result<(DaemonLog, Box<dyn Records>), String> {
        let driver = &container.log.name;
        let (rung, records): (_, Box<dyn Records>) = match &**driver {
            "json-file" => ("json-file", Box::new(JsonFile::new(container.tty, max_line_bytes))),
            #[cfg(feature = "docker")]
            "local" => ("local", Box::new(LocalFile::new(container.tty, max_line_bytes))),
            #[cfg(feature = "docker")]
            _ if container.log.is_copy() => {
                ("daemon-cache", Box::new(LocalFile::new(container.tty, max_line_bytes)))
            }
            _ => return Err(format!("the log of the driver `{driver}` cannot be read directly")),
        };
        let Some(path) = &container.log.path else {
            return Err("the daemon does not say where the container's log is".to_owned());
        };
        let path = self.below_root(path);
        // The daemon makes the file when the container starts.
        let may_come = container.state == ContainerState::Created && path.parent().is_some_and(Path::is_dir);
        match std::fs::File::open(&path) {
            Ok(_) => Ok((DaemonLog::new(path, rung), records)),
            Err(error) if may_come && error.kind() == std::io::ErrorKind::NotFound => {
                Ok((DaemonLog::new(path, rung), records))
            }
            Err(error) => Err(format!(
                "the container's log `{}` cannot be opened ({error}): run the executor as root and give the \
                 host's root directory with `--host-root` or LOGSTASH_MESOS_HOST_ROOT",
                path.display()
            )),
        }
    }

    fn forget(&mut self, id: &StreamId) {
        if let Some(stream) = self.running.remove(id) {
            self.ended.push((id.position_key(), stream.counted()));
            debug!(stream = %id.position_key(), "Stream has ended");
        }
    }

    /// What can be said about each stream: `before` is what was counted for those that have ended, to `sum` comes what is
    /// counted for the others.
    pub(crate) fn report(&mut self, before: &Totals, sum: &mut StreamTotals) -> Vec<StreamReport> {
        self.ended.iter().for_each(|(_, counted)| sum.add(counted));
        let mut running = std::mem::take(&mut self.running);
        let reports =
            running.iter_mut().map(|(id, stream)| self.report_one(id, stream, before, sum)).collect();
        self.running = running;
        reports
    }

    fn report_one(
        &self,
        id: &StreamId,
        stream: &mut Stream,
        before: &Totals,
        sum: &mut StreamTotals,
    ) -> StreamReport {
        let (key, now) = (id.position_key(), stream.status.snapshot());
        let counted = StreamTotals::from(&now);
        sum.add(&counted);
        let mut total = before.streams.get(&key).cloned().unwrap_or_default();
        total.add(&counted);
        let container = stream.container.as_deref();
        let (kind, path) = match &id.place {
            Place::ContainerFile { path, .. } => (StreamKind::ContainerFile, path.display().to_string()),
            Place::ContainerOutput { .. } => (StreamKind::ContainerOutput, String::new()),
            Place::HostFile { path } => (StreamKind::HostFile, path.display().to_string()),
        };
        let rung = id.container().and_then(|id| self.files.get(id)).map(|files| files.rung());
        let (method, reason) = match (&stream.method, &id.place) {
            (Method::Unreadable(reason), _) => (String::new(), reason.clone()),
            (Method::Daemon(reason), _) => (now.rung.unwrap_or_default().to_owned(), reason.clone()),
            (Method::File, Place::ContainerFile { .. }) => match rung {
                Some(Ok((rung, reason))) => (now.rung.unwrap_or(rung.as_str()).to_owned(), reason),
                Some(Err(unseen)) => (String::new(), unseen.to_string()),
                None => (now.rung.unwrap_or_default().to_owned(), String::new()),
            },
            _ => (now.rung.unwrap_or_default().to_owned(), String::new()),
        };
        let arrived = self.checkpoints.stream(&key).arrived().unwrap_or(now.offset);
        let lag_bytes = now.lag_bytes + now.offset.saturating_sub(arrived);
        let lag = stream.lag.look(now.read_bytes + now.lag_bytes, lag_bytes, Instant::now());
        let mut configurations: Vec<_> = stream.readers.iter().map(|(key, _)| key.clone()).collect();
        configurations.dedup();
        StreamReport {
            id: key,
            kind,
            container_id: container.map(|found| found.id.to_string()).unwrap_or_default(),
            container_name: container.map(|found| found.name.to_string()).unwrap_or_default(),
            image: container.map(|found| found.image.to_string()).unwrap_or_default(),
            path,
            method,
            reason: now.error.unwrap_or(reason),
            lag_bytes,
            lag_secs: lag.as_secs(),
            total,
            offset: arrived,
            events: now.events,
            lost: now.lost.into_iter().map(|(reason, count)| (reason.as_str().to_owned(), count)).collect(),
            configurations,
        }
    }
}

impl Stream {
    /// Takes note when the reader has ended.
    async fn take_end(&mut self, id: &StreamId) {
        if !self.reader.as_ref().is_some_and(JoinHandle::is_finished) {
            return;
        }
        let Some(reader) = self.reader.take() else { return };
        match reader.await {
            Ok(Ended::Finished | Ended::Failed | Ended::Quiet) => self.phase = Phase::Drained,
            Ok(Ended::Stopped | Ended::PipelineGone) => {}
            Err(error) => {
                warn!(stream = %id.position_key(), %error, "Reader of a stream failed, starting it again")
            }
        }
    }

    /// Follows a change of the configurations that read it.
    fn retarget(&mut self, want: &Wanted, pipelines: &Pipelines) {
        let generation = pipelines.generation(&want.readers);
        if self.readers == want.readers && self.generation == generation {
            return;
        }
        let (targets, generation) = pipelines.targets(&want.readers);
        self.fan.set_targets(targets);
        self.readers.clone_from(&want.readers);
        self.generation = generation;
    }

    fn counted(&self) -> StreamTotals {
        (&self.status.snapshot()).into()
    }

    fn describes_otherwise(&self, now: &Container) -> bool {
        self.described.as_ref().is_some_and(|then| then.labels != now.labels || then.mesos != now.mesos)
    }

    /// Drains when the container has ended, and takes note when it lives again.
    fn follow_life(&mut self, container: Option<&Arc<Container>>, drain_timeout: Duration) {
        let Some(container) = container else { return };
        if container.state == ContainerState::Exited {
            self.drain(LAST_WORDS, drain_timeout);
        }
    }

    /// Reads to the end and no further, from `after` now on.
    fn drain(&mut self, after: Duration, at_most: Duration) {
        match self.phase {
            Phase::Reading => {
                self.phase = Phase::Draining { until: Instant::now() + after + at_most };
                let stop = self.stop.at_end.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    stop.cancel();
                });
            }
            // While an output takes nothing the descriptors are kept: they may be all that is left of the lines.
            Phase::Draining { until } if Instant::now() > until && self.in_flight.is_settled() => {
                self.stop();
            }
            _ => {}
        }
    }

    fn stop(&mut self) {
        self.stop.now.cancel();
        self.phase = Phase::Stopping;
    }

    /// Whether nothing of it runs any more and its position stands.
    fn is_over(&self) -> bool {
        self.reader.is_none() && self.in_flight.is_settled()
    }

    /// Whether it has ended and there is (again) something to read.
    fn wants_new_start(&self, container: Option<&Arc<Container>>) -> bool {
        if !self.is_over() {
            return false;
        }
        match (self.phase, container, &self.container) {
            // Nothing more comes of this life of the container.
            (Phase::Drained, Some(now), Some(then)) => {
                now.state != ContainerState::Exited || now.started_at != then.started_at
            }
            (_, Some(now), Some(then)) if matches!(self.method, Method::Unreadable(_)) => now != then,
            _ => true,
        }
    }
}
