//! The life of a stream: reads, decodes, sends, waits.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tracing::debug;

use super::hanging::{Careful, Hanging};
use super::holdings::Holdings;
use super::outlet::Outlet;
use super::rest::{GATHER, Rest};
use super::room::Room;
use super::tail::{Shared, Step, Tail};
use super::watch::{Sleeper, Watch};
use super::writers::Writers;
use super::{
    Decoder, Ended, FileOpener, Flush, HoldLimits, Stop, StreamPositions, StreamStatus, TailSettings,
};
use crate::event::BatchSender;

/// One stream to be read.
pub struct Follow {
    /// Knows the file.
    pub opener: Arc<dyn FileOpener>,
    /// How to follow it.
    pub settings: TailSettings,
    /// Where to begin, and where the position is kept.
    pub positions: StreamPositions,
    /// Makes the events of its lines.
    pub decoder: Box<dyn Decoder>,
    /// Takes events; the stream waits while it is full.
    pub sender: Arc<dyn BatchSender>,
    /// What others see of the stream.
    pub status: Arc<StreamStatus>,
    /// Ends the stream.
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
    hanging: Hanging,
}

impl Readers {
    /// Starts `threads` threads (1 serves hundreds of files; more help where disks are slow).
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub fn new(threads: usize) -> io::Result<Self> {
        Self::with(threads, "/proc".into(), HoldLimits::default())
    }

    /// As [`Readers::new`], with the processes that may write to the files shown at `proc`, and with limits. All readers
    /// of a process share what may be open.
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
        let hanging = Hanging::default();
        runtime.spawn(hanging.clone().watch());
        let watch = {
            let _inside = runtime.enter();
            Watch::new().map_err(|error| debug!(%error, "No inotify, files are polled")).ok().map(Arc::new)
        };
        let shared = Shared {
            writers: Writers::new(proc),
            holdings: Holdings::new(limits),
            room: Room::of_process(limits.open),
        };
        Ok(Self { runtime: Some(runtime), shared, watch, hanging })
    }

    /// Begins to read a stream. Dropping the handle does not end it.
    pub fn follow(&self, follow: Follow) -> JoinHandle<Ended> {
        self.handle().spawn(self.reading(follow))
    }

    /// Reads a stream, when it is run by [`Readers::handle`].
    pub(crate) fn reading(&self, follow: Follow) -> impl Future<Output = Ended> + use<> {
        Box::new(Reader::new(follow, self.shared.clone(), self.watch.clone(), &self.hanging)).run()
    }

    /// How calls are made about files that may be on a mount that does not answer.
    pub(crate) fn hanging(&self) -> &Hanging {
        &self.hanging
    }

    /// What runs the readers.
    pub(crate) fn handle(&self) -> &Handle {
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

/// A stream that is read.
struct Reader {
    tail: Tail,
    out: Outlet,
    rest: Rest,
    stop: Stop,
    close_after: Option<Duration>,
    positions: StreamPositions,
}

/// What became of the work on a stream.
enum Worked {
    /// The stream is over.
    Over(Ended),
    /// Nothing is there, and nothing of it is on its way: it rests for so long, if nobody wakes it.
    Rests(Duration),
}

impl Reader {
    fn new(follow: Follow, shared: Shared, watch: Option<Arc<Watch>>, hanging: &Hanging) -> Self {
        let Follow { opener, settings, positions, decoder, sender, status, stop, close_after } = follow;
        let sleeper = Arc::<Sleeper>::default();
        let (told, seen) = (Arc::clone(&sleeper), Arc::clone(&status));
        let careful = Careful::new(hanging, &status, opener.has_own_mounts());
        let tail = Tail::new(opener, settings, positions.clone(), seen, shared, told);
        let out = Outlet::new(decoder, sender, status, stop.now.clone());
        let rest = Rest::new(watch, sleeper, careful);
        Self { tail, out, rest, stop, close_after, positions }
    }

    async fn run(mut self: Box<Self>) -> Ended {
        self.rest.attend(&self.tail);
        loop {
            // What it takes to read is there while there is something to read: most streams rest most of the time.
            match Box::pin(self.work()).await {
                Worked::Rests(wait) => {
                    self.rest.sleep(wait, &self.stop).await;
                    self.tail.look_again();
                }
                Worked::Over(ended) => {
                    if matches!(ended, Ended::Finished | Ended::Quiet) {
                        self.tail.finish();
                    }
                    return ended;
                }
            }
        }
    }

    /// Reads until the stream is over or rests. What was given up on its way is read again.
    async fn work(&mut self) -> Worked {
        loop {
            let given_up = self.out.given_up();
            tokio::select! {
                biased;
                () = given_up.cancelled() => {}
                worked = self.read() => return worked,
            }
            if let Some(ended) = self.rest.go_on_during(&mut self.tail, self.out.begin_anew()).await {
                return Worked::Over(ended);
            }
            self.rest.careful.call(&mut self.tail, Tail::rewind).await;
            self.rest.anew();
        }
    }

    async fn read(&mut self) -> Worked {
        let Self { tail, out, rest, stop, close_after, positions } = self;
        loop {
            if stop.now.is_cancelled() {
                return Worked::Over(Ended::Stopped);
            }
            // Asked once: what a step left alone because more might come is not all there is.
            let finishing = stop.at_end.is_cancelled();
            let room = out.room();
            let step = rest.careful.call(tail, |tail| tail.step(Instant::now(), finishing, room)).await;
            if matches!(step, Step::First(..)) {
                rest.go_on_during(tail, positions.saved()).await;
            }
            if matches!(step, Step::Idle) {
                out.give_room_back();
            }
            let ended = match step {
                Step::First(lines, tracker) | Step::Lines(lines, tracker) => {
                    rest.disturbed();
                    let end = lines.end();
                    let send = out.lines(lines, move |kept| tracker.begin(kept.unwrap_or(end)));
                    let ended = rest.go_on_during(tail, send).await;
                    tokio::task::yield_now().await;
                    ended
                }
                // Asked for before anything is read, so that nothing is held while there is none.
                Step::NoRoom(needs) => {
                    let room = out.wait_for_room(tail.block_bytes(), needs);
                    rest.go_on_during(tail, room).await
                }
                Step::FileEnded => rest.go_on_during(tail, out.flush(Flush::Rotated)).await,
                Step::Idle if finishing && tail.waits_for_room() => {
                    rest.wait_for_room(stop).await;
                    tail.look_again();
                    None
                }
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
                    let close_after = close_after.filter(|_| !tail.is_draining());
                    let closes_at = close_after.zip(tail.grew_at()).map(|(after, grew_at)| grew_at + after);
                    if closes_at.is_some_and(|at| at <= Instant::now()) {
                        let ended = out.finish().await;
                        return Worked::Over(if ended == Ended::Finished { Ended::Quiet } else { ended });
                    }
                    let mut wait = rest.next_wait(tail);
                    for at in [closes_at, out.idle_at()].into_iter().flatten() {
                        wait = wait.min(at.saturating_duration_since(Instant::now()).max(GATHER));
                    }
                    if rest.is_quiet() && out.is_waiting() && tail.make_room() {
                        out.forget_kept();
                    }
                    if rest.is_at_rest() && out.is_settled() {
                        out.rest();
                        return Worked::Rests(wait);
                    }
                    rest.sleep(wait, stop).await;
                    tail.look_again();
                    None
                }
            };
            if let Some(ended) = ended {
                return Worked::Over(ended);
            }
        }
    }
}
