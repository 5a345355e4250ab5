//! One stream, read once, for every configuration that wants it.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tracing::warn;

use super::in_flight::InFlight;
use super::metadata::Metadata;
use super::records::{Channel, Record, Records};
use crate::event::{Clock, Event, Origin, StreamKey};
use crate::memory::Room;
use crate::pipeline::input::common::{EVENT_BYTES, EXPANSION};
use crate::pipeline::input::keeper::{Keeper, Place, decode as decode_content};
use crate::pipeline::input::keeping::Keeping;
use crate::pipeline::input::stream::{Channels, StreamInput};
use crate::pipeline::plugin::{Batch, BatchSender, Deferred, EcsCompatibility, LineLimit};
use crate::source::{Decoder, Flush, Kept, LineIter, Lines, Lost, StreamStatus};

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
    // Where they are made later: those of all targets but the first, which are in the batch.
    deferred: Vec<Deferred>,
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

    fn share(&self, targets: Arc<[Target]>, ends: Vec<usize>, deferred: Vec<Deferred>) {
        let shares = Shares { targets, ends, deferred };
        *self.shares.lock().unwrap_or_else(PoisonError::into_inner) = Some(shares);
    }

    pub(crate) fn targets(&self) -> Arc<[Target]> {
        Arc::clone(&self.targets.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl BatchSender for Fan {
    async fn send(&self, batch: Batch) -> bool {
        self.send_into(Room::default(), batch).await
    }

    fn try_room(&self, bytes: usize) -> Option<Room> {
        let targets = self.targets();
        targets.iter().map(|target| target.sender.try_room(bytes)).collect::<Option<_>>().map(joined)
    }

    async fn room(&self, bytes: usize) -> Room {
        self.gather(bytes, false).await
    }

    async fn room_for(&self, bytes: usize) -> Room {
        self.gather(bytes, true).await
    }

    async fn send_into(&self, room: Room, mut batch: Batch) -> bool {
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Shares { targets, ends, deferred: mut later }) = shares else {
            // No lines were decoded: there is nothing to deliver.
            batch.ack.delivered();
            return true;
        };
        batch.ack.merge(self.in_flight.begin());
        let Batch { mut events, ack, byte_size, mut deferred } = batch;
        // One for each target, unless they have changed since it was asked for.
        let mut rooms = if room.0.len() == targets.len() { room.0 } else { Vec::new() };
        let total = events.len().max(1);
        let mut all = true;
        // From the back, so that nothing is moved.
        for (at, target) in targets.iter().enumerate().rev() {
            let room = Room(rooms.pop().into_iter().collect());
            let deferred = if at == 0 { deferred.take() } else { later.pop() };
            let start = if at == 0 { 0 } else { ends.get(at - 1).copied().unwrap_or(0) };
            let share = if start == 0 { std::mem::take(&mut events) } else { events.split_off(start) };
            let byte_size = if deferred.is_some() { byte_size } else { byte_size * share.len() / total };
            let batch = Batch { events: share, ack: ack.clone(), byte_size, deferred };
            if batch.is_empty() {
                batch.ack.delivered();
                continue;
            }
            all &= target.sender.send_into(room, batch).await;
        }
        // Each share has a duty of its own.
        ack.delivered();
        all
    }
}

impl Fan {
    /// Room for `bytes` for every target. What is `whole`, and shared by them, has all of its room with the one that was waited
    /// for last, and a piece with the others: who waits for all of it everywhere may never get it.
    async fn gather(&self, bytes: usize, whole: bool) -> Room {
        let targets = self.targets();
        let mut waited: Option<(usize, Room)> = None;
        if let Some(first) = targets.first().filter(|_| whole) {
            let _waits = self.in_flight.begin();
            waited = Some((0, first.sender.room_for(bytes).await));
        }
        loop {
            let mut rooms = Vec::with_capacity(targets.len());
            for (at, target) in targets.iter().enumerate() {
                let of_this = waited.take_if(|(waited_at, _)| *waited_at == at).map(|(_, room)| room);
                match of_this.or_else(|| target.sender.try_room(bytes)) {
                    Some(room) => rooms.push(room),
                    None => break,
                }
            }
            let Some(full) = targets.get(rooms.len()) else { return joined(rooms) };
            let at = rooms.len();
            // Nothing is held meanwhile: it may be long, and the others have other streams.
            drop(rooms);
            // What waits to be read is on its way too: nobody ends the stream for being quiet.
            let _waits = self.in_flight.begin();
            let room = match whole {
                true => full.sender.room_for(bytes).await,
                false => full.sender.room(bytes).await,
            };
            waited = Some((at, room));
        }
    }
}

fn joined(rooms: Vec<Room>) -> Room {
    Room(rooms.into_iter().flat_map(|room| room.0).collect())
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
    memory: Keeping,
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
        mut records: Box<dyn Records>,
        key: StreamKey,
        clock: Clock,
        status: Arc<StreamStatus>,
        memory: Keeping,
    ) -> Self {
        if let (Some(joiner), Some(dir)) = (records.joiner(), memory.dir()) {
            joiner.keep_in(dir);
        }
        Self {
            fan,
            records,
            key,
            file: Arc::from(""),
            contents: Vec::new(),
            clock,
            status,
            memory,
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
                    let keeper =
                        || Keeper::new(target.input.codec(), Arc::clone(&self.status), self.memory.clone());
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

    /// Has `feed` give records out of a block of so many bytes, and puts the events of each target behind one another into
    /// `batch`. With a reason to flush, what is kept goes along.
    fn make(
        &mut self,
        batch: &mut Batch,
        flush: Option<Flush>,
        block: usize,
        feed: impl FnOnce(&mut dyn Records, &mut dyn FnMut(Record)) -> Kept,
    ) -> Kept {
        let Self { records, clock, groups, key, file, status, .. } = self;
        // Asked once: lines that come together were read at the same moment.
        let now = Clock::Fixed(clock.now());
        let bytes = |groups: &[Group]| groups.iter().map(Group::kept_bytes).sum::<usize>();
        let kept_bytes = bytes(groups);
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
            group.settle(block, now);
            kept = group.keepers.iter().fold(kept, |kept, keeper| kept.and(keeper.kept()));
        }
        batch.byte_size += kept_bytes.saturating_sub(bytes(groups));
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
        self.fan.share(Arc::clone(&self.known), ends, Vec::new());
        kept
    }

    /// Whether the events can be made by the pipelines: a line has nothing to do with the next one.
    fn may_defer(&self) -> bool {
        let alone = |group: &Group| {
            // Made of what was kept before the configuration changed: these come first.
            let waiting = !group.events.is_empty();
            !waiting && group.keepers[0].codec().is_stateless()
        };
        self.records.are_lines() && !self.groups.is_empty() && self.groups.iter().all(alone)
    }

    /// Leaves the work to the pipelines, if they can do it: lines need less room in a queue than events, and those of all
    /// are the same.
    fn defer(&mut self, lines: Lines, batch: &mut Batch) -> Result<(), Lines> {
        if !self.may_defer() {
            return Err(lines);
        }
        let mut deferred = if self.known.len() == 1 {
            // The worker looks whether they are UTF-8.
            vec![self.deferred(0, move || lines.into_iter())]
        } else {
            let lines = lines.into_iter();
            let of = |at| {
                let lines = lines.clone();
                self.deferred(at, move || lines)
            };
            (0..self.known.len()).map(of).collect()
        };
        batch.deferred = Some(deferred.remove(0));
        self.fan.share(Arc::clone(&self.known), Vec::new(), deferred);
        Ok(())
    }

    /// Makes the events of one target later.
    fn deferred(&self, at: usize, lines: impl FnOnce() -> LineIter + Send + 'static) -> Deferred {
        let group =
            self.groups.iter().find(|group| group.members.contains(&at)).expect("every target has one");
        let (mut codec, input) = (group.keepers[0].codec().fork(), Arc::clone(&self.known[at].input));
        let (key, metadata) = (self.contents[at].clone(), Arc::clone(&group.metadata));
        let now = Clock::Fixed(self.clock.now());
        let (status, stream, file) =
            (Arc::clone(&self.status), Arc::clone(&self.key.0), Arc::clone(&self.file));
        Deferred::new(move |events| {
            let mut count = 0;
            for line in lines() {
                let record = Record::from(line);
                if at == 0 {
                    note_cut(&status, &stream, &file, &record);
                }
                let place = Place::of(&record, &key.0);
                let mut ordinal = 0;
                decode_content(&mut *codec, record.content, now, &mut |event| {
                    let mut event = finish(event, &place, ordinal, &metadata);
                    ordinal += 1;
                    input.decorate(&mut event);
                    events.push(event);
                });
                count += u64::from(ordinal);
            }
            status.count_events(count);
        })
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

    /// Of the last lines, which were slices of a block of so many bytes.
    fn settle(&mut self, block: usize, now: Clock) {
        let (events, metadata) = (&mut self.events, &*self.metadata);
        for keeper in &mut self.keepers {
            keeper.settle(block, now, &mut |event, first| events.push(finish(event, first, 0, metadata)));
        }
    }

    fn kept_bytes(&self) -> usize {
        self.keepers.iter().map(Keeper::kept_bytes).sum()
    }

    /// Goes on with what `before` keeps.
    fn take_over(&mut self, before: &mut Self, clock: Clock) {
        let (events, metadata) = (&mut self.events, &*self.metadata);
        for (keeper, before) in self.keepers.iter_mut().zip(&mut before.keepers) {
            let fresh = before.fresh();
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
            Err(lines) => {
                let block = lines.byte_len();
                self.make(batch, None, block, |records, emit| records.read(lines, emit))
            }
        }
    }

    fn aside(&mut self) -> usize {
        self.records.joiner().map_or(0, |joiner| joiner.on_disk())
    }

    fn expansion(&self) -> usize {
        if self.may_defer() { 1 } else { EXPANSION }
    }

    fn flush(&mut self, reason: Flush, batch: &mut Batch) -> Kept {
        self.regroup();
        self.make(batch, Some(reason), 0, |records, emit| records.flush(reason, emit))
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
