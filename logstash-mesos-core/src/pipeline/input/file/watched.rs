//! The files of an input: found, opened, and taken note of when they end.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, info, warn};

use super::super::keeping::Keeping;
use super::archive::{Archive, Beginning, stamp, stamp_of};
use super::decoder::Common;
use super::found::{Before, Found, unread};
use super::once::{Completed, Once, Read, is_compressed};
use super::state::State;
use crate::event::Text;
use crate::pipeline::plugin::{Input, InputContext, InputError};
use crate::source::archives::Archives;
use crate::source::asking::{Ask, Asking};
use crate::source::{
    Checkpoints, Directories, Ended, Follow, Framing, HoldLimits, HostFile, Identity, Lost, Readers,
    StartPosition, Stop, StreamPositions, StreamStatus, TailSettings, glob,
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
            waiting: VecDeque::new(),
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
