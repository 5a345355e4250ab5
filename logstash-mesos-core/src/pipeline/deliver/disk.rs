//! The part of a lane that is on disk: what its output does not take while others go on.
//!
//! The order is memory, then disk. The first batch that memory has no room for takes all that is before it along:
//! what waits, and copies of what is on its way. From then on everything goes through the disk, until all of it has
//! been read. A batch that is on disk is synced, and its source is told that it has arrived.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::{Lane, SAY_EVERY, State};
use crate::event::{Ack, Outcome};
use crate::pipeline::spool::{Damage, DiskQueue, Home, Lease, Owner, Ticket};
use crate::sink::RecordBatch;
use crate::source::{Lost, Tally};

/// The queue of a lane on disk, and what can be said of it.
#[derive(Debug, Default)]
pub(super) struct Disk {
    // Locked before the lane's state, never after it.
    place: Mutex<Option<Place>>,
    events: AtomicU64,
    bytes: AtomicU64,
    damaged: Mutex<Damage>,
    // Bytes that were damaged are lost for the pipeline.
    tally: Arc<Tally>,
    said_at: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Place {
    home: Home,
    owner: Owner,
    // Made when it is needed first.
    queue: Option<DiskQueue>,
    _lease: Lease,
}

/// How a lane uses the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// There is no place on disk.
    #[default]
    Never,
    /// When the memory is full.
    WhenFull,
    /// For everything: `queue.type => persisted`.
    Always,
}

/// A batch on its way, of a lane that may use the disk.
#[derive(Debug)]
pub(super) struct Sent {
    number: u64,
    batch: Arc<RecordBatch>,
    duty: Duty,
    // Nothing of it has arrived.
    is_whole: bool,
}

impl Sent {
    /// Records that are in memory alone.
    pub(super) fn only_in_memory(&self) -> usize {
        if matches!(self.duty, Duty::Source(_)) { self.batch.len() } else { 0 }
    }
}

#[derive(Debug)]
enum Duty {
    /// Its source is to be told.
    Source(Ack),
    /// It is on disk too.
    Disk(Ticket),
    /// So is a copy of it, behind others: whatever becomes of this one, that is sent.
    Copied,
}

/// A batch on its way that is among the lane's [`Sent`]. Dropped without [`Noted::arrived`], it has not arrived: its
/// source reads it again, or the lane does.
#[derive(Debug)]
pub(super) struct Noted {
    lane: Arc<Lane>,
    number: u64,
}

impl Noted {
    /// The batch is `rest` by now; what is gone from it has arrived.
    pub(super) fn is_less(&self, rest: &Arc<RecordBatch>) {
        let mut state = self.lane.lock();
        if let Some(sent) = state.sent.iter_mut().find(|sent| sent.number == self.number) {
            sent.batch = Arc::clone(rest);
            sent.is_whole = false;
        }
    }

    pub(super) fn is_on_disk(&self) -> bool {
        let state = self.lane.lock();
        let sent = state.sent.iter().find(|sent| sent.number == self.number);
        sent.is_some_and(|sent| !matches!(sent.duty, Duty::Source(_)))
    }

    /// Leaves the batch where it is on disk, to be read again when the others there have been. It comes back if it is not
    /// there, if a part of it has arrived, or if too much that has arrived is kept for its sake.
    pub(super) async fn stay(self) -> Option<Self> {
        blocking(move || {
            let ticket = {
                let state = self.lane.lock();
                let sent = state.sent.iter().find(|sent| sent.number == self.number);
                sent.filter(|sent| sent.is_whole).and_then(|sent| match sent.duty {
                    Duty::Disk(ticket) => Some(ticket),
                    Duty::Source(_) | Duty::Copied => None,
                })
            };
            let goes = |ticket| self.lane.disk.with_queue(|queue| queue.is_in_the_way(ticket));
            if ticket.and_then(goes).unwrap_or(true) {
                return Some(self);
            }
            self.take();
            None
        })
        .await
        .flatten()
    }

    pub(super) async fn arrived(self) {
        match self.take() {
            Some(Duty::Source(ack)) => ack.delivered(),
            Some(Duty::Disk(ticket)) => {
                let lane = Arc::clone(&self.lane);
                blocking(move || lane.arrived(ticket)).await;
            }
            Some(Duty::Copied) | None => {}
        }
    }

    /// Its duty, for whoever sees to the batch from now on.
    pub(super) fn into_ack(self) -> Ack {
        match self.take() {
            Some(Duty::Source(ack)) => ack,
            Some(Duty::Disk(ticket)) => {
                let lane = Arc::clone(&self.lane);
                Ack::new(move |outcome| match outcome {
                    Outcome::Delivered => lane.arrived(ticket),
                    Outcome::NotDelivered => lane.read_again(),
                })
            }
            Some(Duty::Copied) | None => Ack::none(),
        }
    }

    fn take(&self) -> Option<Duty> {
        let mut state = self.lane.lock();
        let at = state.sent.iter().position(|sent| sent.number == self.number)?;
        Some(state.sent.swap_remove(at).duty)
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        // A duty to the source says by itself that nothing was delivered.
        if let Some(Duty::Disk(_)) = self.take() {
            self.lane.read_again();
        }
    }
}

impl Disk {
    /// No place yet. What is lost there is counted in `tally` too.
    pub(super) fn new(tally: &Arc<Tally>) -> Self {
        Self { tally: Arc::clone(tally), ..Self::default() }
    }

    /// The same, of another lane of the pipeline.
    pub(super) fn another(&self) -> Self {
        Self::new(&self.tally)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Place>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_queue<T>(&self, work: impl FnOnce(&mut DiskQueue) -> T) -> Option<T> {
        let mut place = self.lock();
        let queue = place.as_mut()?.queue.as_mut()?;
        let result = work(queue);
        self.count(queue);
        Some(result)
    }

    fn count(&self, queue: &DiskQueue) {
        self.events.store(queue.events(), Ordering::Relaxed);
        self.bytes.store(queue.waiting_bytes(), Ordering::Relaxed);
        let now = queue.lost();
        let before =
            std::mem::replace(&mut *self.damaged.lock().unwrap_or_else(PoisonError::into_inner), now);
        if now != before {
            self.tally.add_lost(Lost::DamagedOnDisk, now.bytes - before.bytes);
        }
    }

    /// Records that wait on disk or are on their way from there.
    pub(super) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// What they take there.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Records that were on disk and could not be read.
    pub(super) fn damaged(&self) -> u64 {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).records
    }

    pub(super) fn may_say(&self) -> bool {
        let mut said_at = self.said_at.lock().unwrap_or_else(PoisonError::into_inner);
        let may = said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY);
        if may {
            *said_at = Some(Instant::now());
        }
        may
    }
}

impl Lane {
    /// What was read from disk has arrived.
    fn arrived(&self, ticket: Ticket) {
        self.disk.with_queue(|queue| queue.arrived(ticket));
        // There may be room on disk.
        self.room.notify_all();
    }

    /// What was read from disk has not arrived.
    fn read_again(&self) {
        let mut state = self.lock();
        (state.rewind, state.on_disk) = (true, true);
        drop(state);
        self.filled.notify_one();
    }

    /// Who its queue on disk belongs to; `None` for an output that keeps events as they are, which cannot be stored.
    pub(crate) fn owner(&self) -> Option<Owner> {
        let owner = || Owner {
            plugin: self.name.to_owned(),
            id: self.id.to_string(),
            place: self.sink.name(),
            aside: self.is_aside(),
        };
        self.sink.takes_bytes().then(owner)
    }

    /// There will be a place on disk: from now on it is known what is on its way.
    pub(crate) fn await_disk(&self) {
        self.lock().awaits_disk = true;
    }

    /// Whether there is a place on disk, or will be one.
    pub(crate) fn may_use_disk(&self) -> bool {
        self.lock().awaits_disk && self.sink.takes_bytes()
    }

    /// There is a place on disk from now on, with what was left there by an earlier run.
    pub(crate) fn open(&self, how: Use, home: Home, owner: Owner, lease: Lease, queue: Option<DiskQueue>) {
        let mut place = self.disk.lock();
        let mut state = self.lock();
        if state.ended {
            return;
        }
        state.uses_disk = state.uses_disk.max(how);
        state.has_disk = true;
        if let Some(queue) = queue.as_ref().filter(|queue| !queue.is_empty()) {
            state.on_disk = true;
            self.disk.count(queue);
            info!(plugin_id = %self.id, events = queue.events(), "Events that wait on disk are sent");
        }
        *place = Some(Place { home, owner, queue, _lease: lease });
        drop((state, place));
        self.filled.notify_one();
        self.room.notify_all();
    }

    /// Others have the same events, and shall not wait for this output.
    pub(crate) fn let_others_go_on(&self) {
        let mut state = self.lock();
        state.uses_disk = state.uses_disk.max(Use::WhenFull);
        drop(state);
        self.room.notify_all();
    }

    /// What is in memory goes to the disk, and what still comes. `false` if there is no place on disk.
    pub(crate) async fn put_down(self: &Arc<Self>) -> bool {
        let has_disk = {
            let mut state = self.lock();
            state.uses_disk = Use::Always;
            state.has_disk && !state.ended
        };
        self.room.notify_all();
        if has_disk {
            let lane = Arc::clone(self);
            blocking(move || lane.put_memory_down()).await;
        }
        has_disk
    }

    fn put_memory_down(&self) {
        let state = self.lock();
        let nothing = state.on_disk || state.waiting.is_empty() && state.sent.is_empty();
        drop(state);
        if !nothing {
            self.put_on_disk(&mut RecordBatch::default());
        }
        // A worker may be about to take the same along.
        drop(self.disk.lock());
        // What a run before this one has left there is not waited for, so that there may be more in memory.
        let mut state = self.lock();
        state.bytes = 0;
        let waiting = std::mem::take(&mut state.waiting);
        let of_source = state.sent.iter().filter(|sent| matches!(sent.duty, Duty::Source(_)));
        let sent: Vec<_> = of_source.map(|sent| (sent.number, Arc::clone(&sent.batch))).collect();
        drop(state);
        for (number, batch) in sent {
            let mut copy = RecordBatch::clone(&batch);
            let is_there = self.put_on_disk(&mut copy);
            let mut state = self.lock();
            let told = state
                .sent
                .iter_mut()
                .find(|sent| is_there && sent.number == number && matches!(sent.duty, Duty::Source(_)));
            let duty = told.map(|sent| std::mem::replace(&mut sent.duty, Duty::Copied));
            drop(state);
            if let Some(Duty::Source(ack)) = duty {
                ack.delivered();
            }
        }
        for (mut batch, _held) in waiting {
            // Without room there it is given up.
            self.put_on_disk(&mut batch);
        }
    }

    /// Appends a batch to the queue on disk, and all that is before it. `false` when that cannot be: then the batch
    /// is as it was, and the caller looks again.
    pub(super) fn put_on_disk(&self, batch: &mut RecordBatch) -> bool {
        let mut locked = self.disk.lock();
        let Some(place) = &mut *locked else { return false };
        let mut state = self.lock();
        let memory_is_full = state.asked || state.bytes >= self.batching.max_bytes;
        if state.ended || !(state.goes_to_disk() || memory_is_full) {
            return false;
        }
        let (mut sent, mut waiting) = (Vec::new(), VecDeque::new());
        let first = !state.on_disk;
        if first {
            // From here on the others wait for the lock of the place.
            state.on_disk = true;
            let of_source = state.sent.iter().filter(|sent| matches!(sent.duty, Duty::Source(_)));
            sent = of_source.map(|sent| (sent.number, Arc::clone(&sent.batch))).collect();
            waiting = std::mem::take(&mut state.waiting);
        }
        drop(state);
        let all: Vec<&RecordBatch> = sent
            .iter()
            .map(|(_, batch)| &**batch)
            .chain(waiting.iter().map(|(batch, _)| batch))
            .chain([&*batch])
            .collect();
        let appended = place.queue().and_then(|queue| queue.append(&all, sent.len()));
        let mut state = self.lock();
        let Ok(Some(tickets)) = appended else {
            if first {
                state.on_disk = false;
                if !state.ended {
                    state.waiting = std::mem::take(&mut waiting);
                }
            }
            drop(state);
            self.filled.notify_one();
            self.say_full(appended.err().as_ref());
            return false;
        };
        if first {
            state.bytes = 0;
        }
        let mut arrived = Vec::new();
        let mut done = vec![std::mem::take(&mut batch.ack)];
        done.extend(waiting.iter_mut().map(|(batch, _)| std::mem::take(&mut batch.ack)));
        for ((number, _), ticket) in sent.iter().zip(tickets) {
            match state.sent.iter_mut().find(|sent| sent.number == *number) {
                Some(sent) => {
                    if let Duty::Source(ack) = std::mem::replace(&mut sent.duty, Duty::Disk(ticket)) {
                        done.push(ack);
                    }
                }
                // Meanwhile it has, or it was given up and is read again.
                None => arrived.push(ticket),
            }
        }
        if first && state.uses_disk == Use::WhenFull && self.disk.may_say() {
            info!(plugin_id = %self.id, output = self.sink.name(), "Output falls behind, its events wait on disk");
        }
        drop(state);
        if let Some(queue) = &mut place.queue {
            arrived.into_iter().for_each(|ticket| queue.arrived(ticket));
            self.disk.count(queue);
        }
        drop(locked);
        // Under no lock: their sources are told, and one of them may be this queue.
        done.into_iter().for_each(Ack::delivered);
        batch.clear();
        self.filled.notify_one();
        self.room.notify_all();
        true
    }

    fn say_full(&self, error: Option<&io::Error>) {
        if !self.disk.may_say() {
            return;
        }
        match error {
            Some(error) => {
                warn!(%error, plugin_id = %self.id, "Events cannot be written to the queue on disk, the sources wait");
            }
            None => warn!(plugin_id = %self.id, "The queue on disk is full, the sources wait"),
        }
    }

    /// Notes a batch that is to be sent, if the lane may use the disk, or counts what it holds. The duty to its source comes
    /// back otherwise, and always where the sink hands events on, as they take it along.
    pub(super) fn note(
        self: &Arc<Self>,
        state: &mut State,
        batch: &Arc<RecordBatch>,
        ack: Ack,
    ) -> Result<Noted, Ack> {
        if !self.sink.takes_bytes() || !(state.awaits_disk || self.is_aside()) {
            return Err(ack);
        }
        Ok(self.note_duty(state, batch, Duty::Source(ack)))
    }

    fn note_duty(self: &Arc<Self>, state: &mut State, batch: &Arc<RecordBatch>, duty: Duty) -> Noted {
        let number = state.sent_so_far;
        state.sent_so_far += 1;
        state.sent.push(Sent { number, batch: Arc::clone(batch), duty, is_whole: true });
        Noted { lane: Arc::clone(self), number }
    }

    /// The next batch from disk; none when all has been read, which the state says then.
    ///
    /// # Errors
    ///
    /// When it cannot be read now.
    pub(super) async fn from_disk(self: &Arc<Self>) -> io::Result<Option<(Arc<RecordBatch>, Noted)>> {
        let lane = Arc::clone(self);
        blocking(move || lane.read_disk()).await.unwrap_or_else(|| Err(io::Error::other("the queue failed")))
    }

    fn read_disk(self: &Arc<Self>) -> io::Result<Option<(Arc<RecordBatch>, Noted)>> {
        let mut place = self.disk.lock();
        let queue = place.as_mut().and_then(|place| place.queue.as_mut());
        let mut state = self.lock();
        let rewind = std::mem::take(&mut state.rewind);
        let Some(queue) = queue else {
            state.on_disk = false;
            return Ok(None);
        };
        drop(state);
        if rewind {
            queue.wind_back();
        }
        let (most_bytes, most_records) = (self.most_bytes(), self.batching.max_records);
        let mut read = queue.read(most_bytes, most_records);
        let from_disk = |sent: &Sent| matches!(sent.duty, Duty::Disk(_));
        if matches!(read, Ok(None)) && queue.waits() && !self.lock().sent.iter().any(from_disk) {
            // The turn of those that stayed where they are.
            queue.wind_back();
            read = queue.read(most_bytes, most_records);
        }
        self.disk.count(queue);
        let mut state = self.lock();
        match read? {
            Some(chunk) => {
                let batch = Arc::new(chunk.records);
                let noted = self.note_duty(&mut state, &batch, Duty::Disk(chunk.ticket));
                Ok(Some((batch, noted)))
            }
            None => {
                state.on_disk = state.rewind;
                let says = state.uses_disk == Use::WhenFull;
                drop(state);
                self.room.notify_all();
                if says && self.disk.may_say() {
                    info!(plugin_id = %self.id, "Output has caught up, nothing waits on disk");
                }
                Ok(None)
            }
        }
    }

    /// Lets go of the disk, so that another run may have it. What is there stays.
    pub(super) fn leave_disk(&self) {
        let place = self.disk.lock().take();
        let waiting = place.as_ref().and_then(|place| place.queue.as_ref()).filter(|queue| !queue.is_empty());
        if let Some(queue) = waiting {
            info!(
                plugin_id = %self.id, output = self.sink.name(), events = queue.events(), path = %queue.dir().display(),
                "Events wait on disk and are sent when this output runs again"
            );
        }
    }
}

impl Place {
    fn queue(&mut self) -> io::Result<&mut DiskQueue> {
        match &mut self.queue {
            Some(queue) => Ok(queue),
            queue => Ok(queue.insert(self.home.create(&self.owner)?)),
        }
    }
}

/// Does what may wait for a disk. `None` when it panicked.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(error) => {
            error!(%error, "A queue on disk failed");
            None
        }
    }
}

/// After this time it is tried again to put something on a disk that was full.
pub(super) const AGAIN: Duration = Duration::from_millis(500);
