//! From the workers to a sink: gathers records, keeps several batches on their way, repeats what did not
//! arrive, and lets go of the acknowledgement of what did.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use logstash_mesos_engine::run::PluginCounters;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, warn};

use super::dead_letter::{DeadLetters, Form, Letter};
use crate::backoff::Backoff;
use crate::event::{Ack, Event};
use crate::memory::{Account, Held};
use crate::sink::{Batching, Delivered, LogSink, RecordBatch, Rejection, SinkError};
use crate::source::Tally;

mod aside;
mod disk;
mod pieces;

pub(super) use disk::Use;
use disk::{Disk, Noted, Sent};
use pieces::Pieces;

/// The way to one output, shared by all workers.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: Arc<str>,
    pub(super) name: &'static str,
    pub(super) sink: Arc<dyn LogSink>,
    pub(super) batching: Batching,
    pub(super) counters: Arc<PluginCounters>,
    pub(super) delivery: Arc<DeliveryCounters>,
    letters: Arc<DeadLetters>,
    // Cancelled when the sink says that nobody will ever take anything again.
    closed: CancellationToken,
    // Cancelled when the program ends: then nobody waits for what is on disk and its output does not take.
    leave: CancellationToken,
    // The sink panicked, or there was no room aside, and it has delivered nothing since.
    failed: AtomicBool,
    disk: Disk,
    // Where that waits which is not taken while the rest is; such a lane has none of its own.
    aside: Option<Arc<Lane>>,
    // Of a lane of what waits aside: why, and the pause that its next batch goes on with.
    why: Mutex<Option<String>>,
    pace: Mutex<Option<Backoff>>,
    // What waits, is on its way or is kept as a spare buffer is held of it.
    memory: Arc<Account>,
    state: Mutex<State>,
    // For workers: there is room again.
    room: Condvar,
    // For the driver: there is something to do.
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(RecordBatch, Held)>,
    bytes: usize,
    // There was no memory for more: it was asked for, and was handed over perhaps.
    asked: bool,
    granted: Option<Held>,
    // Emptied buffers, to be used again.
    spare: Vec<(RecordBatch, Held)>,
    closed: bool,
    // Nobody drives the lane any more: what is pushed is given up.
    ended: bool,
    // There will be a place on disk, perhaps when the run before this one has left it.
    awaits_disk: bool,
    // There is one, and when it is used.
    has_disk: bool,
    uses_disk: Use,
    // Something there is to be read, so what is pushed goes behind it.
    on_disk: bool,
    // What was read from there has not arrived, and is read again.
    rewind: bool,
    // What is on its way, where there is a place on disk.
    sent: Vec<Sent>,
    sent_so_far: u64,
}

impl State {
    /// Whether what is pushed goes to the disk, though memory has room.
    fn goes_to_disk(&self) -> bool {
        self.has_disk && (self.on_disk || self.uses_disk == Use::Always)
    }

    /// Whether what is pushed goes to memory, and has room there.
    fn takes(&self, batching: &Batching, no_room_on_disk: bool) -> bool {
        let memory = !self.goes_to_disk() || no_room_on_disk && !self.on_disk;
        memory && self.bytes < batching.max_bytes
    }

    /// Puts a batch behind the others, and leaves an empty one in its place.
    fn put(&mut self, batch: &mut RecordBatch, (empty, held): (RecordBatch, Held)) {
        let full = std::mem::replace(batch, empty);
        self.bytes += full.byte_size();
        self.waiting.push_back((full, held));
    }
}

/// What became of the records of an output.
#[derive(Debug, Default)]
pub struct DeliveryCounters {
    delivered: AtomicU64,
    delivered_bytes: AtomicU64,
    rejected: AtomicU64,
    retries: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl DeliveryCounters {
    /// Records that arrived.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// The bytes of the records that were delivered, as they were encoded.
    #[must_use]
    pub fn delivered_bytes(&self) -> u64 {
        self.delivered_bytes.load(Ordering::Relaxed)
    }

    /// Records that were refused and became dead letters.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Why nothing arrives at the moment.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Deliveries that had to be tried again.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }
}

impl Lane {
    pub(super) fn new(
        id: Arc<str>,
        name: &'static str,
        sink: Arc<dyn LogSink>,
        letters: Arc<DeadLetters>,
        closed: CancellationToken,
        tally: &Arc<Tally>,
        memory: Account,
    ) -> Self {
        let lane = Self {
            id,
            name,
            batching: sink.batching(),
            sink,
            counters: Arc::default(),
            delivery: Arc::default(),
            letters,
            closed,
            leave: CancellationToken::new(),
            failed: AtomicBool::new(false),
            disk: Disk::new(tally),
            aside: None,
            why: Mutex::default(),
            pace: Mutex::default(),
            memory: Arc::new(memory),
            state: Mutex::default(),
            room: Condvar::new(),
            filled: Notify::new(),
        };
        Self { aside: Some(Arc::new(lane.for_aside())), ..lane }
    }

    /// Hands over a batch and leaves an empty one in its place; waits while there is room for it neither in memory nor
    /// on disk.
    pub(super) fn push(self: &Arc<Self>, batch: &mut RecordBatch) {
        let mut no_room_on_disk = false;
        let mut state = self.lock();
        while !state.ended {
            if state.takes(&self.batching, no_room_on_disk) {
                if let Some(room) = self.take_room(&mut state, batch) {
                    state.put(batch, room);
                    drop(state);
                    self.filled.notify_one();
                    return;
                }
                let spare = std::mem::take(&mut state.spare);
                if !spare.is_empty() {
                    drop(state);
                    drop(spare);
                    state = self.lock();
                    continue;
                }
            }
            let may_use_disk = state.has_disk && state.uses_disk != Use::Never;
            if !may_use_disk {
                state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else if no_room_on_disk {
                // Other outputs share the disk, so nobody may say when there is room.
                let waited = self.room.wait_timeout(state, disk::AGAIN);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                no_room_on_disk = false;
            } else {
                drop(state);
                if self.put_on_disk(batch) {
                    return;
                }
                no_room_on_disk = true;
                state = self.lock();
            }
        }
        drop(state);
        // Not under the lock: its sources are told that it was not delivered.
        drop(std::mem::take(batch));
    }

    /// Memory for `batch`, and an empty one in exchange. Where there is none it is asked for.
    fn take_room(self: &Arc<Self>, state: &mut State, batch: &RecordBatch) -> Option<(RecordBatch, Held)> {
        let bytes = batch.held_bytes();
        let with_next = |held| (batch.next(), held);
        // It was asked for a batch of about the same size.
        if let Some(mut held) = state.granted.take() {
            held.charge(bytes);
            return Some(with_next(held));
        }
        if let Some((empty, mut held)) = state.spare.pop() {
            if held.grow_to(bytes) {
                return Some((empty, held));
            }
            state.spare.push((empty, held));
        }
        if state.asked {
            return self.memory.try_take(bytes).map(with_next);
        }
        let lane = Arc::downgrade(self);
        let hand_over = move |held| {
            if let Some(lane) = lane.upgrade() {
                lane.grant(held);
            }
        };
        let held = self.memory.take_or_ask(bytes, hand_over);
        state.asked = held.is_none();
        held.map(with_next)
    }

    fn grant(&self, held: Held) {
        let mut state = self.lock();
        state.asked = false;
        let unwanted = state.ended || state.goes_to_disk();
        let before = if unwanted { Some(held) } else { state.granted.replace(held) };
        drop(state);
        drop(before);
        self.room.notify_all();
    }

    /// A batch is handed over when it has so many bytes.
    pub(super) fn most_bytes(&self) -> usize {
        self.batching.max_bytes.min(self.memory.piece())
    }

    /// A letter with an event that could not be written in the form of this output.
    pub(super) fn letter(&self, reason: &str, event: &Event) -> Letter {
        Letter::of_event(&self.id, self.name, reason, event)
    }

    /// Events of which this output had nothing to send.
    pub(super) fn done_with(&self, count: u64) {
        self.counters.add(count, count, 0);
        self.delivery.delivered.fetch_add(count, Ordering::Relaxed);
    }

    /// Events of this output have become dead letters.
    pub(super) fn refused(&self, count: u64) {
        self.delivery.rejected.fetch_add(count, Ordering::Relaxed);
    }

    /// Keeps what the sink refused for good. `false` when that could not be stored, which has been said: then the records
    /// have gone nowhere.
    async fn bury(&self, batch: &RecordBatch, rejected: &[Rejection]) -> bool {
        if rejected.is_empty() {
            return true;
        }
        let letter = |rejection: &Rejection| {
            let record = batch.bytes(rejection.record);
            let mut letter = Letter::new(&self.id, self.name, &rejection.reason, Form::Record, record);
            letter.route = batch.records[rejection.record].route.as_ref().map(ToString::to_string);
            letter
        };
        let letters: Vec<_> = rejected.iter().map(letter).collect();
        let (count, store) = (letters.len() as u64, Arc::clone(&self.letters));
        // It waits for the disk.
        let kept = tokio::task::spawn_blocking(move || store.keep(letters).is_ok()).await.unwrap_or(false);
        if kept {
            self.refused(count);
        }
        kept
    }

    /// Records that wait on disk, their bytes, and how many more were damaged there.
    pub(super) fn on_disk(&self) -> (u64, u64, u64) {
        (self.disk.events(), self.disk.bytes(), self.disk.damaged())
    }

    /// What is on disk may stay there if its output does not take it: it is sent after the next start.
    pub(super) fn leave(&self) {
        self.leave.cancel();
        self.filled.notify_one();
    }

    /// Whether what is on disk stays there.
    fn leaves(&self) -> bool {
        self.leave.is_cancelled() && (self.is_aside() || self.delivery.trouble().is_some())
    }

    /// Nothing more will be pushed.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// Drives the lane, and what waits aside, until it is closed and all is empty, or until `give_up`.
    pub(super) async fn drive(self: Arc<Self>, give_up: CancellationToken) {
        let aside = self.aside.as_ref().map(|aside| {
            let driven = Arc::clone(aside).drive_alone(give_up.clone());
            (aside, tokio::spawn(driven.in_current_span()))
        });
        Arc::clone(&self).drive_alone(give_up).await;
        if let Some((aside, driven)) = aside {
            aside.close();
            if let Err(error) = driven.await {
                error!(%error, plugin_id = %self.id, "Delivery of what waits aside ended early");
            }
        }
        if let Err(error) = self.sink.flush().await {
            warn!(%error, plugin_id = %self.id, "Output could not be flushed");
        }
    }

    async fn drive_alone(self: Arc<Self>, give_up: CancellationToken) {
        let mut on_the_way = JoinSet::new();
        loop {
            let next = match self.next() {
                Next::Disk { again } => {
                    self.wait_for_room(&mut on_the_way).await;
                    self.next_on_disk(again, &give_up).await
                }
                next => next,
            };
            match next {
                Next::Batch(batch, duty, held) => {
                    self.wait_for_room(&mut on_the_way).await;
                    let lane = Arc::clone(&self);
                    let give_up = give_up.clone();
                    on_the_way.spawn(async move { lane.deliver(batch, duty, held, &give_up).await });
                }
                Next::Disk { .. } => {}
                Next::Wait => tokio::select! {
                    () = self.filled.notified() => {}
                    Some(done) = on_the_way.join_next() => self.delivered(Some(done)),
                    () = tokio::time::sleep(SPARES_FOR), if self.has_spares() => self.drop_spares(),
                },
                Next::Closed => break,
            }
            if give_up.is_cancelled() {
                break;
            }
        }
        while let Some(done) = on_the_way.join_next().await {
            self.delivered(Some(done));
        }
        self.end();
    }

    async fn wait_for_room(&self, on_the_way: &mut JoinSet<()>) {
        while on_the_way.len() >= self.batching.in_flight.max(1) {
            self.delivered(on_the_way.join_next().await);
        }
    }

    /// Reads from disk; after a pause if it did not go well.
    async fn next_on_disk(self: &Arc<Self>, again: bool, give_up: &CancellationToken) -> Next {
        let pause = async || {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = give_up.cancelled() => {}
                () = self.leave.cancelled() => {}
            }
        };
        if again {
            pause().await;
        }
        match self.from_disk().await {
            Ok(Some((batch, noted))) => {
                // It is bounded by the number of those on their way.
                let held = self.memory.charge(batch.held_bytes());
                Next::Batch(batch, Told::Noted(noted), held)
            }
            Ok(None) => Next::Disk { again: false },
            Err(error) => {
                let trouble = format!("what waits on disk cannot be read: {error}");
                error!(%error, plugin_id = %self.id, "What waits on disk cannot be read, trying until it can");
                self.delivery.set_trouble(Some(trouble));
                self.failed.store(true, Ordering::Relaxed);
                pause().await;
                Next::Disk { again }
            }
        }
    }

    /// A delivery that panicked has given up its batch, which is read again.
    fn delivered(&self, done: Option<Result<(), JoinError>>) {
        if let Some(Err(error)) = done {
            error!(%error, plugin_id = %self.id, "Output failed, its batch is given up");
            self.delivery.set_trouble(Some(format!("the plugin failed, its batch is read again: {error}")));
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    fn next(self: &Arc<Self>) -> Next {
        let mut state = self.lock();
        let Some((mut batch, mut held)) = state.waiting.pop_front() else {
            return match &*state {
                State { on_disk: true, closed, .. } if (*closed || self.is_aside()) && self.leaves() => {
                    Next::Closed
                }
                State { on_disk: true, rewind, .. } => Next::Disk { again: *rewind },
                State { closed: true, .. } => Next::Closed,
                _ => Next::Wait,
            };
        };
        state.bytes -= batch.byte_size();
        // What came meanwhile goes along, until there is enough.
        let (mut bytes, mut records) = (batch.byte_size(), batch.len());
        let fits = |(more, _): &&(RecordBatch, Held)| {
            let enough = bytes >= ENOUGH;
            (bytes, records) = (bytes + more.byte_size(), records + more.len());
            !enough && bytes <= self.batching.max_bytes && records <= self.batching.max_records
        };
        let along = state.waiting.iter().take_while(fits).count();
        let along: Vec<_> = state.waiting.drain(..along).collect();
        batch.reserve(
            along.iter().map(|(more, _)| more.body.len()).sum(),
            along.iter().map(|(more, _)| more.len()).sum(),
        );
        for (mut more, of_more) in along {
            state.bytes -= more.byte_size();
            batch.append(&mut more);
            held.merge(of_more);
            self.keep_spare(&mut state, more);
        }
        let ack = std::mem::take(&mut batch.ack);
        let batch = Arc::new(batch);
        let told = self.note(&mut state, &batch, ack).map_or_else(Told::Source, Told::Noted);
        drop(state);
        self.room.notify_all();
        Next::Batch(batch, told, held)
    }

    /// Tries until everything has arrived, was refused for good, or waits aside. Whatever ends it before has not
    /// delivered.
    async fn deliver(
        self: &Arc<Self>,
        mut batch: Arc<RecordBatch>,
        mut told: Told,
        held: Held,
        give_up: &CancellationToken,
    ) {
        let nobody = Ack::none();
        let mut kept = true;
        let mut backoff = self.pace();
        let (mut trouble, mut tries) = (Trouble::default(), 0);
        let (mut pieces, mut reason) = (self.pieces(), String::new());
        loop {
            let mut goes_on = false;
            let start = Instant::now();
            // What was tried and is on disk has time until the next start.
            let may_leave = (trouble.is_there || self.is_aside()) && told.is_on_disk();
            let piece = pieces.next(batch.len());
            let sent = match piece.len() == batch.len() {
                true => Arc::clone(&batch),
                false => Arc::new(batch.only(&piece.clone().collect::<Vec<_>>())),
            };
            let result = tokio::select! {
                result = self.sink.hand_on(&sent, told.source(&nobody)) => result,
                () = give_up.cancelled() => return,
                () = self.leave.cancelled(), if may_leave => return,
            };
            match result {
                Ok(delivered) => {
                    drop(sent);
                    goes_on = pieces.answered(&piece, delivered.left().len());
                    let delivered = delivered.of_piece(&piece, batch.len());
                    self.count(&batch, &delivered, start);
                    kept &= self.bury(&batch, &delivered.rejected).await;
                    if std::mem::take(&mut trouble.is_there) {
                        if std::mem::take(&mut trouble.is_said) {
                            info!(plugin_id = %self.id, output = self.sink.name(), "Output takes events again");
                        }
                        if !self.is_aside() {
                            self.delivery.set_trouble(None);
                        }
                        backoff.reset();
                    }
                    if self.failed.swap(false, Ordering::Relaxed) {
                        self.delivery.set_trouble(None);
                    }
                    let left = delivered.left();
                    if left.is_empty() {
                        break;
                    }
                    if left.len() < batch.len() {
                        batch = Arc::new(batch.only(&left));
                        if let Told::Noted(noted) = &told {
                            noted.is_less(&batch);
                        }
                        if self.is_aside() {
                            backoff.reset();
                        }
                    }
                    tries += 1;
                    told = match self.set_aside(&batch, told, kept, &delivered, tries).await {
                        Some(told) => told,
                        None => return,
                    };
                }
                Err(error) => {
                    if matches!(error, SinkError::Closed { .. }) {
                        self.closed.cancel();
                    }
                    self.say(&error, &mut trouble);
                    if pieces.failed(&piece) {
                        backoff.reset();
                    }
                    reason = error.to_string();
                }
            }
            if pieces.are_to_blame(batch.len(), self.delivery.delivered()) {
                let blamed = Delivered::all_aside(batch.len(), reason.clone());
                told = match self.set_aside(&batch, told, kept, &blamed, tries).await {
                    Some(told) => told,
                    None => {
                        self.delivery.set_trouble(None);
                        return;
                    }
                };
            }
            if goes_on {
                continue;
            }
            self.delivery.retries.fetch_add(1, Ordering::Relaxed);
            let may_leave = (trouble.is_there || self.is_aside()) && told.is_on_disk();
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = give_up.cancelled() => return,
                () = self.leave.cancelled(), if may_leave => return,
            }
            // One in whose parts something is looked for has its turn until that is done.
            if pieces.is_whole() {
                told = match self.let_others_try(&batch, told, kept, &mut backoff).await {
                    Some(told) => told,
                    None => return,
                };
            }
        }
        match told {
            Told::Source(ack) if kept => ack.delivered(),
            Told::Noted(noted) if kept => noted.arrived().await,
            // A dead letter could not be stored.
            told => drop(told),
        }
        self.give_back(batch, held);
    }

    fn count(&self, batch: &RecordBatch, delivered: &Delivered, start: Instant) {
        let rejected = delivered.rejected.iter().map(|rejection| rejection.record);
        let left = delivered.left();
        let bytes_of_others = left.iter().copied().chain(rejected).map(|at| batch.range(at).len());
        let bytes = batch.byte_size() - bytes_of_others.sum::<usize>();
        let records = (batch.len() - left.len()) as u64;
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(0);
        self.counters.add(0, records, nanos);
        let arrived = records - delivered.rejected.len() as u64;
        self.delivery.delivered.fetch_add(arrived, Ordering::Relaxed);
        self.delivery.delivered_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Keeps the buffers for the next batch.
    fn give_back(&self, batch: Arc<RecordBatch>, held: Held) {
        // A connection that is not quite done with the bytes keeps them; then there is nothing to reuse.
        let empty = Arc::try_unwrap(batch).ok();
        drop(held);
        if let Some(mut empty) = empty {
            empty.clear();
            self.keep_spare(&mut self.lock(), empty);
        }
    }

    /// Keeps an empty batch, if it is not too large and nobody lacks the memory.
    fn keep_spare(&self, state: &mut State, empty: RecordBatch) {
        if !state.asked
            && state.spare.len() <= self.batching.in_flight
            && empty.body.capacity() <= 2 * self.most_bytes()
            && let Some(held) = self.memory.try_take_spare(empty.held_bytes())
        {
            state.spare.push((empty, held));
        }
    }

    fn has_spares(&self) -> bool {
        !self.lock().spare.is_empty()
    }

    fn drop_spares(&self) {
        // Not under the lock.
        let spare = std::mem::take(&mut self.lock().spare);
        drop(spare);
    }

    /// Gives up what waits, and what is still pushed.
    fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let waiting = std::mem::take(&mut state.waiting);
        let given_up = (waiting, state.granted.take(), std::mem::take(&mut state.spare));
        drop(state);
        drop(given_up);
        self.room.notify_all();
        self.leave_disk();
    }

    fn say(&self, error: &SinkError, trouble: &mut Trouble) {
        trouble.is_there = true;
        if self.is_aside() {
            // The output is well without these.
            *self.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            return;
        }
        self.delivery.set_trouble(Some(error.to_string()));
        if trouble.said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            trouble.said_at = Some(Instant::now());
            trouble.is_said = true;
            let attempt = self.delivery.retries();
            warn!(%error, plugin_id = %self.id, attempt, "Output does not take events, trying until it does");
        }
    }

    fn pieces(&self) -> Pieces {
        let patience = match (self.sink.sends_together(), self.is_aside()) {
            (false, _) => u32::MAX,
            (true, false) => TRIES_AS_A_WHOLE,
            (true, true) => 0,
        };
        Pieces::new(patience, self.delivery.delivered())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That an output does not take a batch now.
#[derive(Debug, Default)]
struct Trouble {
    is_there: bool,
    // In the log, and not yet that it is over.
    is_said: bool,
    said_at: Option<Instant>,
}

enum Next {
    Batch(Arc<RecordBatch>, Told, Held),
    /// Something is on disk; perhaps it is read again.
    Disk {
        again: bool,
    },
    Wait,
    Closed,
}

/// Who is told that a batch has arrived.
enum Told {
    Source(Ack),
    Noted(Noted),
}

impl Told {
    /// For a sink that shares the duty: it hands events on, and these are never on disk.
    fn source<'a>(&'a self, nobody: &'a Ack) -> &'a Ack {
        match self {
            Self::Source(ack) => ack,
            Self::Noted(_) => nobody,
        }
    }

    fn is_on_disk(&self) -> bool {
        matches!(self, Self::Noted(noted) if noted.is_on_disk())
    }
}

/// A batch of so many bytes goes alone: a larger one would save less than it costs to copy both into a larger buffer.
const ENOUGH: usize = 256 << 10;
/// Before that is read again from disk which could not be read, or which a broken plugin did not deliver.
const PAUSE: Duration = Duration::from_secs(1);
/// A lane that has nothing to do keeps its spare buffers so long.
const SPARES_FOR: Duration = Duration::from_secs(1);
/// So often a request may fail as a whole before one of its records is suspected.
const TRIES_AS_A_WHOLE: u32 = 2;
/// An output that does not take events says so this often.
const SAY_EVERY: Duration = Duration::from_secs(15);
