//! The shipper: keeps pipelines and streams in line with configurations and containers.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use super::clear::{ClearError, clear};
use super::described::Described;
use super::kept::{self, KeptSetError};
use super::lock::{DataDirLock, LockError};
use super::pipelines::Pipelines;
use super::report::{Applied, ConfigOutcome, DockerReport, ForbiddenRead, Report};
use super::settings::ShipperSettings;
use super::source::LastLinesError;
use super::state::{self, Limits, Pattern};
use super::streams::Streams;
use super::totals::{Record, Totals};
use super::unusable::Unusable;
use crate::configs::labels::Offer;
use crate::configs::{ConfigKey, ConfigSet, ExecutorSettings, PipelineSettings};
#[cfg(feature = "sandboxes")]
use crate::discovery::SandboxDiscovery;
use crate::discovery::{ContainerDiscovery, DaemonState, Discovered, DiscoveryError, SandboxState};
use crate::pipeline::dead_letter::{self, Fate, Listing, Query};
use crate::pipeline::live::{Live, Look, Selection, TooMany};
use crate::source::{CheckpointError, Checkpoints, HoldLimits, Readers};
use thiserror::Error;

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

/// One may wait for a disk while the others read on.
const READER_THREADS: usize = 3;
/// How often everything is looked at again: patterns expanded, streams that ended taken up.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often positions are looked through, and after how long those of files that nobody reads are forgotten. Not at
/// the start: then nobody reads any yet.
const TIDY_EVERY: Duration = Duration::from_secs(3600);
const FORGET_AFTER: Duration = Duration::from_secs(14 * 86_400);

/// How long what is on its way may take when everything is to be forgotten.
const CLEAR_GRACE: Duration = Duration::from_secs(3);

/// How long streams may take to stop; they only have to come to the end of a read.
const STREAMS_GRACE: Duration = Duration::from_secs(5);

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
    let checkpoints = Checkpoints::open(&settings.data_dir)?;
    let readers = Readers::with(READER_THREADS, settings.host_root.join("proc"), HoldLimits::default());
    let readers = Arc::new(readers.map_err(ShipperError::Threads)?);
    let totals = Totals::load(&settings.data_dir);
    let kept = if settings.keeps_configurations { kept::load(&settings.data_dir)? } else { None };
    let mut driver = Driver {
        pipelines: Pipelines::new(&settings, live),
        streams: Streams::new(&settings, checkpoints.clone(), readers),
        expanded: BTreeMap::new(),
        set: ConfigSet::default(),
        executor_settings: ExecutorSettings::default(),
        forbidden: Vec::new(),
        described: Described::default(),
        record: Record::new(&settings.data_dir, &totals),
        totals,
        checkpoints,
        picture,
        cleared: false,
        tidy: false,
        settings,
        _lock: lock,
    };
    if let Some(set) = early.map(|set| *set).or(kept) {
        info!(set_version = %set.version, count = set.configurations.len(), "Starting with configurations at hand");
        driver.apply(&set).await;
    }
    driver.serve(commands, report).await;
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

struct Driver {
    settings: ShipperSettings,
    pipelines: Pipelines,
    streams: Streams,
    expanded: BTreeMap<Pattern, Vec<PathBuf>>,
    // As it was sent, and what its settings mean.
    set: ConfigSet,
    executor_settings: ExecutorSettings,
    // What the policy keeps from being read, as last seen.
    forbidden: Vec<ForbiddenRead>,
    described: Described,
    // Of what has ended.
    totals: Totals,
    record: Record,
    checkpoints: Checkpoints,
    picture: watch::Receiver<Arc<Discovered>>,
    // Reading has stopped for good.
    cleared: bool,
    // Positions that are about nothing any more have been dropped.
    tidy: bool,
    _lock: DataDirLock,
}

impl Driver {
    async fn serve(mut self, mut commands: mpsc::Receiver<Command>, report: watch::Sender<Arc<Report>>) {
        let mut tidy = tokio::time::interval_at(Instant::now() + TIDY_EVERY, TIDY_EVERY);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Apply(set, done)) => {
                        let applied = self.apply(&set).await;
                        let _nobody_waits = done.send(applied);
                    }
                    Some(Command::Clear { keep_positions, done }) => {
                        let cleared = self.clear(keep_positions).await;
                        let _nobody_waits = done.send(cleared);
                    }
                    Some(Command::LastLines { stream, limit, done }) => {
                        let longest = self.pipelines.max_line_bytes();
                        let lines = self.streams.last_lines(&stream, limit, longest);
                        tokio::spawn(async move { done.send(lines.await) });
                        continue;
                    }
                    Some(Command::Stop { grace, done }) => {
                        self.stop(grace).await;
                        report.send_replace(Arc::new(self.report()));
                        drop(self);
                        let _nobody_waits = done.send(());
                        return;
                    }
                    None => {
                        self.stop(Duration::from_secs(1)).await;
                        return;
                    }
                },
                changed = self.picture.changed() => {
                    if changed.is_err() {
                        // Discovery has ended; whoever started it says why.
                        self.stop(Duration::from_secs(1)).await;
                        return;
                    }
                    self.reconcile().await;
                }
                _ = look.tick() => self.reconcile().await,
                _ = tidy.tick() => {
                    self.checkpoints.forget_unmoved(FORGET_AFTER);
                    let known = self.streams.known();
                    self.totals.forget_streams(|id| known.contains(id));
                    self.totals.forget_pipelines(|configuration| self.pipelines.is_at_work(configuration));
                }
            }
            let now = self.report();
            if !self.cleared && self.record.is_due(&now.sum) {
                let totals = self.counted();
                self.record.begin(totals);
            }
            report.send_if_modified(|seen| {
                let news = **seen != now;
                if news {
                    *seen = Arc::new(now);
                }
                news
            });
        }
    }

    /// Takes over a set of configurations.
    async fn apply(&mut self, set: &ConfigSet) -> Applied {
        if self.cleared {
            return Applied { set_version: set.version.clone(), results: Vec::new() };
        }
        let settings = match ExecutorSettings::parse(&set.settings) {
            Ok(settings) => settings,
            Err(error) => {
                warn!(%error, set_version = %set.version, "Configurations are refused, those before go on");
                return Applied::refused(set, error.into());
            }
        };
        self.streams.drain_timeout = settings.drain_timeout.unwrap_or(self.settings.drain_timeout);
        self.pipelines.queue_bytes = settings.queue_bytes.unwrap_or(self.settings.queue_bytes);
        self.executor_settings = settings;
        self.set = set.clone();
        self.described.forget_what_was_said();
        self.describe();
        let results = self.start_pipelines();
        if self.settings.keeps_configurations
            && let Err(error) = kept::keep(set, &self.settings.data_dir)
        {
            warn!(%error, "The configurations could not be kept for the next start");
        }
        self.reconcile().await;
        // Only now: the streams have the new pipelines, so the old ones get nothing more.
        self.pipelines.retire_replaced();
        Applied { set_version: set.version.clone(), results }
    }

    /// Looks at the labels of all containers; tells whether there are other configurations of them now.
    fn describe(&mut self) -> bool {
        let pipeline = &self.executor_settings.pipeline;
        let offer = Offer {
            rules: &self.executor_settings.labels,
            configurations: &self.set.configurations,
            support_escapes: pipeline.support_escapes.unwrap_or(self.settings.compile.support_escapes),
            sees_sandboxes: self.settings.mesos_work_dir.is_some(),
        };
        self.described.look(self.streams.containers(), &offer)
    }

    /// Starts, leaves alone and puts aside pipelines; what became of those of the set.
    fn start_pipelines(&mut self) -> Vec<ConfigOutcome> {
        let mut all = self.set.clone();
        all.configurations.extend(self.described.configurations().cloned());
        let mut results = self.pipelines.apply(&all, &self.executor_settings.pipeline);
        self.described.applied(results.split_off(self.set.configurations.len()));
        results
    }

    /// Brings the streams in line.
    async fn reconcile(&mut self) {
        let picture = Arc::clone(&self.picture.borrow_and_update());
        self.streams.update_containers(&picture.containers);
        let described_otherwise = !self.cleared && self.describe();
        if described_otherwise {
            self.start_pipelines();
        }
        self.pipelines.choose(self.described.chosen());
        let subscriptions = self.pipelines.subscriptions();
        let limits = Limits { traces: &self.settings.traces, policy: &self.executor_settings.policy };
        let forbidden = state::forbidden(subscriptions, &picture.containers, limits);
        let forbidden: Vec<_> = forbidden.iter().map(ForbiddenRead::from).collect();
        for one in forbidden.iter().filter(|one| !self.forbidden.contains(one)) {
            let ForbiddenRead { container_name, configuration, rule, .. } = one;
            info!(%container_name, %configuration, rule, "The policy forbids to read a container");
        }
        self.forbidden = forbidden;
        let patterns = state::patterns(subscriptions, &picture.containers, limits);
        self.expanded =
            if patterns.is_empty() { BTreeMap::new() } else { self.streams.expand(patterns).await };
        let wanted = state::wanted(subscriptions, &picture.containers, limits, &self.expanded);
        self.streams.reconcile(wanted, &self.pipelines, &picture, limits).await;
        if described_otherwise {
            self.pipelines.retire_replaced();
        }
        self.pipelines.reap(&mut self.totals);
        self.streams.reap(&mut self.totals);
        let all_seen = !matches!(picture.sandboxes, SandboxState::Unreadable { .. });
        if !self.tidy && all_seen && matches!(picture.daemon, DaemonState::Connected { .. }) {
            self.tidy = true;
            self.streams.forget_removed(&picture.containers);
        }
    }

    async fn stop(&mut self, grace: Duration) {
        let now = Instant::now();
        // The larger part of the time is for what is on its way.
        self.streams.stop_all(now + (grace / 4).min(STREAMS_GRACE)).await;
        self.pipelines.drain_all(now + grace).await;
        if let Err(error) = self.checkpoints.save() {
            warn!(%error, "Positions could not be saved: some lines will be sent again");
        }
        if !self.cleared {
            let totals = self.counted();
            totals.sum().say();
            self.record.end(totals).await;
        }
    }

    /// Everything that was counted, up to now.
    fn counted(&self) -> Totals {
        let mut totals = self.totals.clone();
        self.streams.count(&mut totals);
        self.pipelines.count(&mut totals);
        totals
    }

    async fn clear(&mut self, keep_positions: bool) -> Result<(), ClearError> {
        self.stop(CLEAR_GRACE).await;
        self.cleared = true;
        self.pipelines.apply(&ConfigSet::default(), &PipelineSettings::default());
        self.set = ConfigSet::default();
        self.described = Described::default();
        let problems = clear(&self.settings.data_dir, &self.checkpoints, keep_positions);
        problems
            .iter()
            .for_each(|error| warn!(error = crate::error_chain(error), "Data could not be cleared"));
        info!(keep_positions, "Data cleared, reading has stopped for good");
        problems.into_iter().next().map_or(Ok(()), Err)
    }

    fn report(&mut self) -> Report {
        let mut sum = self.totals.sum();
        let streams = self.streams.report(&self.totals, &mut sum.streams);
        let pipelines = self.pipelines.report(&self.totals, &mut sum.pipelines);
        // Before there is a set, no output takes any.
        let none = self.set.version.is_empty();
        let left_queues = if none { Vec::new() } else { self.pipelines.left_queues().to_vec() };
        let picture = self.picture.borrow();
        Report {
            set_version: self.set.version.clone(),
            waiting: String::new(),
            docker: match &picture.daemon {
                DaemonState::Connected { .. } => DockerReport::Connected,
                DaemonState::Unreachable { reason } => DockerReport::Unreachable(reason.clone()),
                DaemonState::Unknown => DockerReport::Unused,
            },
            sandboxes: match &picture.sandboxes {
                SandboxState::Unreadable { reason } if self.pipelines.read_sandboxes() => reason.clone(),
                _ => String::new(),
            },
            left_queues,
            refused_labels: self.described.refused(|id| self.streams.container(id)),
            forbidden: self.forbidden.clone(),
            streams,
            pipelines,
            sum,
            memory_bytes: super::report::resident_bytes(),
        }
    }
}

#[cfg(test)]
mod labels_tests;
#[cfg(all(test, feature = "sandboxes"))]
mod sandbox_tests;
#[cfg(test)]
mod tests;
