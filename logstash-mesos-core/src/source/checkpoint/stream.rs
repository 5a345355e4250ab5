//! The positions of one stream.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::files::Entry;
use super::live::LiveFile;
use super::{Checkpoints, FilePosition, now_nanos, now_secs};
use crate::event::Ack;
use crate::source::{Fingerprint, Heads, Identity, Mark, Opened, Tracker};

/// The positions of one stream.
#[derive(Clone, Debug)]
pub struct StreamPositions {
    pub(super) key: Arc<str>,
    pub(super) checkpoints: Checkpoints,
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
    pub(in crate::source) fn is_live(&self, identity: Identity) -> bool {
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
    pub(in crate::source) fn saved(&self) -> impl Future<Output = ()> + use<> {
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
    pub(in crate::source) fn unfinished(&self) -> Vec<(u64, FilePosition)> {
        let state = self.checkpoints.shared.lock();
        let left = state.files.of_stream(&self.key).filter(|(_, entry)| !entry.live);
        left.map(|(id, entry)| (id, entry.position.clone())).collect()
    }

    /// Whether the entry is still this stream's, and nobody reads its file.
    pub(in crate::source) fn keeps(&self, id: u64) -> bool {
        let state = self.checkpoints.shared.lock();
        state.files.get(id).is_some_and(|entry| entry.stream == self.key && !entry.live)
    }

    /// A position that another stream of the same reader left for this file, taken over: the file has
    /// another name now.
    pub(in crate::source) fn adopt(&self, identity: Identity) -> Option<(u64, FilePosition)> {
        let mut state = self.checkpoints.shared.lock();
        let (id, _) = state.files.that_may_be(identity).find(|(_, entry)| !entry.live)?;
        let entry = state.files.give_to(&self.key, id)?;
        Some((id, entry.position.clone()))
    }

    /// Drops an entry that turned out to be about nothing.
    pub(in crate::source) fn remove(&self, id: u64) {
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
    pub(in crate::source) fn begin(
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
    pub(in crate::source) fn lead(&self, live: &mut LiveFile, ack: Ack) {
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
    pub(in crate::source) fn amend(&self, id: u64, amend: impl FnOnce(&mut FilePosition)) {
        self.checkpoints.shared.change(|state| {
            if let Some(entry) = state.files.change(id) {
                amend(&mut entry.position);
            }
        });
    }

    /// Begins to follow a file again from where it has arrived.
    pub(in crate::source) fn renew(&self, live: &mut LiveFile) {
        live.tracker = self.tracker(live.id);
    }
}
