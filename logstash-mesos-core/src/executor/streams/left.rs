//! Files of the machine that were put aside while nobody read them, without a successor under the name that a pattern
//! would find: no file there leads to them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Streams;
use super::looks::Look;
use crate::discovery::Discovered;
use crate::executor::pipelines::Pipelines;
use crate::executor::state::{self, Limits, Place, StreamId, Wanted};
use crate::source::left_of;

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
        let looks = self.before.iter().filter_map(|id| {
            let path = self.below_root(id.place.path()?);
            Some((id.clone(), Box::new(move || left_of(&path)) as Look<Vec<PathBuf>>))
        });
        let found = self.aside.take(looks.collect()).await;
        self.before.retain(|id| !found.contains_key(id));
        let is_known = |id: &StreamId| wanted.contains_key(id) || self.running.contains_key(id);
        let mut left = Vec::new();
        for (id, aside) in found {
            let Place::HostFile { path } = &id.place else { continue };
            // A pattern may find it under its new name, too.
            let is_found = |aside: &PathBuf| {
                let path = path.with_file_name(aside.file_name().unwrap_or_default());
                is_known(&StreamId { place: Place::HostFile { path }, delimiter: id.delimiter.clone() })
            };
            if aside.is_empty() || is_known(&id) || aside.iter().any(is_found) {
                continue;
            }
            let want = state::wanted_if_there(pipelines.subscriptions(), &picture.containers, limits, &id);
            left.extend(want.map(|want| (id, want)));
        }
        left
    }
}
