//! What an output does not take while it takes the rest: an index that is blocked, a document that its server stumbles over.
//!
//! Such records leave their batch and its place among those on their way, and wait in a lane of their own, with the same
//! sink. On disk, if there is a place for that; their source is told then. In memory otherwise, with their
//! duty. There they take turns: what is refused once more is sent again after the others (on disk it stays where it is), and
//! after a pause that grows for as long as nothing arrives. A full lane takes no more, and what it does not take is repeated where it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use tokio::sync::Notify;
use tracing::warn;

use super::disk::Use;
use super::{Lane, Told};
use crate::backoff::Backoff;
use crate::sink::{Batching, Delivered, RecordBatch};

/// So often others wait for what a busy destination does not take, before that waits aside.
const TRIES_WHEN_BUSY: u32 = 5;
/// Less than a batch of the output waits aside in memory, and is sent at a time.
const PART: usize = 4;

impl Lane {
    /// A lane beside this one, for what waits aside.
    pub(super) fn for_aside(&self) -> Self {
        let Batching { max_bytes, max_records, .. } = self.batching;
        Self {
            id: Arc::clone(&self.id),
            name: self.name,
            sink: Arc::clone(&self.sink),
            batching: Batching { max_bytes: (max_bytes / PART).max(1), max_records, in_flight: 1 },
            counters: Arc::clone(&self.counters),
            delivery: Arc::clone(&self.delivery),
            letters: Arc::clone(&self.letters),
            closed: self.closed.clone(),
            leave: self.leave.clone(),
            failed: AtomicBool::new(false),
            disk: self.disk.another(),
            aside: None,
            why: Mutex::default(),
            pace: Mutex::default(),
            memory: Arc::clone(&self.memory),
            state: Mutex::default(),
            room: Condvar::new(),
            filled: Notify::new(),
        }
    }

    pub(super) fn is_aside(&self) -> bool {
        self.aside.is_none()
    }

    /// The lane of what waits aside, and how it uses the disk: nothing there may keep a position from moving.
    pub(crate) fn of_aside(&self) -> Option<(Arc<Lane>, Use)> {
        self.aside.clone().map(|aside| (aside, Use::Always))
    }

    /// How many records wait aside, and why.
    pub(crate) fn waits_aside(&self) -> (u64, Option<String>) {
        let Some(aside) = &self.aside else { return (0, None) };
        let state = aside.lock();
        let waiting: usize = state.waiting.iter().map(|(batch, _)| batch.len()).sum();
        let sent: usize = state.sent.iter().map(|sent| sent.only_in_memory()).sum();
        drop(state);
        let count = (waiting + sent) as u64 + aside.disk.events();
        let why = aside.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (count, why.filter(|_| count > 0))
    }

    /// Takes what is left of a batch after a delivery out of the way of others, if it may be. Otherwise `told` comes back.
    pub(super) async fn set_aside(
        &self,
        batch: &Arc<RecordBatch>,
        told: Told,
        kept: bool,
        delivered: &Delivered,
        tries: u32,
    ) -> Option<Told> {
        let Some(left) = &delivered.aside else { return Some(told) };
        let aside = self.aside.as_ref();
        let said_by = aside.map_or(self, |aside| aside);
        *said_by.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(left.reason.clone());
        if said_by.disk.may_say() {
            let (reason, count, output) = (&left.reason, left.records.len(), self.sink.name());
            warn!(
                reason, count, plugin_id = %self.id, output,
                "Output did not take some events, sending them again while others go on"
            );
        }
        let wait_for_them = !delivered.again.is_empty() || left.busy && tries < TRIES_WHEN_BUSY;
        match aside.filter(|_| kept && !wait_for_them) {
            Some(aside) => {
                let told = aside.take_over(batch, told).await;
                if told.is_some() {
                    let (count, reason) = (left.records.len(), &left.reason);
                    let trouble =
                        format!("no room is left aside for {count} events it does not take now: {reason}");
                    self.delivery.set_trouble(Some(trouble));
                    self.failed.store(true, Ordering::Relaxed);
                }
                told
            }
            None => Some(told),
        }
    }

    /// In a lane of what waits aside, lets the others have their turn. Otherwise, or if there are none, `told` comes back.
    pub(super) async fn let_others_try(
        self: &Arc<Self>,
        batch: &Arc<RecordBatch>,
        told: Told,
        kept: bool,
        backoff: &mut Backoff,
    ) -> Option<Told> {
        if !self.is_aside() || !kept || !self.has_others(batch, &told) {
            return Some(told);
        }
        let told = match told {
            Told::Noted(noted) => noted.stay().await.map(Told::Noted),
            told => Some(told),
        };
        let told = match told {
            Some(told) => self.take_over(batch, told).await,
            None => None,
        };
        if told.is_none() {
            let pauses = self.sink.pauses();
            let goes_on = std::mem::replace(backoff, Backoff::new(pauses.first, pauses.longest));
            *self.pace.lock().unwrap_or_else(PoisonError::into_inner) = Some(goes_on);
        }
        told
    }

    /// Whether anything waits beside `batch`; all that is on its way is noted in such a lane.
    fn has_others(&self, batch: &RecordBatch, told: &Told) -> bool {
        let state = self.lock();
        let own = usize::from(matches!(told, Told::Noted(_)));
        !state.waiting.is_empty() || state.sent.len() > own || self.disk.events() > batch.len() as u64
    }

    /// The pauses of the next batch.
    pub(super) fn pace(&self) -> Backoff {
        let goes_on = self.pace.lock().unwrap_or_else(PoisonError::into_inner).take();
        let pauses = self.sink.pauses();
        goes_on.unwrap_or_else(|| Backoff::new(pauses.first, pauses.longest))
    }

    /// Takes a batch with its duty; what had no room comes back.
    async fn take_over(self: &Arc<Self>, batch: &Arc<RecordBatch>, told: Told) -> Option<Told> {
        let mut batch = RecordBatch::clone(batch);
        batch.ack = match told {
            Told::Source(ack) => ack,
            Told::Noted(noted) => noted.into_ack(),
        };
        let lane = Arc::clone(self);
        // It waits for the disk.
        let put = tokio::task::spawn_blocking(move || {
            let had_room = lane.try_push(&mut batch);
            (!had_room).then(|| std::mem::take(&mut batch.ack))
        });
        // A panic has dropped the duty, so they are read again.
        put.await.unwrap_or_default().map(Told::Source)
    }

    /// [`Lane::push`] without waiting for room: `false` when there is none, and the batch is as it was.
    fn try_push(&self, batch: &mut RecordBatch) -> bool {
        for no_room_on_disk in [false, true] {
            let mut state = self.lock();
            if state.ended {
                return false;
            }
            if state.takes(&self.batching, no_room_on_disk) {
                // It is there already, and little.
                let held = self.memory.charge(batch.held_bytes());
                state.put(batch, (RecordBatch::default(), held));
                drop(state);
                self.filled.notify_one();
                return true;
            }
            drop(state);
            if !no_room_on_disk && self.put_on_disk(batch) {
                return true;
            }
        }
        false
    }
}
