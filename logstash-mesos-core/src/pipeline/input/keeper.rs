//! A codec that joins lines, with the places of the lines that it has not made an event of yet.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::keeping::{FREE_BYTES, Keeping, Share};
use super::stream::Channel;
use crate::event::{Blob, Clock, Event, Text, Timestamp, Value};
use crate::pipeline::plugin::Codec;
use crate::source::{Content, Flush, Kept, StreamStatus};

/// Where a line is from.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Names the content of the file.
    pub(crate) file: Arc<str>,
    /// Names the line in it.
    pub(crate) offset: u64,
    /// Where reading has to go on so that it comes again.
    pub(crate) at: u64,
    /// When it was written, if that is known.
    pub(crate) time: Option<Timestamp>,
    /// Where it was written to, for a container's output.
    pub(crate) channel: Option<Channel>,
    /// Whether it was too long, or one that is joined to it.
    pub(crate) cut: bool,
}

/// Decodes the lines of one stream, one after the other.
pub(crate) struct Keeper {
    codec: Box<dyn Codec>,
    // What the codec keeps, in order; empty for codecs that keep nothing.
    lines: Vec<(Content, Place)>,
    // Where the first of them is in the present file.
    here: Option<u64>,
    // Whether some of them are in a file before it.
    earlier: bool,
    touched: Instant,
    status: Arc<StreamStatus>,
    memory: Keeping,
    share: Option<Share>,
    // Bytes of the lines that are kept, and of the blocks that they are slices of; of these without the last one, of which
    // so many bytes are kept.
    bytes: usize,
    blocks: usize,
    of_last: usize,
}

/// While there is too little memory, more than a little is kept only so long when nothing comes.
const KEPT_FOR: Duration = Duration::from_secs(5);
/// What a line takes beside its bytes.
const LINE_BYTES: usize = size_of::<(Content, Place)>() + size_of::<Text>();

impl Keeper {
    /// What it keeps is a part of `memory`, and `status` counts for what there was too little.
    pub(crate) fn new(codec: Box<dyn Codec>, status: Arc<StreamStatus>, memory: Keeping) -> Self {
        Self {
            codec,
            lines: Vec::new(),
            here: None,
            earlier: false,
            touched: Instant::now(),
            status,
            memory,
            share: None,
            bytes: 0,
            blocks: 0,
            of_last: 0,
        }
    }

    /// One that has decoded nothing yet.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(self.codec.fork(), Arc::clone(&self.status), self.memory.clone())
    }

    pub(crate) fn codec(&self) -> &dyn Codec {
        &*self.codec
    }

    /// Decodes a line. An event comes with the place of its first line.
    pub(crate) fn decode(
        &mut self,
        content: Content,
        place: Place,
        clock: Clock,
        emit: &mut dyn FnMut(Event, &Place),
    ) {
        if self.codec.is_stateless() {
            return decode(&mut *self.codec, content, clock, &mut |event| emit(event, &place));
        }
        self.touched = Instant::now();
        let (mut count, mut first) = (0, self.first());
        // Whether a line that was cut is in the event that it ends, or in the next one, is seen afterwards.
        let mut waiting = None;
        decode(&mut *self.codec, content.clone(), clock, &mut |event| {
            match &first {
                Some(_) if count == 0 && place.cut => waiting = Some(event),
                Some(first) if count == 0 => emit(of_time(event, first), first),
                _ => emit(event, &place),
            }
            count += 1;
        });
        if let (Some(event), Some(first)) = (waiting, &mut first) {
            first.cut |= !self.codec.keeps();
            emit(of_time(event, first), first);
        }
        if count > 0 {
            self.forget();
        }
        if self.codec.keeps() {
            self.here.get_or_insert(place.at);
            self.bytes += content.as_bytes().len();
            self.of_last += content.as_bytes().len();
            self.lines.push((content, place));
        } else {
            self.forget();
        }
    }

    /// The last lines were slices of a block of so many bytes: has what is kept of it held, or given out.
    pub(crate) fn settle(&mut self, block: usize, clock: Clock, emit: &mut dyn FnMut(Event, &Place)) {
        if self.lines.is_empty() {
            self.share = None;
            return;
        }
        if std::mem::take(&mut self.of_last) > 0 {
            self.blocks += block;
        }
        // A few lines shall not hold all that was read with them.
        if self.blocks > FREE_BYTES.max(2 * self.bytes) {
            self.copy(clock, emit);
        }
        let bytes = self.kept_bytes();
        let share = self.share.get_or_insert_with(|| self.memory.share());
        if !self.memory.resize(share, bytes) {
            self.end_early(clock, emit);
        }
    }

    /// About how many bytes what is kept takes.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.blocks.max(self.bytes) + self.lines.len() * LINE_BYTES
    }

    fn copy(&mut self, clock: Clock, emit: &mut dyn FnMut(Event, &Place)) {
        let mut before = std::mem::replace(self, self.fresh());
        for (content, _) in &mut before.lines {
            *content = match content {
                Content::Text(text) => Content::Text(Text::from(text.as_str())),
                Content::Bytes(bytes) => Content::Bytes(Blob::from(&**bytes)),
            };
        }
        before.blocks = before.bytes;
        self.take_over(before, clock, emit);
    }

    /// Gives out what is kept, unless it may wait.
    pub(crate) fn flush(&mut self, reason: Flush, clock: Clock, emit: &mut dyn FnMut(Event, &Place)) {
        match reason {
            // The next file may begin in the middle of an event.
            Flush::Rotated => {
                self.earlier = !self.lines.is_empty();
                self.here = None;
                return;
            }
            Flush::Idle if !self.is_due() => return,
            Flush::Idle if self.codec.auto_flush().is_none_or(|after| self.touched.elapsed() < after) => {
                return self.end_early(clock, emit);
            }
            Flush::Idle | Flush::End => {}
        }
        let Some(first) = self.first() else { return };
        self.codec.flush(clock, &mut |event| emit(of_time(event, &first), &first));
        self.forget();
    }

    /// Gives out what is kept, as there is no memory for it.
    fn end_early(&mut self, clock: Clock, emit: &mut dyn FnMut(Event, &Place)) {
        let Some(first) = self.first() else { return };
        self.memory.ended_early(self.kept_bytes());
        self.status.ended_early();
        self.codec.end_early(clock, &mut |event| emit(of_time(event, &first), &first));
        self.forget();
    }

    /// Goes on with what `before` keeps, which was to be decoded in another way.
    pub(crate) fn take_over(&mut self, before: Self, clock: Clock, emit: &mut dyn FnMut(Event, &Place)) {
        let Self { lines, here, earlier, touched, share, blocks, .. } = before;
        for (content, place) in lines {
            self.decode(content, place, clock, emit);
        }
        self.of_last = 0;
        if !self.lines.is_empty() {
            (self.here, self.earlier, self.touched) = (here, earlier, touched);
            (self.share, self.blocks) = (share, blocks);
        }
    }

    /// Forgets what is kept: it will be read again.
    pub(crate) fn reset(&mut self) {
        self.codec = self.codec.fork();
        self.forget();
    }

    pub(crate) fn kept(&self) -> Kept {
        Kept { from: self.here, earlier: self.earlier }
    }

    /// After how long without a line what is kept is an event; `None` while nothing is kept, and where only
    /// the next line can tell.
    pub(crate) fn idle_flush(&self) -> Option<Duration> {
        if self.lines.is_empty() {
            return None;
        }
        let gives_room = self.kept_bytes() > FREE_BYTES && self.memory.is_short();
        let after = gives_room.then_some(KEPT_FOR);
        self.codec.auto_flush().into_iter().chain(after).min()
    }

    /// The place of the first line that is kept.
    fn first(&self) -> Option<Place> {
        let (_, first) = self.lines.first()?;
        Some(Place { cut: self.lines.iter().any(|(_, place)| place.cut), ..first.clone() })
    }

    fn is_due(&self) -> bool {
        self.idle_flush().is_some_and(|after| self.touched.elapsed() >= after)
    }

    fn forget(&mut self) {
        self.lines.clear();
        // As a rule there are not as many.
        self.lines.shrink_to(64);
        self.here = None;
        self.earlier = false;
        self.share = None;
        (self.bytes, self.blocks, self.of_last) = (0, 0, 0);
    }
}

/// An event has the time of its first line, whenever its last one came.
fn of_time(mut event: Event, first: &Place) -> Event {
    if let Some(time) = first.time {
        event.fields_mut().insert(Text::from_static("@timestamp"), Value::Timestamp(time));
    }
    event
}

/// Decodes what is known to be text as such.
pub(crate) fn decode(codec: &mut dyn Codec, content: Content, clock: Clock, emit: &mut dyn FnMut(Event)) {
    match content {
        Content::Text(text) => codec.decode_text(text, clock, emit),
        Content::Bytes(bytes) => codec.decode(bytes, clock, emit),
    }
}
