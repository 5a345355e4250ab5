//! A sink that writes to the standard output of the process.

use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Batching, Delivered, LogSink, RecordBatch, SinkError};

/// Writes the bytes of the records to standard output, one batch at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdoutSink;

#[async_trait]
impl LogSink for StdoutSink {
    fn name(&self) -> String {
        "stdout".to_owned()
    }

    fn batching(&self) -> Batching {
        // Somebody may be looking.
        Batching { max_bytes: 256 << 10, ..Batching::default() }
    }

    async fn deliver(&self, batch: &Arc<RecordBatch>) -> Result<Delivered, SinkError> {
        let batch = Arc::clone(batch);
        // A pipe whose reader is slow blocks.
        let written = tokio::task::spawn_blocking(move || {
            let mut out = std::io::stdout().lock();
            out.write_all(&batch.body).and_then(|()| out.flush())
        })
        .await;
        match written {
            Ok(Ok(())) => Ok(Delivered::default()),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                Err(SinkError::Closed { sink: self.name() })
            }
            Ok(Err(error)) => Err(SinkError::Unavailable { sink: self.name(), reason: error.to_string() }),
            Err(error) => Err(SinkError::Unavailable { sink: self.name(), reason: error.to_string() }),
        }
    }
}
