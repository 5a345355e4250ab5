//! Takes what waits in a lane, from memory and from disk, and keeps several batches on their way.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, warn};

use super::{Lane, State, Told};
use crate::memory::Held;
use crate::sink::RecordBatch;

enum Next {
    Batch(Arc<RecordBatch>, Told, Held),
    /// Something is on disk; perhaps it is read again.
    Disk {
        again: bool,
    },
    Wait,
    Closed,
}

/// A batch of so many bytes goes alone: a larger one would save less than it costs to copy both into a larger buffer.
const ENOUGH: usize = 256 << 10;
/// Before that is read again from disk which could not be read, or which a broken plugin did not deliver.
const PAUSE: Duration = Duration::from_secs(1);
/// A lane that has nothing to do keeps its spare buffers so long.
const SPARES_FOR: Duration = Duration::from_secs(1);

impl Lane {
    /// Drives the lane, and what waits aside, until it is closed and all is empty, or until `give_up`.
    pub(crate) async fn drive(self: Arc<Self>, give_up: CancellationToken) {
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
}
