//! Events, as the engine has them, and where whoever reads puts them.

use async_trait::async_trait;
pub use logstash_mesos_engine::event::*;
use tokio::sync::oneshot;

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
}
