//! Decodes and sends for sources that are no files.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Decoder, Ended, Flush, Lines, StreamStatus};
use crate::event::Ack;
use crate::pipeline::plugin::{Batch, BatchSender};

/// From lines to the pipeline, with the acknowledgements.
pub(crate) struct Outlet {
    decoder: Box<dyn Decoder>,
    sender: Arc<dyn BatchSender>,
    status: Arc<StreamStatus>,
    stop: CancellationToken,
    // For parts of an event that go on in the next lines.
    carried: Ack,
}

impl Outlet {
    pub(crate) fn new(
        decoder: Box<dyn Decoder>,
        sender: Arc<dyn BatchSender>,
        status: Arc<StreamStatus>,
        stop: CancellationToken,
    ) -> Self {
        Self { decoder, sender, status, stop, carried: Ack::none() }
    }

    /// Passes on `lines`. `begin` makes the acknowledgement, given the place of the first byte that the
    /// decoder keeps for later.
    pub(crate) async fn lines(
        &mut self,
        lines: Lines,
        begin: impl FnOnce(Option<u64>) -> Ack,
    ) -> Option<Ended> {
        let mut batch = Batch { byte_size: lines.byte_len(), ..Batch::default() };
        let kept = self.decoder.decode(lines, &mut batch);
        batch.ack = begin(kept);
        self.send(batch).await
    }

    /// Passes on what the decoder keeps.
    pub(crate) async fn flush(&mut self, reason: Flush) -> Option<Ended> {
        let mut batch = Batch::default();
        self.decoder.flush(reason, &mut batch);
        self.send(batch).await
    }

    async fn send(&mut self, mut batch: Batch) -> Option<Ended> {
        batch.ack.merge(std::mem::take(&mut self.carried));
        if batch.is_empty() {
            return None;
        }
        let events = batch.events.len() as u64;
        let ack = batch.ack.clone();
        tokio::select! {
            biased;
            taken = self.sender.send(batch) => {
                if !taken {
                    ack.abandon();
                    return Some(Ended::PipelineGone);
                }
            }
            () = self.stop.cancelled() => {
                ack.abandon();
                return Some(Ended::Stopped);
            }
        }
        self.status.update(|status| status.events += events);
        None
    }
}

impl StreamStatus {
    /// Why it cannot be read now.
    pub(crate) fn failed(&self, why: String) {
        self.update(|status| status.error = Some(why));
    }

    /// It is read in this way.
    pub(crate) fn reached(&self, rung: &'static str) {
        self.update(|status| {
            status.error = None;
            status.rung = Some(rung);
        });
    }

    /// Some bytes were read; the next one is at `offset`.
    pub(crate) fn read_on(&self, bytes: usize, offset: u64) {
        self.update(|status| {
            status.read_bytes += bytes as u64;
            status.offset = offset;
        });
    }
}
