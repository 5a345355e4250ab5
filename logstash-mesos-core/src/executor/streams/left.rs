//! Files of the machine that were put aside while nobody read them, without a successor under the name that a pattern
//! would find: no file there leads to them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Streams;
use crate::discovery::Discovered;
use crate::executor::pipelines::Pipelines;
use crate::executor::state::{self, Limits, Place, StreamId, Wanted};
use crate::source::left_of;

impl Streams {
    /// The streams of such files, which a position tells of. They are looked for once, when there is a configuration for
    /// files of the machine.
    pub(super) fn left(
        &mut self,
        wanted: &BTreeMap<StreamId, Wanted>,
        pipelines: &Pipelines,
        picture: &Discovered,
        limits: Limits<'_>,
    ) -> Vec<(StreamId, Wanted)> {
        if self.before.is_empty() || !state::reads_host_files(pipelines.subscriptions()) {
            return Vec::new();
        }
        let before = std::mem::take(&mut self.before);
        let is_known = |id: &StreamId| wanted.contains_key(id) || self.running.contains_key(id);
        let mut left = Vec::new();
        for id in before.iter().filter_map(|key| StreamId::of_host_file(key)) {
            let Place::HostFile { path } = &id.place else { continue };
            let aside = left_of(&self.below_root(path));
            // A pattern may find it under its new name, too.
            let is_found = |aside: &PathBuf| {
                let path = path.with_file_name(aside.file_name().unwrap_or_default());
                is_known(&StreamId { place: Place::HostFile { path }, delimiter: id.delimiter.clone() })
            };
            if aside.is_empty() || is_known(&id) || aside.iter().any(is_found) {
                continue;
            }
            let want = state::wanted_if_there(pipelines.subscriptions(), &picture.containers, limits, &id);
            left.extend(want.map(|want| (id.clone(), want)));
        }
        left
    }
}
