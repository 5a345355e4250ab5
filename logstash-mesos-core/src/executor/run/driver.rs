//! Keeps pipelines and streams in line with configurations and containers, one thing after the other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{info, warn};

use super::super::clear::{ClearError, clear};
use super::super::described::Described;
use super::super::kept;
use super::super::lock::DataDirLock;
use super::super::pipelines::Pipelines;
use super::super::report::{Applied, ConfigOutcome, DockerReport, ForbiddenRead, Report, resident_bytes};
use super::super::settings::ShipperSettings;
use super::super::state::{self, Limits, Pattern};
use super::super::streams::Streams;
use super::super::totals::{Record, Totals};
use super::{Command, ShipperError};
use crate::configs::labels::Offer;
use crate::configs::{ConfigSet, ExecutorSettings, PipelineSettings};
use crate::discovery::{DaemonState, Discovered, SandboxState};
use crate::pipeline::live::Live;
use crate::source::{Checkpoints, HoldLimits, Readers};

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

pub(super) struct Driver {
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
    /// Goes on with the positions, the totals and the configurations of the last run, or with `early` in place of these.
    pub(super) async fn start(
        settings: ShipperSettings,
        live: Live,
        picture: watch::Receiver<Arc<Discovered>>,
        lock: DataDirLock,
        early: Option<ConfigSet>,
    ) -> Result<Self, ShipperError> {
        let checkpoints = Checkpoints::open(&settings.data_dir)?;
        let readers = Readers::with(READER_THREADS, settings.host_root.join("proc"), HoldLimits::default());
        let readers = Arc::new(readers.map_err(ShipperError::Threads)?);
        let totals = Totals::load(&settings.data_dir);
        let kept = if settings.keeps_configurations { kept::load(&settings.data_dir)? } else { None };
        let mut driver = Self {
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
        if let Some(set) = early.or(kept) {
            info!(set_version = %set.version, count = set.configurations.len(), "Starting with configurations at hand");
            driver.apply(&set).await;
        }
        Ok(driver)
    }

    pub(super) async fn serve(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        report: watch::Sender<Arc<Report>>,
    ) {
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
                    self.streams.forget_unmoved(FORGET_AFTER);
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
            memory_bytes: resident_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::configs::Configuration;
    use crate::discovery::Container;

    #[tokio::test(flavor = "multi_thread")]
    async fn old_positions_of_files_that_nobody_reads_are_forgotten_and_what_was_left_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let dev = std::fs::metadata(dir.path()).unwrap().dev();
        let position = |behind: u64| {
            serde_json::json!([{ "rung": "host", "dev": dev, "ino": 1, "fingerprint": { "len": 0, "hash": 0 },
                "offset": 10 - behind, "size": 10, "at": 1 }])
        };
        let key = |name: &str| format!("host:file:{}", dir.path().join(name).display());
        let (read, left, whole) = (key("read.log"), key("left.log"), key("whole.log"));
        // It goes with its container, however long that rests.
        let stopped = format!("container:{}:output", "0".repeat(64));
        let files = serde_json::json!({ &read: position(5), &left: position(6), &whole: position(0), &stopped: position(7) });
        let kept = serde_json::json!({ "version": 1, "files": files });
        std::fs::write(dir.path().join("positions.json"), kept.to_string()).unwrap();

        let settings = ShipperSettings::new(dir.path());
        let lock = DataDirLock::take(dir.path(), "test").unwrap();
        let (_picture, picture) = watch::channel(Arc::new(Discovered::default()));
        let text = format!(
            "input {{ file {{ host-path => \"{}\" }} }} output {{ null {{ }} }}",
            dir.path().join("read.log").display()
        );
        let set = ConfigSet { configurations: vec![Configuration::host("a", text)], ..ConfigSet::default() };
        let mut driver = Driver::start(settings, Live::default(), picture, lock, Some(set)).await.unwrap();
        let lost = |driver: &Driver| driver.counted().sum().streams.lost;
        // The one that is read is looked for, and is gone.
        super::super::tests::until("it is looked for", || lost(&driver).contains_key("gone_while_stopped"))
            .await;
        driver.streams.forget_unmoved(FORGET_AFTER);
        assert_eq!(
            driver.checkpoints.keys().iter().map(|key| &**key).collect::<Vec<_>>(),
            [&*stopped, &*read]
        );
        let expected = [("forgotten".to_owned(), 6), ("gone_while_stopped".to_owned(), 5)];
        assert_eq!(lost(&driver), expected.into());
        // It is removed in the end, and nobody has read it.
        let container = Container::new("0".repeat(64), "rests", "nginx");
        driver.streams.update_containers(&[(container.id.clone(), Arc::new(container))].into());
        driver.streams.update_containers(&BTreeMap::new());
        assert_eq!(driver.checkpoints.keys().len(), 1);
        assert_eq!(lost(&driver)["gone_while_stopped"], 5 + 7);
        driver.stop(Duration::from_secs(1)).await;
    }
}
