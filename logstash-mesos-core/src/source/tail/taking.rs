//! Files are taken over into a stream, or put aside in it.

use std::ffi::OsStr;
use std::io;
use std::time::Instant;

use tracing::{info, warn};

use super::candidate::{Candidate, fits, is_saved};
use super::{MOST_PAST, Past, Tail};
use crate::source::chain;
use crate::source::checkpoint::FilePosition;
use crate::source::copied::Copied;
use crate::source::member::{End, Member, Place};
use crate::source::room::Slot;
use crate::source::{Framer, Identity, Lost, Names, Opened, Stat};

/// Where a file is put among those that are held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) place: Place,
    /// In front of this one, which is younger; of none: at the end.
    pub(super) before: Option<Identity>,
    /// Its size and its last change when its meaning was found out: what was copied from it later is not known.
    pub(super) size: u64,
    pub(super) modified: i64,
}

impl Tail {
    pub(super) fn is_held_elsewhere(&self, identity: Identity, place: Place) -> bool {
        (self.settings.adopt || place == Place::Aside) && self.positions.is_live(identity)
    }

    /// The name of the member says where it is now.
    pub(super) fn set_place(&mut self, identity: Identity, place: Place, now: Instant) {
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
            back.slot = self.room();
            self.members.push_back(back);
        }
    }

    /// The name does not lead to the last file any more.
    pub(super) fn put_aside(&mut self, now: Instant) {
        if let Some(last) = self.members.back_mut().filter(|member| member.place == Place::Current) {
            last.put_aside(now);
        }
    }

    /// A copy of a member: read on in it, if the member was cut. Returns whether all that was seen is in it, or has been
    /// read.
    pub(super) fn take_copy(&mut self, of: Identity, candidate: Candidate) -> io::Result<bool> {
        let Some(at) = self.members.iter().position(|member| member.identity == of && member.cut) else {
            return Ok(false);
        };
        let compressed = candidate.seen.compressed;
        let Some(opened) = self.opened(candidate)? else { return Ok(false) };
        let member = &mut self.members[at];
        let copy = Copied::of(opened, compressed, member.size, member.mark)?;
        let lacks = copy.lacks(member.size, member.framer.read_to());
        let begun = self.positions.begin(member.identity, member.rung, 0, None);
        let copy = member.give_way(copy, begun, &self.settings.framing);
        self.members.insert(at, Box::new(copy));
        self.count_lost(Lost::Truncated, lacks);
        self.status.update(|status| status.files += 1);
        Ok(lacks == 0)
    }

    /// The file of a saved position is known by its copy from now on. Returns how many bytes that has, and how many are
    /// lost.
    pub(super) fn know_by(
        &self,
        opened: &Opened,
        compressed: bool,
        id: u64,
        position: &FilePosition,
    ) -> io::Result<(u64, u64)> {
        let copy = Copied::of(opened.try_clone()?, compressed, position.size, position.mark)?;
        let lacks = copy.lacks(position.size, position.offset);
        self.count_lost(Lost::Truncated, lacks);
        self.positions.amend(id, |now| {
            (now.fingerprint, now.heads, now.mark) = (copy.fingerprint, copy.heads, copy.mark);
        });
        Ok((copy.size, lacks))
    }

    /// Begins a file that nobody has read, unless another stream of the same reader has.
    pub(super) fn begin(
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
            Some((id, position)) => {
                self.count_lost(Lost::ReplacedWhileStopped, position.behind());
                self.tell_gone(&Names::default(), Lost::ReplacedWhileStopped, position.behind());
                (0, Some((id, false)))
            }
            None if from_end && spot.place == Place::Current => (size, None),
            None => (0, None),
        };
        self.push(opened, compressed, offset, replaces, spot, now)
    }

    pub(super) fn push(
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
        member.was(spot.size, spot.modified);
        if spot.place == Place::Current {
            member.slot = self.room();
        }
        let again = self.closed.as_ref().filter(|closed| replaces == Some((closed.id, true)));
        match again {
            Some(closed) => (member.fresh, member.grew_at) = (closed.fresh, closed.grew_at),
            None => self.status.update(|status| status.files += 1),
        }
        let before = self.members.iter().position(|member| spot.before == Some(member.identity));
        // What lies aside is older than what the name leads to, also where that stayed and was cut.
        let is_before_last = spot.place == Place::Aside
            && self.members.back().is_some_and(|last| last.place == Place::Current);
        let end = self.members.len() - usize::from(is_before_last);
        self.members.insert(before.unwrap_or(end), Box::new(member));
        Ok(())
    }

    /// Room for the file behind the name, if there is any.
    fn room(&mut self) -> Option<Slot> {
        self.reserved.take().or_else(|| self.shared.room.take(&self.sleeper))
    }

    /// Looks for what is left of the saved positions under every name, and counts what is gone. Without a successor under the
    /// name of the stream a file may come back: its position is kept.
    pub(super) fn look_everywhere(
        &mut self,
        names: &Names,
        has_successor: bool,
        now: Instant,
    ) -> io::Result<()> {
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
            let behind = position.behind();
            match found {
                // Also when nothing was left in it: it may have grown between our end and its rotation.
                Some(opened) => {
                    let spot = Spot { place: Place::Aside, before: None, size: u64::MAX, modified: i64::MAX };
                    self.push(opened, compressed, position.offset, Some((id, true)), spot, now)?;
                }
                None if self.settings.keep_finished && behind == 0 => {}
                // What it was on may not be there yet.
                None if !has_successor && self.opener.device() != Some(position.dev) => {
                    self.saved.push((id, position));
                }
                None => {
                    let replaced = younger.iter().any(|member| member.identity.may_be(position.identity()));
                    let reason = match self.closed.as_ref().is_some_and(|closed| closed.id == id) {
                        true => Lost::NoRoom,
                        false if replaced => Lost::ReplacedWhileStopped,
                        false => Lost::GoneWhileStopped,
                    };
                    self.count_lost(reason, behind);
                    self.tell_gone(names, reason, behind);
                    if has_successor {
                        self.positions.remove(id);
                    } else {
                        // Counted once, whoever looks for it next.
                        let end = position.offset;
                        self.positions.amend(id, |now| now.size = end);
                        self.saved.push((id, FilePosition { size: end, ..position }));
                    }
                }
            }
        }
        self.members.extend(younger);
        Ok(())
    }

    /// Says that a file is gone of which all but `behind` bytes have arrived, as far as is known.
    fn tell_gone(&self, names: &Names, reason: Lost, behind: u64) {
        let path = self.opener.path();
        let base = path.file_name().unwrap_or_default();
        let is_archive = |name: &&OsStr| chain::is_unreadable_archive(name);
        let archives: Vec<_> = names.beginning_with(base).filter(is_archive).collect();
        let (path, reason) = (path.display(), reason.as_str());
        if behind > 0 {
            warn!(%path, reason, byte_size = behind, ?archives, "A file is gone, or cut, with bytes that were seen and are not known to have arrived. Whether more was written to it, which nobody has seen, is not known");
        } else {
            info!(%path, reason, ?archives, "A file is gone, or cut, of which all that was seen has arrived. Whether more was written to it, which nobody has seen, is not known");
        }
    }

    pub(super) fn remember(&mut self, here: Vec<Past>) {
        let gone = std::mem::take(&mut self.past).into_iter().filter(|past| {
            past.fingerprint.len > 0 && !here.iter().any(|here| here.identity == past.identity)
        });
        let mut past: Vec<Past> = gone.collect();
        past.drain(..past.len().saturating_sub(MOST_PAST));
        past.extend(here);
        self.past = past;
    }
}
