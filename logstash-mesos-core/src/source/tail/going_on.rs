//! A line that is cut with its file: its beginning is at the end of the copy, its end at the beginning of the next
//! younger file.

use tracing::warn;

use super::Tail;
use crate::event::Ack;
use crate::source::member::End;
use crate::source::{Identity, Lines, Lost};

/// What has come of the file that the unfinished line at the end of another goes on in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Younger {
    /// Nothing yet.
    Comes,
    /// Its first line has arrived, and with it this one.
    Came,
    /// There is none, or nothing is in it.
    Nowhere,
}

impl Tail {
    /// The line at the end of each of the `copies` goes on in the next younger file, if nothing of that was read before
    /// the copy was found.
    pub(super) fn go_on(&mut self, copies: &[Identity]) {
        for at in (1..self.members.len()).rev() {
            let (next, copy) = (&self.members[at], &self.members[at - 1]);
            if next.framer.position() > 0 || copy.goes_on.is_some() || !copies.contains(&copy.identity) {
                continue;
            }
            let (next, copy) = (next.live.begun(), copy.live.begun());
            // What went on in the younger file before it was copied is in the copy.
            for elder in self.members.range_mut(..at - 1).filter(|elder| elder.goes_on == Some(next)) {
                elder.set_going_on(Some(copy));
            }
            self.members[at - 1].set_going_on(Some(next));
        }
    }

    /// The file whose last line goes on at the beginning of this one.
    pub(super) fn elder(&self, at: usize) -> Option<usize> {
        let begun = Some(self.members[at].live.begun());
        self.members.range(..at).rposition(|member| member.goes_on == begun)
    }

    /// Whether it is not known yet what the first line of this file belongs to.
    pub(super) fn waits_for_elder(&self, at: usize) -> bool {
        let elder = self.elder(at).map(|elder| &self.members[elder]);
        self.members[at].framer.start() == 0
            && elder.is_some_and(|elder| elder.end != End::Read && elder.lag() > 0)
    }

    /// What is to come of the line that was begun at the end of this file. `finishing`: what is there is all there will
    /// be.
    pub(super) fn younger(&self, at: usize, finishing: bool) -> Younger {
        let member = &self.members[at];
        if !member.has_rest() || member.lag() > 0 {
            return Younger::Nowhere;
        }
        let mut goes_on = member.goes_on;
        while let Some(begun) = goes_on.take() {
            if let Some(next) = self.members.iter().find(|member| member.live.begun() == begun) {
                let is_empty = next.framer.position() == 0 && next.body.len().is_ok_and(|len| len == 0);
                if next.framer.start() > 0 {
                    return Younger::Came;
                }
                if next.end != End::Read && !(is_empty && (finishing || next.goes_on.is_some())) {
                    return Younger::Comes;
                }
                // Nothing is in it: the line goes on behind it.
                goes_on = next.goes_on;
            } else if let Some((_, saved)) = self.saved.iter().find(|(_, saved)| saved.begun == begun) {
                match saved.offset {
                    0 if finishing && saved.size == 0 => {}
                    0 => return Younger::Comes,
                    _ => return Younger::Came,
                }
            }
        }
        Younger::Nowhere
    }

    /// The line that has been begun at the end of the files before this one, and who is told when it has arrived: they
    /// have ended.
    pub(super) fn take_beginning(&mut self, at: usize) -> Option<(Lines, Ack)> {
        let elder = self.elder(at)?;
        let member = &mut self.members[elder];
        let is_empty = member.framer.position() == 0;
        if let Err(error) = member.load_rest() {
            let bytes = member.framer.position() - member.framer.start();
            warn!(%error, byte_size = bytes, "The beginning of a line that was cut with its file cannot be read");
            member.framer.skip_rest();
            self.count_lost(Lost::Unreadable, bytes);
            return None;
        }
        let Some(mut line) = member.take_rest() else {
            return if is_empty { self.take_beginning(elder) } else { None };
        };
        member.end = End::Read;
        let mut ack = member.live.tracker().begin(line.end());
        let bytes = line.end() - line.offset();
        self.status.update(|status| status.read_bytes += bytes);
        if line.offset() == 0
            && let Some((beginning, of_elder)) = self.take_beginning(elder)
        {
            line = line.after(beginning);
            ack.merge(of_elder);
        }
        self.tell_end(elder);
        Some((line, ack))
    }
}
