//! The positions of all streams in memory, and the thread that writes what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::warn;

use super::files::{Entry, Files};
use super::journal::Journal;
use super::record::{Kept, Record, VERSION};
use super::{CheckpointError, now_secs};
use crate::error_chain;

/// What has changed is written after so long,
const WRITE_AFTER: Duration = Duration::from_millis(100);
/// or later, so that it takes this part of the time at most;
const WRITING: u32 = 50;
/// and brought to the disk once in so long: a kill takes nothing of what was written, a power cut what was not brought there.
const SYNC_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) changed: Condvar,
    // Where they are kept; held while it is written.
    journal: Option<Mutex<Journal>>,
    // The last change that was saved, or could not be.
    pub(super) saved: watch::Sender<u64>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) files: Files,
    pub(super) cursors: Cursors,
    // Counts the changes.
    pub(super) changes: u64,
    // Somebody waits for it to be saved.
    pub(super) urgent: bool,
    closing: bool,
    pub(super) discarded: bool,
}

/// The positions that are no place in a file, by stream.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    kept: BTreeMap<Arc<str>, String>,
    changed: BTreeSet<Arc<str>>,
}

impl Shared {
    pub(super) fn new(path: Option<PathBuf>, state: State) -> Self {
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            journal: path.map(|path| Mutex::new(Journal::new(path))),
            saved: watch::Sender::new(0),
        }
    }

    /// Whether they are kept anywhere.
    pub(super) fn is_kept(&self) -> bool {
        self.journal.is_some()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is written while it is held.
    pub(super) fn journal(&self) -> Option<MutexGuard<'_, Journal>> {
        Some(self.journal.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.changes += 1;
        self.changed.notify_one();
    }

    pub(super) fn advance(&self, id: u64, end: u64) {
        self.change(|state| {
            let Some(entry) = state.files.change(id) else { return };
            entry.position.offset = end;
            entry.position.size = entry.position.size.max(end);
            if entry.forget_at.is_some_and(|last| end >= last) {
                state.files.remove(id);
            } else {
                entry.position.at = now_secs();
            }
        });
    }

    /// Writes what has changed; with `sync` a power cut does not take it away either.
    pub(super) fn save(&self, sync: bool) -> Result<(), CheckpointError> {
        let Some(mut journal) = self.journal() else { return Ok(()) };
        let (lines, all, changed, changes) = {
            let mut state = self.lock();
            state.urgent = false;
            let changed = state.take_changed();
            let idle = changed.is_empty() || state.discarded;
            let all = !idle && journal.wants_all(state.has_lost_one_of(&changed));
            let lines = match (idle, all) {
                (true, _) => Vec::new(),
                (false, true) => state.all_lines(),
                (false, false) => state.lines_of(&changed),
            };
            (lines, all, changed, state.changes)
        };
        let written = if lines.is_empty() {
            Ok(())
        } else if all {
            journal.replace(&lines)
        } else {
            journal.append(&lines)
        };
        let written = written.inspect_err(|_| self.lock().put_back(changed));
        let written = written.and_then(|()| if sync && !all { journal.sync() } else { Ok(()) });
        self.saved.send_replace(changes);
        written.map_err(|source| CheckpointError::Io { path: journal.path().to_owned(), source })
    }
}

/// What has changed since it was written: files by their numbers, and streams that have a cursor.
#[derive(Debug)]
struct Changed {
    files: BTreeSet<u64>,
    cursors: BTreeSet<Arc<str>>,
}

impl Changed {
    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.cursors.is_empty()
    }
}

impl State {
    /// What was kept by the process before.
    pub(super) fn of(kept: Kept) -> Self {
        let cursors = Cursors { kept: kept.cursors, ..Cursors::default() };
        let mut state = Self { cursors, ..Self::default() };
        for (stream, position) in kept.files {
            state.files.insert(Entry { stream, position, live: false, forget_at: None });
        }
        state.take_changed();
        state
    }

    fn is_changed(&self) -> bool {
        self.files.is_changed() || !self.cursors.changed.is_empty()
    }

    fn take_changed(&mut self) -> Changed {
        Changed { files: self.files.take_changed(), cursors: std::mem::take(&mut self.cursors.changed) }
    }

    fn put_back(&mut self, changed: Changed) {
        self.files.put_back(changed.files);
        self.cursors.changed.extend(changed.cursors);
    }

    fn has_lost_one_of(&self, changed: &Changed) -> bool {
        changed.files.iter().any(|id| self.files.get(*id).is_none())
            || changed.cursors.iter().any(|stream| self.cursors.get(stream).is_none())
    }

    fn all_lines(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        Record::Version(VERSION).write(&mut lines);
        self.files.iter().for_each(|(id, entry)| entry.record(id).write(&mut lines));
        self.cursors.kept.keys().for_each(|stream| self.cursors.record(stream).write(&mut lines));
        lines
    }

    fn lines_of(&self, changed: &Changed) -> Vec<u8> {
        let mut lines = Vec::new();
        for &id in &changed.files {
            let record = self.files.get(id).map_or(Record::NoFile { id }, |entry| entry.record(id));
            record.write(&mut lines);
        }
        changed.cursors.iter().for_each(|stream| self.cursors.record(stream).write(&mut lines));
        lines
    }
}

impl Cursors {
    pub(super) fn get(&self, stream: &str) -> Option<&String> {
        self.kept.get(stream)
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = &Arc<str>> {
        self.kept.keys()
    }

    pub(super) fn set(&mut self, stream: &Arc<str>, cursor: String) {
        self.kept.insert(Arc::clone(stream), cursor);
        self.changed.insert(Arc::clone(stream));
    }

    pub(super) fn remove(&mut self, stream: &str) {
        if let Some((stream, _)) = self.kept.remove_entry(stream) {
            self.changed.insert(stream);
        }
    }

    fn record<'s>(&'s self, stream: &'s str) -> Record<'s> {
        let cursor = self.get(stream);
        let stream = stream.into();
        match cursor {
            Some(cursor) => Record::Cursor { stream, cursor: cursor.into() },
            None => Record::NoCursor { stream },
        }
    }
}

/// Writes in the background.
#[derive(Debug)]
pub(super) struct Saver {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Saver {
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("positions".into()).spawn(move || run(&of_thread))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _panicked_and_reported = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    let (mut pause, mut synced, mut unsynced) = (WRITE_AFTER, Instant::now(), false);
    loop {
        let idle = |state: &mut State| !state.is_changed() && !state.urgent && !state.closing;
        let wait = |state, time, idle: &dyn Fn(&mut State) -> bool| {
            let waited = shared.changed.wait_timeout_while(state, time, |state| idle(state));
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
        // What is written and not on the disk yet does not wait for the next change.
        let longest = if unsynced { SYNC_AFTER } else { Duration::MAX };
        let state = wait(shared.lock(), longest, &idle);
        // Every acknowledgement notifies; sleep through them, but not through the end, nor while somebody waits.
        let state = wait(state, pause, &|state| !state.closing && !state.urgent);
        let closing = state.closing;
        let sync = closing || state.urgent || synced.elapsed() >= SYNC_AFTER;
        drop(state);
        let began = Instant::now();
        let saved = shared.save(sync);
        if closing {
            return saved
                .unwrap_or_else(|error| warn!(error = %error_chain(&error), "Positions could not be saved"));
        }
        pause = match saved {
            Ok(()) => (began.elapsed() * WRITING).clamp(WRITE_AFTER, SYNC_AFTER),
            Err(error) => {
                warn!(error = %error_chain(&error), "Positions could not be saved, trying again");
                SYNC_AFTER
            }
        };
        unsynced = !sync;
        if sync {
            synced = Instant::now();
        }
    }
}
