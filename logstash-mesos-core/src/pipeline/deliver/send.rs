//! One batch on its way: repeats what did not arrive, buries what was refused for good, and lets go of the acknowledgement
//! of what has arrived.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::disk::Noted;
use super::pieces::Pieces;
use super::{Lane, SAY_EVERY};
use crate::event::Ack;
use crate::memory::Held;
use crate::pipeline::dead_letter::{Form, Letter};
use crate::sink::{Delivered, RecordBatch, Rejection, SinkError};

/// That an output does not take a batch now.
#[derive(Debug, Default)]
struct Trouble {
    is_there: bool,
    // In the log, and not yet that it is over.
    is_said: bool,
    said_at: Option<Instant>,
}

/// Who is told that a batch has arrived.
pub(super) enum Told {
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

/// So often a request may fail as a whole before one of its records is suspected.
const TRIES_AS_A_WHOLE: u32 = 2;

impl Lane {
    /// Tries until everything has arrived, was refused for good, or waits aside. Whatever ends it before has not
    /// delivered.
    pub(super) async fn deliver(
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
        let others = delivered.rejected.iter().map(|rejection| rejection.record);
        let others = others.chain(delivered.dropped.iter().copied());
        let left = delivered.left();
        let bytes_of_others = left.iter().copied().chain(others).map(|at| batch.range(at).len());
        let bytes = batch.byte_size() - bytes_of_others.sum::<usize>();
        let records = (batch.len() - left.len()) as u64;
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(0);
        self.counters.add(0, records, nanos);
        let dropped = delivered.dropped.len() as u64;
        let arrived = records - delivered.rejected.len() as u64 - dropped;
        self.delivery.dropped.fetch_add(dropped, Ordering::Relaxed);
        self.delivery.delivered.fetch_add(arrived, Ordering::Relaxed);
        self.delivery.delivered_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
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
}
