//! What every stream has that is read through the Docker daemon.

use std::sync::Arc;

use super::{Decoder, Stop, StreamPositions, StreamStatus};
use crate::discovery::{ContainerId, DockerEndpoint};
use crate::event::BatchSender;

/// A stream of a container that its daemon gives out.
pub struct DaemonStream {
    /// The daemon that has the container.
    pub docker: DockerEndpoint,
    /// The container whose output is read.
    pub container: ContainerId,
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
}
