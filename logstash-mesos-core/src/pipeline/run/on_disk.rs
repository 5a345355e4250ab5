//! The queues on disk of a pipeline's outputs, at its start.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{OutputQueue, RunSettings, StartError};
use crate::pipeline::deliver::{Lane, Use};
use crate::pipeline::spool::{Home, Lease, Limits};

/// Gives the lanes their queues on disk, at once or when the run before this one has left them. `shared` are lanes
/// whose events others have too. Returns what waits for the run before this one.
pub(super) fn open_queues(
    settings: &RunSettings,
    shared: bool,
    lanes: &[Arc<Lane>],
    give_up: &CancellationToken,
) -> Result<Option<JoinHandle<()>>, StartError> {
    let OutputQueue { persisted, most_bytes } = settings.output_queue;
    let pipeline_id = settings.pipeline_id.clone();
    let Some(home) = settings.spools.home(&pipeline_id, Limits::of(most_bytes)) else { return Ok(None) };
    let how = match shared {
        _ if persisted => Use::Always,
        true => Use::WhenFull,
        false => Use::Never,
    };
    let of_lane = |lane: &Arc<Lane>| [(Arc::clone(lane), how)].into_iter().chain(lane.of_aside());
    let lanes: Vec<_> = lanes.iter().flat_map(of_lane).collect();
    lanes.iter().for_each(|(lane, _)| lane.await_disk());
    let open = move |home: Home, lease: &Lease| {
        let (lanes, owners): (Vec<_>, Vec<_>) =
            lanes.iter().filter_map(|lane| Some((lane, lane.0.owner()?))).unzip();
        let queues = home.claim(&owners)?;
        for (((lane, how), owner), queue) in lanes.into_iter().zip(owners).zip(queues) {
            lane.open(*how, home.clone(), owner, Arc::clone(lease), queue);
        }
        Ok(())
    };
    let lease = match home.lease() {
        Ok(lease) => {
            let opened = open(home, &lease).map(|()| None);
            return opened.map_err(|source| StartError::Queue { pipeline_id, source });
        }
        Err(lease) => lease,
    };
    let give_up = give_up.clone();
    Ok(Some(tokio::spawn(async move {
        let lease = tokio::select! {
            lease = lease => lease,
            () = give_up.cancelled() => return,
        };
        let opened = tokio::task::spawn_blocking(move || open(home, &lease)).await;
        if let Err(error) = opened.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            error!(%error, pipeline_id, "Queues on disk cannot be used, their events are not sent");
        }
    })))
}
