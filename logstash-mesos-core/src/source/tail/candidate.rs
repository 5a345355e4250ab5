//! The files that a look finds: which known one each of them is, or what it holds.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;

use super::{Past, Tail};
use crate::source::body::Repeats;
use crate::source::chain::{self, Known, Likeness, Seen};
use crate::source::checkpoint::FilePosition;
use crate::source::member::Member;
use crate::source::{Body, Fingerprint, Heads, Identity, Mark, Names, Opened, Stat};

/// A file that a look found, opened when its content has to be known.
pub(super) struct Candidate {
    pub(super) seen: Seen,
    pub(super) size: u64,
    /// Of a rotated one.
    pub(super) name: Option<OsString>,
    opened: Option<Opened>,
    /// It is compressed, and repeats this member.
    pub(super) packed_of: Option<Identity>,
}

impl Candidate {
    /// What is in it, if it has been opened.
    fn body(&self) -> io::Result<Option<Body>> {
        let Some(opened) = &self.opened else { return Ok(None) };
        Ok(Some(Body::new(opened.file.try_clone()?, self.seen.compressed)))
    }
}

impl Tail {
    /// The files that are known: those of the past, the saved ones, the members.
    pub(super) fn known(&self, candidates: &[Candidate]) -> Vec<Known> {
        let first_saved = self.past.len();
        let saved = self.saved.iter().enumerate().map(|(at, (_, saved))| {
            let found = candidates.iter().find(|one| one.seen.same == Some(first_saved + at));
            Known {
                modified: saved.modified,
                current: found.is_some_and(|one| one.name.is_none()),
                cut: found.is_none(),
            }
        });
        self.past
            .iter()
            .map(|past| Known { modified: past.modified, current: false, cut: false })
            .chain(saved)
            .chain(self.members.iter().map(|member| member.known()))
            .map(|known| Known { modified: self.understood_at.unwrap_or(known.modified), ..known })
            .collect()
    }

    /// Finds those that hold nothing but what is in another file as well.
    pub(super) fn find_repeats(&self, candidates: &mut [Candidate]) {
        let Some((last, others)) = candidates.split_last_mut() else { return };
        let (mut behind, beside) = match last.name {
            None => (Some(last), others),
            Some(_) => (None, candidates),
        };
        for one in beside.iter_mut().filter(|one| one.seen.same.is_none()) {
            if one.seen.compressed {
                // What was in such a file before is in a copy; what it holds now may have been compressed since.
                let mut cut = self.members.iter().filter(|member| member.cut && member.body.is_plain());
                let found = cut.find(|member| {
                    matches!(self.repeats(one, member.body.file()), Repeats::All | Repeats::SoFar)
                });
                one.packed_of = found.map(|member| member.identity);
                one.seen.repeats = one.packed_of.is_some();
                // One that is older than the file was made of another.
                let modified = u64::try_from(one.seen.modified).unwrap_or_default();
                let may_be_of = |behind: &&mut &mut Candidate| {
                    behind.seen.same.is_some() && behind.seen.identity.born <= modified
                };
                if let Some(behind) = behind.as_mut().filter(may_be_of)
                    && !self.members.back().is_some_and(|last| last.cut)
                    && let Some(behind) = self.file(behind)
                {
                    one.seen.repeats = self.repeats(one, behind) != Repeats::Nothing;
                }
            } else if let Some(behind) = behind.as_mut().and_then(|behind| self.file(behind)) {
                one.seen.repeats = self.file(one).is_some_and(|file| begins(file, behind).unwrap_or(false));
            }
        }
    }

    /// What `packed` holds of `plain`; nothing, if that cannot be told.
    fn repeats(&self, packed: &mut Candidate, plain: &File) -> Repeats {
        let body = self.open(packed).and_then(|()| packed.body()).ok().flatten();
        body.and_then(|mut body| body.repeats(plain).ok()).unwrap_or(Repeats::Nothing)
    }

    /// The file, if it can be opened.
    pub(super) fn file<'c>(&self, candidate: &'c mut Candidate) -> Option<&'c File> {
        self.open(candidate).ok()?;
        candidate.opened.as_ref().map(|opened| &opened.file)
    }

    /// What stands at the names of the chain, oldest first, and how many names there are: behind some there may be
    /// nothing any more.
    pub(super) fn candidates(&self, names: &Names, current: Option<Stat>) -> (Vec<Candidate>, usize) {
        let candidate = |name: Option<&OsStr>, age, compressed, stat: Stat| Candidate {
            seen: Seen {
                age,
                identity: stat.identity,
                modified: stat.modified,
                compressed,
                repeats: false,
                same: None,
            },
            size: stat.size,
            name: name.map(OsStr::to_owned),
            opened: None,
            packed_of: None,
        };
        let base = self.opener.path().file_name().unwrap_or_default();
        let mut listed = usize::from(current.is_some());
        let rotated = names.beginning_with(base).filter_map(|name| {
            let (age, compressed) = chain::age(base, name)?;
            listed += 1;
            // What has gone since, or is no file, is none of ours.
            let stat = self.opener.stat(Some(name)).ok().flatten()?;
            Some(candidate(Some(name), Some(age), compressed, stat))
        });
        let mut found: Vec<_> = rotated.collect();
        found.extend(current.map(|stat| candidate(None, None, false, stat)));
        chain::sort(&mut found, |candidate| &candidate.seen);
        (found, listed)
    }

    /// Which known file it is, by its identity, or by its content where it is reached in another way.
    pub(super) fn same(&mut self, candidate: &mut Candidate) -> io::Result<Option<usize>> {
        let identity = candidate.seen.identity;
        let first_saved = self.past.len();
        let first_member = first_saved + self.saved.len();
        if let Some(at) = self.members.iter().position(|member| member.identity == identity) {
            return Ok(Some(first_member + at));
        }
        // A past inode may be behind the name again with another file.
        if candidate.name.is_some() {
            for (at, past) in self.past.iter().enumerate().filter(|(_, past)| past.identity == identity) {
                if self.is_past(past, candidate)? {
                    return Ok(Some(at));
                }
            }
        }
        if self.saved.is_empty() && (self.members.is_empty() || candidate.name.is_some()) {
            return Ok(None);
        }
        self.open(candidate)?;
        let Some(opened) = &candidate.opened else { return Ok(None) };
        for (at, (_, position)) in self.saved.iter().enumerate() {
            if is_saved(position, opened, candidate.seen.compressed)? {
                return Ok(Some(first_saved + at));
            }
        }
        if candidate.name.is_none()
            && let Some(last) = self.members.back_mut()
            && last.is_reached_by(opened)?
        {
            candidate.opened.take().into_iter().for_each(|opened| last.reach_by(opened));
            return Ok(Some(first_member + self.members.len() - 1));
        }
        Ok(None)
    }

    /// Whether `candidate`, which has the inode of a past file, is that file.
    fn is_past(&self, past: &Past, candidate: &mut Candidate) -> io::Result<bool> {
        if past.identity.born != 0 || past.modified == candidate.seen.modified {
            return Ok(true);
        }
        // Where no file says when it was made, an inode may have been given to another one since.
        self.open(candidate)?;
        let Some(mut body) = candidate.body()? else { return Ok(false) };
        Ok(body.len()? >= past.size && past.fingerprint.matches_bytes(&body.head()?))
    }

    /// What speaks for it that `candidate` holds what was in the known file, if nothing speaks against it.
    pub(super) fn alike(&self, known: usize, candidate: &mut Candidate) -> io::Result<Option<Likeness>> {
        let saved = known.checked_sub(self.past.len());
        let member = saved.and_then(|at| at.checked_sub(self.saved.len()));
        let (fingerprint, heads, mark, size, modified, is_final) = match (member, saved) {
            (Some(at), _) => {
                let Member { fingerprint, heads, mark, size, modified, cut, .. } = *self.members[at];
                (fingerprint, heads, mark, size, modified, !cut)
            }
            (None, Some(at)) => {
                let FilePosition { fingerprint, heads, mark, size, modified, grown, .. } = self.saved[at].1;
                (fingerprint, heads, mark, size, grown.unwrap_or(modified), false)
            }
            (None, None) => {
                let Past { fingerprint, size, modified, .. } = self.past[known];
                (fingerprint, Heads::default(), Mark::default(), size, modified, true)
            }
        };
        if fingerprint.len == 0 {
            return Ok(None);
        }
        self.open(candidate)?;
        let Some(mut body) = candidate.body()? else { return Ok(None) };
        let head = body.head()?;
        let same_head = match fingerprint.matches_bytes(&head) {
            true => fingerprint.len,
            false if is_final => 0,
            // Copied before all was written that was seen.
            false => heads.alike(&head),
        };
        if same_head == 0 {
            return Ok(None);
        }
        let is_plain = !candidate.seen.compressed;
        let len = body.len()?;
        // Of a compressed one the size is kept modulo 4 GiB.
        let wraps = !is_plain && size > u64::from(u32::MAX);
        let whole = len == if is_plain { size } else { size & u64::from(u32::MAX) };
        let marked = if mark.end <= len { body.has(&mark)? } else { None };
        if marked == Some(false) {
            return Ok(None);
        }
        if is_final {
            return Ok(whole.then_some(Likeness { is_all: true, whole, bytes: same_head }));
        }
        let marked = marked.is_some();
        let is_all = len >= size || wraps;
        // Else it was complete before that was written which was seen last.
        let in_time = is_all || (marked && mark.bytes.len > 0) || candidate.seen.modified <= modified;
        let bytes = same_head + if marked { mark.bytes.len } else { 0 };
        Ok(in_time.then_some(Likeness { is_all, whole, bytes }))
    }

    fn open(&self, candidate: &mut Candidate) -> io::Result<()> {
        if candidate.opened.is_none() {
            let opened = self.opener.open(candidate.name.as_deref())?;
            // Between the two it may have become another file.
            candidate.opened = opened.filter(|opened| opened.identity == candidate.seen.identity);
        }
        Ok(())
    }

    /// A file that is none of the stream's, to be known again.
    pub(super) fn past(&self, mut candidate: Candidate) -> Past {
        let Seen { identity, modified, .. } = candidate.seen;
        // Where it says when it was made, that is enough.
        let known = if identity.born == 0 { self.content(&mut candidate).ok() } else { None };
        let (fingerprint, size) = known.unwrap_or_default();
        Past { identity, modified, fingerprint, size }
    }

    fn content(&self, candidate: &mut Candidate) -> io::Result<(Fingerprint, u64)> {
        self.open(candidate)?;
        let Some(mut body) = candidate.body()? else { return Ok(Default::default()) };
        Ok((Fingerprint::of_bytes(&body.head()?), body.len()?))
    }

    pub(super) fn opened(&self, mut candidate: Candidate) -> io::Result<Option<Opened>> {
        self.open(&mut candidate)?;
        Ok(candidate.opened)
    }
}

/// Whether `position` is about this file: the same identity, or, by another way, the same content.
pub(super) fn is_saved(position: &FilePosition, opened: &Opened, compressed: bool) -> io::Result<bool> {
    let same_way = position.rung == opened.rung && position.dev == opened.identity.dev;
    let may_be =
        if same_way { position.identity().may_be(opened.identity) } else { position.fingerprint.len > 0 };
    Ok(may_be && fits(position, opened, compressed)?)
}

/// Whether what was read up to `position` is (still) in this file.
pub(super) fn fits(position: &FilePosition, opened: &Opened, compressed: bool) -> io::Result<bool> {
    if compressed {
        let mut body = Body::new(opened.file.try_clone()?, true);
        return Ok(position.fingerprint.matches_bytes(&body.head()?));
    }
    Ok(opened.file.metadata()?.len() >= position.offset
        && position.fingerprint.matches(&opened.file)?
        && position.mark.matches(&opened.file)?)
}

/// Whether all that `part` holds is, as far as can be told by its ends, the beginning of `whole`.
fn begins(part: &File, whole: &File) -> io::Result<bool> {
    let end = part.metadata()?.len();
    Ok(whole.metadata()?.len() >= end
        && Fingerprint::of(part)?.matches(whole)?
        && Mark::at(part, end)?.matches(whole)?)
}
