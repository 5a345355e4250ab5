//! Events, as the engine has them, and where whoever reads puts them.

use async_trait::async_trait;
pub use logstash_mesos_engine::event::*;
use tokio::sync::oneshot;

use crate::memory::Room;

/// An acknowledgement, and what tells its outcome to one who waits for it. Who does not wait any more is not told.
pub(crate) fn awaited_ack() -> (Ack, oneshot::Receiver<Outcome>) {
    let (tell, told) = oneshot::channel();
    let ack = Ack::new(move |outcome| {
        let _nobody_waits = tell.send(outcome);
    });
    (ack, told)
}

/// Where an input puts its batches; waits while the queue is full.
#[async_trait]
pub trait BatchSender: Send + Sync {
    /// Hands over a batch. Returns `false` when the pipeline has ended; the batch is dropped then, undelivered.
    ///
    /// # Cancellation safety
    ///
    /// A dropped call drops the batch with it, undelivered: its source keeps its position.
    async fn send(&self, batch: Batch) -> bool;

    /// Room for about `bytes` that are going to be sent, perhaps for less; `None` if there is none now.
    fn try_room(&self, _bytes: usize) -> Option<Room> {
        Some(Room::default())
    }

    /// The same, when there is room.
    ///
    /// # Cancellation safety
    ///
    /// A dropped call holds nothing.
    async fn room(&self, _bytes: usize) -> Room {
        Room::default()
    }

    /// Room for something of `bytes`, which is longer than what [`BatchSender::room`] may give, and cannot be divided.
    ///
    /// # Cancellation safety
    ///
    /// A dropped call holds nothing.
    async fn room_for(&self, bytes: usize) -> Room {
        self.room(bytes).await
    }

    /// As [`BatchSender::send`], into the room that was asked for. It waits for nothing more.
    async fn send_into(&self, _room: Room, batch: Batch) -> bool {
        self.send(batch).await
    }
}
