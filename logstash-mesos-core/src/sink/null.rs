//! Takes everything and keeps nothing.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Delivered, LogSink, RecordBatch, SinkError};

/// The sink of the `null` output: for measuring, and for pipelines whose filters do the work.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullSink;

#[async_trait]
impl LogSink for NullSink {
    fn name(&self) -> String {
        "null".to_owned()
    }

    async fn deliver(&self, _: &Arc<RecordBatch>) -> Result<Delivered, SinkError> {
        Ok(Delivered::default())
    }
}
