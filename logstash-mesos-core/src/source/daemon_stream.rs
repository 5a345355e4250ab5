//! Streams that are read through the Docker daemon: what each of them has, and its life of reading, pausing, beginning anew.

use std::sync::Arc;
use std::time::Duration;

use super::outlet::Outlet;
use super::{Decoder, Ended, Stop, StreamPositions, StreamStatus};
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

/// One way to read such a stream.
pub(super) trait DaemonReader {
    /// Reads on for as long as the daemon gives something.
    async fn read(
        &mut self,
        docker: &DockerEndpoint,
        container: &ContainerId,
        outlet: &mut Outlet,
    ) -> Result<Ended, Pause>;

    /// Passes on what is left when nothing more will come.
    async fn finish(&mut self, outlet: &mut Outlet) -> Ended;

    /// Goes back behind the last that was passed on.
    fn go_back(&mut self);
}

/// Nothing more comes for now.
#[derive(Debug)]
pub(super) struct Pause {
    /// When to try again.
    pub(super) after: Duration,
    /// What went wrong, if something did.
    pub(super) why: Option<String>,
}

impl DaemonStream {
    /// Reads until the stream is stopped or its container has ended. `begin` makes a reader at the position that is kept.
    pub(super) async fn follow<R: DaemonReader>(
        self,
        begin: impl Fn(&StreamPositions, &Arc<StreamStatus>) -> R,
    ) -> Ended {
        let Self { docker, container, positions, decoder, sender, status, stop } = self;
        let mut outlet = Outlet::new(decoder, sender, Arc::clone(&status), stop.now.clone());
        let mut reader = begin(&positions, &status);
        loop {
            let given_up = outlet.given_up();
            // A daemon that is followed may end together with the container, before its last words. Who asks after that gets
            // them.
            let is_last = stop.at_end.is_cancelled();
            let reading = async {
                match reader.read(&docker, &container, &mut outlet).await {
                    Err(_) if is_last => Ok(reader.finish(&mut outlet).await),
                    read => read,
                }
            };
            let read = tokio::select! {
                biased;
                () = stop.now.cancelled() => return Ended::Stopped,
                () = given_up.cancelled() => None,
                read = reading => Some(read),
            };
            let pause = match read {
                Some(Ok(ended)) => return ended,
                Some(Err(pause)) => pause,
                None => {
                    if let Some(ended) = outlet.begin_anew().await {
                        return ended;
                    }
                    reader = begin(&positions, &status);
                    continue;
                }
            };
            if let Some(why) = pause.why {
                status.failed(why);
            }
            reader.go_back();
            tokio::select! {
                () = stop.now.cancelled() => return Ended::Stopped,
                () = stop.at_end.cancelled() => {}
                () = tokio::time::sleep(pause.after) => {}
            }
        }
    }
}
