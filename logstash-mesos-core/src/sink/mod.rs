//! Sinks transport batches of records and say what became of each.

#[cfg(feature = "elasticsearch")]
pub mod elasticsearch;
mod file;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
pub mod http_client;
#[cfg(feature = "tls")]
mod lumberjack;
mod null;
mod record;
mod stdout;
mod tcp;
#[cfg(all(test, feature = "http"))]
pub(crate) mod testing;
mod udp;

pub use file::{FileSink, FileSinkSettings, WriteBehavior};
#[cfg(feature = "http")]
pub use http::{HttpSettings, HttpSink};
#[cfg(feature = "tls")]
pub use lumberjack::LumberjackSink;
pub use null::NullSink;
pub use record::{Record, RecordBatch};
pub use stdout::StdoutSink;
pub use tcp::{TcpClientSink, TcpServerSink};
pub use udp::UdpSink;

use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::event::Ack;

/// Transports batches of encoded records to where they are kept.
///
/// # Contract
///
/// - `deliver` returns `Ok` only when the destination has every record that is not listed in the answer:
///   accepted by a server, or written and handed to the operating system for a file.
/// - Records keep their order within a batch where the destination has an order.
/// - A batch may be delivered again after an error: at least once, never lost.
///
/// # Cancellation safety
///
/// A dropped `deliver` may or may not have taken effect, wholly or in part. The caller still holds the
/// batch's acknowledgement and delivers it again.
///
/// # Errors
///
/// [`SinkError`] when the batch as a whole may not have arrived. [`SinkError::is_transient`] says whether
/// trying again can help. A record that the destination refuses for good is no error but a [`Rejection`],
/// and one that it does not take now is named in [`Delivered::again`], or in [`Delivered::aside`] if others need not
/// wait for it.
///
/// # Implementing
///
/// Run `testing::log_sink::conformance` against your sink from one test. Retries and their pauses are
/// not the sink's business: the pipeline wraps every sink.
#[async_trait]
pub trait LogSink: std::fmt::Debug + Send + Sync + 'static {
    /// A short name of the destination for logs and status, without secrets: `elasticsearch http://h:9200`.
    fn name(&self) -> String;

    /// How large batches should be, and how long they may wait to become so.
    fn batching(&self) -> Batching {
        Batching::default()
    }

    /// How long to wait before a batch is tried again.
    fn pauses(&self) -> Pauses {
        Pauses::default()
    }

    /// Transports a batch. It is shared so that its bytes can be handed to a connection without a copy.
    async fn deliver(&self, batch: &Arc<RecordBatch>) -> Result<Delivered, SinkError>;

    /// What the pipeline calls: delivers `batch`, whose events `ack` answers for. Only a sink that hands events on
    /// within the process, and is not done with them when it returns, has a reason to implement it: it clones `ack`
    /// for whoever takes them.
    async fn hand_on(&self, batch: &Arc<RecordBatch>, _ack: &Ack) -> Result<Delivered, SinkError> {
        self.deliver(batch).await
    }

    /// Whether a record is its bytes and its route, so that it can wait on disk; not for a sink that takes
    /// [`RecordBatch::events`].
    fn takes_bytes(&self) -> bool {
        true
    }

    /// Whether many records are one request, so that one of them may be why it fails with an error: then that one is looked
    /// for in smaller batches, and others need not wait for it.
    fn sends_together(&self) -> bool {
        false
    }

    /// Makes durable what the sink still buffers. Called when the pipeline idles or ends.
    async fn flush(&self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// The size of the batches a sink wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Most bytes of a batch; one larger record still goes, alone.
    pub max_bytes: usize,
    /// Most records of a batch.
    pub max_records: usize,
    /// Batches on their way at the same time.
    pub in_flight: usize,
}

impl Default for Batching {
    fn default() -> Self {
        Self { max_bytes: 4 << 20, max_records: 16_384, in_flight: 1 }
    }
}

/// The time between two tries: doubled from one to the next, less a random part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// The time before the second try.
    pub first: std::time::Duration,
    /// The most time between two tries, however often they failed.
    pub longest: std::time::Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        use std::time::Duration;
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(30) }
    }
}

/// What became of a batch that was delivered. Records that are not named have arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Records that will never be taken: they go to the dead letters.
    pub rejected: Vec<Rejection>,
    /// Records that it does not have, and that need not arrive, as its settings have it: indices. The sink says so.
    pub dropped: Vec<usize>,
    /// Not taken now: indices of the records to deliver again, before those of the next batches that go the same way.
    pub again: Vec<usize>,
    /// Not taken now, and in nobody's way.
    pub aside: Option<Aside>,
}

/// Records that the destination does not take now, while it takes others: they may wait aside, and arrive later than
/// those behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aside {
    /// Their indices in the batch, in ascending order.
    pub records: Vec<usize>,
    /// What the destination said of one of them.
    pub reason: String,
    /// It has too much to do: before they wait aside, others wait for them a little.
    pub busy: bool,
}

impl Delivered {
    /// Indices of all records that have neither arrived nor were refused for good, in ascending order.
    #[must_use]
    pub fn left(&self) -> Vec<usize> {
        let aside = self.aside.iter().flat_map(|aside| &aside.records);
        let mut left: Vec<usize> = self.again.iter().chain(aside).copied().collect();
        left.sort_unstable();
        left
    }

    /// All of `count` records are not taken now, and in nobody's way.
    pub(crate) fn all_aside(count: usize, reason: String) -> Self {
        let aside = Aside { records: (0..count).collect(), reason, busy: false };
        Self { aside: Some(aside), ..Self::default() }
    }

    /// What this means for a batch of `count` records of which only `piece` was sent.
    pub(crate) fn of_piece(self, piece: &std::ops::Range<usize>, count: usize) -> Self {
        if piece.len() == count {
            return self;
        }
        let mut whole = Self::default();
        whole.again.extend((0..piece.start).chain(piece.end..count));
        whole.add_part(self, piece.start);
        whole.again.sort_unstable();
        whole
    }

    /// Adds what became of a part of the batch that begins with record `first`.
    pub fn add_part(&mut self, part: Self, first: usize) {
        let moved = |record: usize| first + record;
        self.again.extend(part.again.into_iter().map(moved));
        self.dropped.extend(part.dropped.into_iter().map(moved));
        self.rejected.extend(
            part.rejected.into_iter().map(|refused| Rejection { record: moved(refused.record), ..refused }),
        );
        if let Some(part) = part.aside {
            let aside = self.aside.get_or_insert_with(|| Aside { busy: true, ..Aside::default() });
            aside.records.extend(part.records.into_iter().map(moved));
            aside.reason = part.reason;
            aside.busy &= part.busy;
        }
    }
}

/// A record that the destination refuses for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Its index in the batch.
    pub record: usize,
    /// What the destination said.
    pub reason: String,
}

/// Why a batch may not have arrived.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SinkError {
    /// No answer, or one that asks to come again.
    #[error("{sink} does not take events now: {reason}")]
    Unavailable {
        /// [`LogSink::name`] of the sink.
        sink: String,
        /// What happened, with the address where there is one.
        reason: String,
    },
    /// The destination refuses the request as such: credentials, a wrong address, a setting.
    #[error("{sink} refuses the request: {reason}")]
    Refused {
        /// [`LogSink::name`] of the sink.
        sink: String,
        /// What it said, and what to do.
        reason: String,
    },
    /// Nobody will ever take anything there again: the reader of a pipe has gone.
    #[error("nobody reads from {sink} any more")]
    Closed {
        /// [`LogSink::name`] of the sink.
        sink: String,
    },
}

impl SinkError {
    /// Whether trying the same again may help without anybody doing something.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
