//! Follows the file behind a name: through growth, rotation, truncation and removal.
//!
//! No I/O here waits: a [`Tail`] is stepped by `follow`, which does the waiting.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::checkpoint::LiveFile;
use super::framing::Framer;
use super::{FileOpener, Fingerprint, Framing, Lines, Lost, Opened, StreamPositions, StreamStatus, Tracker};

/// Where a file is begun that is seen for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartPosition {
    /// At its first byte.
    #[default]
    Beginning,
    /// At its present end. Files that follow by rotation are read from their first byte.
    End,
}

/// How a file is followed.
#[derive(Clone, Debug)]
pub struct TailSettings {
    /// How it is cut into lines.
    pub framing: Framing,
    /// Where it is begun.
    pub start: StartPosition,
    /// How long a removed file is still read through the open descriptor after its last growth.
    pub drain_timeout: Duration,
    /// How long a renamed file is still read after its last growth: its writer may not have opened the new
    /// one yet.
    pub rotate_wait: Duration,
    /// Whether to take over the position that another stream of the same [`super::Checkpoints`] left for
    /// the file: for readers whose streams are names, where a rotated file comes back under the next name.
    pub adopt: bool,
    /// Whether positions of finished files are kept, so that they are not read again under another name.
    pub keep_finished: bool,
}

impl Default for TailSettings {
    fn default() -> Self {
        Self {
            framing: Framing::default(),
            start: StartPosition::default(),
            drain_timeout: Duration::from_secs(10),
            rotate_wait: Duration::from_secs(5),
            adopt: false,
            keep_finished: false,
        }
    }
}

/// What a step found.
#[derive(Debug)]
pub(super) enum Step {
    /// Whole lines (or the unfinished last one of a file that has ended), and who is told about them.
    Lines(Lines, Tracker),
    /// A rotated, removed or cut file has been read to its end.
    FileEnded,
    /// Nothing now.
    Idle,
}

pub(super) struct Tail {
    opener: Arc<dyn FileOpener>,
    settings: TailSettings,
    positions: StreamPositions,
    status: Arc<StreamStatus>,
    // In the order of their appearance: the last one is behind the name, the others have been renamed.
    files: VecDeque<OpenFile>,
    // The rest of a cut file has been passed on; its end is still to be told.
    ended: bool,
    // The name has led to no file before: where to begin is not said by a rotation.
    first_sight: bool,
    // Nothing has been opened yet: what was left unfinished by an earlier process is looked for.
    first_open: bool,
    looked_at: Option<Instant>,
    // What the last look at the name met.
    look_error: Option<String>,
}

struct OpenFile {
    opened: Opened,
    live: LiveFile,
    framer: Framer,
    fingerprint: Fingerprint,
    size: u64,
    // The last read came to the end: before the next one the head is compared.
    at_end: bool,
    // Size and time of change when the end was last looked at.
    stamp: Option<(u64, i64, i64)>,
    state: State,
    grew_at: Instant,
}

enum Read {
    Lines(Lines),
    /// The file was cut or written anew in place.
    StartedOver,
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The name leads to it.
    Current,
    /// The name leads to another file.
    Renamed,
    /// There is no such name.
    Removed,
}

/// How often a busy reader looks whether the name leads elsewhere.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Tail {
    pub(super) fn new(
        opener: Arc<dyn FileOpener>,
        settings: TailSettings,
        positions: StreamPositions,
        status: Arc<StreamStatus>,
    ) -> Self {
        Self {
            opener,
            settings,
            positions,
            status,
            files: VecDeque::new(),
            ended: false,
            first_sight: true,
            first_open: true,
            looked_at: None,
            look_error: None,
        }
    }

    /// Reads on. `finishing`: the source has ended, so what is there is all there will be.
    pub(super) fn step(&mut self, now: Instant, finishing: bool) -> Step {
        if std::mem::take(&mut self.ended) {
            return Step::FileEnded;
        }
        if self.looked_at.is_none_or(|at| now.duration_since(at) >= LOOK_EVERY) {
            self.look(now);
        }
        let mut error = None;
        for at in 0..self.files.len() {
            match self.files[at].read(now) {
                Ok(Read::Lines(lines)) => return self.pass_on(at, lines),
                Ok(Read::StartedOver) => return self.start_over(at),
                Ok(Read::Nothing) => {}
                Err(failed) => error = Some(failed),
            }
            // What was renamed first is read first; a younger file waits for it while it still has bytes.
            if let Some(step) = self.retire(at, now, finishing) {
                return step;
            }
        }
        self.report(error.as_ref());
        Step::Idle
    }

    /// Whether something is due soon although nothing may be written: a wait for the end of a renamed file.
    pub(super) fn is_draining(&self) -> bool {
        self.files.iter().any(|file| file.state != State::Current)
    }

    /// Looks at the name at the next step, however recently that was done.
    pub(super) fn look_again(&mut self) {
        self.looked_at = None;
    }

    /// The files to be watched.
    pub(super) fn watched(&self) -> impl Iterator<Item = &Opened> {
        self.files.iter().map(|file| &file.opened)
    }

    /// When the file last grew; `None` while there is none.
    pub(super) fn grew_at(&self) -> Option<Instant> {
        self.files.back().map(|file| file.grew_at)
    }

    /// Gives back memory before a long wait.
    pub(super) fn rest_idle(&mut self) {
        for file in &mut self.files {
            file.framer.rest_idle();
        }
    }

    fn pass_on(&self, at: usize, mut lines: Lines) -> Step {
        let file = &self.files[at];
        lines.set_file(file.live.content_key());
        self.status.update(|status| {
            status.error = None;
            status.rung = Some(file.opened.rung);
            status.offset = file.framer.position();
            status.lag_bytes = file.lag();
            status.read_bytes += lines.byte_len() as u64;
        });
        Step::Lines(lines, file.live.tracker().clone())
    }

    /// The file was cut or written anew in place: the next byte is its first.
    fn start_over(&mut self, at: usize) -> Step {
        let file = &mut self.files[at];
        let unread = file.lag();
        self.status.update(|status| {
            status.files += 1;
            if unread > 0 {
                *status.lost.entry(Lost::Truncated).or_default() += unread;
            }
        });
        let rest = file.framer.take_rest().map(|mut rest| {
            rest.set_file(file.live.content_key());
            (rest, file.live.tracker().clone())
        });
        file.fingerprint = Fingerprint::default();
        file.live = self.positions.begin(&file.opened, file.fingerprint, 0, Some(file.live.id()), false);
        file.framer = Framer::new(self.settings.framing.clone(), 0);
        file.size = 0;
        file.at_end = true;
        file.stamp = None;
        match rest {
            Some((rest, tracker)) => {
                self.ended = true;
                Step::Lines(rest, tracker)
            }
            None => Step::FileEnded,
        }
    }

    fn report(&self, error: Option<&io::Error>) {
        self.status.update(|status| {
            status.error = error.map(ToString::to_string).or_else(|| self.look_error.clone());
            status.lag_bytes = self.files.iter().map(OpenFile::lag).sum();
            if let Some(current) = self.files.back() {
                status.rung = Some(current.opened.rung);
                status.offset = current.framer.position();
            } else {
                status.rung = None;
            }
        });
    }

    /// Asks which file the name leads to now, and opens it if it is another one.
    fn look(&mut self, now: Instant) {
        self.looked_at = Some(now);
        self.look_error = self.try_look(now).err().map(|error| error.to_string());
    }

    fn try_look(&mut self, now: Instant) -> io::Result<()> {
        if let Some(current) = self.files.back_mut() {
            match self.opener.identity()? {
                Some(identity) if identity == current.opened.identity => {
                    current.state = State::Current;
                    return Ok(());
                }
                Some(_) => {}
                None => {
                    if current.state == State::Current {
                        current.state = State::Removed;
                        current.grew_at = now;
                    }
                    return Ok(());
                }
            }
        }
        let Some(opened) = self.opener.open()? else {
            self.first_sight = false;
            return Ok(());
        };
        // A file that was put aside and came back.
        if let Some(at) = self.files.iter().position(|file| file.opened.identity == opened.identity) {
            if let Some(mut back) = self.files.remove(at) {
                back.state = State::Current;
                self.rename_current(now);
                self.files.push_back(back);
            }
            return Ok(());
        }
        if let Some(current) = self.files.back_mut()
            && current.is_reached_by(&opened)?
        {
            current.live.reached_by(&opened);
            current.opened = opened;
            current.state = State::Current;
            return Ok(());
        }
        // Rotation gave this name to a file that is still being read under its last one: it is taken over when
        // that reader is done.
        if self.settings.adopt && self.positions.is_live(opened.identity) {
            if self.files.back().is_some_and(|current| current.state == State::Current) {
                self.rename_current(now);
            }
            return Ok(());
        }
        self.rename_current(now);
        self.open_next(opened, now)
    }

    fn rename_current(&mut self, now: Instant) {
        if let Some(current) = self.files.back_mut() {
            current.state = State::Renamed;
            current.grew_at = now;
        }
    }

    fn open_next(&mut self, opened: Opened, now: Instant) -> io::Result<()> {
        let size = opened.file.metadata()?.len();
        let mut saved = self.positions.unfinished();
        let mut resume = None;
        let mut lost = Vec::new();
        for at in 0..saved.len() {
            if saved[at].1.fingerprint.len > 0 && is_saved(&saved[at].1, &opened)? {
                resume = Some(saved.swap_remove(at));
                break;
            }
        }
        if resume.is_none() && self.settings.adopt {
            resume = match self.positions.adopt(opened.identity) {
                Some((id, position)) if position.fingerprint.matches(&opened.file)? => Some((id, position)),
                _ => None,
            };
        }
        let known_stream = !saved.is_empty() || resume.is_some();
        // What rotations left behind while nobody read, oldest first.
        saved.sort_by_key(|(_, position)| position.at);
        if !self.first_open {
            saved.clear();
        }
        let from_end = !known_stream && self.settings.start == StartPosition::End;
        let mut put_aside = if self.first_open && resume.is_none() && !from_end {
            self.opener.earlier()?
        } else {
            Vec::new()
        };
        for (id, position) in saved {
            let behind = position.size > position.offset;
            let mut found = None;
            for at in 0..put_aside.len() {
                if is_saved(&position, &put_aside[at])? {
                    // Those before it had been finished.
                    found = put_aside.drain(..=at).next_back();
                    break;
                }
            }
            if found.is_none() {
                // Also when nothing was left in it: it may have grown between our end and its rotation.
                found = self.opener.find(position.identity())?;
            }
            match found {
                Some(earlier) if is_saved(&position, &earlier)? => {
                    self.push(earlier, position.offset, Some((id, true)), State::Renamed, now)?;
                }
                _ if self.settings.keep_finished && !behind => {}
                _ => {
                    if behind {
                        lost.push((Lost::GoneWhileStopped, position.size - position.offset));
                    }
                    self.positions.remove(id);
                }
            }
        }
        for earlier in put_aside {
            self.push(earlier, 0, None, State::Renamed, now)?;
        }
        let (offset, replaces) = match resume {
            Some((id, position)) if position.offset <= size => (position.offset, Some((id, true))),
            Some((id, position)) => {
                lost.push((Lost::ReplacedWhileStopped, position.size.saturating_sub(position.offset)));
                (0, Some((id, false)))
            }
            None if self.first_sight && !known_stream && self.settings.start == StartPosition::End => {
                (size, None)
            }
            None => (0, None),
        };
        self.first_sight = false;
        self.first_open = false;
        self.push(opened, offset, replaces, State::Current, now)?;
        self.status.update(|status| {
            for (reason, bytes) in lost.into_iter().filter(|(_, bytes)| *bytes > 0) {
                *status.lost.entry(reason).or_default() += bytes;
            }
        });
        Ok(())
    }

    fn push(
        &mut self,
        opened: Opened,
        offset: u64,
        replaces: Option<(u64, bool)>,
        state: State,
        now: Instant,
    ) -> io::Result<()> {
        let fingerprint = Fingerprint::of(&opened.file)?;
        let same = replaces.is_some_and(|(_, same)| same);
        let live = self.positions.begin(&opened, fingerprint, offset, replaces.map(|(id, _)| id), same);
        let framer = Framer::new(self.settings.framing.clone(), offset);
        let file = OpenFile {
            opened,
            live,
            framer,
            fingerprint,
            size: offset,
            at_end: true,
            stamp: None,
            state,
            grew_at: now,
        };
        self.files.push_back(file);
        self.status.update(|status| status.files += 1);
        Ok(())
    }

    /// Lets go of a file that has been read to its end and will not grow any more.
    fn retire(&mut self, at: usize, now: Instant, finishing: bool) -> Option<Step> {
        let file = &mut self.files[at];
        let patience = match file.state {
            State::Current if !finishing => return None,
            _ if finishing => Duration::ZERO,
            State::Removed => self.settings.drain_timeout,
            _ => self.settings.rotate_wait,
        };
        if now.duration_since(file.grew_at) < patience {
            return None;
        }
        if let Some(rest) = file.framer.take_rest() {
            return Some(self.pass_on(at, rest));
        }
        if file.state == State::Current {
            return None;
        }
        let file = self.files.remove(at)?;
        if !self.settings.keep_finished {
            file.live.finish(file.framer.position());
        }
        Some(Step::FileEnded)
    }
}

/// Whether `position` is about this file: the same identity, or, by another way, the same content.
fn is_saved(position: &super::checkpoint::FilePosition, opened: &Opened) -> io::Result<bool> {
    let same_way = position.rung == opened.rung && position.dev == opened.identity.dev;
    if position.identity() != opened.identity && same_way {
        return Ok(false);
    }
    position.fingerprint.matches(&opened.file)
}

impl OpenFile {
    fn lag(&self) -> u64 {
        self.size.saturating_sub(self.framer.position())
    }

    /// The next lines, if there are any.
    fn read(&mut self, now: Instant) -> io::Result<Read> {
        loop {
            if self.at_end {
                let metadata = self.opened.file.metadata()?;
                let size = metadata.len();
                let stamp = Some((size, metadata.mtime(), metadata.mtime_nsec()));
                if stamp == self.stamp {
                    return Ok(Read::Nothing);
                }
                let position = self.framer.position();
                if size < position || !self.fingerprint.matches(&self.opened.file)? {
                    return Ok(Read::StartedOver);
                }
                self.stamp = stamp;
                self.size = size;
                if !self.fingerprint.is_full() {
                    self.fingerprint = Fingerprint::of(&self.opened.file)?;
                }
                self.live.seen(size, self.fingerprint);
                if size == position {
                    return Ok(Read::Nothing);
                }
                self.at_end = false;
            }
            if self.framer.fill(&self.opened.file, self.lag())? == 0 {
                // Shorter than it was: find out how.
                self.at_end = true;
                self.stamp = None;
                continue;
            }
            self.grew_at = now;
            self.at_end = self.lag() == 0;
            if let Some(lines) = self.framer.take() {
                return Ok(Read::Lines(lines));
            }
        }
    }

    /// Whether `opened` is this file, reached in another way.
    fn is_reached_by(&self, opened: &Opened) -> io::Result<bool> {
        let another_way = opened.rung != self.opened.rung || opened.identity.dev != self.opened.identity.dev;
        Ok(another_way
            && self.fingerprint.len > 0
            && opened.file.metadata()?.len() >= self.framer.position()
            && self.fingerprint.matches(&opened.file)?)
    }
}
