//! Follows the files of a stream: through growth, rotation, truncation and removal.
//!
//! The stream is a set of files ([`Member`]), held open and delivered oldest first. A look at the directory
//! ([`Tail::look`]) keeps the set, also while nothing is read because an output takes nothing; what a look means is
//! decided in `chain`. No I/O here waits: a [`Tail`] is stepped by `follow`, which does the waiting.

mod candidate;
mod closed;
mod going_on;
mod look;
mod rewritten;
mod taking;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use closed::Closed;
use going_on::Younger;

use super::checkpoint::{FilePosition, LiveFile};
use super::directory::Version;
use super::hanging::{self, HasFiles};
use super::holdings::Holdings;
use super::member::{End, Member, Place, Read};
use super::room::{Room, Slot};
use super::watch::Sleeper;
use super::writers::Writers;
use super::{
    FileOpener, Fingerprint, Identity, Lines, Lost, StreamPositions, StreamStatus, TailSettings, Tracker,
};

/// What a step found.
#[derive(Debug)]
pub(super) enum Step {
    /// Whole lines (or the unfinished last one of a file that has ended), and who is told about them.
    Lines(Lines, Tracker),
    /// The same, and they are the first of their file: its position has to be on disk before they are sent, so
    /// that they have the same name whatever happens.
    First(Lines, Tracker),
    /// No more comes of the file that lines were passed on of last, or what comes next is of another one.
    FileEnded,
    /// There is something to read, and no room was given for it. It is a line of so many bytes; or a block will do, where it
    /// is 0.
    NoRoom(usize),
    /// There is nothing to read at the moment.
    Idle,
}

/// What the streams of a set of readers have in common.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) writers: Writers,
    pub(super) holdings: Holdings,
    pub(super) room: Room,
}

pub(super) struct Tail {
    opener: Arc<dyn FileOpener>,
    settings: TailSettings,
    positions: StreamPositions,
    status: Arc<StreamStatus>,
    shared: Shared,
    // Told when there is room, or when room has to be made.
    sleeper: Arc<Sleeper>,
    // Oldest first: the last one is behind the name, if any is.
    members: VecDeque<Box<Member>>,
    // The file behind the name, if it is closed.
    closed: Option<Closed>,
    // For that file, which the next look opens.
    reserved: Option<Slot>,
    // There is something to read in it, and no room.
    waits_for_room: bool,
    // Left by an earlier process, or closed, and not found again yet; oldest first.
    saved: Vec<(u64, FilePosition)>,
    // Read to their end and let go, or older than the stream.
    past: Vec<Past>,
    // Files that are not there any more, on their way still: the end of what was read, and why they are not.
    gone: Vec<(LiveFile, u64, Lost)>,
    // To be told before anything else is read.
    due: VecDeque<Step>,
    // The content that lines were passed on of, until its end is told. A file that lies aside may end long after the next one
    // was begun: that is no end of what came last.
    told_of: Option<u64>,
    // The directory as it was when all of it was last understood.
    understood: Option<Version>,
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

/// How often a busy or blocked reader looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// So many files that are not read any more are remembered when they are not in the directory.
const MOST_PAST: usize = 32;
const NO_ROOM: &str = "it waits until another file is closed, as many as may be are open; a higher limit of descriptors \
                       (`ulimit -n`, `LimitNOFILE`) lets more be open";

impl HasFiles for Tail {
    fn path(&self) -> &Path {
        self.opener.path()
    }

    fn are_local(&self) -> bool {
        let mut open = self.members.iter().map(|member| member.body.file()).peekable();
        match (open.peek(), self.watched_directory()) {
            (Some(_), _) => open.all(hanging::is_local),
            (None, Some(directory)) => {
                File::open(directory).is_ok_and(|directory| hanging::is_local(&directory))
            }
            (None, None) => false,
        }
    }
}

impl Tail {
    pub(super) fn new(
        opener: Arc<dyn FileOpener>,
        settings: TailSettings,
        positions: StreamPositions,
        status: Arc<StreamStatus>,
        shared: Shared,
        sleeper: Arc<Sleeper>,
    ) -> Self {
        let mut saved = positions.unfinished();
        saved.sort_by_key(|(id, position)| (position.at, *id));
        Self {
            opener,
            settings,
            positions,
            status,
            shared,
            sleeper,
            members: VecDeque::new(),
            closed: None,
            reserved: None,
            waits_for_room: false,
            saved,
            past: Vec::new(),
            gone: Vec::new(),
            due: VecDeque::new(),
            told_of: None,
            understood: None,
            understood_at: None,
            first_sight: true,
            looked_at: None,
            look_error: None,
            failed: false,
        }
    }

    /// Reads on, at most `room` bytes at a time. `finishing`: the source has ended, so what is there is all there will be.
    pub(super) fn step(&mut self, now: Instant, finishing: bool, room: usize) -> Step {
        if self.looked_at.is_none_or(|at| now.duration_since(at) >= LOOK_EVERY) {
            self.look(now);
        }
        self.open_again(now, finishing);
        let mut error = None;
        let mut at = 0;
        loop {
            if let Some(step) = self.due.pop_front() {
                return step;
            }
            let Some(member) = self.members.get_mut(at) else { break };
            if member.end == End::Read {
                // As long as the line before it is held, it is known to have come.
                if member.has_arrived() && self.elder(at).is_none() {
                    self.let_go(at);
                } else {
                    at += 1;
                }
                continue;
            }
            if self.waits_for_elder(at) {
                at += 1;
                continue;
            }
            let member = &mut self.members[at];
            match member.read(now, room) {
                Ok(Read::Lines(lines)) => {
                    self.pass_on(at, lines);
                    continue;
                }
                Ok(Read::NoRoom(needs)) => return Step::NoRoom(needs),
                Ok(Read::StartedOver) => {
                    // If it cannot be found out now what became of it, the next look tries again.
                    if !std::mem::replace(&mut member.cut, true) {
                        self.look(now);
                        continue;
                    }
                }
                // What was renamed first is read first; a younger file waits for it while it still has bytes.
                Ok(Read::Nothing) => {
                    if self.end(at, now, finishing, room) {
                        continue;
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

    /// The file behind the name, open or closed, and whether inotify tells of writes to it.
    pub(super) fn current(&self) -> Option<(Identity, bool)> {
        let open = self.members.back().filter(|member| member.place == Place::Current);
        open.map(|member| (member.identity, member.notifies)).or_else(|| self.closed())
    }

    /// How much is read at a time where there is room.
    pub(super) fn block_bytes(&self) -> usize {
        self.settings.framing.block_bytes
    }

    /// The directory whose changes matter.
    pub(super) fn watched_directory(&self) -> Option<&Path> {
        self.opener.watched_directory()
    }

    /// Whether the last look has found out what all files are to the stream.
    pub(super) fn is_understood(&self) -> bool {
        self.understood.is_some()
    }

    /// When the file last grew; `None` while there is none.
    pub(super) fn grew_at(&self) -> Option<Instant> {
        let open = self.members.back().map(|member| member.grew_at);
        open.or_else(|| self.closed.as_ref().map(|closed| closed.grew_at))
    }

    /// Whether all files of the stream have gone and have arrived.
    pub(super) fn holds_nothing(&self) -> bool {
        self.members.is_empty() && self.closed.is_none() && self.look_error.is_none()
    }

    /// Gives back memory before a long wait.
    pub(super) fn rest_idle(&mut self) {
        for member in &mut self.members {
            member.framer.rest_idle();
        }
        self.saved.shrink_to_fit();
        self.past.shrink_to_fit();
        self.gone.shrink_to_fit();
        self.due.shrink_to_fit();
    }

    /// Goes back to what has arrived: what was sent beyond it has been given up. The files stay open, they may
    /// have no name any more.
    pub(super) fn rewind(&mut self) {
        for member in &mut self.members {
            let lost = member.rewind(&self.positions, &self.settings.framing);
            self.status.lost(Lost::Truncated, lost);
        }
        for (live, end, reason) in std::mem::take(&mut self.gone) {
            self.count_lost(reason, end - live.arrived().unwrap_or(end));
            // Else the next process would count it again.
            live.finish(0);
        }
        self.due.clear();
        self.told_of = None;
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

    /// Has lines passed on by the next step, the first of them with what was begun of it in the files before.
    fn pass_on(&mut self, at: usize, mut lines: Lines) {
        if lines.offset() == 0
            && let Some((beginning, ack)) = self.take_beginning(at)
        {
            lines = lines.after(beginning);
            self.positions.lead(&mut self.members[at].live, ack);
        }
        let content = self.members[at].live.content();
        if self.told_of.replace(content).is_some_and(|before| before != content) {
            self.due.push_back(Step::FileEnded);
        }
        let member = &mut self.members[at];
        if let Some(slot) = &mut member.slot {
            slot.is_needed();
        }
        self.status.update(|status| {
            status.error = None;
            status.rung = Some(member.rung);
            status.offset = member.framer.position();
            status.lag_bytes = member.lag();
            status.read_bytes += lines.end() - lines.offset();
        });
        let tracker = member.live.tracker().clone();
        self.due.push_back(match std::mem::take(&mut member.fresh) {
            true => Step::First(lines, tracker),
            false => Step::Lines(lines, tracker),
        });
    }

    /// No more will come of what was passed on of a file, if that came last.
    fn tell_end(&mut self, at: usize) {
        let content = self.members[at].live.content();
        if self.told_of.take_if(|told_of| *told_of == content).is_some() {
            self.due.push_back(Step::FileEnded);
        }
    }

    /// Whether something could not be read when it was tried last.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    fn report(&mut self, error: Option<&io::Error>) {
        self.failed = error.is_some() || self.look_error.is_some();
        self.status.update(|status| {
            let waits = self.waits_for_room.then(|| NO_ROOM.to_owned());
            status.error = error.map(ToString::to_string).or_else(|| self.look_error.clone()).or(waits);
            status.lag_bytes = self.lag();
            if let Some(current) = self.members.back() {
                status.rung = Some(current.rung);
                status.offset = current.framer.position();
            } else if self.closed.is_none() {
                status.rung = None;
            }
        });
    }

    fn lag(&self) -> u64 {
        let open: u64 = self.members.iter().map(|member| member.lag()).sum();
        open + self.closed.as_ref().map_or(0, |closed| closed.lag)
    }

    fn count_lost(&self, reason: Lost, bytes: u64) {
        self.status.lost(reason, bytes);
    }

    /// The file was cut or written anew in place, and what was not read of it is nowhere: the next byte is its
    /// first.
    fn start_over(&mut self, at: usize) {
        let member = &mut self.members[at];
        let rest = member.take_rest();
        // Of an unfinished line that was let go nothing can be read any more.
        let end = member.framer.read_to();
        let lost = member.lag() + member.framer.position() - end;
        self.count_lost(Lost::Truncated, lost);
        if let Some(rest) = rest {
            self.pass_on(at, rest);
        }
        self.tell_end(at);
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
        self.tell_end(at);
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
        let Member { identity, modified, fingerprint, size, live, .. } = *member;
        self.past.push(Past { identity, modified, fingerprint, size });
        self.let_arrive(live, end, Lost::NoRoom);
    }

    /// Has a file end that lies aside and has been read: when nobody can write to it any more. Returns whether there is
    /// something to be told.
    fn end(&mut self, at: usize, now: Instant, finishing: bool, room: usize) -> bool {
        let younger = self.younger(at, finishing);
        let member = &mut self.members[at];
        match younger {
            Younger::Comes => return false,
            Younger::Came => {
                let _given_out_before = member.take_rest();
                member.framer.skip_rest();
                member.end = End::Read;
                member.live.tracker().begin(member.framer.position()).delivered();
                self.tell_end(at);
                return true;
            }
            Younger::Nowhere => {}
        }
        if !finishing && member.end == End::Open {
            if member.place == Place::Aside && member.is_final(&self.settings, &self.shared.writers, now) {
                // What came between the last read and the last writer's end is read first.
                member.end = End::Final;
                member.look_at_end();
            }
            return false;
        }
        let needs = member.framer.let_go_bytes();
        if needs > room {
            self.due.push_back(Step::NoRoom(needs));
            return true;
        }
        if member.load_rest().is_err() {
            // It was cut, or cannot be read now: the next look finds out.
            member.look_at_end();
            return false;
        }
        if let Some(rest) = member.take_rest() {
            self.pass_on(at, rest);
            return true;
        }
        if member.place == Place::Current {
            return false;
        }
        let unreadable = member.lag();
        member.end = End::Read;
        self.count_lost(Lost::Unreadable, unreadable);
        self.tell_end(at);
        true
    }

    /// Closes a file of which everything has arrived.
    fn let_go(&mut self, at: usize) {
        let Some(member) = self.members.remove(at) else { return };
        if !self.settings.keep_finished {
            member.live.finish(member.framer.position());
        }
        let Member { identity, modified, fingerprint, size, .. } = *member;
        self.past.push(Past { identity, modified, fingerprint, size });
    }
}
