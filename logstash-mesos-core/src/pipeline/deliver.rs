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
use crate::sink::{Batching, Delivered, LogSink, RecordBatch, Rejection, SinkError};
use crate::source::Tally;

mod aside;
mod disk;

pub(super) use disk::Use;
use disk::{Disk, Noted, Sent};

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
    state: Mutex<State>,
    // For workers: there is room again.
    room: Condvar,
    // For the driver: there is something to do.
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<RecordBatch>,
    bytes: usize,
    // Emptied buffers, to be used again.
    spare: Vec<RecordBatch>,
    closed: bool,
    // Nobody drives the lane any more: what is pushed is given up.
    ended: bool,
    // There is a place on disk, and when it is used.
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
    fn put(&mut self, batch: &mut RecordBatch) {
        let full = std::mem::replace(batch, self.spare.pop().unwrap_or_default());
        self.bytes += full.byte_size();
        self.waiting.push_back(full);
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
            state: Mutex::default(),
            room: Condvar::new(),
            filled: Notify::new(),
        };
        Self { aside: Some(Arc::new(lane.for_aside())), ..lane }
    }

    /// Hands over a batch and leaves an empty one in its place; waits while there is room for it neither in memory nor
    /// on disk.
    pub(super) fn push(&self, batch: &mut RecordBatch) {
        let mut no_room_on_disk = false;
        let mut state = self.lock();
        while !state.ended {
            if state.takes(&self.batching, no_room_on_disk) {
                state.put(batch);
                drop(state);
                self.filled.notify_one();
                return;
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
                Next::Batch(batch, duty) => {
                    self.wait_for_room(&mut on_the_way).await;
                    let lane = Arc::clone(&self);
                    let give_up = give_up.clone();
                    on_the_way.spawn(async move { lane.deliver(batch, duty, &give_up).await });
                }
                Next::Disk { .. } => {}
                Next::Wait => tokio::select! {
                    () = self.filled.notified() => {}
                    Some(done) = on_the_way.join_next() => self.delivered(Some(done)),
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
            Ok(Some((batch, noted))) => Next::Batch(batch, Told::Noted(noted)),
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
        let Some(mut batch) = state.waiting.pop_front() else {
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
        // What came meanwhile goes along.
        while let Some(more) = state.waiting.front()
            && batch.byte_size() + more.byte_size() <= self.batching.max_bytes
            && batch.len() + more.len() <= self.batching.max_records
            && let Some(mut more) = state.waiting.pop_front()
        {
            state.bytes -= more.byte_size();
            batch.append(&mut more);
            state.spare.push(more);
        }
        let ack = std::mem::take(&mut batch.ack);
        let batch = Arc::new(batch);
        let told = self.note(&mut state, &batch, ack).map_or_else(Told::Source, Told::Noted);
        drop(state);
        self.room.notify_all();
        Next::Batch(batch, told)
    }

    /// Tries until everything has arrived, was refused for good, or waits aside. Whatever ends it before has not
    /// delivered.
    async fn deliver(
        self: &Arc<Self>,
        mut batch: Arc<RecordBatch>,
        mut told: Told,
        give_up: &CancellationToken,
    ) {
        let nobody = Ack::none();
        let mut kept = true;
        let mut backoff = self.pace();
        let (mut said_at, mut tries) = (None, 0);
        loop {
            let start = Instant::now();
            // What was tried and is on disk has time until the next start.
            let may_leave = (said_at.is_some() || self.is_aside()) && told.is_on_disk();
            let result = tokio::select! {
                result = self.sink.hand_on(&batch, told.source(&nobody)) => result,
                () = give_up.cancelled() => return,
                () = self.leave.cancelled(), if may_leave => return,
            };
            match result {
                Ok(delivered) => {
                    self.count(&batch, &delivered, start);
                    kept &= self.bury(&batch, &delivered.rejected).await;
                    if said_at.take().is_some() {
                        info!(plugin_id = %self.id, output = self.sink.name(), "Output takes events again");
                        self.delivery.set_trouble(None);
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
                    self.say(&error, &mut said_at);
                }
            }
            self.delivery.retries.fetch_add(1, Ordering::Relaxed);
            let may_leave = (said_at.is_some() || self.is_aside()) && told.is_on_disk();
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = give_up.cancelled() => return,
                () = self.leave.cancelled(), if may_leave => return,
            }
            told = match self.let_others_try(&batch, told, kept, &mut backoff).await {
                Some(told) => told,
                None => return,
            };
        }
        match told {
            Told::Source(ack) if kept => ack.delivered(),
            Told::Noted(noted) if kept => noted.arrived().await,
            // A dead letter could not be stored.
            told => drop(told),
        }
        self.give_back(batch);
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
    fn give_back(&self, batch: Arc<RecordBatch>) {
        // A connection that is not quite done with the bytes keeps them; then there is nothing to reuse.
        let Ok(mut batch) = Arc::try_unwrap(batch) else { return };
        batch.clear();
        let mut state = self.lock();
        if state.spare.len() <= self.batching.in_flight
            && batch.body.capacity() <= 2 * self.batching.max_bytes
        {
            state.spare.push(batch);
        }
    }

    /// Gives up what waits, and what is still pushed.
    fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let given_up = std::mem::take(&mut state.waiting);
        drop(state);
        drop(given_up);
        self.room.notify_all();
        self.leave_disk();
    }

    fn say(&self, error: &SinkError, said_at: &mut Option<Instant>) {
        if said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            *said_at = Some(Instant::now());
            self.delivery.set_trouble(Some(error.to_string()));
            let attempt = self.delivery.retries();
            warn!(%error, plugin_id = %self.id, attempt, "Output does not take events, trying until it does");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Next {
    Batch(Arc<RecordBatch>, Told),
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

/// Before that is read again from disk which could not be read, or which a broken plugin did not deliver.
const PAUSE: Duration = Duration::from_secs(1);
/// An output that does not take events says so this often.
const SAY_EVERY: Duration = Duration::from_secs(15);
