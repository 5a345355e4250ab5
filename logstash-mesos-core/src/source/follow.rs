//! The life of a stream: reads, decodes, sends, waits.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::outlet::Outlet;
use super::tail::{Step, Tail};
use super::watch::Watch;
use super::{FileOpener, Lines, StreamPositions, StreamStatus, TailSettings};
use crate::event::{Batch, BatchSender};

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

/// What a decoder has taken in that is in no event yet: the position stays in front of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The offset of the first such byte, in the file that the lines are from.
    pub from: Option<u64>,
    /// Whether some of it is in a file before that one.
    pub earlier: bool,
}

impl Kept {
    /// Nothing is kept.
    pub const NOTHING: Self = Self { from: None, earlier: false };

    /// Whether anything is kept.
    #[must_use]
    pub fn is_something(self) -> bool {
        self.earlier || self.from.is_some()
    }

    /// What is kept by this and by `other`.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let from = match (self.from, other.from) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self { from, earlier: self.earlier || other.earlier }
    }
}

/// Turns the lines of one stream into events.
pub trait Decoder: Send {
    /// Puts the events of `lines` into `batch` (whose acknowledgement is set by the caller). Returns what is
    /// kept for later, as the first part of a joined event.
    fn decode(&mut self, lines: Lines, batch: &mut Batch) -> Kept;

    /// Puts what is kept into `batch`, as far as it shall not wait any longer. Returns what is still kept: at
    /// [`Flush::Rotated`] it is all in an earlier file from now on, at [`Flush::End`] nothing may be.
    fn flush(&mut self, reason: Flush, batch: &mut Batch) -> Kept {
        let _ = (reason, batch);
        Kept::NOTHING
    }

    /// After how long without lines [`Flush::Idle`] is wanted.
    fn idle_flush(&self) -> Option<Duration> {
        None
    }

    /// Forgets what is kept: it will be read again.
    fn reset(&mut self) {}
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
    let Follow { opener, settings, positions, decoder, sender, status, stop, close_after } = follow;
    let tail = || Tail::new(Arc::clone(&opener), settings.clone(), positions.clone(), Arc::clone(&status));
    let mut out = Outlet::new(decoder, sender, Arc::clone(&status), stop.now.clone());
    let mut reader = Reader { tail: tail(), idle: Idle::default(), stop: &stop, close_after };
    loop {
        let given_up = out.given_up();
        let end = tokio::select! {
            biased;
            () = given_up.cancelled() => None,
            ended = reader.read(&mut out, watch.as_deref()) => Some(ended),
        };
        if let Some(ended) = end {
            return ended;
        }
        // The files have to be let go before their positions are taken up again.
        drop(reader);
        if let Some(ended) = out.begin_anew().await {
            return ended;
        }
        reader = Reader { tail: tail(), idle: Idle::default(), stop: &stop, close_after };
    }
}

struct Reader<'s> {
    tail: Tail,
    idle: Idle,
    stop: &'s Stop,
    close_after: Option<Duration>,
}

impl Reader<'_> {
    /// Reads until the stream is over.
    async fn read(&mut self, out: &mut Outlet, watch: Option<&Watch>) -> Ended {
        let Self { tail, idle, stop, close_after } = self;
        let sleeper = Arc::new(Notify::new());
        loop {
            if stop.now.is_cancelled() {
                return Ended::Stopped;
            }
            let ended = match tail.step(Instant::now(), stop.at_end.is_cancelled()) {
                Step::Lines(lines, tracker) => {
                    *idle = Idle::default();
                    let end = lines.end();
                    let ended = out.lines(lines, move |kept| tracker.begin(kept.unwrap_or(end))).await;
                    tokio::task::yield_now().await;
                    ended
                }
                Step::FileEnded => out.flush(Flush::Rotated).await,
                Step::Idle if stop.at_end.is_cancelled() => Some(out.finish().await),
                Step::Idle if out.idle_at().is_some_and(|at| at <= Instant::now()) => {
                    out.flush(Flush::Idle).await
                }
                Step::Idle => {
                    let quiet = close_after.zip(tail.grew_at());
                    if quiet.is_some_and(|(after, grew_at)| grew_at.elapsed() >= after) {
                        let ended = out.finish().await;
                        return if ended == Ended::Finished { Ended::Quiet } else { ended };
                    }
                    idle.wait(tail, out.idle_at(), stop, watch, &sleeper).await;
                    None
                }
            };
            if let Some(ended) = ended {
                return ended;
            }
        }
    }
}

/// What happens while nothing comes.
#[derive(Default)]
struct Idle {
    rounds: u32,
    woken: bool,
}

impl Idle {
    /// Waits until something may have changed.
    async fn wait(
        &mut self,
        tail: &mut Tail,
        flush_at: Option<Instant>,
        stop: &Stop,
        watch: Option<&Watch>,
        sleeper: &Arc<Notify>,
    ) {
        let mut wait = self.next_wait(tail, watch, sleeper);
        if let Some(at) = flush_at {
            let left = at.saturating_duration_since(Instant::now());
            wait = wait.min(left.max(GATHER));
        }
        tokio::select! {
            () = stop.now.cancelled() => {}
            () = stop.at_end.cancelled() => {}
            () = sleeper.notified() => self.woken = true,
            () = tokio::time::sleep(wait) => {}
        }
        tail.look_again();
    }

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
