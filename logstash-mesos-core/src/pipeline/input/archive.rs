//! Compressed files, read once from their beginning to their end.

use std::io::Read;
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::pipeline::plugin::Batch;
use crate::source::{Ended, FileOpener, Flush, Follow, HostFile, Lines};

/// Reads the file of `follow` through gzip. A restart in the middle begins it again: its position only
/// knows "not yet" and "done".
pub(super) async fn read(follow: Follow, path: PathBuf, shutdown: CancellationToken) -> Ended {
    let Follow { positions, mut decoder, sender, settings, .. } = follow;
    let opened = match HostFile::new(&path).open() {
        Ok(Some(opened)) => opened,
        Ok(None) => return Ended::Stopped,
        Err(error) => {
            warn!(%error, path = %path.display(), "Compressed file cannot be opened");
            return Ended::Stopped;
        }
    };
    let Some((tracker, size)) = positions.begin_whole(&opened) else { return Ended::Finished };
    let whole = tracker.begin(size);
    let delimiter = settings.framing.delimiter.clone();
    let (blocks, mut received) = tokio::sync::mpsc::channel::<std::io::Result<Vec<u8>>>(2);
    let block_bytes = settings.framing.block_bytes;
    tokio::task::spawn_blocking(move || {
        let mut reader = MultiGzDecoder::new(opened.file);
        loop {
            let mut block = Vec::with_capacity(block_bytes);
            let result = reader.by_ref().take(block_bytes as u64).read_to_end(&mut block);
            let failed = result.is_err();
            if block.is_empty() && !failed {
                return;
            }
            if !block.is_empty() && blocks.blocking_send(Ok(block)).is_err() {
                return;
            }
            if let Err(error) = result {
                let _receiver_gone = blocks.blocking_send(Err(error));
                return;
            }
        }
    });
    let (mut rest, mut offset) = (Vec::new(), 0_u64);
    loop {
        let block = tokio::select! {
            block = received.recv() => block,
            () = shutdown.cancelled() => return Ended::Stopped,
        };
        let last = !matches!(block, Some(Ok(_)));
        match block {
            Some(Ok(block)) if rest.is_empty() => rest = block,
            Some(Ok(block)) => rest.extend_from_slice(&block),
            Some(Err(error)) => {
                warn!(%error, path = %path.display(), "Compressed file is broken, taking what could be read");
            }
            None => {}
        }
        let end = match memchr::memmem::rfind(&rest, &delimiter) {
            _ if last => rest.len(),
            Some(at) => at + delimiter.len(),
            None => continue,
        };
        let tail = rest.split_off(end);
        let lines = Lines::new(std::mem::replace(&mut rest, tail), delimiter.clone(), offset);
        offset = lines.end();
        let mut batch = Batch { byte_size: lines.byte_len(), ..Batch::default() };
        if lines.byte_len() > 0 {
            decoder.decode(lines, &mut batch);
        }
        if last {
            decoder.flush(Flush::End, &mut batch);
        }
        if !batch.is_empty() {
            batch.ack = whole.clone();
            if !sender.send(batch).await {
                return Ended::PipelineGone;
            }
        }
        if last {
            whole.delivered();
            return Ended::Finished;
        }
    }
}
