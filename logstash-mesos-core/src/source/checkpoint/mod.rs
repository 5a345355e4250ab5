//! Where each stream has arrived, kept in one file.
//!
//! The file is JSON with a version, written anew beside itself and renamed over: a crash leaves the old one
//! or the new one. Changes of about a second are written together, and what is left when the last handle
//! goes. A file that cannot be read is never overwritten.

mod files;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;
use tracing::warn;

use files::Files;

use super::{Fingerprint, Identity, Mark, Opened, Tracker};
use crate::durable::replace_file;
use crate::error_chain;

/// The positions of the streams of one reader.
///
/// Clones share the same positions; the last one to go saves them.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    shared: Arc<Shared>,
    _saver: Option<Arc<Saver>>,
}

/// Why positions cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file is there and is not what we write.
    #[error(
        "cannot read the positions in `{path}`: {reason}; nothing was changed: restore the file from a copy, or \
         remove it to read every stream from its beginning"
    )]
    Unreadable {
        /// The file with the positions.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The directory or the file cannot be used.
    #[error("cannot keep positions in `{path}`")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is kept about one file of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilePosition {
    /// The way it was reached.
    pub rung: String,
    /// The number of the device that the file is on.
    pub dev: u64,
    /// The number of the inode on that device.
    pub ino: u64,
    /// Its first bytes.
    pub fingerprint: Fingerprint,
    /// Everything before has arrived.
    pub offset: u64,
    /// The size last seen: bytes up to here that are not there any more are lost.
    pub size: u64,
    /// Seconds since 1970 of the last change.
    pub at: u64,
    /// When its content was first seen, in nanoseconds since 1970: tells it from what was or will be in a file
    /// of the same name and inode, even where the first bytes are the same.
    #[serde(default)]
    pub begun: u64,
    /// When it was made, as [`Identity::born`].
    #[serde(default)]
    pub born: u64,
    /// Its last change, in nanoseconds since 1970.
    #[serde(default)]
    pub modified: i64,
    /// The last bytes that were read of it.
    #[serde(default)]
    pub mark: Mark,
}

impl FilePosition {
    /// Whether the file at `path` is the one it is about, and has no more than has arrived.
    #[must_use]
    pub fn is_all_of(&self, path: &Path) -> bool {
        fs::metadata(path)
            .is_ok_and(|file| Identity::of(&file).may_be(self.identity()) && file.len() <= self.offset)
    }

    /// Which file it is about.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { dev: self.dev, ino: self.ino, born: self.born }
    }
}

#[derive(Debug)]
struct Shared {
    path: Option<PathBuf>,
    state: Mutex<State>,
    changed: Condvar,
    // Held while the file is written.
    saving: Mutex<()>,
    // The last change that was saved, or could not be.
    saved: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    files: Files,
    cursors: BTreeMap<Arc<str>, String>,
    // Counts the changes.
    changes: u64,
    dirty: bool,
    // Somebody waits for it to be saved.
    urgent: bool,
    closing: bool,
    discarded: bool,
}

#[derive(Debug)]
struct Entry {
    stream: Arc<str>,
    position: FilePosition,
    // A reader has it open.
    live: bool,
    // Its reader has read it to the end; with the last acknowledgement the entry is not needed any more.
    forget_at: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    #[serde(default)]
    files: BTreeMap<Arc<str>, Vec<FilePosition>>,
    #[serde(default)]
    cursors: BTreeMap<Arc<str>, String>,
}

/// The same, to be written.
#[derive(Serialize)]
struct Written<'s> {
    version: u32,
    files: BTreeMap<&'s str, Vec<&'s FilePosition>>,
    cursors: &'s BTreeMap<Arc<str>, String>,
}

const VERSION: u32 = 1;
const SAVE_AFTER: Duration = Duration::from_secs(1);

impl Checkpoints {
    /// Positions that are forgotten with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { shared: Arc::new(Shared::new(None, State::default())), _saver: None }
    }

    /// The positions in the file `positions.json` of `directory`, which is made if need be.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Unreadable`] for a file that holds something else: it is left as it is.
    pub fn open(directory: &Path) -> Result<Self, CheckpointError> {
        let failed = |source| CheckpointError::Io { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        Self::open_file(directory.join("positions.json"))
    }

    /// The positions in the file `path`.
    ///
    /// # Errors
    ///
    /// As [`Checkpoints::open`].
    pub fn open_file(path: impl Into<PathBuf>) -> Result<Self, CheckpointError> {
        let path = path.into();
        let state = match fs::read(&path) {
            Ok(bytes) => State::parse(&bytes)
                .map_err(|reason| CheckpointError::Unreadable { path: path.clone(), reason })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(source) => return Err(CheckpointError::Io { path, source }),
        };
        let shared = Arc::new(Shared::new(Some(path.clone()), state));
        let saver =
            Saver::start(Arc::clone(&shared)).map_err(|source| CheckpointError::Io { path, source })?;
        Ok(Self { shared, _saver: Some(Arc::new(saver)) })
    }

    /// The part that belongs to the stream `key`.
    #[must_use]
    pub fn stream(&self, key: &str) -> StreamPositions {
        StreamPositions { key: Arc::from(key), checkpoints: self.clone() }
    }

    /// Whether some stream has this file open.
    #[must_use]
    pub fn is_live(&self, identity: Identity) -> bool {
        let state = self.shared.lock();
        state
            .files
            .that_may_be(identity)
            .any(|(_, entry)| entry.live && entry.position.identity() == identity)
    }

    /// The keys of all streams something is kept for.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<str>> {
        let state = self.shared.lock();
        let mut keys: Vec<_> =
            state.files.values().map(|entry| &entry.stream).chain(state.cursors.keys()).cloned().collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Forgets the files that nobody reads now and whose position has not moved for so long.
    pub fn forget_unmoved(&self, since: Duration) {
        let oldest = now_secs().saturating_sub(since.as_secs());
        let mut state = self.shared.lock();
        if state.files.retain(|entry| entry.live || entry.position.at >= oldest) {
            state.touch();
            self.shared.changed.notify_one();
        }
    }

    /// Forgets everything about the stream `key`, which nobody reads any more.
    pub fn forget(&self, key: &str) {
        self.shared.change(|state| {
            state.files.retain(|entry| &*entry.stream != key);
            state.cursors.remove(key);
        });
    }

    /// Writes what has changed, now.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Io`] when the file cannot be written: it holds the last saved positions then.
    pub fn save(&self) -> Result<(), CheckpointError> {
        self.shared.save()
    }

    /// Removes the file, for good: nothing is written any more.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Io`] when it cannot be removed.
    pub fn discard(&self) -> Result<(), CheckpointError> {
        let _nobody_writes = self.shared.saving.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.lock().discarded = true;
        let Some(path) = &self.shared.path else { return Ok(()) };
        match fs::remove_file(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(CheckpointError::Io { path: path.clone(), source })
            }
            _ => Ok(()),
        }
    }
}

/// The positions of one stream.
#[derive(Clone, Debug)]
pub struct StreamPositions {
    key: Arc<str>,
    checkpoints: Checkpoints,
}

/// The entry of a file that is being read.
#[derive(Debug)]
pub(super) struct LiveFile {
    id: u64,
    shared: Arc<Shared>,
    tracker: Tracker,
    begun: u64,
}

impl StreamPositions {
    /// The key of the stream.
    #[must_use]
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Returns once everything that was read has arrived.
    pub async fn all_arrived(&self) {
        while self.unfinished().iter().any(|(_, position)| position.offset < position.size) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether some stream of the same reader has this file open.
    pub(super) fn is_live(&self, identity: Identity) -> bool {
        self.checkpoints.is_live(identity)
    }

    /// The first byte of the newest file that has not arrived yet.
    #[must_use]
    pub fn arrived(&self) -> Option<u64> {
        self.newest().map(|position| position.offset)
    }

    /// What is kept about the newest file.
    #[must_use]
    pub fn newest(&self) -> Option<FilePosition> {
        let state = self.checkpoints.shared.lock();
        let newest = state.files.of_stream(&self.key).next_back();
        newest.map(|(_, entry)| entry.position.clone())
    }

    /// What was stored with [`StreamPositions::cursor_tracker`].
    #[must_use]
    pub fn cursor(&self) -> Option<String> {
        self.checkpoints.shared.lock().cursors.get(&self.key).cloned()
    }

    /// For streams whose position is not a place in a file: a text that the source understands.
    #[must_use]
    pub fn cursor_tracker(&self) -> Tracker<String> {
        let checkpoints = self.checkpoints.clone();
        let key = Arc::clone(&self.key);
        Tracker::new(move |cursor| {
            checkpoints.shared.change(|state| {
                state.cursors.insert(Arc::clone(&key), cursor);
            });
        })
    }

    /// Returns once what is known by now has been saved. Where it cannot be, that is told, and nobody waits for it.
    pub(super) fn saved(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.checkpoints.shared);
        async move {
            if shared.path.is_none() {
                return;
            }
            let mut saved = shared.saved.subscribe();
            let wanted = {
                let mut state = shared.lock();
                state.urgent = true;
                shared.changed.notify_one();
                state.changes
            };
            let _sender_is_ours = saved.wait_for(|changes| *changes >= wanted).await;
        }
    }

    /// The files of this stream that were not finished, with the numbers of their entries.
    pub(super) fn unfinished(&self) -> Vec<(u64, FilePosition)> {
        let state = self.checkpoints.shared.lock();
        let left = state.files.of_stream(&self.key).filter(|(_, entry)| !entry.live);
        left.map(|(id, entry)| (id, entry.position.clone())).collect()
    }

    /// Whether the entry is still this stream's, and nobody reads its file.
    pub(super) fn keeps(&self, id: u64) -> bool {
        let state = self.checkpoints.shared.lock();
        state.files.get(id).is_some_and(|entry| entry.stream == self.key && !entry.live)
    }

    /// A position that another stream of the same reader left for this file, taken over: the file has
    /// another name now.
    pub(super) fn adopt(&self, identity: Identity) -> Option<(u64, FilePosition)> {
        let mut state = self.checkpoints.shared.lock();
        let (id, _) = state.files.that_may_be(identity).find(|(_, entry)| !entry.live)?;
        let entry = state.files.give_to(&self.key, id)?;
        Some((id, entry.position.clone()))
    }

    /// Drops an entry that turned out to be about nothing.
    pub(super) fn remove(&self, id: u64) {
        self.checkpoints.shared.change(|state| {
            state.files.remove(id);
        });
    }

    /// Begins to read `opened` as a whole: the tracker and its size, or `None` if it has been read before.
    pub(crate) fn begin_whole(&self, opened: &Opened) -> Option<(Tracker, u64)> {
        let size = opened.file.metadata().ok()?.len();
        let fingerprint = Fingerprint::of(&opened.file).ok()?;
        let known = self.unfinished().into_iter().find(|(_, position)| {
            position.identity().may_be(opened.identity) && position.fingerprint == fingerprint
        });
        if known.as_ref().is_some_and(|(_, position)| position.offset >= size) {
            return None;
        }
        let live = self.begin(opened.identity, opened.rung, 0, known.map(|(id, _)| (id, true)));
        live.seen(size, fingerprint, Mark::default());
        Some((live.tracker().clone(), size))
    }

    /// Begins to read a file at `offset`. With the number of an entry, that one ends; the new one goes on with all
    /// that is known if the content is the same.
    pub(super) fn begin(
        &self,
        identity: Identity,
        rung: &str,
        offset: u64,
        replaces: Option<(u64, bool)>,
    ) -> LiveFile {
        let shared = Arc::clone(&self.checkpoints.shared);
        let mut id = 0;
        let mut begun = now_nanos();
        shared.change(|state| {
            let old = replaces.and_then(|(old, same)| state.files.remove(old).filter(|_| same));
            let old = old.map(|old| old.position);
            begun = old.as_ref().map_or(begun, |old| old.begun);
            let position = FilePosition {
                rung: rung.to_owned(),
                dev: identity.dev,
                ino: identity.ino,
                born: identity.born,
                offset,
                at: now_secs(),
                begun,
                size: old.as_ref().map_or(offset, |old| old.size.max(offset)),
                fingerprint: old.as_ref().map(|old| old.fingerprint).unwrap_or_default(),
                modified: old.as_ref().map(|old| old.modified).unwrap_or_default(),
                mark: old.map(|old| old.mark).unwrap_or_default(),
            };
            let entry = Entry { stream: Arc::clone(&self.key), position, live: true, forget_at: None };
            id = state.files.insert(entry);
        });
        LiveFile { id, shared, tracker: self.tracker(id), begun }
    }

    /// Follows what arrives of the file `id`.
    fn tracker(&self, id: u64) -> Tracker {
        // Holds the whole, so that positions are saved after the last acknowledgement.
        let checkpoints = self.checkpoints.clone();
        Tracker::new(move |end| checkpoints.shared.advance(id, end))
    }

    /// Begins to follow a file again from where it has arrived.
    pub(super) fn renew(&self, live: &mut LiveFile) {
        live.tracker = self.tracker(live.id);
    }
}

impl LiveFile {
    /// Names the content of the file for as long as its position is kept.
    pub(super) fn content_key(&self) -> Arc<str> {
        Arc::from(format!("{:x}", self.begun))
    }

    pub(super) fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// The first byte that has not arrived; `None` when it was finished and all of it has.
    pub(super) fn arrived(&self) -> Option<u64> {
        self.shared.lock().files.get(self.id).map(|entry| entry.position.offset)
    }

    /// What is known of the file beside the position.
    pub(super) fn seen(&self, size: u64, fingerprint: Fingerprint, mark: Mark) {
        self.note(|now| (now.size, now.fingerprint, now.mark) = (size, fingerprint, mark));
    }

    /// Its last change.
    pub(super) fn changed(&self, modified: i64) {
        self.note(|now| now.modified = modified);
    }

    fn note(&self, note: impl FnOnce(&mut FilePosition)) {
        let mut state = self.shared.lock();
        let Some(entry) = state.files.get_mut(self.id) else { return };
        let now = &mut entry.position;
        let key = |now: &FilePosition| (now.size, now.modified, now.fingerprint, now.mark);
        let before = key(now);
        note(now);
        if key(now) != before {
            state.touch();
            self.shared.changed.notify_one();
        }
    }

    /// The same file is reached in another way now.
    pub(super) fn reached_by(&self, opened: &Opened) {
        self.shared.change(|state| {
            if let Some(Entry { position, .. }) = state.files.identify(self.id, opened.identity) {
                opened.rung.clone_into(&mut position.rung);
            }
        });
    }

    /// What the file began with, and what was read last, by this process or the one before.
    pub(super) fn known_by(&self) -> (Fingerprint, Mark) {
        let known = |entry: &Entry| (entry.position.fingerprint, entry.position.mark);
        self.shared.lock().files.get(self.id).map(known).unwrap_or_default()
    }

    /// The size last seen, whatever it is now.
    pub(super) fn size(&self) -> u64 {
        self.shared.lock().files.get(self.id).map_or(0, |entry| entry.position.size)
    }

    /// The file is closed and may be opened again: the number of its entry, and what is kept in it.
    pub(super) fn leave(&self) -> Option<(u64, FilePosition)> {
        let mut state = self.shared.lock();
        let entry = state.files.get_mut(self.id)?;
        entry.live = false;
        Some((self.id, entry.position.clone()))
    }

    /// The file is finished: once everything up to `end` has arrived, its entry is dropped.
    pub(super) fn finish(&self, end: u64) {
        self.shared.change(|state| {
            if let Some(entry) = state.files.get_mut(self.id) {
                if entry.position.offset >= end {
                    state.files.remove(self.id);
                } else {
                    entry.forget_at = Some(end);
                }
            }
        });
    }
}

impl Drop for LiveFile {
    fn drop(&mut self) {
        if let Some(entry) = self.shared.lock().files.get_mut(self.id) {
            entry.live = false;
        }
    }
}

impl Shared {
    fn new(path: Option<PathBuf>, state: State) -> Self {
        Self {
            path,
            state: Mutex::new(state),
            changed: Condvar::new(),
            saving: Mutex::default(),
            saved: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.touch();
        self.changed.notify_one();
    }

    fn advance(&self, id: u64, end: u64) {
        self.change(|state| {
            let Some(entry) = state.files.get_mut(id) else { return };
            entry.position.offset = end;
            entry.position.size = entry.position.size.max(end);
            if entry.forget_at.is_some_and(|last| end >= last) {
                state.files.remove(id);
            } else {
                entry.position.at = now_secs();
            }
        });
    }

    fn save(&self) -> Result<(), CheckpointError> {
        let Some(path) = &self.path else { return Ok(()) };
        let _alone = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, changes) = {
            let mut state = self.lock();
            state.urgent = false;
            if !state.dirty || state.discarded {
                self.saved.send_replace(state.changes);
                return Ok(());
            }
            state.dirty = false;
            (state.to_json(), state.changes)
        };
        let replaced = replace_file(path, &text).map_err(|source| {
            self.lock().dirty = true;
            CheckpointError::Io { path: path.clone(), source }
        });
        self.saved.send_replace(changes);
        replaced
    }
}

impl State {
    fn touch(&mut self) {
        self.changes += 1;
        self.dirty = true;
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if stored.version != VERSION {
            return Err(format!("it has version {}, this program knows version {VERSION}", stored.version));
        }
        let mut state = Self { cursors: stored.cursors, ..Self::default() };
        for (stream, positions) in stored.files {
            for position in positions {
                let stream = Arc::clone(&stream);
                state.files.insert(Entry { stream, position, live: false, forget_at: None });
            }
        }
        Ok(state)
    }

    fn to_json(&self) -> Vec<u8> {
        let mut files: BTreeMap<&str, Vec<&FilePosition>> = BTreeMap::new();
        for entry in self.files.values() {
            files.entry(&entry.stream).or_default().push(&entry.position);
        }
        serde_json::to_vec(&Written { version: VERSION, files, cursors: &self.cursors }).unwrap_or_default()
    }
}

/// Writes the positions in the background, about a second after a change.
#[derive(Debug)]
struct Saver {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Saver {
    fn start(shared: Arc<Shared>) -> io::Result<Self> {
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
    loop {
        let mut state = shared.lock();
        while !state.dirty && !state.urgent && !state.closing {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Every acknowledgement notifies; sleep through them, but not through the end, nor while somebody waits.
        let (state, _) = shared
            .changed
            .wait_timeout_while(state, SAVE_AFTER, |state| !state.closing && !state.urgent)
            .unwrap_or_else(PoisonError::into_inner);
        let closing = state.closing;
        drop(state);
        if let Err(error) = shared.save() {
            warn!(error = %error_chain(&error), "Positions could not be saved, trying again");
        }
        if closing {
            return;
        }
    }
}

fn now_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::HostFile;

    #[test]
    fn positions_are_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a.log");
        fs::write(&log, "0123456789").unwrap();
        let opened = HostFile::open_once(&log).unwrap().unwrap();
        let fingerprint = Fingerprint::of(&opened.file).unwrap();

        let checkpoints = Checkpoints::open(&dir.path().join("data")).unwrap();
        let live = checkpoints.stream("k").begin(opened.identity, "host", 0, None);
        live.seen(10, fingerprint, Mark::default());
        live.changed(7);
        live.tracker().begin(4).delivered();
        checkpoints.stream("docker").cursor_tracker().begin("cursor 7".to_owned()).delivered();
        assert!(checkpoints.is_live(opened.identity));
        drop((live, checkpoints));

        let again = Checkpoints::open(&dir.path().join("data")).unwrap();
        let found = again.stream("k").unfinished();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].1.offset, found[0].1.size), (4, 10));
        assert_eq!(found[0].1.fingerprint, fingerprint);
        assert_eq!(again.stream("docker").cursor().as_deref(), Some("cursor 7"));
        assert!(!again.is_live(opened.identity));
    }

    #[test]
    fn a_finished_file_is_forgotten_with_its_last_acknowledgement() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a.log");
        fs::write(&log, "0123456789").unwrap();
        let opened = HostFile::open_once(&log).unwrap().unwrap();
        let checkpoints = Checkpoints::in_memory();
        let live = checkpoints.stream("k").begin(opened.identity, "host", 0, None);
        let ack = live.tracker().begin(10);
        live.finish(10);
        drop(live);
        assert_eq!(checkpoints.stream("k").unfinished().len(), 1);
        ack.delivered();
        assert_eq!(checkpoints.stream("k").unfinished().len(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_left_alone_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("positions.json");
        for content in ["{\"version\":1,", "{\"version\":99}", "nonsense"] {
            fs::write(&file, content).unwrap();
            let error = Checkpoints::open(dir.path()).unwrap_err().to_string();
            assert!(error.contains("positions.json") && error.contains("remove it"), "{error}");
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
    }
}
