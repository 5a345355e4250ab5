//! A codec that joins lines, with the places of the lines that it has not made an event of yet.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::stream::Channel;
use crate::event::{Clock, Event, Text, Timestamp, Value};
use crate::pipeline::plugin::Codec;
use crate::source::{Content, Flush, Kept};

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
}

impl Keeper {
    pub(crate) fn new(codec: Box<dyn Codec>) -> Self {
        Self { codec, lines: Vec::new(), here: None, earlier: false, touched: Instant::now() }
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
            self.lines.push((content, place));
        } else {
            self.forget();
        }
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
            Flush::Idle | Flush::End => {}
        }
        let Some(first) = self.first() else { return };
        self.codec.flush(clock, &mut |event| emit(of_time(event, &first), &first));
        self.forget();
    }

    /// Goes on with what `before` keeps, which was to be decoded in another way.
    pub(crate) fn take_over(&mut self, before: Self, clock: Clock, emit: &mut dyn FnMut(Event, &Place)) {
        let (here, earlier) = (before.here, before.earlier);
        for (content, place) in before.lines {
            self.decode(content, place, clock, emit);
        }
        if !self.lines.is_empty() {
            (self.here, self.earlier) = (here, earlier);
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
        if self.lines.is_empty() { None } else { self.codec.auto_flush() }
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
        self.here = None;
        self.earlier = false;
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
