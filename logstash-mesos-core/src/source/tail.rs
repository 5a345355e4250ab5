//! Follows the files of a stream: through growth, rotation, truncation and removal.
//!
//! The stream is a set of files ([`Member`]), held open and delivered oldest first. A look at the directory
//! ([`Tail::look`]) keeps the set, also while nothing is read because an output takes nothing; what a look means is
//! decided in [`chain`]. No I/O here waits: a [`Tail`] is stepped by `follow`, which does the waiting.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::chain::{self, Known, Likeness, Look, Meaning, Seen};
use super::checkpoint::{FilePosition, LiveFile};
use super::holdings::{Hold, Holdings};
use super::member::{End, Member, Place, Read};
use super::writers::Writers;
use super::{
    Body, FileOpener, Fingerprint, Framer, Identity, Lines, Lost, Mark, Names, Opened, StartPosition, Stat,
    StreamPositions, StreamStatus, TailSettings, Tracker,
};

/// What a step found.
#[derive(Debug)]
pub(super) enum Step {
    /// Whole lines (or the unfinished last one of a file that has ended), and who is told about them.
    Lines(Lines, Tracker),
    /// The same, and they are the first of their file: its position has to be on disk before they are sent, so
    /// that they have the same name whatever happens.
    First(Lines, Tracker),
    /// A rotated, removed or cut file has been read to its end.
    FileEnded,
    /// There is nothing to read at the moment.
    Idle,
}

/// What the streams of a set of readers have in common.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) writers: Writers,
    pub(super) holdings: Holdings,
}

pub(super) struct Tail {
    opener: Arc<dyn FileOpener>,
    settings: TailSettings,
    positions: StreamPositions,
    status: Arc<StreamStatus>,
    shared: Shared,
    // Oldest first: the last one is behind the name, if any is.
    members: VecDeque<Member>,
    // Left by an earlier process, not found again yet; oldest first.
    saved: Vec<(u64, FilePosition)>,
    // Read to their end and let go, or older than the stream.
    past: Vec<Past>,
    // Files that are not there any more, on their way still: the end of what was read, and why they are not.
    gone: Vec<(LiveFile, u64, Lost)>,
    // To be told before anything else is read.
    due: VecDeque<Step>,
    // The directory as it was when all of it was last understood.
    understood: Option<Names>,
    // When that was. What changed since, and is not known, is new.
    understood_at: Option<i64>,
    // Nothing has been looked at yet: where to begin is not said by a rotation.
    first_sight: bool,
    looked_at: Option<Instant>,
    // What the last look met.
    look_error: Option<String>,
    // The last step could not read what there is.
    failed: bool,
}

/// A file that is not read any more.
#[derive(Debug)]
struct Past {
    identity: Identity,
    modified: i64,
    // Both are nothing where it has never been read.
    fingerprint: Fingerprint,
    size: u64,
}

/// A file that a look found, opened when its content has to be known.
struct Candidate {
    seen: Seen,
    size: u64,
    name: Option<OsString>,
    opened: Option<Opened>,
    // It is compressed, and repeats this member.
    packed_of: Option<Identity>,
}

/// Where a file is put among those that are held.
#[derive(Clone, Copy, Debug)]
struct Spot {
    place: Place,
    /// In front of this one, which is younger; of none: at the end.
    before: Option<Identity>,
    /// Its last change when its meaning was found out: what was copied from it later is not known.
    modified: i64,
}

/// How often a busy or blocked reader looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A look that meets a rotation is taken again, so often at once.
const MOST_SCANS: usize = 5;
/// So many files that are not read any more are remembered when they are not in the directory.
const MOST_PAST: usize = 32;

impl Tail {
    pub(super) fn new(
        opener: Arc<dyn FileOpener>,
        settings: TailSettings,
        positions: StreamPositions,
        status: Arc<StreamStatus>,
        shared: Shared,
    ) -> Self {
        let mut saved = positions.unfinished();
        saved.sort_by_key(|(id, position)| (position.at, *id));
        Self {
            opener,
            settings,
            positions,
            status,
            shared,
            members: VecDeque::new(),
            saved,
            past: Vec::new(),
            gone: Vec::new(),
            due: VecDeque::new(),
            understood: None,
            understood_at: None,
            first_sight: true,
            looked_at: None,
            look_error: None,
            failed: false,
        }
    }

    /// Reads on. `finishing`: the source has ended, so what is there is all there will be.
    pub(super) fn step(&mut self, now: Instant, finishing: bool) -> Step {
        if self.looked_at.is_none_or(|at| now.duration_since(at) >= LOOK_EVERY) {
            self.look(now);
        }
        let mut error = None;
        let mut at = 0;
        loop {
            if let Some(step) = self.due.pop_front() {
                return step;
            }
            let Some(member) = self.members.get_mut(at) else { break };
            if member.end == End::Read {
                if member.has_arrived() {
                    self.let_go(at);
                } else {
                    at += 1;
                }
                continue;
            }
            match member.read(now) {
                Ok(Read::Lines(lines)) => return self.pass_on(at, lines),
                Ok(Read::StartedOver) => {
                    // If it cannot be found out now what became of it, the next look tries again.
                    if !std::mem::replace(&mut member.cut, true) {
                        self.look(now);
                        continue;
                    }
                }
                // What was renamed first is read first; a younger file waits for it while it still has bytes.
                Ok(Read::Nothing) => {
                    if let Some(step) = self.end(at, now, finishing) {
                        return step;
                    }
                }
                Err(failed) => error = Some(failed),
            }
            at += 1;
        }
        self.report(error.as_ref());
        Step::Idle
    }

    /// Whether something is due soon although nothing may be written: the end of a file that lies aside.
    pub(super) fn is_draining(&self) -> bool {
        self.members.iter().any(|member| member.place != Place::Current || member.cut)
    }

    /// Looks at the name at the next step, however recently that was done.
    pub(super) fn look_again(&mut self) {
        self.looked_at = None;
    }

    /// The files to be watched, and whether inotify tells of writes to them.
    pub(super) fn watched(&self) -> impl Iterator<Item = (&File, bool)> {
        let open = self.members.iter().filter(|member| member.end != End::Read);
        open.map(|member| (member.body.file(), member.notifies))
    }

    /// The directory whose changes matter.
    pub(super) fn watched_directory(&self) -> Option<&std::path::Path> {
        self.opener.watched_directory()
    }

    /// The path of the stream's own name.
    pub(super) fn path(&self) -> &std::path::Path {
        self.opener.path()
    }

    /// Whether the last look has found out what all files are to the stream.
    pub(super) fn is_understood(&self) -> bool {
        self.understood.is_some()
    }

    /// When the file last grew; `None` while there is none.
    pub(super) fn grew_at(&self) -> Option<Instant> {
        self.members.back().map(|member| member.grew_at)
    }

    /// Whether all files of the stream have gone and have arrived.
    pub(super) fn holds_nothing(&self) -> bool {
        self.members.is_empty() && self.look_error.is_none()
    }

    /// Gives back memory before a long wait.
    pub(super) fn rest_idle(&mut self) {
        for member in &mut self.members {
            member.framer.rest_idle();
        }
    }

    /// Goes back to what has arrived: what was sent beyond it has been given up. The files stay open, they may
    /// have no name any more.
    pub(super) fn rewind(&mut self) {
        for member in &mut self.members {
            member.rewind(&self.positions, &self.settings.framing);
        }
        for (live, end, reason) in std::mem::take(&mut self.gone) {
            self.count_lost(reason, end - live.arrived().unwrap_or(end));
        }
        self.due.clear();
        self.look_again();
    }

    /// The stream is over and everything has arrived.
    pub(super) fn finish(self) {
        if !self.settings.keep_finished {
            for member in self.members.iter().filter(|member| member.end == End::Read) {
                member.live.finish(member.framer.position());
            }
        }
    }

    fn pass_on(&mut self, at: usize, lines: Lines) -> Step {
        let member = &mut self.members[at];
        self.status.update(|status| {
            status.error = None;
            status.rung = Some(member.rung);
            status.offset = member.framer.position();
            status.lag_bytes = member.lag();
            status.read_bytes += lines.end() - lines.offset();
        });
        let tracker = member.live.tracker().clone();
        match std::mem::take(&mut member.fresh) {
            true => Step::First(lines, tracker),
            false => Step::Lines(lines, tracker),
        }
    }

    /// Whether something could not be read when it was tried last.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    fn report(&mut self, error: Option<&io::Error>) {
        self.failed = error.is_some() || self.look_error.is_some();
        self.status.update(|status| {
            status.error = error.map(ToString::to_string).or_else(|| self.look_error.clone());
            status.lag_bytes = self.members.iter().map(Member::lag).sum();
            if let Some(current) = self.members.back() {
                status.rung = Some(current.rung);
                status.offset = current.framer.position();
            } else {
                status.rung = None;
            }
        });
    }

    fn count_lost(&self, reason: Lost, bytes: u64) {
        self.status.lost(reason, bytes);
    }

    /// Looks which files there are, and holds those that belong to the stream.
    pub(super) fn look(&mut self, now: Instant) {
        self.looked_at = Some(now);
        self.look_error = self.try_look(now).err().map(|error| error.to_string());
        self.status.update(|status| status.lag_bytes = self.members.iter().map(Member::lag).sum());
    }

    fn try_look(&mut self, now: Instant) -> io::Result<()> {
        let mut fresh = false;
        for _ in 0..MOST_SCANS {
            let cut = self.look_at_members()?;
            let current = self.opener.stat(None)?;
            let last = self.members.back().filter(|member| member.place == Place::Current);
            let same_name = current.map(|stat| stat.identity) == last.map(|member| member.identity);
            // What has just been rotated has to be among them, or it would be taken for older than what follows.
            let names = self.opener.names(fresh || !same_name || cut)?;
            if same_name && !cut && self.understood.as_ref().is_some_and(|before| before.is(&names)) {
                self.members.iter_mut().for_each(Member::note_change);
                return Ok(());
            }
            let Some(understood) = self.understand(&names, current, !same_name || cut, now)? else {
                fresh = true;
                continue;
            };
            if understood {
                self.understood_at = Some(names.at());
            }
            self.members.iter_mut().for_each(Member::note_change);
            self.understood = understood.then_some(names);
            // What was cut and has been copied nowhere.
            while let Some(at) = self.members.iter().position(|member| member.cut) {
                self.start_over(at);
            }
            if cut {
                // What they hold now has to be known again when it is rotated in turn.
                self.look_at_members()?;
            }
            return Ok(());
        }
        self.understood = None;
        Err(io::Error::other("its files are being rotated, which of them is which is not known yet"))
    }

    /// Takes note of what became of the files that are held. Returns whether one has been cut.
    fn look_at_members(&mut self) -> io::Result<bool> {
        let mut cut = false;
        for member in &mut self.members {
            cut |= member.look(&self.shared.holdings)?;
        }
        while let Some(at) =
            self.members.iter().position(|member| member.hold.as_ref().is_some_and(Hold::leaves))
        {
            self.give_up(at);
        }
        Ok(cut)
    }

    /// The files that are known: those of the past, the saved ones, the members.
    fn known(&self, candidates: &[Candidate]) -> Vec<Known> {
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
            .chain(self.members.iter().map(Member::known))
            .map(|known| Known { modified: self.understood_at.unwrap_or(known.modified), ..known })
            .collect()
    }

    /// Finds out what the files are to the stream, and takes over those that belong to it. Returns whether there
    /// is nothing left to find out until the directory changes; `None`, and nothing is done, if files were rotated
    /// meanwhile, so that some may have been seen twice or not at all. `rotated`: it is known that one was.
    fn understand(
        &mut self,
        names: &Names,
        current: Option<Stat>,
        rotated: bool,
        now: Instant,
    ) -> io::Result<Option<bool>> {
        let (mut candidates, listed) = self.candidates(names, current);
        // Rotated between the two looks: the name leads to another file by now.
        let is_aside = |one: &Candidate| {
            one.name.is_some() && current.is_some_and(|stat| stat.identity == one.seen.identity)
        };
        let renamed = candidates.iter().any(is_aside);
        if renamed {
            candidates.retain(|one| one.name.is_some());
        }
        for candidate in &mut candidates {
            candidate.seen.same = self.same(candidate)?;
        }
        self.find_repeats(&mut candidates);
        let known = self.known(&candidates);
        let seen: Vec<Seen> = candidates.iter().map(|candidate| candidate.seen.clone()).collect();
        let from_end = self.settings.start == StartPosition::End && self.saved.is_empty();
        let look = match self.first_sight {
            true if from_end || !self.opener.owns_all() => Look::First,
            true => Look::FirstOfAll,
            false => Look::Again,
        };
        let meanings = chain::meanings(&known, &seen, look, |known, seen| {
            self.alike(known, &mut candidates[seen]).ok().flatten()
        });
        for (candidate, meaning) in candidates.iter_mut().zip(&meanings) {
            // Now, while it is sure that it stands at this name; what cannot be opened is said below.
            if matches!(meaning, Meaning::New | Meaning::Copy(_)) {
                let _file = self.file(candidate);
            }
        }
        let is_new = |(meaning, one): (&Meaning, &Candidate)| *meaning == Meaning::New && one.name.is_some();
        let doubtful =
            rotated || renamed || seen.len() < listed || meanings.iter().zip(&candidates).any(is_new);
        if doubtful && !self.is_still(&seen, current)? {
            return Ok(None);
        }
        let last = self.members.back().map(|member| member.identity);
        if current.map(|stat| stat.identity) != last {
            self.put_aside(now);
        }
        let from_end = from_end && self.first_sight;
        let mut understood = !renamed;
        let mut found_saved = Vec::new();
        let mut here = Vec::new();
        let first_saved = self.past.len();
        let first_member = first_saved + self.saved.len();
        // By identity: their places change below.
        let members: Vec<Identity> = self.members.iter().map(|member| member.identity).collect();
        let member = |s: usize| match meanings[s] {
            Meaning::Same(k) | Meaning::Copy(k) => k.checked_sub(first_member).map(|at| members[at]),
            _ => candidates[s].packed_of,
        };
        let spots: Vec<Spot> = (0..meanings.len())
            .map(|s| Spot {
                place: if candidates[s].name.is_none() { Place::Current } else { Place::Aside },
                before: (s..meanings.len()).find_map(member),
                modified: candidates[s].seen.modified,
            })
            .collect();
        for ((candidate, meaning), spot) in candidates.into_iter().zip(meanings).zip(spots) {
            let (identity, modified) = (candidate.seen.identity, candidate.seen.modified);
            match meaning {
                Meaning::Same(k) | Meaning::Copy(k) if k < first_saved => {
                    let Past { fingerprint, size, .. } = self.past[k];
                    here.push(Past { identity, modified, fingerprint, size });
                }
                Meaning::Same(k) | Meaning::Copy(k) if k < first_member => {
                    let (id, position) = self.saved[k - first_saved].clone();
                    if found_saved.contains(&id) {
                        continue;
                    }
                    let compressed = candidate.seen.compressed;
                    match self.opened(candidate)? {
                        Some(opened) => {
                            found_saved.push(id);
                            self.push(opened, compressed, position.offset, Some((id, true)), spot, now)?;
                        }
                        None => understood = false,
                    }
                }
                Meaning::Same(k) => self.set_place(members[k - first_member], spot.place, now),
                Meaning::Copy(k) => self.take_copy(members[k - first_member], candidate)?,
                Meaning::Making => {}
                // Another stream of the same reader has it, under the name that it had: it is taken over when that
                // is done with it.
                Meaning::New if self.is_held_elsewhere(identity, spot.place) => understood = false,
                Meaning::New => {
                    let compressed = candidate.seen.compressed;
                    let Some(opened) = self.opened(candidate)? else {
                        understood = false;
                        continue;
                    };
                    self.begin(opened, compressed, spot, from_end, now)?;
                }
                Meaning::Before => {
                    here.push(Past { identity, modified, fingerprint: Fingerprint::default(), size: 0 });
                }
            }
        }
        self.saved.retain(|(id, _)| !found_saved.contains(id));
        if current.is_some() && !self.saved.is_empty() {
            self.look_everywhere(names, now)?;
        }
        self.remember(here);
        self.first_sight = false;
        Ok(Some(understood))
    }

    /// Whether the same files stand at the names as before, and none was cut since.
    fn is_still(&mut self, seen: &[Seen], current: Option<Stat>) -> io::Result<bool> {
        let was_cut = |tail: &Self| tail.members.iter().filter(|member| member.cut).count();
        let before = was_cut(self);
        for member in &mut self.members {
            member.look(&self.shared.holdings)?;
        }
        let names = self.opener.names(true)?;
        let (aside, _) = self.candidates(&names, None);
        // Last: a file that was cut meanwhile is not still.
        let again = self.opener.stat(None)?;
        let key = |seen: &Seen| (seen.age.clone(), seen.compressed, seen.identity);
        let behind_the_name = again.map(|stat| (None, false, stat.identity));
        Ok(was_cut(self) == before
            && again.map_or(0, |stat| stat.size) >= current.map_or(0, |stat| stat.size)
            && aside.iter().map(|one| key(&one.seen)).chain(behind_the_name).eq(seen.iter().map(key)))
    }

    /// Finds those that hold nothing but what is in another file as well.
    fn find_repeats(&self, candidates: &mut [Candidate]) {
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
                    self.file(one).is_some_and(|file| is_packed(file, member.body.file()).unwrap_or(false))
                });
                one.packed_of = found.map(|member| member.identity);
                one.seen.repeats = one.packed_of.is_some();
            } else if let Some(behind) = behind.as_mut().and_then(|behind| self.file(behind)) {
                one.seen.repeats = self.file(one).is_some_and(|file| begins(file, behind).unwrap_or(false));
            }
        }
    }

    /// The file, if it can be opened.
    fn file<'c>(&self, candidate: &'c mut Candidate) -> Option<&'c File> {
        self.open(candidate).ok()?;
        candidate.opened.as_ref().map(|opened| &opened.file)
    }

    /// What stands at the names of the chain, oldest first, and how many names there are: behind some there may be
    /// nothing any more.
    fn candidates(&self, names: &Names, current: Option<Stat>) -> (Vec<Candidate>, usize) {
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
    fn same(&mut self, candidate: &mut Candidate) -> io::Result<Option<usize>> {
        let identity = candidate.seen.identity;
        let first_saved = self.past.len();
        let first_member = first_saved + self.saved.len();
        if let Some(at) = self.members.iter().position(|member| member.identity == identity) {
            return Ok(Some(first_member + at));
        }
        // A past inode may be behind the name again with another file.
        let past = self.past.iter().position(|past| past.identity == identity);
        if let Some(at) = past.filter(|_| candidate.name.is_some()) {
            return Ok(Some(at));
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

    /// What speaks for it that `candidate` holds what was in the known file, if nothing speaks against it.
    fn alike(&self, known: usize, candidate: &mut Candidate) -> io::Result<Option<Likeness>> {
        let saved = known.checked_sub(self.past.len());
        let member = saved.and_then(|at| at.checked_sub(self.saved.len()));
        let (fingerprint, mark, start, size, is_final) = match (member, saved) {
            (Some(at), _) => {
                let member = &self.members[at];
                (member.fingerprint, member.mark, member.framer.start(), member.size, !member.cut)
            }
            (None, Some(at)) => {
                let (_, saved) = &self.saved[at];
                (saved.fingerprint, saved.mark, saved.offset, saved.size, false)
            }
            (None, None) => {
                let past = &self.past[known];
                (past.fingerprint, Mark::default(), 0, past.size, true)
            }
        };
        if fingerprint.len == 0 {
            return Ok(None);
        }
        self.open(candidate)?;
        let Some(opened) = &candidate.opened else { return Ok(None) };
        let mut body = Body::new(opened.file.try_clone()?, candidate.seen.compressed);
        if !fingerprint.matches_bytes(&body.head()?) {
            return Ok(None);
        }
        let (whole, bytes) = if candidate.seen.compressed {
            // The size is kept modulo 4 GiB.
            let unpacked = body.len()?;
            let whole = unpacked == size & u64::from(u32::MAX);
            let longer = unpacked >= size || size > u64::from(u32::MAX);
            if !whole && (is_final || !longer) {
                return Ok(None);
            }
            (whole, 0)
        } else {
            if candidate.size < start || !mark.matches(&opened.file)? {
                return Ok(None);
            }
            (candidate.size == size, mark.bytes.len)
        };
        Ok(Some(Likeness { whole, bytes: fingerprint.len + bytes }))
    }

    fn open(&self, candidate: &mut Candidate) -> io::Result<()> {
        if candidate.opened.is_none() {
            let opened = self.opener.open(candidate.name.as_deref())?;
            // Between the two it may have become another file.
            candidate.opened = opened.filter(|opened| opened.identity == candidate.seen.identity);
        }
        Ok(())
    }

    fn opened(&self, mut candidate: Candidate) -> io::Result<Option<Opened>> {
        self.open(&mut candidate)?;
        Ok(candidate.opened)
    }

    fn is_held_elsewhere(&self, identity: Identity, place: Place) -> bool {
        (self.settings.adopt || place == Place::Aside) && self.positions.is_live(identity)
    }

    /// The name of the member says where it is now.
    fn set_place(&mut self, identity: Identity, place: Place, now: Instant) {
        let Some(at) = self.members.iter().position(|member| member.identity == identity) else { return };
        if self.members[at].place == place {
            return;
        }
        if place == Place::Aside {
            self.members[at].put_aside(now);
            return;
        }
        // It was put aside and has come back.
        self.put_aside(now);
        if let Some(mut back) = self.members.remove(at) {
            back.place = Place::Current;
            back.end = End::Open;
            self.members.push_back(back);
        }
    }

    /// The name does not lead to the last file any more.
    fn put_aside(&mut self, now: Instant) {
        if let Some(last) = self.members.back_mut().filter(|member| member.place == Place::Current) {
            last.put_aside(now);
        }
    }

    /// A copy of a member: read on in it, if the member was cut.
    fn take_copy(&mut self, of: Identity, candidate: Candidate) -> io::Result<()> {
        let Some(at) = self.members.iter().position(|member| member.identity == of && member.cut) else {
            return Ok(());
        };
        let compressed = candidate.seen.compressed;
        let Some(opened) = self.opened(candidate)? else { return Ok(()) };
        let member = &mut self.members[at];
        let begun = self.positions.begin(member.identity, member.rung, 0, None);
        let copy = member.give_way(opened, compressed, begun, &self.settings.framing);
        self.members.insert(at, copy);
        self.status.update(|status| status.files += 1);
        Ok(())
    }

    /// Begins a file that nobody has read, unless another stream of the same reader has.
    fn begin(
        &mut self,
        opened: Opened,
        compressed: bool,
        spot: Spot,
        from_end: bool,
        now: Instant,
    ) -> io::Result<()> {
        let size = opened.file.metadata()?.len();
        let adopted = if self.settings.adopt { self.positions.adopt(opened.identity) } else { None };
        // A position of a file that has been cut or replaced since.
        let (offset, replaces) = match adopted {
            Some((id, position)) if fits(&position, &opened, compressed)? => {
                (position.offset, Some((id, true)))
            }
            Some((id, _)) => (0, Some((id, false))),
            None if from_end && spot.place == Place::Current => (size, None),
            None => (0, None),
        };
        self.push(opened, compressed, offset, replaces, spot, now)
    }

    fn push(
        &mut self,
        opened: Opened,
        compressed: bool,
        offset: u64,
        replaces: Option<(u64, bool)>,
        spot: Spot,
        now: Instant,
    ) -> io::Result<()> {
        let live = self.positions.begin(opened.identity, opened.rung, offset, replaces);
        let framer = Framer::new(self.settings.framing.clone(), offset);
        let mut member = Member::new(opened, compressed, live, framer, spot.place, now)?;
        member.modified = member.modified.min(spot.modified);
        let before = self.members.iter().position(|member| spot.before == Some(member.identity));
        // What lies aside is older than what the name leads to, also where that stayed and was cut.
        let is_last = |last: &Member| spot.place == Place::Aside && last.place == Place::Current;
        let end = self.members.len() - usize::from(self.members.back().is_some_and(is_last));
        self.members.insert(before.unwrap_or(end), member);
        self.status.update(|status| status.files += 1);
        Ok(())
    }

    /// Looks for what is left of the saved positions under every name, and counts what is gone.
    fn look_everywhere(&mut self, names: &Names, now: Instant) -> io::Result<()> {
        // They are older than what stands at the names of the chain.
        let younger = std::mem::take(&mut self.members);
        for (id, position) in std::mem::take(&mut self.saved) {
            let is_it = |stat: Stat| stat.identity.may_be(position.identity());
            let name = names
                .iter()
                .find(|name| self.opener.stat(Some(name)).is_ok_and(|stat| stat.is_some_and(is_it)));
            let compressed = name.is_some_and(chain::is_compressed);
            let opened = name.map(|name| self.opener.open(Some(name))).transpose()?.flatten();
            let found = opened.filter(|opened| is_saved(&position, opened, compressed).unwrap_or(false));
            let behind = position.size.saturating_sub(position.offset);
            match found {
                // Also when nothing was left in it: it may have grown between our end and its rotation.
                Some(opened) => {
                    let spot = Spot { place: Place::Aside, before: None, modified: i64::MAX };
                    self.push(opened, compressed, position.offset, Some((id, true)), spot, now)?;
                }
                None if self.settings.keep_finished && behind == 0 => {}
                None => {
                    let replaced = younger.iter().any(|member| member.identity.may_be(position.identity()));
                    let reason = if replaced { Lost::ReplacedWhileStopped } else { Lost::GoneWhileStopped };
                    self.count_lost(reason, behind);
                    self.positions.remove(id);
                }
            }
        }
        self.members.extend(younger);
        Ok(())
    }

    fn remember(&mut self, here: Vec<Past>) {
        let gone = std::mem::take(&mut self.past).into_iter().filter(|past| {
            past.fingerprint.len > 0 && !here.iter().any(|here| here.identity == past.identity)
        });
        let mut past: Vec<Past> = gone.collect();
        past.drain(..past.len().saturating_sub(MOST_PAST));
        past.extend(here);
        self.past = past;
    }

    /// The file was cut or written anew in place, and what was not read of it is nowhere: the next byte is its
    /// first.
    fn start_over(&mut self, at: usize) {
        self.count_lost(Lost::Truncated, self.members[at].lag());
        let member = &mut self.members[at];
        let rest = member.take_rest();
        let end = member.framer.position();
        if let Some(rest) = rest {
            let step = self.pass_on(at, rest);
            self.due.push_back(step);
        }
        self.due.push_back(Step::FileEnded);
        let member = &mut self.members[at];
        let begun = self.positions.begin(member.identity, member.rung, 0, None);
        let before = std::mem::replace(&mut member.live, begun);
        member.start_over(&self.settings.framing);
        self.let_arrive(before, end, Lost::Truncated);
        self.status.update(|status| status.files += 1);
    }

    /// What was read of a file that is not there any more is on its way; if it is given up it is lost.
    fn let_arrive(&mut self, live: LiveFile, end: u64, reason: Lost) {
        live.finish(end);
        self.gone.retain(|(live, ..)| live.arrived().is_some());
        self.gone.push((live, end, reason));
    }

    /// Gives up a file for which there is no room, with what was not read of it.
    fn give_up(&mut self, at: usize) {
        let Some(member) = self.members.remove(at) else { return };
        // The beginning of an unfinished line has been read and not been passed on.
        let end = member.framer.start();
        let unread = member.size.saturating_sub(end);
        self.count_lost(Lost::NoRoom, unread);
        warn!(
            path = %self.opener.path().display(),
            byte_size = unread,
            "A rotated file is given up: more are held open for outputs that take nothing than there is room for"
        );
        self.due.push_back(Step::FileEnded);
        let Member { identity, modified, fingerprint, size, live, .. } = member;
        self.past.push(Past { identity, modified, fingerprint, size });
        self.let_arrive(live, end, Lost::NoRoom);
    }

    /// Has a file end that lies aside and has been read: when nobody can write to it any more.
    fn end(&mut self, at: usize, now: Instant, finishing: bool) -> Option<Step> {
        let member = &mut self.members[at];
        if !finishing && member.end == End::Open {
            if member.place == Place::Aside && member.is_final(&self.settings, &self.shared.writers, now) {
                // What came between the last read and the last writer's end is read first.
                member.end = End::Final;
                member.look_at_end();
            }
            return None;
        }
        if let Some(rest) = member.take_rest() {
            return Some(self.pass_on(at, rest));
        }
        if member.place == Place::Current {
            return None;
        }
        let unreadable = member.lag();
        member.end = End::Read;
        self.count_lost(Lost::Unreadable, unreadable);
        Some(Step::FileEnded)
    }

    /// Closes a file of which everything has arrived.
    fn let_go(&mut self, at: usize) {
        let Some(member) = self.members.remove(at) else { return };
        if !self.settings.keep_finished {
            member.live.finish(member.framer.position());
        }
        let Member { identity, modified, fingerprint, size, .. } = member;
        self.past.push(Past { identity, modified, fingerprint, size });
    }
}

/// Whether `position` is about this file: the same identity, or, by another way, the same content.
fn is_saved(position: &FilePosition, opened: &Opened, compressed: bool) -> io::Result<bool> {
    let same_way = position.rung == opened.rung && position.dev == opened.identity.dev;
    let may_be =
        if same_way { position.identity().may_be(opened.identity) } else { position.fingerprint.len > 0 };
    Ok(may_be && fits(position, opened, compressed)?)
}

/// Whether what was read up to `position` is (still) in this file.
fn fits(position: &FilePosition, opened: &Opened, compressed: bool) -> io::Result<bool> {
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

/// Whether `packed` is, as far as can be told by its size and its head, what `plain` is when compressed.
fn is_packed(packed: &File, plain: &File) -> io::Result<bool> {
    let mut body = Body::new(packed.try_clone()?, true);
    let size = plain.metadata()?.len();
    Ok(body.len()? == size & u64::from(u32::MAX) && Fingerprint::of(plain)?.matches_bytes(&body.head()?))
}
