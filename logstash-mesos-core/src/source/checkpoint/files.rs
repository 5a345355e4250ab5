//! The entries of files, found by their number, by their stream, and by their inode: there may be many thousands.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::FilePosition;
use super::record::Record;
use crate::source::Identity;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) stream: Arc<str>,
    pub(super) position: FilePosition,
    // A reader has it open.
    pub(super) live: bool,
    // Its reader has read it to the end; with the last acknowledgement the entry is not needed any more.
    pub(super) forget_at: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Files {
    next_id: u64,
    // In boxes: numbers only grow, so the nodes of the tree stay half empty.
    entries: BTreeMap<u64, Box<Entry>>,
    of_streams: BTreeSet<(Arc<str>, u64)>,
    at_inodes: BTreeSet<(Inode, u64)>,
    // Of which something that is kept is not written yet; those that are gone, too.
    changed: BTreeSet<u64>,
}

/// Device and inode.
type Inode = (u64, u64);

impl Files {
    pub(super) fn insert(&mut self, entry: Entry) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.of_streams.insert((Arc::clone(&entry.stream), id));
        self.at_inodes.insert((inode(&entry.position), id));
        self.entries.insert(id, Box::new(entry));
        self.changed.insert(id);
        id
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.of_streams.remove(&(Arc::clone(&entry.stream), id));
        self.at_inodes.remove(&(inode(&entry.position), id));
        self.changed.insert(id);
        Some(*entry)
    }

    pub(super) fn get(&self, id: u64) -> Option<&Entry> {
        self.entries.get(&id).map(Box::as_ref)
    }

    /// To change what is known while the program runs.
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&id).map(Box::as_mut)
    }

    /// To change what is kept; whose it is, and where, is changed by the two below.
    pub(super) fn change(&mut self, id: u64) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&id)?;
        self.changed.insert(id);
        Some(entry)
    }

    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Those that have changed since this was called last.
    pub(super) fn take_changed(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.changed)
    }

    /// They have changed all the same.
    pub(super) fn put_back(&mut self, changed: BTreeSet<u64>) {
        self.changed.extend(changed);
    }

    /// Another stream has the file now.
    pub(super) fn give_to(&mut self, stream: &Arc<str>, id: u64) -> Option<&Entry> {
        let entry = self.entries.get_mut(&id)?;
        self.changed.insert(id);
        let before = std::mem::replace(&mut entry.stream, Arc::clone(stream));
        self.of_streams.remove(&(before, id));
        self.of_streams.insert((Arc::clone(stream), id));
        Some(entry)
    }

    /// It is known by another identity now.
    pub(super) fn identify(&mut self, id: u64, identity: Identity) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&id)?;
        self.changed.insert(id);
        self.at_inodes.remove(&(inode(&entry.position), id));
        let Identity { dev, ino, born } = identity;
        (entry.position.dev, entry.position.ino, entry.position.born) = (dev, ino, born);
        self.at_inodes.insert((inode(&entry.position), id));
        Some(entry)
    }

    /// Those of the stream, in the order in which they were begun.
    pub(super) fn of_stream(&self, key: &Arc<str>) -> impl DoubleEndedIterator<Item = (u64, &Entry)> {
        let all = (Arc::clone(key), 0)..=(Arc::clone(key), u64::MAX);
        self.of_streams.range(all).filter_map(|(_, id)| Some((*id, self.get(*id)?)))
    }

    /// Those that may be the file.
    pub(super) fn that_may_be(&self, file: Identity) -> impl Iterator<Item = (u64, &Entry)> {
        let inode = (file.dev, file.ino);
        let there = self.at_inodes.range((inode, 0)..=(inode, u64::MAX));
        let entries = there.filter_map(|(_, id)| Some((*id, self.get(*id)?)));
        entries.filter(move |(_, entry)| entry.position.identity().may_be(file))
    }

    /// All of them, in the order in which they were begun.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry.as_ref()))
    }

    /// Removes and returns those that are not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let others: Vec<u64> =
            self.entries.iter().filter(|(_, entry)| !keep(entry)).map(|(id, _)| *id).collect();
        others.into_iter().filter_map(|id| self.remove(id)).collect()
    }
}

impl Entry {
    pub(super) fn record(&self, id: u64) -> Record<'_> {
        let (stream, position) = (self.stream.as_ref().into(), Cow::Borrowed(&self.position));
        Record::File { id, stream, position }
    }
}

fn inode(position: &FilePosition) -> Inode {
    (position.dev, position.ino)
}
