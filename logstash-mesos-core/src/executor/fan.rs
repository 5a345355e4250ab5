//! One stream, read once, for every configuration that wants it.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tracing::warn;

use super::in_flight::InFlight;
use super::metadata::Metadata;
use super::records::{Channel, Record, Records};
use crate::event::{Clock, Event, Origin, StreamKey};
use crate::pipeline::input::common::EVENT_BYTES;
use crate::pipeline::input::keeper::{Keeper, Place, decode as decode_content};
use crate::pipeline::input::stream::{Channels, StreamInput};
use crate::pipeline::plugin::{Batch, BatchSender, Deferred, EcsCompatibility, LineLimit};
use crate::source::{Decoder, Flush, Kept, Lines, Lost, StreamStatus};

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
    // What its events say about where they come from. It is taken over with the targets.
    metadata: RwLock<Arc<Metadata>>,
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
    pub(crate) fn new(targets: Vec<Target>, metadata: Metadata, in_flight: InFlight) -> Arc<Self> {
        Arc::new(Self {
            targets: RwLock::new(targets.into()),
            metadata: RwLock::new(Arc::new(metadata)),
            shares: Mutex::new(None),
            in_flight,
        })
    }

    /// The next lines say this about where they come from.
    pub(crate) fn set_metadata(&self, metadata: Metadata) {
        *self.metadata.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(metadata);
        // A list of its own, by which decoders know that something is new.
        self.set_targets(self.targets().to_vec());
    }

    fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.metadata.read().unwrap_or_else(PoisonError::into_inner))
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
        let mut batch = batch;
        let Some(Shares { targets, ends }) = shares else {
            // No lines were decoded: there is nothing to deliver.
            batch.ack.delivered();
            return true;
        };
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
        // Each share has a duty of its own.
        ack.delivered();
        all
    }
}

/// Makes the events of one stream for all targets of its [`Fan`].
pub(crate) struct FanDecoder {
    fan: Arc<Fan>,
    records: Box<dyn Records>,
    key: StreamKey,
    // The content of the file that the last lines were from, and its name for each target.
    file: Arc<str>,
    contents: Vec<StreamKey>,
    clock: Clock,
    status: Arc<StreamStatus>,
    // For the targets as they were at the last lines.
    known: Arc<[Target]>,
    groups: Vec<Group>,
}

/// The targets that make the same events of the same lines.
struct Group {
    // One for each channel: what is joined is never joined across them.
    keepers: [Keeper; 2],
    channels: Channels,
    metadata: Arc<Metadata>,
    members: Vec<usize>,
    events: Vec<Event>,
}

impl FanDecoder {
    pub(crate) fn new(
        fan: Arc<Fan>,
        records: Box<dyn Records>,
        key: StreamKey,
        clock: Clock,
        status: Arc<StreamStatus>,
    ) -> Self {
        Self {
            fan,
            records,
            key,
            file: Arc::from(""),
            contents: Vec::new(),
            clock,
            status,
            known: Arc::new([]),
            groups: Vec::new(),
        }
    }

    /// Takes over the targets as they are now. What was kept for one that goes on in another way is decoded anew.
    fn regroup(&mut self) {
        let targets = self.fan.targets();
        if Arc::ptr_eq(&targets, &self.known) {
            return;
        }
        let metadata = self.fan.metadata();
        let mut before = std::mem::take(&mut self.groups);
        for (at, target) in targets.iter().enumerate() {
            let alike = self.groups.iter_mut().find(|group| {
                let first = &targets[group.members[0]].input;
                first.makes_the_same(&target.input) && group.channels == target.input.channels
            });
            match alike {
                Some(group) => group.members.push(at),
                None => {
                    let keeper = || Keeper::new(target.input.codec());
                    let mut group = Group {
                        keepers: [keeper(), keeper()],
                        channels: target.input.channels,
                        metadata: match target.input.ecs {
                            EcsCompatibility::Disabled => Arc::new(metadata.by_old_names()),
                            EcsCompatibility::V1 | EcsCompatibility::V8 => Arc::clone(&metadata),
                        },
                        members: vec![at],
                        events: Vec::new(),
                    };
                    let same = |member: &usize| self.known[*member].name == target.name;
                    if let Some(old) = before.iter_mut().find(|old| old.members.iter().any(same)) {
                        group.take_over(old, self.clock);
                    }
                    self.groups.push(group);
                }
            }
        }
        self.known = targets;
    }

    /// Names the content that the next lines are from. What is kept is from another one, if it changes.
    fn name_contents(&mut self, file: Option<&Arc<str>>) {
        let file = file.map_or("", |file| file);
        if *self.file != *file {
            self.file = Arc::from(file);
            self.leave_file(&mut |_| {});
        }
        self.contents = self.known.iter().map(|target| self.content(target, file)).collect();
    }

    fn content(&self, target: &Target, file: &str) -> StreamKey {
        StreamKey(Arc::from(format!("{}:{}:{file}", target.name, self.key.0)))
    }

    fn leave_file(&mut self, emit: &mut dyn FnMut(Record)) {
        self.records.flush(Flush::Rotated, emit);
        for keeper in self.groups.iter_mut().flat_map(|group| &mut group.keepers) {
            keeper.flush(Flush::Rotated, self.clock, &mut |_, _| {});
        }
    }

    /// Has `feed` give records, and puts the events of each target behind one another into `batch`. With a
    /// reason to flush, what is kept goes along.
    fn make(
        &mut self,
        batch: &mut Batch,
        flush: Option<Flush>,
        feed: impl FnOnce(&mut dyn Records, &mut dyn FnMut(Record)) -> Kept,
    ) -> Kept {
        let Self { records, clock, groups, key, file, status, .. } = self;
        // Asked once: lines that come together were read at the same moment.
        let now = Clock::Fixed(clock.now());
        let mut kept = feed(&mut **records, &mut |record| {
            note_cut(status, &key.0, file, &record);
            for group in &mut *groups {
                if group.channels.wants(record.channel) {
                    group.decode(record.clone(), file, now);
                }
            }
        });
        status.lost(Lost::Unreadable, records.take_unreadable());
        for group in &mut *groups {
            // Others may be quiet while one of the channels is not.
            group.flush(flush.unwrap_or(Flush::Idle), now);
            kept = group.keepers.iter().fold(kept, |kept, keeper| kept.and(keeper.kept()));
        }
        let mut ends = Vec::with_capacity(self.known.len());
        for (at, target) in self.known.iter().enumerate() {
            let Some(group) = self.groups.iter_mut().find(|group| group.members.contains(&at)) else {
                continue;
            };
            let last = group.members.last() == Some(&at);
            let from = batch.events.len();
            if last {
                batch.events.append(&mut group.events);
            } else {
                batch.events.extend(group.events.iter().cloned());
            }
            for event in &mut batch.events[from..] {
                if let Some(origin) = &mut event.origin {
                    // So far it names the content of the file alone.
                    let same = *origin.stream.0 == *self.file;
                    origin.stream = match self.contents.get(at) {
                        Some(content) if same => content.clone(),
                        _ => StreamKey(Arc::from(format!(
                            "{}:{}:{}",
                            target.name, self.key.0, origin.stream.0
                        ))),
                    };
                }
                target.input.decorate(event);
            }
            ends.push(batch.events.len());
        }
        batch.byte_size += batch.events.len() * EVENT_BYTES;
        self.fan.share(Arc::clone(&self.known), ends);
        kept
    }

    /// Leaves the work to the pipeline, if it is the only one and a line has nothing to do with the next.
    fn defer(&mut self, lines: Lines, batch: &mut Batch) -> Result<(), Lines> {
        let ([group], [target]) = (&self.groups[..], &*self.known) else { return Err(lines) };
        let [keeper, _] = &group.keepers;
        // Made of what was kept before the configuration changed: these come first.
        let waiting = !group.events.is_empty();
        if waiting || !self.records.are_lines() || !keeper.codec().is_stateless() {
            return Err(lines);
        }
        let (mut codec, input) = (keeper.codec().fork(), Arc::clone(&target.input));
        let Some(key) = self.contents.first().cloned() else { return Err(lines) };
        let metadata = Arc::clone(&group.metadata);
        let now = Clock::Fixed(self.clock.now());
        let (status, stream, file) =
            (Arc::clone(&self.status), Arc::clone(&self.key.0), Arc::clone(&self.file));
        let (mut unread, mut reading) = (Some(lines), None);
        batch.deferred = Some(Deferred::in_parts(move |events, at_most| {
            if let Some(lines) = unread.take() {
                reading = Some(lines.into_iter());
            }
            let Some(lines) = &mut reading else { return false };
            let before = events.len();
            while events.len() - before < at_most
                && let Some(line) = lines.next()
            {
                let record = Record::from(line);
                note_cut(&status, &stream, &file, &record);
                let place = Place::of(&record, &key.0);
                let mut ordinal = 0;
                decode_content(&mut *codec, record.content, now, &mut |event| {
                    let mut event = finish(event, &place, ordinal, &metadata);
                    ordinal += 1;
                    input.decorate(&mut event);
                    events.push(event);
                });
            }
            status.count_events((events.len() - before) as u64);
            !lines.is_empty()
        }));
        self.fan.share(Arc::clone(&self.known), Vec::new());
        Ok(())
    }
}

impl Group {
    fn decode(&mut self, record: Record, file: &Arc<str>, now: Clock) {
        let place = Place::of(&record, file);
        let clock = record.time.map_or(now, Clock::Fixed);
        let keeper = &mut self.keepers[usize::from(record.channel == Some(Channel::Stderr))];
        let (events, metadata, mut ordinal) = (&mut self.events, &*self.metadata, 0);
        keeper.decode(record.content, place, clock, &mut |event, first| {
            events.push(finish(event, first, ordinal, metadata));
            ordinal += 1;
        });
    }

    fn flush(&mut self, reason: Flush, now: Clock) {
        let (events, metadata) = (&mut self.events, &*self.metadata);
        for keeper in &mut self.keepers {
            keeper.flush(reason, now, &mut |event, first| events.push(finish(event, first, 0, metadata)));
        }
    }

    /// Goes on with what `before` keeps.
    fn take_over(&mut self, before: &mut Self, clock: Clock) {
        let (events, metadata) = (&mut self.events, &*self.metadata);
        for (keeper, before) in self.keepers.iter_mut().zip(&mut before.keepers) {
            let fresh = Keeper::new(before.codec().fork());
            keeper.take_over(std::mem::replace(before, fresh), clock, &mut |event, first| {
                events.push(finish(event, first, 0, metadata));
            });
        }
    }
}

/// Counts a line that was too long, and says so.
fn note_cut(status: &StreamStatus, stream: &str, file: &Arc<str>, record: &Record) {
    if record.cut > 0 && status.line_cut(file, record.offset, record.cut) {
        let (offset, lost_bytes, setting) = (record.offset, record.cut, LineLimit::SETTING);
        warn!(stream, offset, lost_bytes, setting, "A line is too long, the rest of it is left out");
    }
}

impl Place {
    fn of(record: &Record, file: &Arc<str>) -> Self {
        let Record { offset, at, time, channel, cut, .. } = *record;
        Self { file: Arc::clone(file), offset, at, time, channel, cut: cut > 0 }
    }
}

/// Gives an event its name and the metadata of its first line.
fn finish(mut event: Event, first: &Place, ordinal: u32, metadata: &Metadata) -> Event {
    event.origin = Some(Origin { stream: StreamKey(Arc::clone(&first.file)), offset: first.offset, ordinal });
    metadata.apply(&mut event, first.offset, first.channel.map(Channel::as_str));
    if first.cut {
        event.tag(LineLimit::TAG);
    }
    event
}

impl Decoder for FanDecoder {
    fn decode(&mut self, lines: Lines, batch: &mut Batch) -> Kept {
        self.regroup();
        self.name_contents(lines.file());
        match self.defer(lines, batch) {
            Ok(()) => Kept::NOTHING,
            Err(lines) => self.make(batch, None, |records, emit| records.read(lines, emit)),
        }
    }

    fn flush(&mut self, reason: Flush, batch: &mut Batch) -> Kept {
        self.regroup();
        self.make(batch, Some(reason), |records, emit| records.flush(reason, emit))
    }

    fn idle_flush(&self) -> Option<Duration> {
        let keepers = self.groups.iter().flat_map(|group| &group.keepers);
        keepers.filter_map(Keeper::idle_flush).min()
    }

    fn reset(&mut self) {
        self.records.reset();
        for group in &mut self.groups {
            group.keepers.iter_mut().for_each(Keeper::reset);
            group.events.clear();
        }
    }
}

#[cfg(test)]
mod tests;
