//! Events of sources that cannot be read again: what comes over the network has no second copy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;

use crate::event::{Ack, Batch, BatchSender, Outcome};
use crate::memory::Room;
use crate::source::{Lost, Tally};

/// How much of it is on its way, and what of it was given up.
#[derive(Debug, Default)]
pub(super) struct Once {
    batches: AtomicUsize,
    tally: Arc<Tally>,
}

impl Once {
    /// What is given up is counted in `tally`.
    pub(super) fn new(tally: &Arc<Tally>) -> Arc<Self> {
        Arc::new(Self { tally: Arc::clone(tally), ..Self::default() })
    }

    /// Whether anything is on its way that nobody could give again.
    pub(super) fn is_on_its_way(&self) -> bool {
        self.batches.load(Ordering::Relaxed) > 0
    }
}

/// Where an input of a pipeline puts its batches.
pub(super) struct Watched {
    pub(super) events: Arc<dyn BatchSender>,
    pub(super) once: Arc<Once>,
    pub(super) giver: Giver,
}

/// Who gives batches that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Giver {
    /// Those of whom nobody waits to hear.
    Anybody,
    /// The same, whose peers keep what the pipeline does not take, as they are told so.
    ToldPeers,
    /// Other pipelines, which wait to hear of each, and count what was given up. Whether one of their sources has it still is
    /// not known.
    Pipelines,
}

impl Giver {
    /// Of the input with this name.
    pub(super) fn of(input: &str) -> Self {
        match input {
            "http" => Self::ToldPeers,
            "pipeline" => Self::Pipelines,
            _ => Self::Anybody,
        }
    }
}

impl Watched {
    /// Sees to a batch, unless its source waits to hear of it and has it still. What comes back is for
    /// [`Watched::sent`].
    fn watch(&self, batch: &mut Batch) -> Option<(Ack, Arc<AtomicBool>)> {
        if !batch.ack.is_none() && self.giver != Giver::Pipelines {
            return None;
        }
        self.once.batches.fetch_add(1, Ordering::Relaxed);
        let (once, bytes, kept) =
            (Arc::clone(&self.once), batch.byte_size as u64, Arc::new(AtomicBool::new(false)));
        let (peer_has_it, waits) = (Arc::clone(&kept), std::mem::take(&mut batch.ack));
        batch.ack = Ack::new(move |outcome| {
            once.batches.fetch_sub(1, Ordering::Relaxed);
            match outcome {
                Outcome::Delivered => waits.delivered(),
                Outcome::NotDelivered if !waits.is_none() => drop(waits),
                Outcome::NotDelivered if peer_has_it.load(Ordering::Relaxed) => {}
                Outcome::NotDelivered => once.tally.add_lost(Lost::GivenUp, bytes),
            }
        });
        Some((batch.ack.clone(), kept))
    }

    fn sent(&self, watched: Option<(Ack, Arc<AtomicBool>)>, taken: bool) -> bool {
        if let Some((ack, kept)) = watched {
            kept.store(!taken && self.giver == Giver::ToldPeers, Ordering::Relaxed);
            ack.delivered();
        }
        taken
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BatchSender for Watched {
    async fn send(&self, mut batch: Batch) -> bool {
        let watched = self.watch(&mut batch);
        let taken = self.events.send(batch).await;
        self.sent(watched, taken)
    }

    fn try_room(&self, bytes: usize) -> Option<Room> {
        self.events.try_room(bytes)
    }

    async fn room(&self, bytes: usize) -> Room {
        self.events.room(bytes).await
    }

    async fn room_for(&self, bytes: usize) -> Room {
        self.events.room_for(bytes).await
    }

    async fn send_into(&self, room: Room, mut batch: Batch) -> bool {
        let watched = self.watch(&mut batch);
        let taken = self.events.send_into(room, batch).await;
        self.sent(watched, taken)
    }
}
