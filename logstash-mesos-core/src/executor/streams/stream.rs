//! One stream that is read: by whom, how, and until when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tracing::warn;

use super::super::fan::Fan;
use super::super::in_flight::InFlight;
use super::super::lag::Lag;
use super::super::pipelines::Pipelines;
use super::super::state::{StreamId, Wanted};
use super::super::totals::StreamTotals;
use crate::discovery::{Container, ContainerState};
use crate::source::{Ended, Lost, Stop, StreamStatus};

/// A stream that is read, by whom, and how.
pub(super) struct Stream {
    pub(super) fan: Arc<Fan>,
    pub(super) status: Arc<StreamStatus>,
    pub(super) stop: Stop,
    pub(super) reader: Option<JoinHandle<Ended>>,
    // As it was when reading began.
    pub(super) container: Option<Arc<Container>>,
    // As it is in the metadata of the events: an agent notes a task some time after it has made its sandbox.
    pub(super) described: Option<Arc<Container>>,
    pub(super) method: Method,
    pub(super) phase: Phase,
    pub(super) readers: Vec<(crate::configs::ConfigKey, usize)>,
    // Of the pipelines the targets belong to: they change when a configuration is replaced.
    pub(super) generation: Vec<u64>,
    pub(super) in_flight: InFlight,
    pub(super) lag: Lag,
}

/// How a stream is read, as far as it was decided here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// The opener knows the rung.
    File,
    /// By the daemon; why not directly.
    #[cfg_attr(not(feature = "docker"), expect(dead_code, reason = "only a daemon is asked for it"))]
    Daemon(String),
    /// It cannot be read; why.
    Unreadable(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Reading,
    /// Its container has ended or is gone: it is read to its end, at most until then if nothing comes any more.
    Draining {
        until: Instant,
        /// So many bytes had been read when that was decided.
        read_bytes: u64,
    },
    /// Everything has been read of a container that has ended.
    Drained,
    /// It was told to stop.
    Stopping,
}

/// What a container writes in its last moment may still be on its way through the daemon.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Stream {
    /// Takes note when the reader has ended.
    pub(super) async fn take_end(&mut self, id: &StreamId) {
        if !self.reader.as_ref().is_some_and(JoinHandle::is_finished) {
            return;
        }
        let Some(reader) = self.reader.take() else { return };
        match reader.await {
            Ok(Ended::Finished | Ended::Failed | Ended::Quiet) => self.phase = Phase::Drained,
            Ok(Ended::Stopped | Ended::PipelineGone) => {}
            Err(error) => {
                warn!(stream = %id.position_key(), %error, "Reader of a stream failed, starting it again")
            }
        }
    }

    /// Follows a change of the configurations that read it.
    pub(super) fn retarget(&mut self, want: &Wanted, pipelines: &Pipelines) {
        let generation = pipelines.generation(&want.readers);
        if self.readers == want.readers && self.generation == generation {
            return;
        }
        let (targets, generation) = pipelines.targets(&want.readers);
        self.fan.set_targets(targets);
        self.readers.clone_from(&want.readers);
        self.generation = generation;
    }

    pub(super) fn counted(&self) -> StreamTotals {
        (&self.status.snapshot()).into()
    }

    pub(super) fn describes_otherwise(&self, now: &Container) -> bool {
        self.described.as_ref().is_some_and(|then| then.labels != now.labels || then.mesos != now.mesos)
    }

    /// Drains when the container has ended, and takes note when it lives again.
    pub(super) fn follow_life(&mut self, container: Option<&Arc<Container>>, drain_timeout: Duration) {
        let Some(container) = container else { return };
        if container.state == ContainerState::Exited {
            self.drain(LAST_WORDS, drain_timeout);
        }
    }

    /// Reads to the end and no further, from `after` now on.
    pub(super) fn drain(&mut self, after: Duration, at_most: Duration) {
        match self.phase {
            Phase::Reading => {
                self.phase = Phase::Draining { until: Instant::now() + after + at_most, read_bytes: 0 };
                let stop = self.stop.at_end.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    stop.cancel();
                });
            }
            // While an output takes nothing the descriptors are kept: they may be all that is left of the lines.
            Phase::Draining { until, read_bytes } => {
                let now = self.status.snapshot().read_bytes;
                if now != read_bytes || !self.in_flight.is_settled() {
                    self.phase = Phase::Draining { until: Instant::now() + at_most, read_bytes: now };
                } else if Instant::now() > until {
                    self.stop();
                }
            }
            _ => {}
        }
    }

    pub(super) fn stop(&mut self) {
        self.stop.now.cancel();
        self.phase = Phase::Stopping;
    }

    /// `left` bytes of a container that is gone will never be read: their time is over, or nobody can read them.
    pub(super) fn count_left(&self, left: u64) {
        if left > 0 {
            warn!(lost_bytes = left, "The rest of the log of a container that is gone could not be read");
            self.status.lost(Lost::Unreadable, left);
        }
    }

    /// Whether nothing of it runs any more and its position stands.
    pub(super) fn is_over(&self) -> bool {
        self.reader.is_none() && self.in_flight.is_settled()
    }

    /// Whether it has ended and there is (again) something to read.
    pub(super) fn wants_new_start(&self, container: Option<&Arc<Container>>) -> bool {
        if !self.is_over() {
            return false;
        }
        match (self.phase, container, &self.container) {
            // Nothing more comes of this life of the container.
            (Phase::Drained, Some(now), Some(then)) => {
                now.state != ContainerState::Exited || now.started_at != then.started_at
            }
            (_, Some(now), Some(then)) if matches!(self.method, Method::Unreadable(_)) => now != then,
            _ => true,
        }
    }
}

#[cfg(all(test, feature = "docker"))]
mod tests {
    use super::super::super::metadata::{Machine, Metadata};
    use super::*;

    #[test]
    fn a_stream_is_drained_as_long_as_something_comes_or_waits() {
        let in_flight = InFlight::default();
        let mut stream = Stream {
            fan: Fan::new(Vec::new(), Metadata::of_host(&Machine::default(), "/x"), in_flight.clone()),
            status: Arc::default(),
            stop: Stop::default(),
            reader: None,
            container: None,
            described: None,
            method: Method::File,
            phase: Phase::Draining { until: Instant::now(), read_bytes: 0 },
            readers: Vec::new(),
            generation: Vec::new(),
            in_flight: in_flight.clone(),
            lag: Lag::default(),
        };
        let stops = |stream: &mut Stream, at_most: u64| {
            std::thread::sleep(Duration::from_millis(1));
            stream.drain(Duration::ZERO, Duration::from_secs(at_most));
            stream.phase == Phase::Stopping
        };
        let waits = in_flight.begin();
        assert!(!stops(&mut stream, 0), "an output takes nothing");
        waits.delivered();
        stream.status.read_on(10, 10);
        assert!(!stops(&mut stream, 3600), "something came");
        assert!(!stops(&mut stream, 0), "that was not long ago");
        stream.phase = Phase::Draining { until: Instant::now(), read_bytes: 10 };
        assert!(stops(&mut stream, 0));
        // Nobody reads it any more, so what is left of it is lost.
        stream.count_left(7);
        assert_eq!(stream.status.snapshot().lost[&Lost::Unreadable], 7);
    }
}
