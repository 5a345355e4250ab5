//! The entries of files, found by their number, by their stream, and by their inode: there may be many thousands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Entry, FilePosition};
use crate::source::Identity;

#[derive(Debug, Default)]
pub(super) struct Files {
    next_id: u64,
    entries: BTreeMap<u64, Entry>,
    of_streams: BTreeSet<(Arc<str>, u64)>,
    at_inodes: BTreeSet<(Inode, u64)>,
}

/// Device and inode.
type Inode = (u64, u64);

impl Files {
    pub(super) fn insert(&mut self, entry: Entry) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.of_streams.insert((Arc::clone(&entry.stream), id));
        self.at_inodes.insert((inode(&entry.position), id));
        self.entries.insert(id, entry);
        id
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.of_streams.remove(&(Arc::clone(&entry.stream), id));
        self.at_inodes.remove(&(inode(&entry.position), id));
        Some(entry)
    }

    pub(super) fn get(&self, id: u64) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// To change what is kept; whose it is, and where, is changed by the two below.
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    /// Another stream has the file now.
    pub(super) fn give_to(&mut self, stream: &Arc<str>, id: u64) -> Option<&Entry> {
        let entry = self.entries.get_mut(&id)?;
        let before = std::mem::replace(&mut entry.stream, Arc::clone(stream));
        self.of_streams.remove(&(before, id));
        self.of_streams.insert((Arc::clone(stream), id));
        Some(entry)
    }

    /// It is known by another identity now.
    pub(super) fn identify(&mut self, id: u64, identity: Identity) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&id)?;
        self.at_inodes.remove(&(inode(&entry.position), id));
        let Identity { dev, ino, born } = identity;
        (entry.position.dev, entry.position.ino, entry.position.born) = (dev, ino, born);
        self.at_inodes.insert((inode(&entry.position), id));
        Some(entry)
    }

    /// Those of the stream, in the order in which they were begun.
    pub(super) fn of_stream(&self, key: &Arc<str>) -> impl DoubleEndedIterator<Item = (u64, &Entry)> {
        let all = (Arc::clone(key), 0)..=(Arc::clone(key), u64::MAX);
        self.of_streams.range(all).filter_map(|(_, id)| Some((*id, self.entries.get(id)?)))
    }

    /// Those that may be the file.
    pub(super) fn that_may_be(&self, file: Identity) -> impl Iterator<Item = (u64, &Entry)> {
        let inode = (file.dev, file.ino);
        let there = self.at_inodes.range((inode, 0)..=(inode, u64::MAX));
        let entries = there.filter_map(|(_, id)| Some((*id, self.entries.get(id)?)));
        entries.filter(move |(_, entry)| entry.position.identity().may_be(file))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Removes those that are not to be kept. Returns whether there were any.
    pub(super) fn retain(&mut self, keep: impl Fn(&Entry) -> bool) -> bool {
        let others: Vec<u64> =
            self.entries.iter().filter(|(_, entry)| !keep(entry)).map(|(id, _)| *id).collect();
        for id in &others {
            self.remove(*id);
        }
        !others.is_empty()
    }
}

fn inode(position: &FilePosition) -> Inode {
    (position.dev, position.ino)
}
