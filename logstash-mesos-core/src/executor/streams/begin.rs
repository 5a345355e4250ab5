//! Which files may be begun: what was found by a pattern, or may be too old, is looked at before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::super::state::{StreamId, Wanted};
use super::Streams;
use super::looks::Look;
use crate::source::{Checkpoints, Stat};

/// What lies at the place of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen {
    /// A file.
    File(Stat),
    /// Nothing that can be looked at.
    Nothing,
    /// Only the shell of its container sees it.
    FromInside,
}

impl Streams {
    /// Leaves out of `wanted` what may not be begun, or is not known to.
    pub(super) async fn leave_what_may_begin(&mut self, wanted: &mut BTreeMap<StreamId, Wanted>) {
        let is_looked_at = |want: &Wanted| want.by_pattern || want.ignore_older_secs.is_some();
        let looks = wanted.iter().filter(|(_, want)| is_looked_at(want));
        let looks = looks.filter_map(|(id, _)| Some((id.clone(), self.look(id)?))).collect();
        let seen = self.seen.take(looks).await;
        wanted.retain(|id, want| {
            !is_looked_at(want)
                || id.place.path().is_none()
                || seen.get(id).is_some_and(|seen| may_begin(want, *seen, &self.checkpoints))
        });
    }

    /// How to look at the file of a stream, if it has one.
    fn look(&self, id: &StreamId) -> Option<Look<Seen>> {
        let path = id.place.path()?;
        let Some(container) = id.container() else {
            let path = self.below_root(path);
            return Some(Box::new(move || {
                std::fs::metadata(path).map_or(Seen::Nothing, |found| Seen::File(Stat::of(&found)))
            }));
        };
        let (files, path) = (self.files.get(container).map(Arc::clone), path.to_owned());
        Some(Box::new(move || match files {
            None => Seen::Nothing,
            Some(files) if files.rung().is_err() => Seen::FromInside,
            Some(files) => files.stat(&path).map_or(Seen::Nothing, Seen::File),
        }))
    }
}

/// A file found by a pattern is begun unless another stream is still reading it under its old name; one that is too old is not.
fn may_begin(want: &Wanted, seen: Seen, checkpoints: &Checkpoints) -> bool {
    match seen {
        Seen::File(stat) => {
            let modified = UNIX_EPOCH + Duration::from_nanos(stat.modified.max(0).cast_unsigned());
            let age_secs = modified.elapsed().map_or(0, |age| age.as_secs());
            !(want.by_pattern && checkpoints.is_live(stat.identity))
                && want.ignore_older_secs.is_none_or(|most| age_secs <= most)
        }
        Seen::Nothing => !want.by_pattern,
        Seen::FromInside => true,
    }
}
