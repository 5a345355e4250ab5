//! What a look at the directory means to a stream.

use std::io;
use std::time::Instant;

use super::candidate::Candidate;
use super::taking::Spot;
use super::{Past, Tail};
use crate::source::chain::{self, Look, Meaning, Seen};
use crate::source::holdings::Hold;
use crate::source::member::Place;
use crate::source::{Identity, Names, StartPosition, Stat};

/// A look that meets a rotation is taken again, so often at once.
const MOST_SCANS: usize = 5;

impl Tail {
    /// Looks which files there are, and holds those that belong to the stream.
    pub(in crate::source) fn look(&mut self, now: Instant) {
        self.looked_at = Some(now);
        self.look_error = self.try_look(now).err().map(|error| error.to_string());
        self.reserved = None;
        self.close_without_room();
        self.status.update(|status| status.lag_bytes = self.lag());
    }

    fn try_look(&mut self, now: Instant) -> io::Result<()> {
        let mut fresh = false;
        for _ in 0..MOST_SCANS {
            let cut = self.look_at_members()?;
            let current = self.opener.stat(None)?;
            if let Some(closed) = &self.closed
                && !cut
                && self.reserved.is_none()
                && current.is_some_and(|now| now.is_as(&closed.stat))
            {
                return Ok(());
            }
            let last = self.members.back().filter(|member| member.place == Place::Current);
            let same_name = current.map(|stat| stat.identity) == last.map(|member| member.identity);
            // What has just been rotated has to be among them, or it would be taken for older than what follows.
            let names = self.opener.names(fresh || !same_name || cut)?;
            if same_name && !cut && self.understood.as_ref().is_some_and(|before| names.is(before)) {
                self.members.iter_mut().for_each(|member| member.note_change());
                return Ok(());
            }
            let Some((understood, copies)) = self.understand(&names, current, !same_name || cut, now)? else {
                fresh = true;
                continue;
            };
            if understood {
                self.understood_at = Some(names.at());
            }
            self.members.iter_mut().for_each(|member| member.note_change());
            self.understood = understood.then(|| names.version());
            self.closed = None;
            // Before a file is begun anew, and for what comes next in it.
            self.go_on(&copies);
            // What was cut and has been copied nowhere.
            while let Some(at) = self.members.iter().position(|member| member.cut) {
                self.start_over(at);
            }
            self.go_on(&copies);
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

    /// Finds out what the files are to the stream, and takes over those that belong to it. Returns whether there
    /// is nothing left to find out until the directory changes, and those that hold the beginning of what the next younger
    /// file goes on with; `None`, and nothing is done, if files were rotated meanwhile, so that some may have been seen
    /// twice or not at all. `rotated`: it is known that one was.
    fn understand(
        &mut self,
        names: &Names,
        current: Option<Stat>,
        rotated: bool,
        now: Instant,
    ) -> io::Result<Option<(bool, Vec<Identity>)>> {
        let (mut candidates, listed) = self.candidates(names, current);
        // Another stream may have taken one of them over, under another name.
        self.saved.retain(|(id, _)| self.positions.keeps(*id));
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
            true => self.opener.owns_since().filter(|_| !from_end).map_or(Look::First, Look::FirstSince),
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
        let copied = self.copied(&meanings, &candidates);
        let mut copies = Vec::new();
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
        let identities: Vec<Identity> = seen.iter().map(|seen| seen.identity).collect();
        let spots: Vec<Spot> = (0..meanings.len())
            .map(|s| Spot {
                place: if candidates[s].name.is_none() { Place::Current } else { Place::Aside },
                before: (s..meanings.len()).find_map(member),
                size: candidates[s].size,
                modified: candidates[s].seen.modified,
            })
            .collect();
        for (((candidate, meaning), spot), copied) in
            candidates.into_iter().zip(meanings).zip(spots).zip(copied)
        {
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
                    let Some(opened) = self.opened(candidate)? else {
                        understood = false;
                        continue;
                    };
                    found_saved.push(id);
                    let mut offset = position.offset;
                    if matches!(meaning, Meaning::Copy(_)) {
                        let (end, lacks) = self.know_by(&opened, compressed, id, &position)?;
                        offset = offset.min(end);
                        copies.extend((copied && lacks == 0).then_some(identity));
                    }
                    self.push(opened, compressed, offset, Some((id, true)), spot, now)?;
                }
                Meaning::Same(k) => self.set_place(members[k - first_member], spot.place, now),
                Meaning::Copy(k) => {
                    let is_whole = self.take_copy(members[k - first_member], candidate)?;
                    copies.extend(is_whole.then_some(identity));
                }
                Meaning::Making => {}
                // Another stream of the same reader has it, under the name that it had: it is taken over when that
                // is done with it.
                Meaning::New if self.is_held_elsewhere(identity, spot.place) => match look {
                    // It does not go on in this one.
                    Look::FirstSince(_) if spot.place == Place::Aside => here.push(self.past(candidate)),
                    _ => understood = false,
                },
                Meaning::New => {
                    let compressed = candidate.seen.compressed;
                    let Some(opened) = self.opened(candidate)? else {
                        understood = false;
                        continue;
                    };
                    let rewritten = match spot.place {
                        Place::Current if !from_end => self.rewritten(&opened, &identities, names)?,
                        _ => None,
                    };
                    if let Some((id, offset)) = rewritten {
                        found_saved.push(id);
                        self.push(opened, false, offset, Some((id, true)), spot, now)?;
                    } else {
                        self.begin(opened, compressed, spot, from_end, now)?;
                        copies.extend(copied.then_some(identity));
                    }
                }
                Meaning::Before => here.push(self.past(candidate)),
            }
        }
        self.saved.retain(|(id, _)| !found_saved.contains(id));
        let has_successor = current.is_some() || self.closed.is_some();
        if (has_successor || self.first_sight) && !self.saved.is_empty() {
            self.look_everywhere(names, has_successor, now)?;
        }
        self.remember(here);
        self.first_sight = false;
        Ok(Some((understood, copies)))
    }

    /// Which of those that are taken over were copied from a file that was there before them, and is younger.
    fn copied(&self, meanings: &[Meaning], candidates: &[Candidate]) -> Vec<bool> {
        let first_saved = self.past.len();
        let is_it = |k: usize, one: &Candidate| {
            let saved = k.checked_sub(first_saved).and_then(|at| self.saved.get(at));
            saved.is_some_and(|(_, saved)| saved.identity().may_be(one.seen.identity))
        };
        let was_there = |s: usize, younger: usize| {
            let (one, other) = (&candidates[s].seen, &candidates[younger].seen);
            let is_known = match meanings[younger] {
                Meaning::Same(k) | Meaning::Copy(k) => k >= first_saved,
                // Its position fits no more.
                _ => (0..self.saved.len()).any(|at| is_it(first_saved + at, &candidates[younger])),
            };
            // What is renamed was begun before the file that follows it, a copy after the file that it was made of; what is
            // compressed is begun later in both cases.
            let is_born_before = other.identity.born > 0 && other.identity.born < one.identity.born;
            is_known || (is_born_before && !one.compressed && !other.compressed)
        };
        let behind = |s: usize| s + 1..meanings.len();
        let is_copied = |s: usize| match meanings[s] {
            Meaning::New => behind(s).any(|younger| was_there(s, younger)),
            Meaning::Copy(k) => behind(s).any(|younger| is_it(k, &candidates[younger])),
            _ => false,
        };
        (0..meanings.len()).map(is_copied).collect()
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
}
