//! A file that is being read.

use std::sync::Arc;

use super::FilePosition;
use super::files::Entry;
use super::shared::Shared;
use crate::source::{Fingerprint, Heads, Mark, Opened, Tracker};

/// The entry of a file that is being read.
#[derive(Debug)]
pub(in crate::source) struct LiveFile {
    pub(super) id: u64,
    pub(super) shared: Arc<Shared>,
    pub(super) tracker: Tracker,
    pub(super) begun: u64,
}

impl LiveFile {
    /// The number of the file's content, for as long as its position is kept.
    pub(in crate::source) fn content(&self) -> u64 {
        self.begun
    }

    /// Names that content.
    pub(in crate::source) fn content_key(&self) -> Arc<str> {
        Arc::from(format!("{:x}", self.begun))
    }

    pub(in crate::source) fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// The first byte that has not arrived; `None` when it was finished and all of it has.
    pub(in crate::source) fn arrived(&self) -> Option<u64> {
        self.shared.lock().files.get(self.id).map(|entry| entry.position.offset)
    }

    /// When its content was first seen: no other content has the same.
    pub(in crate::source) fn begun(&self) -> u64 {
        self.begun
    }

    /// What is known of the file beside the position.
    pub(in crate::source) fn seen(
        &self,
        size: u64,
        modified: i64,
        fingerprint: Fingerprint,
        heads: Heads,
        mark: Mark,
    ) {
        let heads = if fingerprint.is_full() { Heads::default() } else { heads };
        self.note(|now| {
            (now.size, now.fingerprint, now.heads, now.mark) = (size, fingerprint, heads, mark);
            now.grown = (modified != now.modified).then_some(modified);
        });
    }

    /// The content that an unfinished line at its end goes on in.
    pub(in crate::source) fn goes_on(&self) -> Option<u64> {
        self.shared.lock().files.get(self.id).and_then(|entry| entry.position.goes_on)
    }

    /// Says in which one.
    pub(in crate::source) fn set_going_on(&self, goes_on: Option<u64>) {
        self.note(|now| now.goes_on = goes_on);
    }

    /// Its last change.
    pub(in crate::source) fn changed(&self, modified: i64) {
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
    pub(in crate::source) fn reached_by(&self, opened: &Opened) {
        self.shared.change(|state| {
            if let Some(Entry { position, .. }) = state.files.identify(self.id, opened.identity) {
                opened.rung.clone_into(&mut position.rung);
            }
        });
    }

    /// What the file began with, and what was read last, by this process or the one before.
    pub(in crate::source) fn known_by(&self) -> (Fingerprint, Heads, Mark) {
        let known = |entry: &Entry| (entry.position.fingerprint, entry.position.heads, entry.position.mark);
        self.shared.lock().files.get(self.id).map(known).unwrap_or_default()
    }

    /// The size last seen, whatever it is now.
    pub(in crate::source) fn size(&self) -> u64 {
        self.shared.lock().files.get(self.id).map_or(0, |entry| entry.position.size)
    }

    /// The file is closed and may be opened again: the number of its entry, and what is kept in it.
    pub(in crate::source) fn leave(&self) -> Option<(u64, FilePosition)> {
        let mut state = self.shared.lock();
        let entry = state.files.get_mut(self.id)?;
        entry.live = false;
        Some((self.id, entry.position.clone()))
    }

    /// The file is finished: once everything up to `end` has arrived, its entry is dropped.
    pub(in crate::source) fn finish(&self, end: u64) {
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
