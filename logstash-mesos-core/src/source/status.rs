//! What can be said about a stream while it is read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Why bytes of a stream will never arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lost {
    /// The file became shorter than what had been read of it while unread bytes were known to be there.
    Truncated,
    /// The file was replaced or cut while nobody read it.
    ReplacedWhileStopped,
    /// A rotated file with unread bytes could not be found again.
    GoneWhileStopped,
    /// A compressed file is broken, and nobody writes to it any more; or a piece of the Docker daemon's log is.
    Unreadable,
    /// A line was longer than `pipeline.max_line_bytes`: its beginning has been passed on.
    LineTooLong,
    /// More files had been put aside than may be held open, or more bytes of removed ones.
    NoRoom,
    /// The Docker daemon has removed records that only it could read. How many bytes is not known: each time counts 1.
    RemovedByDaemon,
    /// Records were damaged in the queue of an output on disk.
    DamagedOnDisk,
    /// A datagram was longer than the input takes: its beginning has been passed on.
    DatagramTooLong,
    /// The system dropped datagrams, as nobody took them in time. How many bytes is not known: each counts 1.
    DatagramDropped,
    /// No pipeline listened at an address of an output `pipeline` that does not insist. Counted for each such address.
    NobodyListens,
    /// A pipeline ended before its outputs took what a source had given that cannot be read again.
    GivenUp,
    /// A position that nobody had used for long was forgotten while bytes were known to be unread: a file that is still there
    /// is read as a new one if it is wanted again.
    Forgotten,
}

impl Lost {
    /// The word in status and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::ReplacedWhileStopped => "replaced_while_stopped",
            Self::GoneWhileStopped => "gone_while_stopped",
            Self::Unreadable => "unreadable",
            Self::LineTooLong => "line_too_long",
            Self::NoRoom => "no_room",
            Self::RemovedByDaemon => "removed_by_daemon",
            Self::DamagedOnDisk => "damaged_on_disk",
            Self::DatagramTooLong => "datagram_too_long",
            Self::DatagramDropped => "datagram_dropped",
            Self::NobodyListens => "nobody_listens",
            Self::GivenUp => "given_up",
            Self::Forgotten => "forgotten",
        }
    }
}

/// The bytes of a pipeline: what the streams of its inputs have read together, and what will never arrive.
#[derive(Debug, Default)]
pub struct Tally {
    read: AtomicU64,
    ended_early: AtomicU64,
    lost: Mutex<BTreeMap<Lost, u64>>,
}

impl Tally {
    /// Bytes read; what is read again is counted again.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Events that ended early, as there was no memory to keep them until their end.
    #[must_use]
    pub fn ended_early(&self) -> u64 {
        self.ended_early.load(Ordering::Relaxed)
    }

    /// Bytes that will never arrive, by reason.
    #[must_use]
    pub fn lost(&self) -> BTreeMap<Lost, u64> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts bytes that will never arrive.
    pub(crate) fn add_lost(&self, reason: Lost, bytes: u64) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += bytes;
    }
}

/// Kept by the reader of a stream, read by whoever shows it.
#[derive(Debug, Default)]
pub struct StreamStatus {
    // Of all streams of an input, which end one by one.
    tally: Option<Arc<Tally>>,
    now: Mutex<StreamSnapshot>,
    // The last line that was cut: lines that are given up are read again.
    cut: Mutex<Option<(Arc<str>, u64)>>,
}

/// A stream at one moment.
#[derive(Clone, Debug, Default)]
pub struct StreamSnapshot {
    /// The way the current file is reached; `None` while there is no file.
    pub rung: Option<&'static str>,
    /// How far the current file has been read.
    pub offset: u64,
    /// Bytes known to be there and not read yet, of all files of the stream.
    pub lag_bytes: u64,
    /// How many bytes were read since the stream began in this process.
    pub read_bytes: u64,
    /// Events passed on.
    pub events: u64,
    /// Those of them that ended early, as there was no memory to keep them until their end.
    pub ended_early: u64,
    /// Files begun: 1 plus the rotations and truncations.
    pub files: u64,
    /// Bytes that will never arrive, by reason.
    pub lost: BTreeMap<Lost, u64>,
    /// Why the stream cannot be read now.
    pub error: Option<String>,
}

impl StreamStatus {
    /// Of a stream whose bytes are counted in `tally` as well.
    #[must_use]
    pub fn one_of(tally: Arc<Tally>) -> Self {
        Self { tally: Some(tally), ..Self::default() }
    }

    /// The stream now.
    #[must_use]
    pub fn snapshot(&self) -> StreamSnapshot {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts events that a decoder has made later than it was asked (`Batch::deferred`); the others are
    /// counted when they are passed on.
    pub fn count_events(&self, count: u64) {
        self.update(|status| status.events += count);
    }

    /// Counts an event that ended early.
    pub(crate) fn ended_early(&self) {
        self.update(|status| status.ended_early += 1);
        if let Some(tally) = &self.tally {
            tally.ended_early.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts bytes that will never arrive.
    pub(crate) fn lost(&self, reason: Lost, bytes: u64) {
        if bytes > 0 {
            self.update(|status| *status.lost.entry(reason).or_default() += bytes);
            if let Some(tally) = &self.tally {
                tally.add_lost(reason, bytes);
            }
        }
    }

    /// Counts what was left out of a line that is too long, once however often it is read. Returns whether this was
    /// the first time.
    pub(crate) fn line_cut(&self, file: &Arc<str>, offset: u64, bytes: u64) -> bool {
        let mut last = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|(known, to)| known == file && *to >= offset) {
            return false;
        }
        *last = Some((Arc::clone(file), offset));
        self.lost(Lost::LineTooLong, bytes);
        true
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut StreamSnapshot)) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let before = now.read_bytes;
        change(&mut now);
        if let Some(tally) = &self.tally {
            tally.read.fetch_add(now.read_bytes - before, Ordering::Relaxed);
        }
    }
}
