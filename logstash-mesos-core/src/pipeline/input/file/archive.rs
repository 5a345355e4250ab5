//! Compressed files, read once from their beginning to their end.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use flate2::Crc;
use flate2::read::MultiGzDecoder;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::pipeline::plugin::Batch;
use crate::source::{Ended, Flush, Follow, Framer, Hanging, HostFile, OnTheWay};

/// Size and time of change.
pub(super) type Stamp = (u64, SystemTime);

pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    stamp_of(&std::fs::metadata(path).ok()?)
}

/// The same of a file that the system has told of.
pub(super) fn stamp_of(file: &std::fs::Metadata) -> Option<Stamp> {
    Some((file.len(), file.modified().ok()?))
}

/// A compressed file that is to be read.
pub(super) struct Archive {
    pub(super) path: PathBuf,
    /// Whether it is read once before, to see that it is whole.
    pub(super) check: bool,
    /// What was sent of it when it was not whole yet.
    pub(super) sent: Beginning,
    /// How it is asked for: its file system may not answer.
    pub(super) hanging: Hanging,
}

/// It is not whole: broken, cut, no gzip at all, or still being written; or it cannot be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken {
    /// How the file was before it was read. Nothing if it is tried again without a change.
    pub(super) stamp: Option<Stamp>,
    /// What was sent of it.
    pub(super) sent: Beginning,
}

impl Broken {
    /// What is in it is not what was sent of it.
    fn another(path: &Path) -> Self {
        info!(path = %path.display(), "Another compressed file has the name of one that was not whole: it is read from its beginning");
        Self { stamp: None, sent: Beginning::default() }
    }

    fn because(self, path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        // As the decoder says it.
        let is_of_content = [ErrorKind::InvalidInput, ErrorKind::InvalidData, ErrorKind::UnexpectedEof];
        if is_of_content.contains(&error.kind()) {
            warn!(%error, %path, "Compressed file is not whole: it is kept, and read on when it changes");
            self
        } else {
            warn!(%error, %path, "Compressed file cannot be read: it is kept, and tried again");
            Self { stamp: None, ..self }
        }
    }
}

/// The beginning of what is in a file, unpacked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beginning {
    /// So many bytes were sent, all up to the end of a line.
    bytes: u64,
    /// So many were read, and their checksum: another file may come to have the name.
    read: u64,
    checksum: u32,
}

impl Beginning {
    fn or_further(self, before: Self) -> Self {
        if self.read < before.read { before } else { self }
    }
}

/// Reads a file again, and compares.
struct Compared {
    with: Beginning,
    read: u64,
    checksum: Crc,
}

impl Compared {
    /// Whether what has been read is the same as before, as far as it goes.
    fn goes_on(&mut self, block: &[u8]) -> bool {
        let before = usize::try_from(self.with.read.saturating_sub(self.read)).unwrap_or(usize::MAX);
        let (known, new) = block.split_at(before.min(block.len()));
        self.checksum.update(known);
        self.read += block.len() as u64;
        let same =
            self.read < self.with.read || known.is_empty() || self.checksum.sum() == self.with.checksum;
        self.checksum.update(new);
        same
    }

    /// What the next time begins with.
    fn beginning(&self, sent: u64) -> Beginning {
        Beginning { bytes: sent, read: self.read, checksum: self.checksum.sum() }
    }
}

impl Archive {
    /// Reads the file of `follow` through gzip. A restart in the middle begins it again: its position only
    /// knows "not yet" and "done". What is not whole is never done.
    pub(super) async fn read(self, follow: Follow, shutdown: CancellationToken) -> Result<Ended, Broken> {
        let Self { path, check, sent, hanging } = self;
        let Follow { positions, mut decoder, sender, settings, status, .. } = follow;
        let stamp = || hanging.call_of_machine(&path, &status, || stamp(&path));
        let broken = Broken { stamp: stamp().await, sent };
        if check {
            let opened = hanging.call_of_machine(&path, &status, || File::open(&path)).await;
            let file = match opened {
                Ok(file) => hanging.read(file, &path, &status),
                Err(error) => return Err(broken.because(&path, &error)),
            };
            let checked = tokio::task::spawn_blocking(move || {
                io::copy(&mut MultiGzDecoder::new(file), &mut io::sink())
            });
            if let Err(error) = checked.await.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
                return Err(broken.because(&path, &error));
            }
        }
        let begin = || {
            let Some(opened) = HostFile::open_once(&path)? else { return Ok(Err(Ended::Stopped)) };
            let begun = positions.begin_whole(&opened)?;
            Ok(begun.map(|(tracker, size)| (opened.file, tracker, size)).ok_or(Ended::Finished))
        };
        let (file, tracker, size) = match hanging.call_of_machine(&path, &status, begin).await {
            Ok(Ok(begun)) => begun,
            Ok(Err(ended)) => return Ok(ended),
            Err(error) => return Err(broken.because(&path, &error)),
        };
        let whole = tracker.begin(size);
        let on_the_way = Arc::<OnTheWay>::default();
        let (blocks, mut received) = tokio::sync::mpsc::channel::<io::Result<Vec<u8>>>(2);
        let block_bytes = settings.framing.block_bytes;
        let file = hanging.read(file, &path, &status);
        tokio::task::spawn_blocking(move || {
            let mut reader = MultiGzDecoder::new(file);
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
        let send = async |mut batch: Batch| {
            if batch.is_empty() {
                return true;
            }
            batch.ack = whole.clone();
            batch.ack.merge(on_the_way.begin());
            sender.send(batch).await
        };
        let mut framer = Framer::new(settings.framing, 0);
        let mut compared = Compared { with: sent, read: 0, checksum: Crc::new() };
        let mut sent_to = 0;
        let failed = loop {
            let block = tokio::select! {
                block = received.recv() => block,
                () = shutdown.cancelled() => return Ok(Ended::Stopped),
            };
            let last = block.is_none();
            match block {
                Some(Ok(block)) if compared.goes_on(&block) => framer.push(block),
                Some(Ok(_)) => return Err(Broken::another(&path)),
                // The unfinished line, and what a codec keeps, are for the next time.
                Some(Err(error)) => break Some(error),
                None if compared.read < sent.read => return Err(Broken::another(&path)),
                None => {}
            }
            while let Some(lines) = framer.take().or_else(|| if last { framer.take_rest() } else { None }) {
                let end = lines.end();
                // Those of the last time.
                let Some(lines) = lines.from(sent.bytes) else { continue };
                let mut batch = Batch { byte_size: lines.byte_len(), ..Batch::default() };
                let kept = decoder.decode(lines, &mut batch);
                if !send(batch).await {
                    return Ok(Ended::PipelineGone);
                }
                sent_to = kept.from.unwrap_or(end);
            }
            if last {
                let mut batch = Batch::default();
                decoder.flush(Flush::End, &mut batch);
                if !send(batch).await {
                    return Ok(Ended::PipelineGone);
                }
                sent_to = framer.position();
                break None;
            }
        };
        // It may be given up until then, and has to be read again.
        tokio::select! {
            () = on_the_way.settled() => {}
            () = shutdown.cancelled() => return Ok(Ended::Stopped),
        }
        if on_the_way.is_given_up() {
            warn!(path = %path.display(), "A pipeline gave up lines of a compressed file, it is read again");
            return Err(Broken { stamp: None, sent: Beginning::default() });
        }
        let sent = compared.beginning(sent.bytes.max(sent_to)).or_further(sent);
        let broken = Broken { sent, ..broken };
        match failed {
            Some(error) => Err(broken.because(&path, &error)),
            // More was added to it, perhaps another member.
            None if stamp().await != broken.stamp => Err(broken),
            None => {
                whole.delivered();
                Ok(Ended::Finished)
            }
        }
    }
}
