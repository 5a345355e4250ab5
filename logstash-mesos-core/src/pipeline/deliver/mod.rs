//! From the workers to a sink: what waits for it in memory or on disk (`drive.rs`), and each batch on its way (`send.rs`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use logstash_mesos_engine::run::PluginCounters;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::dead_letter::{DeadLetters, Letter};
use crate::backoff::Backoff;
use crate::event::Event;
use crate::memory::{Account, Held};
use crate::sink::{Batching, LogSink, RecordBatch};
use crate::source::Tally;

mod aside;
mod counters;
mod disk;
mod drive;
mod pieces;
mod send;

pub use counters::DeliveryCounters;
pub(super) use disk::Use;
use disk::{Disk, Sent};
use send::Told;

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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An output that does not take events says so this often.
const SAY_EVERY: Duration = Duration::from_secs(15);
