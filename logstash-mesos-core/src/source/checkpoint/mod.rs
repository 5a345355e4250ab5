//! Where each stream has arrived, kept in one file.
//!
//! What has changed within a tenth of a second is added to the file, line by line, each with a checksum, and what is left when
//! the last handle goes. Now and then the file is written anew beside itself and renamed over. A line that is damaged costs that
//! position; a file that holds something else is never overwritten.

mod files;
mod journal;
mod record;
mod shared;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing::{info, warn};

use self::files::Entry;
use self::record::Kept;
use self::shared::{Saver, Shared, State};
use super::{Fingerprint, Heads, Identity, Mark, Opened, Tracker};
use crate::event::Ack;

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
    /// Shorter and shorter beginnings of it, as long as its first bytes are few.
    #[serde(default, skip_serializing_if = "Heads::is_nothing")]
    pub heads: Heads,
    /// Its last change when it had [`FilePosition::size`], in nanoseconds since 1970, where that is another one than
    /// `modified`: after that one files may have come that nobody has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grown: Option<i64>,
    /// It is the copy of a file that was cut: an unfinished line at its end goes on at the beginning of the content that
    /// has this [`FilePosition::begun`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_on: Option<u64>,
}

impl FilePosition {
    /// Whether `file` is the one it is about, and has no more than has arrived.
    #[must_use]
    pub fn is_all_of(&self, file: &fs::Metadata) -> bool {
        Identity::of(file).may_be(self.identity()) && file.len() <= self.offset
    }

    /// Bytes that were seen and have not arrived.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.size.saturating_sub(self.offset)
    }

    /// Which file it is about.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { dev: self.dev, ino: self.ino, born: self.born }
    }
}

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
            Ok(bytes) => {
                let kept = Kept::read(&bytes)
                    .map_err(|reason| CheckpointError::Unreadable { path: path.clone(), reason })?;
                tell_damage(&path, &kept);
                State::of(kept)
            }
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
        let mut keys: Vec<_> = state
            .files
            .iter()
            .map(|(_, entry)| &entry.stream)
            .chain(state.cursors.streams())
            .cloned()
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The files of which something was seen that has not arrived, and that nobody reads, by the keys of their streams.
    #[must_use]
    pub fn behind(&self) -> BTreeMap<Arc<str>, Vec<FilePosition>> {
        let state = self.shared.lock();
        let mut behind = BTreeMap::<_, Vec<_>>::new();
        for (_, Entry { stream, position, live, .. }) in state.files.iter() {
            if !live && position.behind() > 0 {
                behind.entry(Arc::clone(stream)).or_default().push(position.clone());
            }
        }
        behind
    }

    /// Forgets the files that nobody reads now and whose position has not moved for so long.
    pub fn forget_unmoved(&self, since: Duration) {
        let oldest = now_secs().saturating_sub(since.as_secs());
        self.shared.change(|state| state.files.retain(|entry| entry.live || entry.position.at >= oldest));
    }

    /// Forgets everything about the stream `key`, which nobody reads any more. Returns how many bytes were known to be there
    /// and have not arrived.
    pub fn forget(&self, key: &str) -> u64 {
        let mut left = 0;
        self.shared.change(|state| {
            let unread = |entry: &Entry| entry.position.size.saturating_sub(entry.position.offset);
            left = state.files.of_stream(&Arc::from(key)).map(|(_, entry)| unread(entry)).sum();
            state.files.retain(|entry| &*entry.stream != key);
            state.cursors.remove(key);
        });
        left
    }

    /// Writes what has changed, now and durably.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Io`] when the file cannot be written: it holds the last saved positions then.
    pub fn save(&self) -> Result<(), CheckpointError> {
        self.shared.save(true)
    }

    /// Removes the file, for good: nothing is written any more.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Io`] when it cannot be removed.
    pub fn discard(&self) -> Result<(), CheckpointError> {
        let Some(journal) = self.shared.journal() else { return Ok(()) };
        self.shared.lock().discarded = true;
        match fs::remove_file(journal.path()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(CheckpointError::Io { path: journal.path().to_owned(), source })
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

    /// Forgets all of it: what it was about is gone, and has arrived.
    pub(crate) fn forget(&self) {
        self.checkpoints.forget(&self.key);
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
            checkpoints.shared.change(|state| state.cursors.set(&key, cursor));
        })
    }

    /// Returns once what is known by now has been saved. Where it cannot be, that is told, and nobody waits for it.
    pub(super) fn saved(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.checkpoints.shared);
        async move {
            if !shared.is_kept() {
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
    ///
    /// # Errors
    ///
    /// What the system says when not even the beginning can be read.
    pub(crate) fn begin_whole(&self, opened: &Opened) -> io::Result<Option<(Tracker, u64)>> {
        let size = opened.file.metadata()?.len();
        let fingerprint = Fingerprint::of(&opened.file)?;
        let is_it = |(_, position): &(u64, FilePosition)| {
            position.identity().may_be(opened.identity) && position.fingerprint == fingerprint
        };
        let own = self.unfinished().into_iter().find(is_it);
        let known = own.or_else(|| self.adopt(opened.identity).filter(is_it));
        if known.as_ref().is_some_and(|(_, position)| position.offset >= size) {
            return Ok(None);
        }
        let live = self.begin(opened.identity, opened.rung, 0, known.map(|(id, _)| (id, true)));
        live.seen(size, 0, fingerprint, Heads::default(), Mark::default());
        Ok(Some((live.tracker().clone(), size)))
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
                heads: old.as_ref().map(|old| old.heads).unwrap_or_default(),
                grown: old.as_ref().and_then(|old| old.grown),
                goes_on: old.as_ref().and_then(|old| old.goes_on),
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

    /// What arrives of the first line of a file that nothing has been read of says that `ack` has arrived, too.
    pub(super) fn lead(&self, live: &mut LiveFile, ack: Ack) {
        let (checkpoints, id) = (self.checkpoints.clone(), live.id);
        let ack = Mutex::new(ack);
        live.tracker = Tracker::new(move |end| {
            checkpoints.shared.advance(id, end);
            if end > 0 {
                std::mem::take(&mut *ack.lock().unwrap_or_else(PoisonError::into_inner)).delivered();
            }
        });
    }

    /// Changes what is known of the file of an entry that nobody reads.
    pub(super) fn amend(&self, id: u64, amend: impl FnOnce(&mut FilePosition)) {
        self.checkpoints.shared.change(|state| {
            if let Some(entry) = state.files.change(id) {
                amend(&mut entry.position);
            }
        });
    }

    /// Begins to follow a file again from where it has arrived.
    pub(super) fn renew(&self, live: &mut LiveFile) {
        live.tracker = self.tracker(live.id);
    }
}

impl LiveFile {
    /// The number of the file's content, for as long as its position is kept.
    pub(super) fn content(&self) -> u64 {
        self.begun
    }

    /// Names that content.
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

    /// When its content was first seen: no other content has the same.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// What is known of the file beside the position.
    pub(super) fn seen(&self, size: u64, modified: i64, fingerprint: Fingerprint, heads: Heads, mark: Mark) {
        let heads = if fingerprint.is_full() { Heads::default() } else { heads };
        self.note(|now| {
            (now.size, now.fingerprint, now.heads, now.mark) = (size, fingerprint, heads, mark);
            now.grown = (modified != now.modified).then_some(modified);
        });
    }

    /// The content that an unfinished line at its end goes on in.
    pub(super) fn goes_on(&self) -> Option<u64> {
        self.shared.lock().files.get(self.id).and_then(|entry| entry.position.goes_on)
    }

    /// Says in which one.
    pub(super) fn set_going_on(&self, goes_on: Option<u64>) {
        self.note(|now| now.goes_on = goes_on);
    }

    /// Its last change.
    pub(super) fn changed(&self, modified: i64) {
        self.note(|now| (now.modified, now.grown) = (modified, now.grown.filter(|grown| *grown != modified)));
    }

    fn note(&self, note: impl FnOnce(&mut FilePosition)) {
        let mut state = self.shared.lock();
        let Some(entry) = state.files.get_mut(self.id) else { return };
        let now = &mut entry.position;
        let key = |now: &FilePosition| (now.size, now.modified, now.fingerprint, now.mark, now.goes_on);
        let before = key(now);
        note(now);
        if key(now) != before {
            state.files.change(self.id);
            state.changes += 1;
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
    pub(super) fn known_by(&self) -> (Fingerprint, Heads, Mark) {
        let known = |entry: &Entry| (entry.position.fingerprint, entry.position.heads, entry.position.mark);
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

/// Names what could not be read of a file that could.
fn tell_damage(path: &Path, kept: &Kept) {
    let path = path.display();
    for line in &kept.damaged {
        warn!(%path, line, "A line of the positions is damaged: what it was about may be read again, from where an older line or nothing says");
    }
    if kept.torn {
        info!(%path, "The last line of the positions is not whole, as after a kill: what it was about is read again from before");
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
        live.seen(10, 7, fingerprint, Heads::default(), Mark::default());
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

    /// A stream for each of `keys`, with a position of its own.
    fn with_cursors(dir: &Path, keys: &[&str]) -> Checkpoints {
        let checkpoints = Checkpoints::open(dir).unwrap();
        for key in keys {
            checkpoints.stream(key).cursor_tracker().begin(format!("of {key}")).delivered();
        }
        checkpoints.save().unwrap();
        checkpoints
    }

    #[test]
    fn only_what_has_changed_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("positions.json");
        let checkpoints = with_cursors(dir.path(), &["a", "b", "c"]);
        let before = fs::read_to_string(&file).unwrap();
        checkpoints.stream("b").cursor_tracker().begin("moved".to_owned()).delivered();
        checkpoints.save().unwrap();
        let after = fs::read_to_string(&file).unwrap();
        let added = after.strip_prefix(&before).unwrap();
        assert!(added.lines().count() == 1 && added.contains("moved"), "{added}");
        // What is gone does not stay in it.
        checkpoints.forget("b");
        checkpoints.save().unwrap();
        let after = fs::read_to_string(&file).unwrap();
        assert!(after.contains("of a") && !after.contains("of b") && !after.contains("moved"), "{after}");
        // Somebody removes it.
        fs::remove_file(&file).unwrap();
        checkpoints.stream("a").cursor_tracker().begin("moved".to_owned()).delivered();
        checkpoints.save().unwrap();
        let after = fs::read_to_string(&file).unwrap();
        assert!(after.contains("moved") && after.contains("of c"), "{after}");
    }

    #[test]
    fn a_file_that_is_written_again_and_again_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = with_cursors(dir.path(), &["a", "b"]);
        for round in 0..1000 {
            checkpoints.stream("a").cursor_tracker().begin("x".repeat(300) + &round.to_string()).delivered();
            checkpoints.shared.save(false).unwrap();
        }
        let len = fs::metadata(dir.path().join("positions.json")).unwrap().len();
        assert!(len < 100 << 10, "{len}");
        drop(checkpoints);
        let again = Checkpoints::open(dir.path()).unwrap();
        assert!(again.stream("a").cursor().unwrap().ends_with("x999"));
        assert_eq!(again.stream("b").cursor().as_deref(), Some("of b"));
    }

    #[test]
    fn a_damaged_line_costs_one_position() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("positions.json");
        drop(with_cursors(dir.path(), &["a", "b", "c"]));
        let text = fs::read_to_string(&file).unwrap().replace("of b", "ov b");
        fs::write(&file, text).unwrap();
        let again = Checkpoints::open(dir.path()).unwrap();
        assert_eq!(again.stream("a").cursor().as_deref(), Some("of a"));
        assert_eq!(again.stream("b").cursor(), None);
        assert_eq!(again.stream("c").cursor().as_deref(), Some("of c"));
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
