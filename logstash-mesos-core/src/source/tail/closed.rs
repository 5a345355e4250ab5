//! The file behind the name, closed for others that need the descriptor.
//!
//! It is found again by its identity, as after a restart: meanwhile its position is among the saved ones.

use std::time::Instant;

use super::Tail;
use crate::source::member::{Member, Place};
use crate::source::room::Slot;
use crate::source::{Identity, Stat};

/// What is known of a file that is closed.
#[derive(Debug)]
pub(super) struct Closed {
    /// The number of its position.
    pub(super) id: u64,
    /// As it was: it is opened again when it is not that any more.
    pub(super) stat: Stat,
    /// Bytes that are there and have not been read.
    pub(super) lag: u64,
    /// The same, with an unfinished line.
    behind: u64,
    notifies: bool,
    pub(super) grew_at: Instant,
    pub(super) fresh: bool,
}

impl Tail {
    /// Nothing is left to be read now: closes the file if somebody else needs the room, else remembers that it may be
    /// asked to. Returns whether it is closed: then what a decoder keeps of it will be read again.
    pub(in crate::source) fn make_room(&mut self) -> bool {
        let is_alone = self.members.len() == 1 && self.due.is_empty() && self.is_understood();
        let Some(member) = self.members.back_mut().filter(|_| is_alone) else { return false };
        let is_idle = member.place == Place::Current
            && member.lag() == 0
            && !member.cut
            && member.live.tracker().is_settled();
        is_idle && member.slot.as_mut().is_none_or(Slot::is_spare) && self.close()
    }

    /// Closes the file for which the last look has found no room, unless something of it is on its way.
    pub(super) fn close_without_room(&mut self) {
        let last = self.members.back();
        let Some(member) = last.filter(|last| last.place == Place::Current && last.slot.is_none()) else {
            return;
        };
        let is_settled = member.live.tracker().is_settled()
            && member.live.arrived().is_some_and(|arrived| arrived >= member.framer.start());
        if is_settled && !member.cut {
            self.close();
        }
    }

    fn close(&mut self) -> bool {
        let Some((member, (id, position))) =
            self.members.back().and_then(|member| Some((member, member.live.leave()?)))
        else {
            return false;
        };
        let Member { identity, size, modified, notifies, grew_at, fresh, .. } = **member;
        self.closed = Some(Closed {
            id,
            stat: Stat { identity, size, modified },
            lag: member.lag(),
            behind: size.saturating_sub(position.offset),
            notifies,
            grew_at,
            fresh,
        });
        self.saved.push((id, position));
        self.members.pop_back();
        true
    }

    /// Opens the file again if there is something to read in it, and room. `finishing`: an unfinished line is read too.
    pub(super) fn open_again(&mut self, now: Instant, finishing: bool) {
        self.waits_for_room = false;
        let Some(closed) = &self.closed else { return };
        if closed.lag > 0 || (finishing && closed.behind > 0) {
            self.reserved = self.shared.room.demand(&self.sleeper);
            self.waits_for_room = self.reserved.is_none();
            if !self.waits_for_room {
                self.look(now);
            }
        }
    }

    /// As [`Tail::current`], if it is closed.
    pub(in crate::source) fn closed(&self) -> Option<(Identity, bool)> {
        self.closed.as_ref().map(|closed| (closed.stat.identity, closed.notifies))
    }

    /// Whether there is something to read, and no room to open it.
    pub(in crate::source) fn waits_for_room(&self) -> bool {
        self.waits_for_room
    }
}
