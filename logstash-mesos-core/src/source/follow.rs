//! The life of a stream: reads, decodes, sends, waits.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::holdings::Holdings;
use super::outlet::Outlet;
use super::tail::{LOOK_EVERY, Shared, Step, Tail};
use super::watch::Watch;
use super::writers::Writers;
use super::{FileOpener, HoldLimits, Lines, StreamPositions, StreamStatus, TailSettings};
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

/// Ends a stream, in one of three ways.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Stop now. An unfinished line is not passed on; it is read again the next time.
    pub now: CancellationToken,
    /// The source has ended: pass on all that is there, with the unfinished last line.
    pub at_end: CancellationToken,
    /// While it is set: end when the name leads to nothing and all that is held has arrived.
    pub when_gone: Arc<AtomicBool>,
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
    /// By [`Stop::at_end`], but not everything could be read; the status says why.
    Failed,
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
    shared: Shared,
    watch: Option<Arc<Watch>>,
}

/// After reading up to the end of a file, how long to wait before looking again: many small writes then
/// become one batch.
const GATHER: Duration = Duration::from_millis(5);
/// Names in a directory change several at a time.
const SETTLE: Duration = Duration::from_millis(1);
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
        Self::with(threads, "/proc".into(), HoldLimits::default())
    }

    /// As [`Readers::new`], with the processes that may write to the files shown at `proc`, and with limits.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub fn with(threads: usize, proc: PathBuf, limits: HoldLimits) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("reader")
            .enable_all()
            .build()?;
        let watch = {
            let _inside = runtime.enter();
            Watch::new().map_err(|error| debug!(%error, "No inotify, files are polled")).ok().map(Arc::new)
        };
        let shared = Shared { writers: Writers::new(proc), holdings: Holdings::new(limits) };
        Ok(Self { runtime: Some(runtime), shared, watch })
    }

    /// Begins to read a stream. Dropping the handle does not end it.
    pub fn follow(&self, follow: Follow) -> JoinHandle<Ended> {
        self.handle().spawn(run(follow, self.shared.clone(), self.watch.clone()))
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

async fn run(follow: Follow, shared: Shared, watch: Option<Arc<Watch>>) -> Ended {
    let Follow { opener, settings, positions, decoder, sender, status, stop, close_after } = follow;
    let tail = Tail::new(opener, settings, positions.clone(), Arc::clone(&status), shared);
    let mut out = Outlet::new(decoder, sender, status, stop.now.clone());
    let looks = Looks { watch, sleeper: Arc::default() };
    let mut reader = Reader { tail, idle: Idle::default(), stop: &stop, close_after, positions, looks };
    loop {
        let given_up = out.given_up();
        let end = tokio::select! {
            biased;
            () = given_up.cancelled() => None,
            ended = reader.read(&mut out) => Some(ended),
        };
        let end = match end {
            Some(ended) => Some(ended),
            None => reader.looks.go_on_during(&mut reader.tail, out.begin_anew()).await,
        };
        if let Some(ended) = end {
            if matches!(ended, Ended::Finished | Ended::Quiet) {
                reader.tail.finish();
            }
            return ended;
        }
        reader.tail.rewind();
        reader.idle = Idle::default();
    }
}

/// Keeps looking at the files while something else takes its time.
struct Looks {
    watch: Option<Arc<Watch>>,
    sleeper: Arc<Notify>,
}

impl Looks {
    async fn go_on_during<T>(&self, tail: &mut Tail, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let mut wait = GATHER;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                // Several changes come together.
                () = self.sleeper.notified() => tokio::time::sleep(SETTLE).await,
                () = tokio::time::sleep(wait) => {}
            }
            // Before the look, so that it misses nothing.
            if let (Some(watch), Some(directory)) = (&self.watch, tail.watched_directory()) {
                watch.arm_directory(directory, &self.sleeper);
            }
            tail.look(Instant::now());
            wait = LOOK_EVERY;
        }
    }
}

struct Reader<'s> {
    tail: Tail,
    idle: Idle,
    stop: &'s Stop,
    close_after: Option<Duration>,
    positions: StreamPositions,
    looks: Looks,
}

impl Reader<'_> {
    /// Reads until the stream is over.
    async fn read(&mut self, out: &mut Outlet) -> Ended {
        let Self { tail, idle, stop, close_after, positions, looks } = self;
        loop {
            if stop.now.is_cancelled() {
                return Ended::Stopped;
            }
            // Asked once: what a step left alone because more might come is not all there is.
            let finishing = stop.at_end.is_cancelled();
            let step = tail.step(Instant::now(), finishing);
            if matches!(step, Step::First(..)) {
                looks.go_on_during(tail, positions.saved()).await;
            }
            let ended = match step {
                Step::First(lines, tracker) | Step::Lines(lines, tracker) => {
                    *idle = Idle::default();
                    let end = lines.end();
                    let send = out.lines(lines, move |kept| tracker.begin(kept.unwrap_or(end)));
                    let ended = looks.go_on_during(tail, send).await;
                    tokio::task::yield_now().await;
                    ended
                }
                Step::FileEnded => looks.go_on_during(tail, out.flush(Flush::Rotated)).await,
                Step::Idle if finishing => match (out.finish().await, tail.has_failed()) {
                    (Ended::Finished, true) => Some(Ended::Failed),
                    (ended, _) => Some(ended),
                },
                Step::Idle if stop.when_gone.load(Ordering::Acquire) && tail.holds_nothing() => {
                    Some(out.finish().await)
                }
                Step::Idle if out.idle_at().is_some_and(|at| at <= Instant::now()) => {
                    out.flush(Flush::Idle).await
                }
                Step::Idle => {
                    let quiet = close_after.zip(tail.grew_at());
                    if quiet.is_some_and(|(after, grew_at)| grew_at.elapsed() >= after && !tail.is_draining())
                    {
                        let ended = out.finish().await;
                        return if ended == Ended::Finished { Ended::Quiet } else { ended };
                    }
                    idle.wait(tail, out.idle_at(), stop, looks).await;
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
    async fn wait(&mut self, tail: &mut Tail, flush_at: Option<Instant>, stop: &Stop, looks: &Looks) {
        let mut wait = self.next_wait(tail, looks);
        if let Some(at) = flush_at {
            let left = at.saturating_duration_since(Instant::now());
            wait = wait.min(left.max(GATHER));
        }
        tokio::select! {
            () = stop.now.cancelled() => {}
            () = stop.at_end.cancelled() => {}
            () = looks.sleeper.notified() => self.woken = true,
            () = tokio::time::sleep(wait) => {}
        }
        tail.look_again();
    }

    fn next_wait(&mut self, tail: &mut Tail, looks: &Looks) -> Duration {
        self.rounds += 1;
        if self.rounds == 1 {
            return GATHER;
        }
        if self.rounds == 4 {
            tail.rest_idle();
        }
        let mut watched = tail.watched().next().is_some() && !tail.is_draining();
        for (file, notifies) in tail.watched() {
            let watch = looks.watch.as_ref().filter(|_| notifies);
            watched &= watch.is_some_and(|watch| watch.arm(file, &looks.sleeper));
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
