//! Which files may be begun: what was found by a pattern, or may be too old, is looked at before, and whether what a container
//! writes can be read from the machine's side.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::super::state::{Pattern, Place, StreamId, Wanted};
use super::Streams;
use super::ladder::{FromOutside, look_at_log};
use crate::discovery::{ContainerId, ContainerState};
use crate::source::looks::Look;
use crate::source::{Checkpoints, FileOpener, Stat};

/// What lies at the place of a stream.
#[derive(Debug)]
pub(super) enum Seen {
    /// A file.
    File(Stat),
    /// Nothing that can be looked at.
    Nothing,
    /// The log of a container.
    Log,
    /// What cannot be read from the machine's side, and why.
    OnlyFromInside(String),
}

impl Streams {
    /// Those of `wanted` that may be begun, as far as that is known, and whether they are read from the machine's side.
    pub(super) async fn that_may_begin(
        &mut self,
        wanted: BTreeMap<StreamId, Wanted>,
    ) -> Vec<(StreamId, Wanted, FromOutside)> {
        let (mut begin, mut looks, mut looked_at) = (Vec::new(), Vec::new(), Vec::new());
        for (id, want) in wanted {
            match self.look(&id, &want) {
                None => begin.push((id, want, Ok(()))),
                Some((directory, look)) => {
                    looks.push((directory, id.clone(), look));
                    looked_at.push((id, want));
                }
            }
        }
        let mut seen = self.seen.take(looks).await;
        for (id, want) in looked_at {
            let may_begin = seen.remove(&id).and_then(|seen| may_begin(&want, seen, &self.checkpoints));
            begin.extend(may_begin.map(|from_outside| (id, want, from_outside)));
        }
        begin
    }

    /// How to look at the place of a stream, and in which directory, if that is to be done.
    fn look(&self, id: &StreamId, want: &Wanted) -> Option<(Pattern, Look<Seen>)> {
        Some(match &id.place {
            Place::HostFile { path } => {
                if !want.by_pattern && want.ignore_older_secs.is_none() {
                    return None;
                }
                let directory = directory_of(None, path);
                let path = self.below_root(path);
                let look = move || {
                    std::fs::metadata(path).map_or(Seen::Nothing, |found| Seen::File(Stat::of(&found)))
                };
                (directory, Box::new(look))
            }
            Place::ContainerFile { container, path } => {
                let (files, path) = (self.files.get(container).map(Arc::clone), path.clone());
                let directory = directory_of(Some(container), &path);
                let look = move || {
                    let Some(files) = files else { return Seen::Nothing };
                    match files.rung() {
                        Err(unseen) => Seen::OnlyFromInside(unseen.to_string()),
                        Ok(_) => files.stat(&path).map_or(Seen::Nothing, Seen::File),
                    }
                };
                (directory, Box::new(look))
            }
            Place::ContainerOutput { container } => {
                let container = self.container(container)?;
                let (log, _) = self.daemon_log(&container).ok()?;
                // The daemon makes the file when the container starts.
                let may_come = container.state == ContainerState::Created;
                let look = move || match look_at_log(log.path(), may_come) {
                    Ok(()) => Seen::Log,
                    Err(reason) => Seen::OnlyFromInside(reason),
                };
                (directory_of(None, container.log.path.as_deref()?), Box::new(look))
            }
        })
    }
}

/// The directory of a file, as its container or the machine calls it.
pub(super) fn directory_of(container: Option<&ContainerId>, path: &Path) -> Pattern {
    let directory = path.parent().unwrap_or(Path::new("/"));
    Pattern { container: container.cloned(), pattern: directory.display().to_string() }
}

/// A file found by a pattern is begun unless another stream is still reading it under its old name; one that is too old is not.
fn may_begin(want: &Wanted, seen: Seen, checkpoints: &Checkpoints) -> Option<FromOutside> {
    let may = match seen {
        Seen::File(stat) => {
            let modified = UNIX_EPOCH + Duration::from_nanos(stat.modified.max(0).cast_unsigned());
            let age_secs = modified.elapsed().map_or(0, |age| age.as_secs());
            !(want.by_pattern && checkpoints.is_live(stat.identity))
                && want.ignore_older_secs.is_none_or(|most| age_secs <= most)
        }
        Seen::Nothing => !want.by_pattern,
        Seen::Log => true,
        Seen::OnlyFromInside(reason) => return Some(Err(reason)),
    };
    may.then_some(Ok(()))
}
