//! Makes the events of a file's lines.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::common::{EVENT_BYTES, EXPANSION, InputOptions, SharedField, host_field, host_name};
use super::super::keeper::{Keeper, Place, decode};
use super::super::keeping::Keeping;
use crate::event::{Clock, Event, Map, Origin, Parts, StreamKey, Text, Value};
use crate::pipeline::plugin::settings::Settings;
use crate::pipeline::plugin::{Batch, BuildContext, Codec, Deferred, LineLimit};
use crate::source::{Decoder, Flush, Kept, Line, LineIter, Lines, StreamStatus};

/// What all files of an input have in common.
pub(super) struct Common {
    // Only forked; behind a lock so that several tasks may look at it.
    codec: Mutex<Box<dyn Codec>>,
    lines: Arc<LineLimit>,
    options: InputOptions,
    host: SharedField,
    path_field: &'static [&'static str],
}

impl Common {
    pub(super) fn new(settings: &Settings, cx: &BuildContext, codec: Box<dyn Codec>) -> Self {
        Self {
            codec: Mutex::new(codec),
            lines: Arc::clone(&cx.lines),
            options: InputOptions::new(settings),
            host: host_field(cx),
            path_field: cx.ecs.select(&["path"], &["log", "file", "path"]),
        }
    }

    /// For the file of which `key` is the path.
    pub(super) fn decoder(
        self: &Arc<Self>,
        key: &Arc<str>,
        clock: Clock,
        status: Arc<StreamStatus>,
        memory: Keeping,
    ) -> FileDecoder {
        FileDecoder { common: Arc::clone(self), stream: Arc::clone(key), clock, status, memory, work: None }
    }
}

/// Makes the events of one file. While nothing comes it holds no more than it takes to begin again: there may be very
/// many of them.
pub(super) struct FileDecoder {
    common: Arc<Common>,
    // The path, too.
    stream: Arc<str>,
    clock: Clock,
    status: Arc<StreamStatus>,
    memory: Keeping,
    work: Option<Box<Work>>,
}

/// What is needed while lines come, or are kept.
struct Work {
    keeper: Keeper,
    // Names the content that the last lines were from.
    file: Option<Arc<str>>,
    fields: Arc<Fields>,
}

/// What the events of one file have in common.
struct Fields {
    common: Arc<Common>,
    path: SharedField,
    metadata: Value,
    clock: Clock,
    status: Arc<StreamStatus>,
}

impl Work {
    fn flush(&mut self, reason: Flush, batch: &mut Batch) -> Kept {
        let fields = &self.fields;
        let kept = self.keeper.kept_bytes();
        self.keeper.flush(reason, fields.now(), &mut |event, first| {
            batch.events.push(fields.finish(event, &first.file, first.offset, 0, first.cut));
        });
        batch.byte_size += kept.saturating_sub(self.keeper.kept_bytes());
        self.keeper.kept()
    }
}

impl Fields {
    fn new(decoder: &FileDecoder) -> Self {
        let FileDecoder { common, stream, clock, status, .. } = decoder;
        let path = Value::Text(Text::from(&**stream));
        let mut metadata = Map::with_capacity(2);
        metadata.insert("path", path.clone());
        metadata.insert("host", Value::Text(host_name()));
        Self {
            common: Arc::clone(common),
            path: SharedField::new(common.path_field, path),
            metadata: Value::from(metadata),
            clock: *clock,
            status: Arc::clone(status),
        }
    }

    /// The time is asked once for all lines of a block: they were read at the same moment.
    fn now(&self) -> Clock {
        Clock::Fixed(self.clock.now())
    }

    fn finish(&self, mut event: Event, stream: &Arc<str>, offset: u64, ordinal: u32, cut: bool) -> Event {
        if cut {
            event.tag(LineLimit::TAG);
        }
        event.set_metadata(self.metadata.clone());
        self.path.apply(&mut event);
        self.common.host.apply(&mut event);
        self.common.options.apply(&mut event);
        event.origin = Some(Origin { stream: StreamKey(Arc::clone(stream)), offset, ordinal });
        event
    }

    /// Makes the events of `lines`.
    fn decode(&self, codec: &mut dyn Codec, lines: LineIter, stream: &Arc<str>, events: &mut Parts<'_>) {
        let (now, mut count) = (self.now(), 0);
        for line in lines {
            let mut ordinal = 0;
            self.note_cut(stream, line.offset, line.cut);
            decode(codec, line.content, now, &mut |event| {
                events.push(self.finish(event, stream, line.offset, ordinal, line.cut > 0));
                ordinal += 1;
            });
            count += u64::from(ordinal);
        }
        self.status.count_events(count);
    }

    /// Counts what was left out of a line that is too long.
    fn note_cut(&self, stream: &Arc<str>, offset: u64, bytes: u64) {
        if bytes > 0 && self.status.line_cut(stream, offset, bytes) {
            self.common.lines.cut(bytes);
        }
    }
}

impl FileDecoder {
    /// Names the content of the file the lines are from.
    fn stream_of(&self, lines: &Lines) -> Arc<str> {
        match lines.file() {
            Some(file) => Arc::from(format!("{}:{file}", self.stream)),
            None => Arc::clone(&self.stream),
        }
    }

    fn work(&mut self) -> &mut Work {
        if self.work.is_none() {
            let codec = self.common.codec.lock().unwrap_or_else(PoisonError::into_inner).fork();
            let fields = Arc::new(Fields::new(self));
            let keeper = Keeper::new(codec, Arc::clone(&self.status), self.memory.clone());
            self.work = Some(Box::new(Work { keeper, file: None, fields }));
        }
        self.work.as_mut().expect("it was made above")
    }
}

impl Decoder for FileDecoder {
    fn decode(&mut self, lines: Lines, batch: &mut Batch) -> Kept {
        let stream = self.stream_of(&lines);
        let work = self.work();
        if !work.keeper.codec().is_stateless() {
            if work.file.as_ref() != Some(&stream) {
                work.file = Some(Arc::clone(&stream));
                work.flush(Flush::Rotated, batch);
            }
            let (fields, now) = (&work.fields, work.fields.now());
            let (block, kept) = (lines.byte_len(), work.keeper.kept_bytes());
            for Line { content, offset, cut } in lines {
                fields.note_cut(&stream, offset, cut);
                let file = Arc::clone(&stream);
                let place = Place { file, offset, at: offset, time: None, channel: None, cut: cut > 0 };
                let mut ordinal = 0;
                work.keeper.decode(content, place, now, &mut |event, first| {
                    batch.events.push(fields.finish(event, &first.file, first.offset, ordinal, first.cut));
                    ordinal += 1;
                });
            }
            work.keeper.settle(block, now, &mut |event, first| {
                batch.events.push(fields.finish(event, &first.file, first.offset, 0, first.cut));
            });
            let given = kept.saturating_sub(work.keeper.kept_bytes());
            batch.byte_size += given + batch.events.len() * EVENT_BYTES;
            return work.keeper.kept();
        }
        let mut codec = work.keeper.codec().fork();
        let fields = Arc::clone(&work.fields);
        batch.deferred = Some(Deferred::new(move |events| {
            fields.decode(&mut *codec, lines.into_iter(), &stream, events);
        }));
        Kept::NOTHING
    }

    fn expansion(&self) -> usize {
        if self.common.codec.lock().unwrap_or_else(PoisonError::into_inner).is_stateless() {
            1
        } else {
            EXPANSION
        }
    }

    fn flush(&mut self, reason: Flush, batch: &mut Batch) -> Kept {
        self.work.as_mut().map_or(Kept::NOTHING, |work| work.flush(reason, batch))
    }

    fn idle_flush(&self) -> Option<Duration> {
        self.work.as_ref()?.keeper.idle_flush()
    }

    fn reset(&mut self) {
        if let Some(work) = &mut self.work {
            work.keeper.reset();
        }
    }

    fn rest(&mut self) {
        // A codec that remembers something of earlier lines is the one that has to see the later ones.
        self.work.take_if(|work| work.keeper.codec().is_stateless());
    }
}
