//! One stream, read once, for every configuration that wants it.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;

use super::metadata::Metadata;
use super::records::{Channel, PlainLines, Record, Records};
use super::streams::InFlight;
use crate::event::{Clock, Event, Origin, StreamKey};
use crate::pipeline::input::common::EVENT_BYTES;
use crate::pipeline::input::stream::{Channels, StreamInput};
use crate::pipeline::plugin::{Batch, BatchSender, Codec, Deferred};
use crate::source::{Content, Decoder, Flush, Lines, StreamStatus};

/// An input of a configuration, as one of the readers of a stream.
#[derive(Clone)]
pub(crate) struct Target {
    /// Names the configuration and the input: one line is another event for each of them.
    pub(crate) name: Arc<str>,
    /// How the input makes events of lines.
    pub(crate) input: Arc<StreamInput>,
    /// Where its pipeline takes them.
    pub(crate) sender: Arc<dyn BatchSender>,
}

/// Where the events of a stream go. What is sent is told delivered when every target has it.
///
/// The targets may change while the stream is read: the next lines go to the new ones.
pub(crate) struct Fan {
    targets: RwLock<Arc<[Target]>>,
    // How the batch that was decoded last is shared out. A stream decodes and sends in turn.
    shares: Mutex<Option<Shares>>,
    in_flight: InFlight,
}

struct Shares {
    targets: Arc<[Target]>,
    // Where the events of each target end in the batch.
    ends: Vec<usize>,
}

impl Fan {
    pub(crate) fn new(targets: Vec<Target>, in_flight: InFlight) -> Arc<Self> {
        Arc::new(Self { targets: RwLock::new(targets.into()), shares: Mutex::new(None), in_flight })
    }

    pub(crate) fn set_targets(&self, targets: Vec<Target>) {
        *self.targets.write().unwrap_or_else(PoisonError::into_inner) = targets.into();
    }

    fn share(&self, targets: Arc<[Target]>, ends: Vec<usize>) {
        *self.shares.lock().unwrap_or_else(PoisonError::into_inner) = Some(Shares { targets, ends });
    }

    pub(crate) fn targets(&self) -> Arc<[Target]> {
        Arc::clone(&self.targets.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl BatchSender for Fan {
    async fn send(&self, batch: Batch) -> bool {
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Shares { targets, ends }) = shares else { return true };
        let mut batch = batch;
        batch.ack.merge(self.in_flight.begin());
        if let ([target], Some(_)) = (&*targets, &batch.deferred) {
            return target.sender.send(batch).await;
        }
        let Batch { mut events, ack, byte_size, .. } = batch;
        let total = events.len().max(1);
        let mut all = true;
        // From the back, so that nothing is moved.
        for (at, target) in targets.iter().enumerate().rev() {
            let start = if at == 0 { 0 } else { ends[at - 1] };
            let share = if start == 0 { std::mem::take(&mut events) } else { events.split_off(start) };
            if share.is_empty() {
                continue;
            }
            let byte_size = byte_size * share.len() / total;
            let batch = Batch { events: share, ack: ack.clone(), byte_size, ..Batch::default() };
            all &= target.sender.send(batch).await;
        }
        all
    }
}

/// Makes the events of one stream for all targets of its [`Fan`].
pub(crate) struct FanDecoder {
    fan: Arc<Fan>,
    records: Box<dyn Records>,
    metadata: Arc<Metadata>,
    key: StreamKey,
    // For each target, with the content of the file that the last lines were from.
    contents: Vec<StreamKey>,
    clock: Clock,
    status: Arc<StreamStatus>,
    // For the targets as they were at the last lines.
    known: Arc<[Target]>,
    groups: Vec<Group>,
}

/// The targets that make the same events of the same lines.
struct Group {
    codec: Box<dyn Codec>,
    channels: Channels,
    members: Vec<usize>,
    events: Vec<Event>,
}

impl FanDecoder {
    pub(crate) fn new(
        fan: Arc<Fan>,
        records: Box<dyn Records>,
        metadata: Arc<Metadata>,
        key: StreamKey,
        clock: Clock,
        status: Arc<StreamStatus>,
    ) -> Self {
        Self {
            fan,
            records,
            metadata,
            key,
            contents: Vec::new(),
            clock,
            status,
            known: Arc::new([]),
            groups: Vec::new(),
        }
    }

    fn regroup(&mut self) {
        let targets = self.fan.targets();
        if Arc::ptr_eq(&targets, &self.known) {
            return;
        }
        self.groups.clear();
        for (at, target) in targets.iter().enumerate() {
            let alike = self.groups.iter_mut().find(|group| {
                let first = &targets[group.members[0]].input;
                first.same_codec(&target.input) && group.channels == target.input.channels
            });
            match alike {
                Some(group) => group.members.push(at),
                None => self.groups.push(Group {
                    codec: target.input.codec(),
                    channels: target.input.channels,
                    members: vec![at],
                    events: Vec::new(),
                }),
            }
        }
        self.known = targets;
    }

    fn name_contents(&mut self, file: Option<&Arc<str>>) {
        let file = file.map_or("", |file| file);
        let names = self.known.iter().map(|target| format!("{}:{}:{file}", target.name, self.key.0));
        self.contents = names.map(|name| StreamKey(Arc::from(name))).collect();
    }

    /// Has `feed` give records, and puts the events of each target behind one another into `batch`.
    fn make(&mut self, batch: &mut Batch, feed: impl FnOnce(&mut dyn Records, &mut dyn FnMut(Record))) {
        let Self { records, metadata, key, contents, clock, groups, known, fan, .. } = self;
        // Asked once: lines that come together were read at the same moment.
        let now = Clock::Fixed(clock.now());
        feed(&mut **records, &mut |record| {
            let clock = record.time.map_or(now, Clock::Fixed);
            for group in &mut *groups {
                if group.channels.wants(record.channel) {
                    decode(&mut *group.codec, record.clone(), clock, metadata, key, &mut |event| {
                        group.events.push(event);
                    });
                }
            }
        });
        let mut ends = Vec::with_capacity(known.len());
        for (at, target) in known.iter().enumerate() {
            let Some(group) = groups.iter_mut().find(|group| group.members.contains(&at)) else { continue };
            let last = group.members.last() == Some(&at);
            let from = batch.events.len();
            if last {
                batch.events.append(&mut group.events);
            } else {
                batch.events.extend(group.events.iter().cloned());
            }
            for event in &mut batch.events[from..] {
                if let (Some(origin), Some(content)) = (&mut event.origin, contents.get(at)) {
                    origin.stream = content.clone();
                }
                target.input.decorate(event);
            }
            ends.push(batch.events.len());
        }
        batch.byte_size += batch.events.len() * EVENT_BYTES;
        fan.share(Arc::clone(known), ends);
    }

    /// Leaves the work to the pipeline, if it is the only one and a line has nothing to do with the next.
    fn defer(&mut self, lines: Lines, batch: &mut Batch) -> Result<(), Lines> {
        let ([group], [target]) = (&self.groups[..], &*self.known) else { return Err(lines) };
        if !self.records.are_lines() || !group.codec.is_stateless() {
            return Err(lines);
        }
        let (mut codec, input) = (group.codec.fork(), Arc::clone(&target.input));
        let Some(key) = self.contents.first().cloned() else { return Err(lines) };
        let metadata = Arc::clone(&self.metadata);
        let now = Clock::Fixed(self.clock.now());
        let status = Arc::clone(&self.status);
        batch.deferred = Some(Deferred::new(move |events| {
            let before = events.len();
            PlainLines.read(lines, &mut |record| {
                decode(&mut *codec, record, now, &metadata, &key, &mut |mut event| {
                    input.decorate(&mut event);
                    events.push(event);
                });
            });
            status.count_events((events.len() - before) as u64);
        }));
        self.fan.share(Arc::clone(&self.known), Vec::new());
        Ok(())
    }
}

/// Makes the events of one record.
fn decode(
    codec: &mut dyn Codec,
    record: Record,
    clock: Clock,
    metadata: &Metadata,
    key: &StreamKey,
    emit: &mut dyn FnMut(Event),
) {
    let Record { content, offset, channel, .. } = record;
    let mut ordinal = 0;
    let mut finish = |mut event: Event| {
        event.origin = Some(Origin { stream: key.clone(), offset, ordinal });
        ordinal += 1;
        metadata.apply(&mut event, offset, channel.map(Channel::as_str));
        emit(event);
    };
    match content {
        Content::Text(text) => codec.decode_text(text, clock, &mut finish),
        Content::Bytes(bytes) => codec.decode(bytes, clock, &mut finish),
    }
}

impl Decoder for FanDecoder {
    fn decode(&mut self, lines: Lines, batch: &mut Batch) -> Option<u64> {
        self.regroup();
        self.name_contents(lines.file());
        let lines = match self.defer(lines, batch) {
            Ok(()) => return None,
            Err(lines) => lines,
        };
        let mut kept = None;
        self.make(batch, |records, emit| kept = records.read(lines, emit));
        kept
    }

    fn flush(&mut self, reason: Flush, batch: &mut Batch) -> bool {
        self.regroup();
        let mut kept = false;
        self.make(batch, |records, emit| kept = records.flush(reason, emit));
        kept
    }
}
