//! One file of a stream, while it is held open.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use super::chain::Known;
use super::checkpoint::LiveFile;
use super::copied::Copied;
use super::holdings::{Hold, Holdings};
use super::room::Slot;
use super::writers::{Writer, Writers};
use super::{
    Body, Fingerprint, Framer, Framing, Heads, Identity, Lines, Mark, Opened, Stat, StreamPositions,
    TailSettings,
};

/// A file that is held: as long as it may still bring something, or something of it has not arrived.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) body: Body,
    pub(super) identity: Identity,
    pub(super) rung: &'static str,
    pub(super) notifies: bool,
    pub(super) live: LiveFile,
    pub(super) framer: Framer,
    pub(super) fingerprint: Fingerprint,
    pub(super) heads: Heads,
    pub(super) mark: Mark,
    /// As it was last seen, unpacked if it is compressed.
    pub(super) size: u64,
    pub(super) modified: i64,
    // The same, as it is kept with the position.
    noted: Option<i64>,
    pub(super) place: Place,
    /// Its content is not what was read of it any more.
    pub(super) cut: bool,
    /// An unfinished line at its end goes on in the content that was begun then.
    pub(super) goes_on: Option<u64>,
    // It is a copy that goes so far, and more was read of what it was copied from.
    ends_at: Option<u64>,
    /// Nothing of it has been passed on yet: its name is not on disk.
    pub(super) fresh: bool,
    pub(super) end: End,
    pub(super) grew_at: Instant,
    /// While it lies aside.
    pub(super) hold: Option<Hold>,
    /// While the name leads to it, if there was room.
    pub(super) slot: Option<Slot>,
    asked: Asked,
    // The last read came to the end: before the next one the content is compared.
    at_end: bool,
    // It may have been cut since: the content is compared before more is read.
    doubted: bool,
    // Size and time of change when the end was last looked at.
    stamp: Option<(u64, i64)>,
}

/// Where a file of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The name leads to it.
    Current,
    /// It has another name, or none.
    Aside,
}

/// How far the end of a file that lies aside has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Somebody may still write to it.
    Open,
    /// Nobody does: what is there is all there will be.
    Final,
    /// It has been read to its end, for good. It is held until that has arrived.
    Read,
}

/// Whether somebody writes to it has been asked.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// And is not known yet.
    at: Option<Instant>,
    /// Of its writer, when that was found last.
    pause: Duration,
}

/// A file whose writer pauses is asked about at least this often.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) enum Read {
    Lines(Lines),
    /// The file was cut or written anew in place.
    StartedOver,
    /// There is something, and no room for it. It is a line of so many bytes; or a block will do, where it is 0.
    NoRoom(usize),
    Nothing,
}

impl Member {
    pub(super) fn new(
        opened: Opened,
        compressed: bool,
        live: LiveFile,
        framer: Framer,
        place: Place,
        now: Instant,
    ) -> io::Result<Self> {
        let Opened { file, identity, rung, notifies } = opened;
        let mut body = Body::new(file, compressed);
        let (known, known_heads, mark) = live.known_by();
        let head = body.head()?;
        // It may have been cut since it was compared with what is known of it: then that says what the file was.
        let (fingerprint, heads) = match known.matches_bytes(&head) {
            true => (Fingerprint::of_bytes(&head), Heads::of(&head)),
            false => (known, known_heads),
        };
        let modified = Stat::of(&body.file().metadata()?).modified;
        let size = body.len()?;
        // Not only when it is read: it may have to be known again before that.
        live.seen(size, modified, fingerprint, heads, mark);
        let goes_on = live.goes_on();
        Ok(Self {
            body,
            identity,
            rung,
            notifies,
            live,
            fingerprint,
            heads,
            mark,
            goes_on,
            ends_at: None,
            size,
            modified,
            noted: None,
            framer,
            place,
            cut: false,
            fresh: true,
            end: End::Open,
            grew_at: now,
            hold: None,
            slot: None,
            asked: Asked { at: None, pause: Duration::ZERO },
            at_end: true,
            doubted: false,
            stamp: None,
        })
    }

    /// Bytes that are there and have not been read.
    pub(super) fn lag(&self) -> u64 {
        self.size.saturating_sub(self.framer.position())
    }

    pub(super) fn known(&self) -> Known {
        Known { modified: self.modified, current: self.place == Place::Current, cut: self.cut }
    }

    /// Takes note of what the system says, without reading. Returns whether the file has been cut.
    pub(super) fn look(&mut self, holdings: &Holdings) -> io::Result<bool> {
        if self.place == Place::Current {
            self.hold = None;
        } else {
            let metadata = self.body.file().metadata()?;
            let hold = self.hold.get_or_insert_with(|| holdings.hold());
            hold.removed(if metadata.nlink() == 0 { metadata.len() } else { 0 });
        }
        if self.end == End::Read || !self.body.is_plain() || self.cut || self.ends_at.is_some() {
            return Ok(self.cut);
        }
        let stat = Stat::of(&self.body.file().metadata()?);
        let changed = (stat.size, stat.modified) != (self.size, self.modified);
        if stat.size < self.framer.position() || (changed && !self.is_same_content()?) {
            self.cut = true;
        } else if changed {
            self.doubted = true;
            self.know_more()?;
            self.took_note(stat);
        }
        Ok(self.cut)
    }

    /// A file that was short is known by more of its head when it has grown.
    fn know_more(&mut self) -> io::Result<()> {
        if self.body.is_plain()
            && !self.fingerprint.is_full()
            && self.fingerprint.matches(self.body.file())?
        {
            let head = Fingerprint::head(self.body.file())?;
            (self.fingerprint, self.heads) = (Fingerprint::of_bytes(&head), Heads::of(&head));
        }
        Ok(())
    }

    fn took_note(&mut self, stat: Stat) {
        (self.size, self.modified) = (stat.size, stat.modified);
        self.note();
    }

    fn note(&self) {
        self.live.seen(self.size, self.modified, self.fingerprint, self.heads, self.mark);
    }

    /// Only what it was then is known of it: it had so many bytes, and had been changed then.
    pub(super) fn was(&mut self, size: u64, modified: i64) {
        if modified < self.modified {
            self.modified = modified;
            // What is compressed is not written on.
            self.size = if self.body.is_plain() { self.size.min(size) } else { self.size };
            self.note();
        }
    }

    /// It is known which files there were at its last change: what changes later is new, also to the next process.
    pub(super) fn note_change(&mut self) {
        if self.noted.replace(self.modified) != Some(self.modified) {
            self.live.changed(self.modified);
        }
    }

    fn is_same_content(&self) -> io::Result<bool> {
        let file = self.body.file();
        if self.mark.bytes.len > 0 { self.mark.matches(file) } else { self.fingerprint.matches(file) }
    }

    /// The next lines, if there are any, with at most `room` bytes read for them at a time.
    pub(super) fn read(&mut self, now: Instant, room: usize) -> io::Result<Read> {
        let read = self.read_within(now, room);
        if !matches!(read, Ok(Read::Lines(_))) && self.framer.held() > self.framer.free() {
            self.let_go();
        }
        read
    }

    /// Nothing is held of an unfinished line. What was packed would have to be unpacked from its beginning.
    fn let_go(&mut self) {
        if self.body.is_plain() {
            self.framer.let_go();
        }
    }

    fn read_within(&mut self, now: Instant, room: usize) -> io::Result<Read> {
        // Behind a line that was too long there may be others already.
        if let Some(lines) = self.framer.take() {
            return Ok(Read::Lines(self.name(lines)));
        }
        if self.ends_at.is_some_and(|end| self.framer.position() >= end) {
            return Ok(Read::Nothing);
        }
        loop {
            if self.at_end || self.doubted {
                let mut stat = Stat::of(&self.body.file().metadata()?);
                let stamp = Some((stat.size, stat.modified));
                if self.at_end && stamp == self.stamp && self.framer.needs() == 0 {
                    return Ok(Read::Nothing);
                }
                let position = self.framer.position();
                if !self.body.is_plain() {
                    stat.size = self.body.len()?;
                } else if stat.size < position || !self.is_same_content()? {
                    return Ok(Read::StartedOver);
                }
                self.stamp = stamp;
                self.doubted = false;
                self.know_more()?;
                self.took_note(stat);
                self.at_end = self.size == position;
                if self.at_end && self.framer.needs() == 0 {
                    return Ok(Read::Nothing);
                }
            }
            let needs = self.framer.needs();
            if room < needs.max(1) {
                // Until there is room, it may be cut.
                self.doubted |= needs > 0;
                return Ok(Read::NoRoom(needs));
            }
            let lag = self.lag();
            let read = match needs {
                0 => self.framer.fill(&mut self.body, lag, room),
                _ => self.framer.load(&mut self.body),
            };
            let read = match read {
                Ok(read) => read,
                Err(error) => {
                    // A compressed file is not tried again until it has changed: half of it is still to come.
                    self.at_end = true;
                    if self.body.is_plain() {
                        self.stamp = None;
                    } else {
                        // What its last bytes say means nothing.
                        self.size = self.live.size().max(self.framer.position() + 1);
                    }
                    return Err(error);
                }
            };
            if read == 0 {
                // Shorter than it was: find out how. A compressed one has said a wrong size.
                self.at_end = true;
                if self.body.is_plain() {
                    self.stamp = None;
                } else {
                    self.size = self.framer.position();
                }
                continue;
            }
            self.grew_at = now;
            self.at_end = self.lag() == 0;
            if let Some(lines) = self.framer.take() {
                return Ok(Read::Lines(self.name(lines)));
            }
            if self.framer.held() >= room {
                self.let_go();
            }
        }
    }

    /// Reads again what was let go of the unfinished last line, of which no more will come.
    pub(super) fn load_rest(&mut self) -> io::Result<()> {
        if self.framer.let_go_bytes() > 0 && self.framer.load(&mut self.body)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// The unfinished last line: no more of it will come.
    pub(super) fn take_rest(&mut self) -> Option<Lines> {
        let rest = self.framer.take_rest()?;
        Some(self.name(rest))
    }

    fn name(&mut self, mut lines: Lines) -> Lines {
        lines.set_file(self.live.content_key());
        if self.ends_at.is_none_or(|end| lines.end() <= end) {
            self.mark = lines.mark();
        }
        self.note();
        lines
    }

    /// Has the end looked at again, even if nothing seems to have changed.
    pub(super) fn look_at_end(&mut self) {
        (self.at_end, self.stamp) = (true, None);
    }

    /// Goes back to what has arrived: the rest was given up on its way. Returns how many bytes of that are nowhere any
    /// more.
    pub(super) fn rewind(&mut self, positions: &StreamPositions, framing: &Framing) -> u64 {
        let arrived = self.live.arrived().unwrap_or(self.framer.start());
        let there = self.ends_at.unwrap_or(u64::MAX);
        let lost = self.framer.position().saturating_sub(there.max(arrived));
        if lost > 0 {
            self.set_going_on(None);
        }
        positions.renew(&mut self.live);
        self.framer = Framer::new(framing.clone(), arrived.min(there));
        self.end = End::Open;
        self.look_at_end();
        lost
    }

    /// Where an unfinished line at its end goes on: in the content that was begun then.
    pub(super) fn set_going_on(&mut self, goes_on: Option<u64>) {
        self.goes_on = goes_on;
        self.live.set_going_on(goes_on);
    }

    /// Whether the beginning of a line has been read.
    pub(super) fn has_rest(&self) -> bool {
        self.framer.position() > self.framer.start()
    }

    /// Whether it is `opened`, reached in another way.
    pub(super) fn is_reached_by(&self, opened: &Opened) -> io::Result<bool> {
        let another_way = opened.rung != self.rung || opened.identity.dev != self.identity.dev;
        Ok(another_way
            && self.body.is_plain()
            && self.fingerprint.len > 0
            && opened.file.metadata()?.len() >= self.framer.position()
            && self.fingerprint.matches(&opened.file)?)
    }

    /// Goes on with `opened`, which is the same file.
    pub(super) fn reach_by(&mut self, opened: Opened) {
        self.live.reached_by(&opened);
        let Opened { file, identity, rung, notifies } = opened;
        (self.identity, self.rung, self.notifies) = (identity, rung, notifies);
        self.body = Body::new(file, false);
        self.look_at_end();
    }

    /// Puts a copy of this file in the place of it, which goes on as if it had just been begun. What has been read of an
    /// unfinished line stays read: it may not be in the copy.
    pub(super) fn give_way(&mut self, copy: Copied, begun: LiveFile, framing: &Framing) -> Self {
        let mut framer = std::mem::replace(&mut self.framer, Framer::new(framing.clone(), 0));
        if framer.let_go_bytes() > 0 {
            framer = Framer::new(framing.clone(), framer.start());
        }
        let live = std::mem::replace(&mut self.live, begun);
        live.reached_by(&copy.opened);
        let Copied { opened, compressed, size, fingerprint, heads, mark } = copy;
        live.seen(size, self.modified, fingerprint, heads, mark);
        let Opened { file, identity, rung, notifies } = opened;
        let copy = Self {
            body: Body::new(file, compressed),
            identity,
            rung,
            notifies,
            live,
            ends_at: (framer.position() > size).then_some(size),
            framer,
            fingerprint,
            heads,
            mark,
            size,
            place: Place::Aside,
            hold: None,
            slot: None,
            noted: None,
            cut: false,
            stamp: None,
            at_end: true,
            ..*self
        };
        self.start_over(framing);
        copy
    }

    /// What is in front of the place of `framer` is read in another file, under the position that this one had.
    pub(super) fn go_on_at(&mut self, framer: Framer) {
        (self.framer, self.mark, self.noted, self.fresh) = (framer, Mark::default(), None, true);
        self.note();
        self.look_at_end();
    }

    /// What comes next is the first byte of another content.
    pub(super) fn start_over(&mut self, framing: &Framing) {
        self.framer = Framer::new(framing.clone(), 0);
        (self.fingerprint, self.heads, self.mark) = Default::default();
        (self.goes_on, self.ends_at) = (None, None);
        (self.size, self.noted, self.cut, self.fresh) = (0, None, false, true);
        self.look_at_end();
    }

    /// The name does not lead to it any more.
    pub(super) fn put_aside(&mut self, now: Instant) {
        self.place = Place::Aside;
        self.slot = None;
        self.grew_at = now;
        self.asked = Asked { at: None, pause: Duration::ZERO };
    }

    /// Whether nobody can write to it any more. That takes a while to find out.
    pub(super) fn is_final(&mut self, settings: &TailSettings, writers: &Writers, now: Instant) -> bool {
        let quiet = now.duration_since(self.grew_at);
        if quiet < settings.rotate_wait + self.asked.pause {
            return false;
        }
        let since = *self.asked.at.get_or_insert(now);
        match writers.of(self.identity, since) {
            Writer::Unsure => false,
            Writer::Nobody => true,
            Writer::Unseen => quiet >= settings.unseen_wait,
            Writer::Somebody => {
                // A pause of its writer may be long: asked less and less often.
                self.asked = Asked { at: None, pause: quiet.min(LONGEST_PAUSE).max(settings.rotate_wait) };
                false
            }
        }
    }

    /// Whether all that was read of it has arrived.
    pub(super) fn has_arrived(&self) -> bool {
        self.live.arrived().is_none_or(|arrived| arrived >= self.framer.position())
    }
}
