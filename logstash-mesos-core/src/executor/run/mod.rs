//! The shipper: keeps pipelines and streams in line with configurations and containers.

mod driver;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use self::driver::Driver;
use super::clear::ClearError;
use super::kept::KeptSetError;
use super::lock::{DataDirLock, LockError};
use super::report::{Applied, Report};
use super::settings::ShipperSettings;
use super::source::LastLinesError;
use super::unusable::Unusable;
use crate::configs::{ConfigKey, ConfigSet};
#[cfg(feature = "sandboxes")]
use crate::discovery::SandboxDiscovery;
use crate::discovery::{ContainerDiscovery, Discovered, DiscoveryError};
use crate::pipeline::dead_letter::{self, Fate, Listing, Query};
use crate::pipeline::live::{Live, Look, Selection, TooMany};
use crate::source::CheckpointError;

/// Why a shipper cannot work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShipperError {
    /// The data directory cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The positions cannot be read.
    #[error(transparent)]
    Checkpoints(#[from] CheckpointError),
    /// The configurations kept from the last run cannot be read.
    #[error(transparent)]
    KeptSet(#[from] KeptSetError),
    /// Containers cannot be found, for a reason that does not go away.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The system has no thread left.
    #[error("cannot start the threads that read")]
    Threads(#[source] std::io::Error),
    /// A configuration that it was to start with cannot be used.
    #[error("configuration `{key}` cannot be used")]
    Refused {
        /// The name and kind of the configuration.
        key: ConfigKey,
        /// What is wrong with it, with lines and remedies.
        source: Arc<Unusable>,
    },
    /// It has ended already.
    #[error("the shipper has ended")]
    Ended,
}

/// A running shipper. Dropping it stops everything it has started, without waiting for what is on its way.
#[derive(Debug)]
pub struct Shipper {
    handle: ShipperHandle,
    // `None` once its end has been told.
    work: Option<JoinHandle<Result<(), ShipperError>>>,
    stop: DropGuard,
}

/// Tells a shipper what to do. Clones are for the same one.
#[derive(Clone, Debug)]
pub struct ShipperHandle {
    commands: mpsc::Sender<Command>,
    report: watch::Receiver<Arc<Report>>,
    data_dir: Arc<Path>,
    live: Live,
}

enum Command {
    Apply(Box<ConfigSet>, oneshot::Sender<Applied>),
    Clear { keep_positions: bool, done: oneshot::Sender<Result<(), ClearError>> },
    LastLines { stream: String, limit: usize, done: oneshot::Sender<Result<Vec<String>, LastLinesError>> },
    Stop { grace: Duration, done: oneshot::Sender<()> },
}

/// How often a data directory that somebody else holds is tried.
const LOCK_EVERY: Duration = Duration::from_secs(2);

impl Shipper {
    /// Starts a shipper on the containers of `discovery`.
    ///
    /// While another process holds the data directory it reads nothing, says so in its report, and waits.
    #[must_use]
    pub fn start(settings: ShipperSettings, discovery: Arc<dyn ContainerDiscovery>) -> Self {
        let discovery = with_sandboxes(&settings, discovery);
        let (commands, received) = mpsc::channel(16);
        let (report_sender, report) = watch::channel(Arc::new(Report::default()));
        let (picture_sender, picture) = watch::channel(Arc::new(Discovered::default()));
        let stop = CancellationToken::new();
        let until = stop.clone();
        #[cfg(feature = "metrics")]
        if let Some(address) = settings.metrics_bind.clone() {
            let serving = super::metrics::serve(address, report.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(serving));
        }
        let data_dir = Arc::from(settings.data_dir.as_path());
        let live = Live::default();
        let seen = live.clone();
        // Each ends the other one: no picture of the containers, no reader of the picture.
        let work = tokio::spawn(async move {
            let discovery = until.run_until_cancelled(discovery.run(picture_sender, until.clone()));
            let shipping = async {
                let shipped = run(settings, seen, received, report_sender, picture).await;
                until.cancel();
                shipped
            };
            let (shipped, discovered) = tokio::join!(shipping, discovery);
            shipped?;
            discovered.transpose()?;
            Ok(())
        });
        Self {
            handle: ShipperHandle { commands, report, data_dir, live },
            work: Some(work),
            stop: stop.drop_guard(),
        }
    }

    /// To tell it what to do.
    #[must_use]
    pub fn handle(&self) -> &ShipperHandle {
        &self.handle
    }

    /// Waits until the shipper ends by itself, which it does only when it cannot work.
    ///
    /// # Cancellation safety
    ///
    /// May be dropped and called again.
    ///
    /// # Errors
    ///
    /// Why it ended; [`ShipperError::Ended`] when that has been told before.
    pub async fn ended(&mut self) -> Result<(), ShipperError> {
        let Some(work) = &mut self.work else { return Err(ShipperError::Ended) };
        let ended = work.await;
        self.work = None;
        ended.unwrap_or(Err(ShipperError::Ended))
    }

    /// Stops reading, lets the outputs take what is on its way, saves the positions. Comes back within `grace`, whatever
    /// hangs; what has not been delivered by then is read again after the next start.
    pub async fn stop(self, grace: Duration) {
        let Self { handle, work, stop } = self;
        let Some(mut work) = work else { return };
        let stopped = async {
            let (done, stopped) = oneshot::channel();
            // The rest is for the positions.
            let command = Command::Stop { grace: grace.mul_f64(0.9), done };
            if handle.commands.send(command).await.is_ok() {
                let _ended_early = stopped.await;
            }
            drop(stop);
            let _reported_before = (&mut work).await;
        };
        if tokio::time::timeout(grace, stopped).await.is_err() {
            warn!("Not everything ended in time: it is left behind, and what it had is read again");
            work.abort();
        }
    }
}

impl ShipperHandle {
    /// Replaces the configurations.
    ///
    /// # Errors
    ///
    /// [`ShipperError::Ended`] when the shipper has ended; [`Shipper::ended`] knows why.
    pub async fn apply(&self, set: ConfigSet) -> Result<Applied, ShipperError> {
        let (done, applied) = oneshot::channel();
        self.commands.send(Command::Apply(Box::new(set), done)).await.map_err(|_| ShipperError::Ended)?;
        applied.await.map_err(|_| ShipperError::Ended)
    }

    /// Stops reading for good and forgets what is on disk: all of it, or all but the positions.
    ///
    /// # Errors
    ///
    /// The first of what could not be removed. The others are logged, and everything else is gone.
    pub async fn clear(&self, keep_positions: bool) -> Result<(), ClearError> {
        let (done, cleared) = oneshot::channel();
        let command = Command::Clear { keep_positions, done };
        self.commands.send(command).await.map_err(|_| ClearError::Ended)?;
        cleared.await.map_err(|_| ClearError::Ended)?
    }

    /// The dead letters that are asked for, at most `limit`. Works also when the shipper has ended.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub async fn dead_letters(&self, query: Query, limit: usize) -> io::Result<Listing> {
        let data_dir = Arc::clone(&self.data_dir);
        tokio::task::spawn_blocking(move || dead_letter::list(&data_dir, &query, limit)).await?
    }

    /// Removes the dead letters that are asked for, or has them sent to their outputs again, which the shipper does within
    /// a second or after its next start; returns how many there were.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    ///
    /// # Cancellation safety
    ///
    /// What was begun is carried out all the same.
    pub async fn take_dead_letters(&self, query: Query, fate: Fate) -> io::Result<u64> {
        let data_dir = Arc::clone(&self.data_dir);
        tokio::task::spawn_blocking(move || dead_letter::take(&data_dir, &query, fate)).await?
    }

    /// The last lines of a stream that is read, the newest last: `limit` at most, and no more than stand in the last 256 KiB
    /// of the file that it is in now. Nothing of its position changes.
    ///
    /// # Errors
    ///
    /// [`LastLinesError`]; a stream that does not answer is waited for ten seconds.
    ///
    /// # Cancellation safety
    ///
    /// Only reads; may be dropped at any time.
    pub async fn last_lines(&self, stream: String, limit: usize) -> Result<Vec<String>, LastLinesError> {
        let (done, lines) = oneshot::channel();
        let command = Command::LastLines { stream, limit, done };
        self.commands.send(command).await.map_err(|_| LastLinesError::Ended)?;
        lines.await.map_err(|_| LastLinesError::Ended)?
    }

    /// Looks at events as they pass, until what is returned is dropped. Who looks slows nothing down, and sees a sample.
    ///
    /// # Errors
    ///
    /// [`TooMany`] look already.
    pub fn look(&self, selection: Selection) -> Result<Look, TooMany> {
        self.live.look(selection)
    }

    /// What it does, newest first; changes about once a second.
    #[must_use]
    pub fn report(&self) -> watch::Receiver<Arc<Report>> {
        self.report.clone()
    }
}

#[cfg(feature = "sandboxes")]
fn with_sandboxes(
    settings: &ShipperSettings,
    discovery: Arc<dyn ContainerDiscovery>,
) -> Arc<dyn ContainerDiscovery> {
    match &settings.mesos_work_dir {
        Some(dir) => Arc::new(SandboxDiscovery::beside(discovery, dir, &settings.host_root)),
        None => discovery,
    }
}

#[cfg(not(feature = "sandboxes"))]
fn with_sandboxes(
    _: &ShipperSettings,
    discovery: Arc<dyn ContainerDiscovery>,
) -> Arc<dyn ContainerDiscovery> {
    discovery
}

async fn run(
    settings: ShipperSettings,
    live: Live,
    mut commands: mpsc::Receiver<Command>,
    report: watch::Sender<Arc<Report>>,
    mut picture: watch::Receiver<Arc<Discovered>>,
) -> Result<(), ShipperError> {
    let mut early = None;
    let lock = loop {
        match DataDirLock::take(&settings.data_dir, &settings.name) {
            Ok(lock) => break lock,
            Err(error @ LockError::Held { .. }) => {
                wait_for_lock(&error, &report);
                tokio::select! {
                    () = tokio::time::sleep(LOCK_EVERY) => {}
                    () = closed(&mut picture) => return Ok(()),
                    command = commands.recv() => match command {
                        Some(Command::Stop { done, .. }) => {
                            let _nobody_waits = done.send(());
                            return Ok(());
                        }
                        // Whoever holds the directory clears it.
                        Some(Command::Clear { done, .. }) => {
                            let _nobody_waits = done.send(Ok(()));
                        }
                        Some(Command::Apply(set, done)) => {
                            let applied = Applied { set_version: set.version.clone(), results: Vec::new() };
                            let _nobody_waits = done.send(applied);
                            early = Some(set);
                        }
                        Some(Command::LastLines { done, .. }) => {
                            let _nobody_waits = done.send(Err(LastLinesError::NotRead));
                        }
                        None => return Ok(()),
                    },
                }
            }
            Err(error) => return Err(error.into()),
        }
    };
    let early = early.map(|set: Box<ConfigSet>| *set);
    Driver::start(settings, live, picture, lock, early).await?.serve(commands, report).await;
    Ok(())
}

/// Returns when discovery has ended.
async fn closed(picture: &mut watch::Receiver<Arc<Discovered>>) {
    while picture.changed().await.is_ok() {}
}

fn wait_for_lock(error: &LockError, report: &watch::Sender<Arc<Report>>) {
    let waiting = error.to_string();
    let news = report.send_if_modified(|report| {
        let news = report.waiting != waiting;
        if news {
            *report = Arc::new(Report { waiting: waiting.clone(), ..Report::default() });
        }
        news
    });
    if news {
        warn!(error = %waiting, "Waiting: nothing is read");
    }
}

#[cfg(test)]
mod labels_tests;
#[cfg(all(test, feature = "sandboxes"))]
mod sandbox_tests;
#[cfg(test)]
mod tests;
