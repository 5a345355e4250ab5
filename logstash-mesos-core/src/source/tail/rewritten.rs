//! A file that is put in the place of another and begins with all that is in it, as `sed -i` leaves it, or a copy that is
//! moved back: it goes on with what is behind that.
//!
//! A program that begins its log anew may write what it wrote the last time. So more has to be the same than a banner has, to
//! the last byte, and the file has to have been there as a whole: written under another name, and moved.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use super::Tail;
use crate::source::fingerprint::read_at;
use crate::source::member::End;
use crate::source::{Framer, Identity, Names, Opened};

/// What is shorter is read again.
const LEAST: u64 = 1024;
/// Others wait while content is compared: what is longer is read again.
const MOST: u64 = 256 << 20;

impl Tail {
    /// The number of the position with which `opened` goes on, and the position, if it is what became of the file that the
    /// name led to before, which has none of the names at which the files `seen` are.
    pub(super) fn rewritten(
        &mut self,
        opened: &Opened,
        seen: &[Identity],
        names: &Names,
    ) -> io::Result<Option<(u64, u64)>> {
        let new = opened.file.metadata()?;
        let Some(old) = self.members.back_mut() else {
            return self.rewritten_while_stopped(opened, &new, names);
        };
        let size = old.body.file().metadata()?.len();
        let is_candidate = old.body.is_plain()
            && !old.cut
            && old.end != End::Read
            && old.goes_on.is_none()
            && !seen.contains(&old.identity)
            && (LEAST..=MOST).contains(&size)
            && was_moved(&new, Some(&old.body.file().metadata()?));
        let delimiter = &self.settings.framing.delimiter;
        if !is_candidate || !begins_with(&opened.file, old.body.file(), size, delimiter)? {
            return Ok(None);
        }
        let Some((id, position)) = old.live.leave() else { return Ok(None) };
        // What its writer still has to say is in no other file.
        old.live = self.positions.begin(old.identity, old.rung, size, None);
        old.go_on_at(Framer::new(self.settings.framing.clone(), size));
        Ok(Some((id, position.offset)))
    }

    /// Of the file that was read by an earlier process the ends of what was read are known.
    fn rewritten_while_stopped(
        &self,
        opened: &Opened,
        new: &Metadata,
        names: &Names,
    ) -> io::Result<Option<(u64, u64)>> {
        // Under another name it is read on: more may be in it.
        let is_there = |old: Identity| {
            let there = |name| self.opener.stat(Some(name)).ok().flatten();
            names.iter().filter_map(there).any(|stat| stat.identity.may_be(old))
        };
        for (id, position) in self.saved.iter().rev() {
            let is_known = position.size >= LEAST
                && position.fingerprint.is_full()
                && position.mark.bytes.len > 0
                && position.mark.end >= position.offset.max(LEAST);
            if is_known
                && new.len() >= position.size
                && was_moved(new, None)
                && position.fingerprint.matches(&opened.file)?
                && position.mark.matches(&opened.file)?
                && !is_there(position.identity())
            {
                return Ok(Some((*id, position.offset)));
            }
        }
        Ok(None)
    }
}

/// Whether a file was written under another name: it has been renamed since it was written last, or was made before the name
/// of the `old` one was taken away.
fn was_moved(new: &Metadata, old: Option<&Metadata>) -> bool {
    let (written, changed) = times(new);
    let before = |old: &Metadata| {
        let (written, changed) = times(old);
        let born = i128::from(Identity::of(new).born);
        changed > written && born > 0 && born < changed
    };
    changed > written || old.is_some_and(before)
}

/// When it was written last, and when something about it changed last.
fn times(of: &Metadata) -> (i128, i128) {
    let nanos = |secs: i64, nanos: i64| i128::from(secs) * 1_000_000_000 + i128::from(nanos);
    (nanos(of.mtime(), of.mtime_nsec()), nanos(of.ctime(), of.ctime_nsec()))
}

/// Whether `new` begins with the first `size` bytes of `old`, which end with a line.
fn begins_with(new: &File, old: &File, size: u64, delimiter: &[u8]) -> io::Result<bool> {
    let (mut of_new, mut of_old) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = 0;
    while at < size {
        let most = usize::try_from(size - at).unwrap_or(CHUNK).min(CHUNK);
        let (of_new, of_old) = (&mut of_new[..most], &mut of_old[..most]);
        if read_at(new, of_new, at)? < most || read_at(old, of_old, at)? < most || of_new != of_old {
            return Ok(false);
        }
        at += most as u64;
    }
    let mut end = vec![0; delimiter.len()];
    let from = size.saturating_sub(delimiter.len() as u64);
    Ok(!delimiter.is_empty() && read_at(new, &mut end, from)? == end.len() && end == delimiter)
}

const CHUNK: usize = 64 << 10;
