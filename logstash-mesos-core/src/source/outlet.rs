//! From the lines of a source to the pipeline, with the acknowledgements: the same for every kind of source.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Decoder, Ended, Flush, Kept, Lines, StreamStatus};
use crate::backoff::Backoff;
use crate::event::{Ack, Outcome};
use crate::event::{Batch, BatchSender};
use crate::memory::Room;

/// Decodes, sends, and sees to it that a position never passes what the decoder keeps.
pub(crate) struct Outlet {
    decoder: Box<dyn Decoder>,
    sender: Arc<dyn BatchSender>,
    status: Arc<StreamStatus>,
    stop: CancellationToken,
    // Settles the position of the lines that came last, while the decoder keeps some of them.
    pending: Option<Settle>,
    // For parts of an event that go on in the next file.
    carried: Ack,
    last_lines: Instant,
    // For what is going to be read and sent.
    room: Option<Room>,
    // The line that was waited for takes so much of it.
    needs: usize,
    watch: Arc<OnTheWay>,
    given_up_at: Option<Instant>,
    // Before what was given up is read again.
    backoff: Backoff,
}

/// Makes the acknowledgement of lines, given the place of the first byte that is in no event yet.
type Settle = Box<dyn FnMut(Option<u64>) -> Ack + Send>;

/// What became of the batches that were sent.
#[derive(Debug, Default)]
pub(crate) struct OnTheWay {
    in_flight: AtomicUsize,
    settled: Notify,
    given_up: CancellationToken,
}

/// Smaller reads cost more than they save.
const LEAST_BLOCK: usize = 4 << 10;
/// After so long without, the next time counts as the first.
const FORGIVEN_AFTER: Duration = Duration::from_secs(180);

impl Outlet {
    pub(crate) fn new(
        decoder: Box<dyn Decoder>,
        sender: Arc<dyn BatchSender>,
        status: Arc<StreamStatus>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            decoder,
            sender,
            status,
            stop,
            pending: None,
            carried: Ack::none(),
            last_lines: Instant::now(),
            room: None,
            needs: 0,
            watch: Arc::default(),
            given_up_at: None,
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
        }
    }

    /// How many bytes of lines there is room for; none, unless it was waited for.
    pub(crate) fn room(&self) -> usize {
        let bytes = |room: &Room| (room.bytes() / self.decoder.expansion()).max(LEAST_BLOCK).max(self.needs);
        self.room.as_ref().map_or(0, bytes)
    }

    /// Waits for room for about `block_bytes` of lines in every pipeline that takes them; or for a line of `needs` bytes, if that
    /// is not 0.
    pub(crate) async fn wait_for_room(&mut self, block_bytes: usize, needs: usize) -> Option<Ended> {
        self.give_room_back();
        let lines = if needs > 0 { needs } else { block_bytes };
        let (sender, aside) = (Arc::clone(&self.sender), self.decoder.aside());
        let bytes = lines.saturating_mul(self.decoder.expansion()).saturating_add(aside);
        let room = async {
            match needs.max(aside) {
                0 => sender.room(bytes).await,
                _ => sender.room_for(bytes).await,
            }
        };
        tokio::select! {
            biased;
            room = room => (self.room, self.needs) = (Some(room), needs),
            () = self.stop.cancelled() => return Some(Ended::Stopped),
        }
        None
    }

    /// There is nothing to read.
    pub(crate) fn give_room_back(&mut self) {
        (self.room, self.needs) = (None, 0);
    }

    /// Passes on `lines`. `settle` makes the acknowledgement, given the place of the first byte that the
    /// decoder keeps for later; it is asked again when that is passed on.
    pub(crate) async fn lines(
        &mut self,
        lines: Lines,
        mut settle: impl FnMut(Option<u64>) -> Ack + Send + 'static,
    ) -> Option<Ended> {
        let mut batch = Batch { byte_size: lines.byte_len(), ..Batch::default() };
        let kept = self.decoder.decode(lines, &mut batch);
        // Not before: what is kept is due when as long has passed since it came.
        self.last_lines = Instant::now();
        batch.ack = settle(kept.from);
        self.pending = kept.is_something().then(|| Box::new(settle) as Settle);
        self.send(batch, kept).await
    }

    /// Passes on what the decoder keeps.
    pub(crate) async fn flush(&mut self, reason: Flush) -> Option<Ended> {
        let mut batch = Batch::default();
        let kept = self.decoder.flush(reason, &mut batch);
        if let Some(mut settle) = self.pending.take() {
            batch.ack = settle(kept.from);
            if kept.earlier && reason == Flush::Rotated {
                // The last acknowledgement of that file: it comes with the event that ends in the next one.
                self.carried.merge(batch.ack.clone());
            } else if kept.is_something() {
                self.pending = Some(settle);
            }
        }
        self.send(batch, kept).await
    }

    /// Passes on what the decoder keeps at the end of the stream, and waits until everything has arrived: until
    /// then it may be given up, and has to be read again.
    pub(crate) async fn finish(&mut self) -> Ended {
        if let Some(ended) = self.flush(Flush::End).await {
            return ended;
        }
        tokio::select! {
            () = self.settled() => Ended::Finished,
            () = self.stop.cancelled() => Ended::Stopped,
        }
    }

    /// Whether nothing is kept, and nothing of what was sent is on its way or has been given up.
    pub(crate) fn is_settled(&self) -> bool {
        self.pending.is_none() && self.is_delivered()
    }

    /// Whether nothing of what was sent is on its way or has been given up, and what is kept is kept until more comes.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_delivered() && self.idle_at().is_none()
    }

    fn is_delivered(&self) -> bool {
        self.watch.in_flight.load(Ordering::Acquire) == 0 && !self.watch.given_up.is_cancelled()
    }

    /// Gives back what is not needed while nothing comes.
    pub(crate) fn rest(&mut self) {
        self.decoder.rest();
    }

    /// Forgets what is kept: it will be read again.
    pub(crate) fn forget_kept(&mut self) {
        if self.pending.take().is_some() {
            self.carried = Ack::none();
            self.decoder.reset();
        }
    }

    fn settled(&self) -> impl Future<Output = ()> + use<> {
        let watch = Arc::clone(&self.watch);
        async move { watch.settled().await }
    }

    /// When [`Flush::Idle`] is due, if nothing comes until then.
    pub(crate) fn idle_at(&self) -> Option<Instant> {
        self.pending.as_ref()?;
        Some(self.last_lines + self.decoder.idle_flush()?)
    }

    /// Returns when [`Flush::Idle`] is due.
    #[cfg(feature = "docker")]
    pub(crate) fn idle(&self) -> impl Future<Output = ()> + use<> {
        let at = self.idle_at();
        async move {
            match at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Returns when something that was sent has been given up undelivered: its source has to go back to its
    /// position, see [`Outlet::begin_anew`].
    pub(crate) fn given_up(&self) -> CancellationToken {
        self.watch.given_up.clone()
    }

    /// Waits until nothing is on its way any more, and then for a while that grows with each time: whoever has
    /// given up may need it. From then on the source is read as if it had just been started.
    pub(crate) async fn begin_anew(&mut self) -> Option<Ended> {
        // What is kept has not been delivered.
        self.carried = Ack::none();
        self.pending = None;
        self.decoder.reset();
        let last = self.given_up_at.replace(Instant::now());
        if last.is_none_or(|at| at.elapsed() >= FORGIVEN_AFTER) {
            self.backoff.reset();
        }
        let pause = self.backoff.next_wait();
        warn!(retry_in_ms = pause.as_millis(), "A pipeline gave up lines of a stream, they are read again");
        self.status.failed("a pipeline gave up lines of this stream, they are read again".to_owned());
        let settled = self.settled();
        let wait = async {
            settled.await;
            tokio::time::sleep(pause).await;
        };
        tokio::select! {
            () = wait => {}
            () = self.stop.cancelled() => return Some(Ended::Stopped),
        }
        self.watch = Arc::default();
        None
    }

    async fn send(&mut self, mut batch: Batch, kept: Kept) -> Option<Ended> {
        // What began in an earlier file is in an event of this batch at last.
        if !kept.earlier {
            batch.ack.merge(std::mem::take(&mut self.carried));
        }
        if batch.is_empty() {
            self.room = None;
            // Nothing to deliver: the bytes held no event, or they are kept.
            batch.ack.delivered();
            return None;
        }
        let events = batch.events.len() as u64;
        batch.ack.merge(self.watch.begin());
        let send = match self.room.take() {
            Some(room) => self.sender.send_into(room, batch),
            None => self.sender.send(batch),
        };
        tokio::select! {
            biased;
            taken = send => {
                if !taken {
                    return Some(Ended::PipelineGone);
                }
            }
            () = self.stop.cancelled() => return Some(Ended::Stopped),
        }
        self.status.count_events(events);
        None
    }
}

impl OnTheWay {
    /// For one batch more.
    pub(crate) fn begin(self: &Arc<Self>) -> Ack {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        let watch = Arc::clone(self);
        Ack::new(move |outcome| {
            if outcome == Outcome::NotDelivered {
                watch.given_up.cancel();
            }
            watch.in_flight.fetch_sub(1, Ordering::AcqRel);
            watch.settled.notify_one();
        })
    }

    /// Returns once each batch has arrived or was given up. One may wait at a time.
    pub(crate) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            if self.in_flight.load(Ordering::Acquire) == 0 {
                return;
            }
            settled.await;
        }
    }

    /// Whether one was given up.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.is_cancelled()
    }
}

impl StreamStatus {
    /// Why it cannot be read now.
    pub(crate) fn failed(&self, why: String) {
        self.update(|status| status.error = Some(why));
    }

    /// It is read in this way.
    #[cfg(feature = "docker")]
    pub(crate) fn reached(&self, rung: &'static str) {
        self.update(|status| {
            status.error = None;
            status.rung = Some(rung);
        });
    }

    /// Some bytes were read; the next one is at `offset`.
    #[cfg(feature = "docker")]
    pub(crate) fn read_on(&self, bytes: u64, offset: u64) {
        self.update(|status| {
            status.read_bytes += bytes;
            status.offset = offset;
        });
    }
}
