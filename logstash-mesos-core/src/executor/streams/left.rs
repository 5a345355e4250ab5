//! Files of the machine that were put aside or removed while nobody read them, without a successor under the name that a
//! pattern would find: no file there leads to them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Streams;
use super::begin::directory_of;
use crate::discovery::Discovered;
use crate::executor::pipelines::Pipelines;
use crate::executor::state::{self, Limits, Place, StreamId, Wanted};
use crate::source::looks::Look;
use crate::source::{FilePosition, Identity, is_gone, left_of};

/// What became of the file at a path.
pub(super) struct Became {
    /// What rotation has left of it, under these names.
    aside: Vec<PathBuf>,
    /// Bytes of it had not arrived, and it has none of the names that are known: its stream counts them.
    is_missed: bool,
}

impl Became {
    /// Of the file at `path`, of which something is `behind`; those that are `wanted` now are read.
    fn of(path: &Path, behind: &[FilePosition], wanted: &[PathBuf]) -> Self {
        let is_wanted = |position: &FilePosition| {
            let mut there = wanted.iter().filter_map(|path| std::fs::metadata(path).ok());
            there.any(|file| Identity::of(&file).may_be(position.identity()))
        };
        let is_missed = !behind.is_empty() && is_gone(path) && !behind.iter().all(is_wanted);
        Self { aside: left_of(path), is_missed }
    }
}

impl Streams {
    /// The streams of such files, which a position tells of. They are looked for once, when there is a configuration for
    /// files of the machine.
    pub(super) async fn left(
        &mut self,
        wanted: &BTreeMap<StreamId, Wanted>,
        pipelines: &Pipelines,
        picture: &Discovered,
        limits: Limits<'_>,
    ) -> Vec<(StreamId, Wanted)> {
        if self.before.is_empty() || !state::reads_host_files(pipelines.subscriptions()) {
            return Vec::new();
        }
        let mut behind = self.checkpoints.behind();
        let of_machine = wanted.keys().filter(|id| id.container().is_none() && !behind.is_empty());
        let paths: Arc<Vec<PathBuf>> =
            Arc::new(of_machine.filter_map(|id| Some(self.below_root(id.place.path()?))).collect());
        let looks = self.before.iter().filter_map(|id| {
            let directory = directory_of(None, id.place.path()?);
            let path = self.below_root(id.place.path()?);
            let behind = behind.remove(&*id.position_key()).unwrap_or_default();
            let wanted = Arc::clone(&paths);
            let look = move || Became::of(&path, &behind, &wanted);
            Some((directory, id.clone(), Box::new(look) as Look<Became>))
        });
        let found = self.aside.take(looks.collect()).await;
        self.before.retain(|id| !found.contains_key(id));
        let is_known = |id: &StreamId| wanted.contains_key(id) || self.running.contains_key(id);
        let mut left = Vec::new();
        for (id, Became { aside, is_missed }) in found {
            let Place::HostFile { path } = &id.place else { continue };
            // A pattern may find it under its new name, too.
            let is_found = |aside: &PathBuf| {
                let path = path.with_file_name(aside.file_name().unwrap_or_default());
                is_known(&StreamId { place: Place::HostFile { path }, delimiter: id.delimiter.clone() })
            };
            let is_left = !aside.is_empty() && !aside.iter().any(is_found);
            if is_known(&id) || !(is_left || is_missed) {
                continue;
            }
            let want = state::wanted_if_there(pipelines.subscriptions(), &picture.containers, limits, &id);
            left.extend(want.map(|want| (id, want)));
        }
        left
    }
}
