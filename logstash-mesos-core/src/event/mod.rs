//! Events, as the engine has them, and where whoever reads puts them.

use async_trait::async_trait;
pub use logstash_mesos_engine::event::*;

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
