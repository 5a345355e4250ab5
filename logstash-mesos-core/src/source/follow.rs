//! The life of a stream: reads, decodes, sends, waits.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::tail::{Step, Tail};
use super::watch::Watch;
use super::{FileOpener, Lines, StreamPositions, StreamStatus, TailSettings};
use crate::event::Ack;
use crate::pipeline::plugin::{Batch, BatchSender};

/// Why a decoder is asked for what it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Nothing has come for [`Decoder::idle_flush`].
    Idle,
    /// The file has ended; the stream goes on in another one.
    Rotated,
    /// The stream has ended.
    End,
}

/// Turns the lines of one stream into events.
pub trait Decoder: Send {
    /// Puts the events of `lines` into `batch` (whose acknowledgement is set by the caller).
    ///
    /// Returns the offset of the first byte that is not in any event yet, if something is kept for later
    /// (the first part of a joined event): the position stays in front of it.
    fn decode(&mut self, lines: Lines, batch: &mut Batch) -> Option<u64>;

    /// Puts what is kept into `batch`. Returns whether something is still kept (a part whose rest is the
    /// beginning of the next file); at [`Flush::End`] nothing may be.
    fn flush(&mut self, reason: Flush, batch: &mut Batch) -> bool {
        let _ = (reason, batch);
        false
    }

    /// After how long a wait [`Flush::Idle`] is wanted.
    fn idle_flush(&self) -> Option<Duration> {
        None
    }
}

/// Ends a stream, in one of two ways.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Stop now. An unfinished line is not passed on; it is read again the next time.
    pub now: CancellationToken,
    /// The source has ended: pass on all that is there, with the unfinished last line.
    pub at_end: CancellationToken,
}

/// How a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By [`Stop::now`].
    Stopped,
    /// By [`Stop::at_end`]: everything has been passed on.
    Finished,
    /// The pipeline takes nothing any more.
    PipelineGone,
    /// Nothing came for [`Follow::close_after`].
    Quiet,
}

/// One stream to be read.
pub struct Follow {
    /// Knows the file.
    pub opener: Arc<dyn FileOpener>,
    /// How to follow it.
    pub settings: TailSettings,
    /// Where to begin, and where the position is kept.
    pub positions: StreamPositions,
    /// Makes events.
    pub decoder: Box<dyn Decoder>,
    /// Takes events; the stream waits while it is full.
    pub sender: Arc<dyn BatchSender>,
    /// What others see of the stream.
    pub status: Arc<StreamStatus>,
    /// Ends it.
    pub stop: Stop,
    /// Ends it after this long without a new byte.
    pub close_after: Option<Duration>,
}

/// Reads many files on few threads of its own, where reading may block.
#[derive(Debug)]
pub struct Readers {
    runtime: Option<Runtime>,
    watch: Option<Arc<Watch>>,
}

/// After reading up to the end of a file, how long to wait before looking again: many small writes then
/// become one batch.
const GATHER: Duration = Duration::from_millis(5);
/// Waits between looks at a file whose changes inotify tells; it is asked all the same, less and less often.
const WATCHED: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// The same for a file whose changes it does not tell.
const UNWATCHED: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

impl Readers {
    /// Starts `threads` threads (1 serves hundreds of files; more help where disks are slow).
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub fn new(threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("reader")
            .enable_all()
            .build()?;
        let watch = {
            let _inside = runtime.enter();
            Watch::new().map_err(|error| debug!(%error, "No inotify, files are polled")).ok().map(Arc::new)
        };
        Ok(Self { runtime: Some(runtime), watch })
    }

    /// Begins to read a stream. Dropping the handle does not end it.
    pub fn follow(&self, follow: Follow) -> JoinHandle<Ended> {
        self.handle().spawn(run(follow, self.watch.clone()))
    }

    fn handle(&self) -> &Handle {
        // `None` only while `drop` runs.
        self.runtime.as_ref().expect("the runtime is there until drop").handle()
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        // A runtime may not wait for its threads within another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn run(follow: Follow, watch: Option<Arc<Watch>>) -> Ended {
    let Follow { opener, settings, positions, mut decoder, sender, status, stop, close_after } = follow;
    let mut tail = Tail::new(opener, settings, positions, Arc::clone(&status));
    let mut out = Outbox { sender, status, stop: stop.now.clone(), carried: Ack::none() };
    let sleeper = Arc::new(Notify::new());
    let mut idle = Idle::default();
    loop {
        if stop.now.is_cancelled() {
            return Ended::Stopped;
        }
        match tail.step(Instant::now(), stop.at_end.is_cancelled()) {
            Step::Lines(lines, tracker) => {
                idle = Idle::default();
                let end = lines.end();
                let mut batch = Batch { byte_size: lines.byte_len(), ..Batch::default() };
                let kept = decoder.decode(lines, &mut batch);
                batch.ack = tracker.begin(kept.unwrap_or(end));
                if kept.is_some() {
                    idle.kept = Some((tracker, end));
                }
                if let Some(ended) = out.send(batch).await {
                    return ended;
                }
                tokio::task::yield_now().await;
            }
            Step::FileEnded => {
                let reason = Flush::Rotated;
                if let Some(ended) = flush(&mut *decoder, reason, &mut idle, &mut out).await {
                    return ended;
                }
            }
            Step::Idle => {
                if stop.at_end.is_cancelled() {
                    let ended = flush(&mut *decoder, Flush::End, &mut idle, &mut out).await;
                    return ended.unwrap_or(Ended::Finished);
                }
                if let Some(after) = decoder.idle_flush()
                    && idle.since.elapsed() >= after
                    && idle.kept.is_some()
                    && let Some(ended) = flush(&mut *decoder, Flush::Idle, &mut idle, &mut out).await
                {
                    return ended;
                }
                if let (Some(after), Some(grew_at)) = (close_after, tail.grew_at())
                    && grew_at.elapsed() >= after
                {
                    let ended = flush(&mut *decoder, Flush::End, &mut idle, &mut out).await;
                    return ended.unwrap_or(Ended::Quiet);
                }
                let wait = idle.next_wait(&mut tail, watch.as_deref(), &sleeper);
                let wait = decoder.idle_flush().map_or(wait, |after| wait.min(after));
                tokio::select! {
                    () = stop.now.cancelled() => return Ended::Stopped,
                    () = stop.at_end.cancelled() => {}
                    () = sleeper.notified() => idle.woken = true,
                    () = tokio::time::sleep(wait) => {}
                }
                tail.look_again();
            }
        }
    }
}

/// Has the decoder pass on what it keeps, and settles the position for it.
async fn flush(decoder: &mut dyn Decoder, reason: Flush, idle: &mut Idle, out: &mut Outbox) -> Option<Ended> {
    let mut batch = Batch::default();
    let still_kept = decoder.flush(reason, &mut batch);
    let rest = idle.kept.take().map_or_else(Ack::none, |(tracker, end)| tracker.begin(end));
    if still_kept {
        out.carried.merge(rest);
        return None;
    }
    batch.ack = rest;
    if batch.is_empty() && batch.ack.is_none() && out.carried.is_none() {
        None
    } else {
        out.send(batch).await
    }
}

struct Outbox {
    sender: Arc<dyn BatchSender>,
    status: Arc<StreamStatus>,
    stop: CancellationToken,
    // For parts of an event that go on in the next file.
    carried: Ack,
}

impl Outbox {
    async fn send(&mut self, mut batch: Batch) -> Option<Ended> {
        batch.ack.merge(std::mem::take(&mut self.carried));
        let events = batch.events.len() as u64;
        if batch.is_empty() {
            // Nothing to deliver: the bytes held no event.
            return None;
        }
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
        self.status.count_events(events);
        None
    }
}

/// What happens while nothing comes.
struct Idle {
    since: Instant,
    rounds: u32,
    woken: bool,
    // The decoder keeps bytes of this file up to this place.
    kept: Option<(super::Tracker, u64)>,
}

impl Default for Idle {
    fn default() -> Self {
        Self { since: Instant::now(), rounds: 0, woken: false, kept: None }
    }
}

impl Idle {
    fn next_wait(&mut self, tail: &mut Tail, watch: Option<&Watch>, sleeper: &Arc<Notify>) -> Duration {
        self.rounds += 1;
        if self.rounds == 1 {
            return GATHER;
        }
        if self.rounds == 4 {
            tail.rest_idle();
        }
        let mut watched = tail.watched().next().is_some() && !tail.is_draining();
        for opened in tail.watched() {
            watched &= opened.notifies && watch.is_some_and(|watch| watch.arm(&opened.file, sleeper));
        }
        let (first, most) = if watched { WATCHED } else { UNWATCHED };
        if std::mem::take(&mut self.woken) {
            // Changed, yet without new bytes: renamed or removed. What follows is looked for soon.
            self.rounds = 2;
        }
        // Armed after the last look: what came in between is seen by the next one, which is soon.
        if self.rounds == 2 { GATHER } else { first.saturating_mul(1 << (self.rounds - 3).min(6)).min(most) }
    }
}
