//! Compressed files, read once from their beginning to their end.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::pipeline::plugin::Batch;
use crate::source::{Ended, Flush, Follow, Framer, HostFile};

/// Size and time of change.
pub(super) type Stamp = (u64, SystemTime);

pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// A compressed file that is to be read.
pub(super) struct Archive {
    pub(super) path: PathBuf,
    /// Whether it is read once before, to see that it is whole.
    pub(super) check: bool,
    /// How many of its bytes, unpacked, were sent when it was not whole yet.
    pub(super) sent: u64,
}

/// It is not whole: broken, cut, no gzip at all, or still being written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken {
    /// How the file was before it was read.
    pub(super) stamp: Option<Stamp>,
    /// How many of its bytes, unpacked, were sent.
    pub(super) sent: u64,
}

impl Archive {
    /// Reads the file of `follow` through gzip. A restart in the middle begins it again: its position only
    /// knows "not yet" and "done". What is not whole is never done.
    pub(super) async fn read(self, follow: Follow, shutdown: CancellationToken) -> Result<Ended, Broken> {
        let Self { path, check, sent } = self;
        let mut broken = Broken { stamp: stamp(&path), sent };
        let say = |error: &std::io::Error| {
            let path = path.display();
            warn!(%error, %path, "Compressed file is not whole: it is kept, and read on when it changes");
        };
        if check {
            let path = path.clone();
            let checked = tokio::task::spawn_blocking(move || {
                std::io::copy(&mut MultiGzDecoder::new(File::open(path)?), &mut std::io::sink())
            });
            if let Err(error) = checked.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic))) {
                say(&error);
                return Err(broken);
            }
        }
        let Follow { positions, mut decoder, sender, settings, .. } = follow;
        let opened = match HostFile::open_once(&path) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(Ended::Stopped),
            Err(error) => {
                warn!(%error, path = %path.display(), "Compressed file cannot be opened");
                return Ok(Ended::Stopped);
            }
        };
        let Some((tracker, size)) = positions.begin_whole(&opened) else { return Ok(Ended::Finished) };
        let whole = tracker.begin(size);
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
        let mut framer = Framer::new(settings.framing, 0);
        loop {
            let block = tokio::select! {
                block = received.recv() => block,
                () = shutdown.cancelled() => return Ok(Ended::Stopped),
            };
            let last = block.is_none();
            match block {
                Some(Ok(block)) => framer.push(block),
                Some(Err(error)) => {
                    // The unfinished line, and what a codec keeps, are for the next time.
                    say(&error);
                    return Err(broken);
                }
                None => {}
            }
            while let Some(lines) = framer.take().or_else(|| if last { framer.take_rest() } else { None }) {
                let end = lines.end();
                // Those of the last time.
                let Some(lines) = lines.from(sent) else { continue };
                let mut batch = Batch { byte_size: lines.byte_len(), ..Batch::default() };
                let kept = decoder.decode(lines, &mut batch);
                if !batch.is_empty() {
                    batch.ack = whole.clone();
                    if !sender.send(batch).await {
                        return Ok(Ended::PipelineGone);
                    }
                }
                broken.sent = sent.max(kept.from.unwrap_or(end));
            }
            if last {
                let mut batch = Batch::default();
                decoder.flush(Flush::End, &mut batch);
                if !batch.is_empty() {
                    batch.ack = whole.clone();
                    if !sender.send(batch).await {
                        return Ok(Ended::PipelineGone);
                    }
                }
                broken.sent = sent.max(framer.position());
                if stamp(&path) != broken.stamp {
                    // More was added to it, perhaps another member.
                    return Err(broken);
                }
                whole.delivered();
                return Ok(Ended::Finished);
            }
        }
    }
}
