//! A stream begins: its reader, and what its events say of where they come from.

use std::path::Path;
use std::sync::Arc;

use tracing::{info, warn};

use super::super::fan::{Fan, FanDecoder};
use super::super::in_flight::InFlight;
use super::super::lag::Lag;
use super::super::metadata::Metadata;
use super::super::pipelines::Pipelines;
#[cfg(feature = "docker")]
use super::super::records::PlainLines;
use super::super::source::Source;
use super::super::state::{Place, StreamId, Wanted};
use super::Streams;
use super::ladder::FromOutside;
use super::stream::{Method, Phase, Stream};
use crate::discovery::{Container, ContainerState};
use crate::event::StreamKey;
use crate::pipeline::plugin::BatchSender;
use crate::source::{Follow, Framing, StartPosition, Stop, StreamStatus, TailSettings};
#[cfg(feature = "docker")]
use crate::source::{daemon_stream::DaemonStream, docker_logs::DockerLogs, exec_tail::ExecTail};

impl Streams {
    pub(super) fn start(
        &mut self,
        id: StreamId,
        want: &Wanted,
        from_outside: FromOutside,
        pipelines: &Pipelines,
        container: Option<&Arc<Container>>,
    ) {
        let max_line_bytes = pipelines.max_line_bytes();
        let container_now = container.map(|container| &**container);
        let Some(source) = self.source(&id.place, from_outside, container_now, max_line_bytes) else {
            return;
        };
        // There is nothing to ask for yet.
        let created = container.is_some_and(|container| container.state == ContainerState::Created);
        if created && matches!(id.place, Place::ContainerOutput { .. }) && !matches!(source, Source::File(..))
        {
            return;
        }
        let metadata = self.metadata(&id.place, container_now);
        let (targets, generation) = pipelines.targets(&want.readers);
        let in_flight = InFlight::default();
        let fan = Fan::new(targets, metadata, in_flight.clone());
        let status = Arc::new(StreamStatus::default());
        let stop = Stop::default();
        let positions = self.checkpoints.stream(&id.position_key());
        let key = StreamKey(Arc::clone(positions.key()));
        let decoder = |records| {
            let fan = Arc::clone(&fan);
            let status = Arc::clone(&status);
            Box::new(FanDecoder::new(fan, records, key, self.clock, status, pipelines.kept()))
        };
        let sender = Arc::clone(&fan) as Arc<dyn BatchSender>;
        let framing =
            Framing { delimiter: id.delimiter.clone().into(), max_line_bytes, ..Framing::default() };
        let (method, reader) = match source {
            Source::File(opener, records) => {
                let framing = if records.cuts_blocks() {
                    Framing::blocks()
                } else {
                    Framing { max_line_bytes: records.longest(max_line_bytes), ..framing }
                };
                let settings = TailSettings {
                    framing,
                    start: if want.from_end { StartPosition::End } else { StartPosition::Beginning },
                    adopt: want.by_pattern,
                    keep_finished: want.by_pattern,
                    ..TailSettings::default()
                };
                let reader = self.readers.follow(Follow {
                    opener,
                    settings,
                    positions,
                    decoder: decoder(records),
                    sender,
                    status: Arc::clone(&status),
                    stop: stop.clone(),
                    close_after: None,
                });
                (Method::File, Some(reader))
            }
            #[cfg(feature = "docker")]
            Source::Exec { docker, container, path, reason } => {
                let decoder = decoder(Box::new(PlainLines));
                let (status, stop) = (Arc::clone(&status), stop.clone());
                let stream = DaemonStream { docker, container, positions, decoder, sender, status, stop };
                let tail = ExecTail { stream, path, framing };
                (Method::Daemon(reason), Some(tokio::spawn(tail.run())))
            }
            #[cfg(feature = "docker")]
            Source::Logs { docker, container, driver, records, reason } => {
                let decoder = decoder(records);
                let (status, stop) = (Arc::clone(&status), stop.clone());
                let stream = DaemonStream { docker, container, positions, decoder, sender, status, stop };
                (Method::Daemon(reason), Some(tokio::spawn(DockerLogs { stream, driver }.run())))
            }
            Source::None(reason) => (Method::Unreadable(reason), None),
        };
        match &method {
            Method::Unreadable(reason) => {
                warn!(stream = %id.position_key(), error = %reason, "Stream cannot be read")
            }
            _ => info!(stream = %id.position_key(), "Reading a stream"),
        }
        let mut stream = Stream {
            fan,
            status,
            stop,
            reader,
            container: container.cloned(),
            described: container.cloned(),
            method,
            phase: Phase::Reading,
            readers: want.readers.clone(),
            generation,
            in_flight,
            lag: Lag::default(),
        };
        stream.follow_life(container, self.drain_timeout);
        self.running.insert(id, stream);
    }

    pub(super) fn metadata(&self, place: &Place, container: Option<&Container>) -> Metadata {
        let path = place.path().unwrap_or(Path::new(""));
        let text = path.to_string_lossy();
        match container {
            None => Metadata::of_host(&self.machine, &text),
            Some(container) if container.sandbox.is_some() => {
                Metadata::of_sandbox(&self.machine, container, path)
            }
            Some(container) => {
                let path = Some(&*text).filter(|path| !path.is_empty());
                Metadata::of_container(&self.machine, container, path)
            }
        }
    }
}
