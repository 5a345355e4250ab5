//! `file`: follows files, or reads them once.

mod decoder;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::task::{self, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use decoder::Common;

use super::archive::{Archive, Beginning, Broken, Stamp, stamp};
use super::common::{duration, line_codec};
use super::keeping::Keeping;
use crate::checksum::checksum;
use crate::event::Text;
use crate::pipeline::plugin::settings::{Default as Preset, Kind, Setting, Settings, Status};
use crate::pipeline::plugin::{
    Build, BuildContext, BuildError, Input, InputContext, InputError, MakeInput, PluginSpec,
};
use crate::source::asking::{Ask, Asking};
use crate::source::{
    Checkpoints, Directories, Ended, FilePosition, Follow, Framing, HoldLimits, HostFile, Identity, Readers,
    StartPosition, Stop, StreamPositions, StreamStatus, TailSettings, glob, host_glob, is_gone, left_of,
};

pub(crate) static FILE: PluginSpec = PluginSpec {
    name: "file",
    doc: "Follows files, through rotation and truncation, or reads them once to their end.",
    settings: &[
        Setting::new(
            "path",
            Kind::Array,
            "Files to read: absolute paths, which may hold `*`, `?`, `[…]`, `{…}`, `**`.",
        ),
        Setting::new(
            "docker-path",
            Kind::Array,
            "The same inside the containers that the configuration applies to.",
        ),
        Setting::new("host-path", Kind::Array, "The same on the machine that the executor runs on."),
        Setting::new("exclude", Kind::Array, "Patterns of file names (not paths) to leave out."),
        Setting::new(
            "start_position",
            Kind::OneOf(&["beginning", "end"]),
            "Where a file is begun that is seen for the first time.",
        )
        .default(Preset::String("end")),
        Setting::new(
            "mode",
            Kind::OneOf(&["tail", "read"]),
            "Whether files go on, or are complete and read once.",
        )
        .default(Preset::String("tail")),
        Setting::new("sincedb_path", Kind::String, "The file that keeps positions; `/dev/null` for none."),
        Setting::new("sincedb_write_interval", Kind::Any, "How often positions are written.")
            .default(Preset::Int(15))
            .status(Status::Ignored("positions are written a second after they change")),
        Setting::new(
            "sincedb_clean_after",
            Kind::Any,
            "After how many days without a change a position is forgotten.",
        )
        .default(Preset::Int(14)),
        Setting::new("stat_interval", Kind::Any, "How often files are looked at.")
            .default(Preset::Int(1))
            .status(Status::Ignored("changes are seen when they happen")),
        Setting::new(
            "discover_interval",
            Kind::Number,
            "After how many `stat_interval`s new files are looked for.",
        )
        .default(Preset::Int(15)),
        Setting::new(
            "close_older",
            Kind::Any,
            "Closes a file nothing came from for so long (seconds, or `1 hour`).",
        ),
        Setting::new(
            "ignore_older",
            Kind::Any,
            "Leaves out files that have not changed for so long (seconds, or `1 day`).",
        ),
        Setting::new("delimiter", Kind::String, "What ends a line.").default(Preset::String("\n")),
        Setting::new(
            "max_open_files",
            Kind::Number,
            "How many files are open at a time: quiet ones are closed for others, and opened again when they change.",
        )
        .default(Preset::Int(4095)),
        Setting::new("file_chunk_size", Kind::Number, "How many bytes are read at a time.")
            .default(Preset::Int(262_144)),
        Setting::new(
            "file_chunk_count",
            Kind::Number,
            "How many chunks are read from a file before another has its turn.",
        )
        .status(Status::Ignored("files take turns after every chunk")),
        Setting::new(
            "file_sort_by",
            Kind::OneOf(&["last_modified", "path"]),
            "In which order files are begun.",
        )
        .default(Preset::String("last_modified")),
        Setting::new("file_sort_direction", Kind::OneOf(&["asc", "desc"]), "And in which direction.")
            .default(Preset::String("asc")),
        Setting::new(
            "file_completed_action",
            Kind::OneOf(&["delete", "log", "log_and_delete"]),
            "What is done with a file that has been read, in mode `read`.",
        )
        .default(Preset::String("delete")),
        Setting::new("file_completed_log_path", Kind::String, "Where the names of such files are written."),
        Setting::new(
            "check_archive_validity",
            Kind::Boolean,
            "Whether compressed files are checked as a whole before anything of them is read.",
        )
        .default(Preset::Bool(false)),
        Setting::new("exit_after_read", Kind::Boolean, "Ends when the files have been read, in mode `read`.")
            .default(Preset::Bool(false)),
    ],
    build: Build::Input(&MakeInput::or_served(build, super::stream::served)),
};

fn build(settings: &Settings, cx: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    let paths = settings.strings("path");
    if let Some(setting) = ["docker-path", "host-path"].into_iter().find(|name| settings.is_given(name)) {
        return Err(BuildError::setting(setting, "only the executor knows containers and their machine")
            .remedy("run the configuration with `ship --config-dir DIR`, or give `path`"));
    }
    super::stream::absolute("path", &paths)?;
    let reads = settings.text("mode").as_deref() == Some("read");
    let completed = Completed {
        log: settings.text("file_completed_log_path").map(|path| PathBuf::from(path.as_str())),
        delete: settings.text("file_completed_action").is_none_or(|action| action.contains("delete")),
        writes_log: settings.text("file_completed_action").is_some_and(|action| action.contains("log")),
    };
    if reads && completed.writes_log && completed.log.is_none() {
        return Err(BuildError::setting(
            "file_completed_log_path",
            "is needed for this `file_completed_action`",
        )
        .remedy("name the file that takes the names of completed files, or use `delete`"));
    }
    if settings.bool("exit_after_read") && !reads {
        return Err(BuildError::setting("exit_after_read", "only works with `mode => \"read\"`")
            .remedy("add `mode => \"read\"`, or leave it out"));
    }
    let positive = |name| settings.int(name).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let mut framing = Framing { max_line_bytes: cx.lines.max_bytes(), ..Framing::default() };
    if let Some(delimiter) = settings.text("delimiter").filter(|delimiter| !delimiter.is_empty()) {
        framing.delimiter = Arc::from(delimiter.as_bytes());
    }
    if let Some(bytes) = positive("file_chunk_size") {
        framing.block_bytes = bytes.max(4096);
    }
    let codec = line_codec(settings, cx, &framing.delimiter)?;
    Ok(Box::new(File {
        exclude: settings.strings("exclude"),
        begins_at_end: !reads && settings.text("start_position").as_deref() != Some("beginning"),
        reads,
        positions: positions_place(settings, cx, &paths)?,
        forget_after: duration(settings, "sincedb_clean_after", Duration::from_secs(86_400))?,
        discover: Duration::from_secs(
            settings.int("discover_interval").map_or(15, |n| n.max(1).unsigned_abs()),
        ),
        close_older: duration(settings, "close_older", Duration::from_secs(1))?,
        ignore_older: duration(settings, "ignore_older", Duration::from_secs(1))?,
        framing,
        most_open: positive("max_open_files").unwrap_or(4095),
        sorts_by_path: settings.text("file_sort_by").as_deref() == Some("path"),
        descending: settings.text("file_sort_direction").as_deref() == Some("desc"),
        completed,
        exits: settings.bool("exit_after_read"),
        checks_archives: settings.bool("check_archive_validity"),
        common: Arc::new(Common::new(settings, cx, codec)),
        paths,
    }))
}

/// Where positions are kept: `None` means nowhere.
fn positions_place(
    settings: &Settings,
    cx: &BuildContext,
    paths: &[Text],
) -> Result<Option<PathBuf>, BuildError> {
    if let Some(path) = settings.text("sincedb_path") {
        let path = PathBuf::from(path.as_str());
        if path.is_dir() {
            return Err(BuildError::setting("sincedb_path", format!("`{}` is a directory", path.display()))
                .remedy("name a file"));
        }
        return Ok((path != Path::new("/dev/null")).then_some(path));
    }
    let Some(data_dir) = &cx.data_dir else { return Ok(None) };
    // By the paths, as Logstash does it: the same input finds its positions wherever it stands.
    let joined = paths.iter().map(Text::as_str).collect::<Vec<_>>().join(",");
    let hash = checksum(joined.as_bytes());
    Ok(Some(data_dir.join(format!("plugins/inputs/file/{hash:016x}.json"))))
}

struct File {
    paths: Vec<Text>,
    exclude: Vec<Text>,
    begins_at_end: bool,
    reads: bool,
    positions: Option<PathBuf>,
    forget_after: Option<Duration>,
    discover: Duration,
    close_older: Option<Duration>,
    ignore_older: Option<Duration>,
    framing: Framing,
    most_open: usize,
    sorts_by_path: bool,
    descending: bool,
    completed: Completed,
    exits: bool,
    checks_archives: bool,
    common: Arc<Common>,
}

#[derive(Clone, Debug)]
struct Completed {
    log: Option<PathBuf>,
    writes_log: bool,
    delete: bool,
}

#[async_trait]
impl Input for File {
    async fn run(self: Box<Self>, cx: InputContext) -> Result<(), InputError> {
        let checkpoints = match &self.positions {
            None => Checkpoints::in_memory(),
            Some(path) => {
                if let Some(directory) = path.parent() {
                    std::fs::create_dir_all(directory)
                        .map_err(InputError::machine(format!("cannot make `{}`", directory.display())))?;
                }
                Checkpoints::open_file(path).map_err(InputError::other)?
            }
        };
        if let Some(after) = self.forget_after {
            checkpoints.forget_unmoved(after);
        }
        let process = HoldLimits::default();
        let limits = HoldLimits { open: process.open.min(self.most_open), ..process };
        let readers = Readers::with(1, "/proc".into(), limits)
            .map_err(InputError::machine("no thread to read files"))?;
        let stop = Stop { now: cx.shutdown.clone(), ..Stop::default() };
        if self.reads {
            stop.at_end.cancel();
        }
        let mut watched = Watched {
            input: &self,
            cx: &cx,
            checkpoints,
            readers,
            most_at_once: if self.reads { limits.open } else { usize::MAX },
            stop,
            directories: Directories::default(),
            running: JoinSet::new(),
            files: HashMap::new(),
            waiting: VecDeque::new(),
            begun_late: HashSet::new(),
            asking: Asking::new("which files match"),
            kept: Keeping::new(&cx.memory),
            unseen: self.paths.iter().cloned().collect(),
            unlisted: HashMap::new(),
        };
        watched.run().await;
        watched.result()
    }
}

/// The files of a running input.
struct Watched<'i> {
    input: &'i File,
    cx: &'i InputContext,
    checkpoints: Checkpoints,
    readers: Readers,
    // Files that are read once are not closed for others.
    most_at_once: usize,
    // The same for all files.
    stop: Stop,
    directories: Directories,
    running: JoinSet<(Arc<Path>, Read)>,
    files: HashMap<Arc<Path>, State>,
    // Found, and there was no room for them; with the word of the first look.
    waiting: VecDeque<(PathBuf, bool)>,
    // Of the first look, and not begun yet.
    begun_late: HashSet<PathBuf>,
    asking: Asking<Text, Found>,
    // Of all files.
    kept: Keeping,
    // The patterns of which nothing is known yet.
    unseen: HashSet<Text>,
    // Directories that could not be looked into for a pattern.
    unlisted: HashMap<Text, BTreeSet<PathBuf>>,
}

/// What there is to a pattern.
struct Found {
    // Files that nobody reads, with what the system says of each.
    files: Vec<(PathBuf, io::Result<Metadata>)>,
    // Directories that could not be listed.
    unlisted: Vec<(PathBuf, io::Error)>,
    // Files that were read before, and were put aside or removed without a successor.
    left: Vec<PathBuf>,
}

/// What there is to `pattern` beside the files that are `read`; `before` is what is left of those that were read by an earlier
/// process. May take as long as the file system does.
fn unread(pattern: &str, exclude: &[Text], read: &HashSet<Arc<Path>>, before: &Before) -> Found {
    let (mut paths, unlisted) = host_glob::look(Path::new("/"), pattern);
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
    Found { files, unlisted, left }
}

/// What an earlier process has left of its streams.
#[derive(Default)]
struct Before {
    // The streams.
    keys: Vec<Arc<str>>,
    // The files of which something was seen that has not arrived.
    behind: BTreeMap<Arc<str>, Vec<FilePosition>>,
}

fn is_excluded(path: &Path, exclude: &[Text]) -> bool {
    let excluded = |name: &OsStr| exclude.iter().any(|not| glob::matches(not.as_bytes(), name.as_bytes()));
    path.file_name().is_some_and(excluded)
}

/// How the reading of a file ended.
type Read = Result<Ended, Broken>;

#[derive(Debug)]
enum State {
    Open(task::Id),
    /// Closed, or left out as too old: opened again when size or time of change differ.
    Resting(Option<Stamp>),
    /// A compressed file that is not whole: it may still be copied. Opened again in the same case.
    Broken(Broken),
    /// It could not be read to its end, and is tried again.
    Failed,
    /// Read to its end. Opened again if more is in it then, or another file has its name.
    Done(StreamPositions),
}

impl Watched<'_> {
    async fn run(&mut self) {
        let mut discover = tokio::time::interval(self.input.discover);
        loop {
            tokio::select! {
                () = self.cx.shutdown.cancelled() => break,
                _ = discover.tick() => self.look(true).await,
                () = self.asking.late() => self.look(false).await,
                Some(done) = self.running.join_next() => {
                    self.ended(done);
                    self.next_in_turn();
                }
            }
            if self.input.exits
                && self.unseen.is_empty()
                && self.running.is_empty()
                && self.waiting.is_empty()
            {
                return;
            }
        }
        while let Some(done) = self.running.join_next().await {
            self.ended(done);
        }
    }

    /// Files that could not be read to their end are no success.
    fn result(&self) -> Result<(), InputError> {
        let unread = |state: &State| matches!(state, State::Broken(_) | State::Failed);
        let files = self.files.iter().filter(|(_, state)| unread(state)).map(|(path, _)| &**path);
        let directories = self.unlisted.values().flatten().map(PathBuf::as_path);
        let unread: BTreeSet<_> = files.chain(directories).collect();
        if !self.input.exits || unread.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = unread.iter().map(|path| path.display().to_string()).collect();
        let what = "these could not be read to their end, or are broken, and were left where they are";
        Err(InputError::other(format!("{what}: {}", names.join(", "))))
    }

    fn ended(&mut self, done: Result<(Arc<Path>, Read), JoinError>) {
        let (path, read) = match done {
            Ok(ended) => ended,
            Err(error) => {
                let is_it = |state: &State| matches!(state, State::Open(id) if *id == error.id());
                let path =
                    self.files.iter().find(|(_, state)| is_it(state)).map(|(path, _)| Arc::clone(path));
                let Some(path) = path else { return };
                warn!(%error, path = %path.display(), "Reader of a file ended early, opening it again");
                self.files.insert(path, State::Failed);
                return;
            }
        };
        let state = match read {
            // What was removed is not remembered.
            Ok(Ended::Finished) if self.input.reads && path.symlink_metadata().is_ok() => {
                State::Done(self.positions(&path))
            }
            Ok(Ended::Failed) => State::Failed,
            Err(broken) => State::Broken(broken),
            Ok(Ended::Quiet) => {
                debug!(path = %path.display(), "Quiet file closed");
                State::Resting(stamp(&path))
            }
            Ok(ended) => {
                self.files.remove(&path);
                // It has changed, and nobody looks once more at the end.
                if self.input.exits && ended == Ended::Stopped {
                    self.waiting.push_back((path.to_path_buf(), false));
                }
                return;
            }
        };
        self.files.insert(path, state);
    }

    fn positions(&self, path: &Path) -> StreamPositions {
        self.checkpoints.stream(&path.to_string_lossy())
    }

    /// Opens files that have waited for room.
    fn next_in_turn(&mut self) {
        while self.has_room()
            && let Some((path, first)) = self.waiting.pop_front()
        {
            if let Ok(metadata) = std::fs::metadata(&path) {
                self.consider(path, &metadata, first);
            }
        }
    }

    /// Looks for files to open; without `again`, only at answers that did not come at once.
    async fn look(&mut self, again: bool) {
        let mut read = HashSet::new();
        if again {
            let waited = self.waiting.drain(..).filter(|(_, first)| *first).map(|(path, _)| path);
            self.begun_late.extend(waited);
            // Most of them are; their readers look at them.
            let is_read = |state: &State| matches!(state, State::Open(_));
            read.extend(
                self.files.iter().filter(|(_, state)| is_read(state)).map(|(path, _)| Arc::clone(path)),
            );
        }
        let read = Arc::new(read);
        let every = |_: &_| if again { Duration::ZERO } else { Duration::MAX };
        let ask = |pattern: &Text| {
            let (exclude, read) = (self.input.exclude.clone(), Arc::clone(&read));
            let mut before = Before::default();
            if self.unseen.contains(pattern) && (glob::is_pattern(pattern) || self.input.reads) {
                before.behind = self.checkpoints.behind();
                // What is read once is not followed under other names.
                before.keys = if self.input.reads { Vec::new() } else { self.checkpoints.keys() };
            }
            let pattern = pattern.clone();
            Ask::Look(Box::new(move || unread(&pattern, &exclude, &read, &before))
                as Box<dyn FnOnce() -> Found + Send>)
        };
        self.asking.ask(&self.input.paths, every, ask).await;
        let mut found: Vec<(PathBuf, Metadata, bool)> = Vec::new();
        let mut names = HashSet::new();
        for pattern in &self.input.paths {
            let Some(answer) = self.asking.take(pattern) else { continue };
            let first = self.unseen.remove(pattern);
            self.note_unlisted(pattern, answer.unlisted);
            for path in answer.left.into_iter().filter(|_| first) {
                self.wait_for(path);
            }
            for (path, metadata) in answer.files {
                if !names.insert(path.clone()) {
                    continue;
                }
                match metadata {
                    Ok(metadata) if metadata.is_file() => {
                        let first = self.begun_late.remove(&path) || first;
                        found.push((path, metadata, first));
                    }
                    // A file that a plain path names is waited for.
                    Err(_) if first && !self.input.reads && !glob::is_pattern(pattern) => self.wait_for(path),
                    Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                        self.cannot_be_seen(path, &error);
                    }
                    _ => {}
                }
            }
        }
        if self.input.sorts_by_path {
            found.sort_by(|a, b| a.0.cmp(&b.0));
        } else {
            found.sort_by_key(|(_, metadata, _)| metadata.modified().ok());
        }
        if self.input.descending {
            found.reverse();
        }
        for (path, metadata, first) in found {
            self.consider(path, &metadata, first);
        }
    }

    fn wait_for(&mut self, path: PathBuf) {
        self.open(path.into(), StartPosition::Beginning);
    }

    fn note_unlisted(&mut self, pattern: &Text, unlisted: Vec<(PathBuf, io::Error)>) {
        let before = self.unlisted.remove(pattern).unwrap_or_default();
        for (path, error) in unlisted {
            if !before.contains(&path) {
                warn!(%error, path = %path.display(), "Directory cannot be listed, files in it are not read");
            }
            self.unlisted.entry(pattern.clone()).or_default().insert(path);
        }
    }

    fn cannot_be_seen(&mut self, path: PathBuf, error: &io::Error) {
        if !matches!(self.files.get(&*path), Some(State::Failed)) {
            warn!(%error, path = %path.display(), "File cannot be read, it is left where it is");
            self.files.insert(path.into(), State::Failed);
        }
    }

    fn has_room(&self) -> bool {
        self.running.len() < self.most_at_once
    }

    fn consider(&mut self, path: PathBuf, metadata: &Metadata, first: bool) {
        let stamp = metadata.modified().ok().map(|at| (metadata.len(), at));
        match self.files.get(&*path) {
            Some(State::Open(_)) => return,
            Some(State::Done(positions)) if has_all_of(positions, metadata) => return,
            Some(State::Resting(before)) if *before == stamp => return,
            Some(State::Broken(broken)) if broken.stamp == stamp => return,
            Some(_) => {}
            None => {
                let age = metadata.modified().ok().and_then(|at| at.elapsed().ok());
                if let (Some(limit), Some(age)) = (self.input.ignore_older, age)
                    && age > limit
                {
                    debug!(path = %path.display(), "Old file left out");
                    self.files.insert(path.into(), State::Resting(stamp));
                    return;
                }
            }
        }
        // A rotated file under its next name is still being read under the last one.
        if self.checkpoints.is_live(Identity::of(metadata)) {
            return;
        }
        if self.has_room() {
            let at_end = first && self.input.begins_at_end;
            self.open(path.into(), if at_end { StartPosition::End } else { StartPosition::Beginning });
        } else {
            self.waiting.push_back((path, first));
        }
    }

    fn open(&mut self, path: Arc<Path>, start: StartPosition) {
        info!(path = %path.display(), "Reading file");
        let input = self.input;
        let status = Arc::new(StreamStatus::one_of(Arc::clone(&self.cx.tally)));
        let positions = self.positions(&path);
        let follow = Follow {
            opener: Arc::new(HostFile::new(&*path, &self.directories)),
            settings: TailSettings {
                framing: input.framing.clone(),
                start,
                adopt: true,
                keep_finished: true,
                ..TailSettings::default()
            },
            positions: positions.clone(),
            decoder: Box::new(input.common.decoder(
                positions.key(),
                self.cx.clock,
                Arc::clone(&status),
                self.kept.clone(),
            )),
            sender: Arc::clone(&self.cx.events),
            status: Arc::clone(&status),
            stop: self.stop.clone(),
            close_after: input.close_older.filter(|_| !input.reads),
        };
        let name = Arc::clone(&path);
        let task = if input.reads {
            let sent = match self.files.get(&path) {
                Some(State::Broken(broken)) => broken.sent,
                _ => Beginning::default(),
            };
            let shutdown = self.cx.shutdown.clone();
            let archive = Archive { path: path.to_path_buf(), check: input.checks_archives, sent };
            let completed = input.completed.clone();
            let once = Once { path: name, status, positions, completed, shutdown: shutdown.clone() };
            if is_compressed(&path) {
                self.running.spawn(once.read(archive.read(follow, shutdown)))
            } else {
                let reading = self.readers.reading(follow).map(Ok);
                self.running.spawn_on(once.read(reading), self.readers.handle())
            }
        } else {
            // One task for a file and no more: there may be very many of them. An `async` block would have room for two of these
            // futures, the one that it is given and the one that it waits for.
            let reading = self.readers.reading(follow).map(|ended| (name, Ok(ended)));
            self.running.spawn_on(reading, self.readers.handle())
        };
        self.files.insert(path, State::Open(task.id()));
    }
}

/// A file that is read to its end once, and what is done then.
struct Once {
    path: Arc<Path>,
    status: Arc<StreamStatus>,
    positions: StreamPositions,
    completed: Completed,
    shutdown: CancellationToken,
}

impl Once {
    async fn read(self, reading: impl Future<Output = Read>) -> (Arc<Path>, Read) {
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

/// Whether the file behind the name is the one that was read, and everything in it has arrived.
fn has_all_of(positions: &StreamPositions, file: &Metadata) -> bool {
    positions.newest().is_some_and(|read| read.is_all_of(file))
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

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz" || extension == "gzip")
}

#[cfg(test)]
mod tests;
