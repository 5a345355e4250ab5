//! The files of an input: found, opened, and taken note of when they end.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::super::keeping::Keeping;
use super::archive::{Archive, Beginning, stamp_of};
use super::decoder::Common;
use super::found::{Before, Found, unread};
use super::once::{Completed, Once, Watching, is_compressed};
use super::state::{After, State};
use super::waiting::Waiting;
use crate::event::Text;
use crate::pipeline::plugin::{Input, InputContext, InputError};
use crate::source::archives::Archives;
use crate::source::asking::{Ask, Asking};
use crate::source::looks::Look;
use crate::source::{
    Checkpoints, Directories, Follow, Framing, HoldLimits, HostFile, Identity, Lost, Readers, StartPosition,
    Stop, StreamPositions, StreamStatus, TailSettings, glob,
};

/// What is read, and how.
pub(super) struct File {
    pub(super) paths: Vec<Text>,
    pub(super) exclude: Vec<Text>,
    pub(super) begins_at_end: bool,
    pub(super) reads: bool,
    pub(super) positions: Option<PathBuf>,
    pub(super) forget_after: Option<Duration>,
    pub(super) discover: Duration,
    pub(super) close_older: Option<Duration>,
    pub(super) ignore_older: Option<Duration>,
    pub(super) framing: Framing,
    pub(super) most_open: usize,
    pub(super) sorts_by_path: bool,
    pub(super) descending: bool,
    pub(super) completed: Completed,
    pub(super) exits: bool,
    pub(super) checks_archives: bool,
    pub(super) common: Arc<Common>,
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
            let left = checkpoints.forget_unmoved(after, |_| true);
            left.into_values().for_each(|bytes| cx.tally.add_lost(Lost::Forgotten, bytes));
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
            waiting: Waiting::default(),
            begun_late: HashSet::new(),
            asking: Asking::new("which files match"),
            kept: Keeping::new(&cx.memory),
            unseen: self.paths.iter().cloned().collect(),
            unlisted: HashMap::new(),
            archives: Archives::default(),
        };
        watched.run().await;
        watched.result()
    }
}

/// So long a file may take to stop after another one has: it only has to come to the end of a read.
const END_PATIENCE: Duration = Duration::from_secs(5);

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
    running: JoinSet<(Arc<Path>, After)>,
    files: HashMap<Arc<Path>, State>,
    // Found, and there was no room for them.
    waiting: Waiting,
    // Of the first look, and not begun yet.
    begun_late: HashSet<PathBuf>,
    asking: Asking<Text, Found>,
    // Of all files.
    kept: Keeping,
    // The patterns of which nothing is known yet.
    unseen: HashSet<Text>,
    // Directories that could not be looked into for a pattern.
    unlisted: HashMap<Text, BTreeSet<PathBuf>>,
    archives: Archives<Text>,
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
                    self.next_in_turn().await;
                }
                () = self.waiting.late() => self.next_in_turn().await,
            }
            if self.input.exits
                && self.unseen.is_empty()
                && self.running.is_empty()
                && self.waiting.is_empty()
            {
                return;
            }
        }
        // One whose file system does not answer does not come to its end.
        while let Ok(Some(done)) = timeout(END_PATIENCE, self.running.join_next()).await {
            self.ended(done);
        }
        if !self.running.is_empty() {
            let count = self.running.len();
            warn!(
                count,
                "Files do not come to their end, they are left behind and read on at the next start"
            );
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

    fn ended(&mut self, done: Result<(Arc<Path>, After), JoinError>) {
        let (path, after) = match done {
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
        match after {
            After::Known(state) => drop(self.files.insert(path, state)),
            After::Nothing => drop(self.files.remove(&path)),
            After::Changed => {
                self.files.remove(&path);
                // Nobody looks once more at the end.
                if self.input.exits {
                    self.waiting.push(path.to_path_buf(), false);
                }
            }
        }
    }

    fn positions(&self, path: &Path) -> StreamPositions {
        self.checkpoints.stream(&path.to_string_lossy())
    }

    /// Opens files that have waited for room.
    async fn next_in_turn(&mut self) {
        loop {
            let room = self.most_at_once.saturating_sub(self.running.len());
            let look = |path| Box::new(move || std::fs::metadata(path)) as Look<_>;
            let next = self.waiting.next(room, look).await;
            let any = !next.is_empty();
            for ((path, first), metadata) in next {
                if let Ok(metadata) = metadata {
                    self.consider(path, &metadata, first);
                }
            }
            if !(any && self.has_room() && self.waiting.has_next()) {
                return;
            }
        }
    }

    /// Looks for files to open; without `again`, only at answers that did not come at once.
    async fn look(&mut self, again: bool) {
        let mut read = HashSet::new();
        if again {
            let waited = self.waiting.drain().filter(|(_, first)| *first).map(|(path, _)| path);
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
            let reads = self.input.reads;
            Ask::Look(Box::new(move || unread(&pattern, reads, &exclude, &read, &before))
                as Box<dyn FnOnce() -> Found + Send>)
        };
        self.asking.ask(&self.input.paths, every, ask).await;
        let mut found: Vec<(PathBuf, Metadata, bool)> = Vec::new();
        let mut names = HashSet::new();
        for pattern in &self.input.paths {
            let Some(answer) = self.asking.take(pattern) else { continue };
            let first = self.unseen.remove(pattern);
            self.note_unlisted(pattern, answer.unlisted);
            self.archives.tell(pattern, answer.archives);
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
        match self.files.get(&*path) {
            Some(state) if !state.wants(metadata) => return,
            Some(_) => {}
            None => {
                let age = metadata.modified().ok().and_then(|at| at.elapsed().ok());
                if let (Some(limit), Some(age)) = (self.input.ignore_older, age)
                    && age > limit
                {
                    debug!(path = %path.display(), "Old file left out");
                    self.files.insert(path.into(), State::Resting(stamp_of(metadata)));
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
            self.waiting.push(path, first);
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
        let hanging = self.readers.hanging().clone();
        let read = Watching { path: Arc::clone(&path), status, hanging: hanging.clone() };
        let handle = self.readers.handle();
        let task = if input.reads {
            let sent = match self.files.get(&path) {
                Some(State::Broken(broken)) => broken.sent,
                _ => Beginning::default(),
            };
            let shutdown = self.cx.shutdown.clone();
            let completed = input.completed.clone();
            let once = Once { read, positions, completed, shutdown: shutdown.clone() };
            if is_compressed(&path) {
                let archive =
                    Archive { path: path.to_path_buf(), check: input.checks_archives, sent, hanging };
                self.running.spawn_on(once.read(archive.read(follow, shutdown)), handle)
            } else {
                self.running.spawn_on(once.read(self.readers.reading(follow).map(Ok)), handle)
            }
        } else {
            // One task for a file and no more: there may be very many of them. An `async` block would have room for two of these
            // futures, the one that it is given and the one that it waits for; and little is kept for when it has ended.
            let after = |ended| Box::pin(async move { (Arc::clone(&read.path), read.after(ended).await) });
            self.running.spawn_on(self.readers.reading(follow).then(after), handle)
        };
        self.files.insert(path, State::Open(task.id()));
    }
}
