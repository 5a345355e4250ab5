//! What an executor says about itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::Forbidden;
use super::totals::{StreamTotals, Sum};
use super::unusable::Unusable;
use crate::configs::labels::Refusal;
use crate::configs::{ConfigKey, ConfigSet, Configuration, Kind};
use crate::pipeline::LeftQueue;
use crate::pipeline::dead_letter::DeadLetterStatus;
use crate::pipeline::run::{Counted, RunningPipeline};

/// What became of a set of configurations.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The version of the set that was to be taken over.
    pub set_version: String,
    /// One for each configuration of the set.
    pub results: Vec<ConfigOutcome>,
}

impl Applied {
    /// What is answered when nothing of `set` can be used.
    pub(crate) fn refused(set: &ConfigSet, why: Unusable) -> Self {
        let why = Arc::new(why);
        let outcome = |configuration: &Configuration| ConfigOutcome {
            key: configuration.key(),
            version: configuration.version(),
            error: Some(Arc::clone(&why)),
        };
        let results = set.configurations.iter().map(outcome).collect();
        Self { set_version: set.version.clone(), results }
    }
}

/// What became of one configuration.
#[derive(Clone, Debug)]
pub struct ConfigOutcome {
    /// The name and kind of the configuration.
    pub key: ConfigKey,
    /// The version that was to be taken over.
    pub version: String,
    /// Why it is not in use; the previous version goes on then.
    pub error: Option<Arc<Unusable>>,
}

/// What an executor does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Version of the set in use.
    pub set_version: String,
    /// Why nothing is read; empty when it reads.
    pub waiting: String,
    /// The Docker daemon.
    pub docker: DockerReport,
    /// Why the sandboxes of a Mesos agent cannot be seen, with the directory and a remedy; empty when they can, or when no
    /// configuration reads any.
    pub sandboxes: String,
    /// Queues on disk that no output takes any more.
    pub left_queues: Vec<LeftQueue>,
    /// The containers some of whose labels mean nothing, by their id.
    pub refused_labels: Vec<RefusedLabels>,
    /// What the policy keeps from being read.
    pub forbidden: Vec<ForbiddenRead>,
    /// Each stream that is read, or should be.
    pub streams: Vec<StreamReport>,
    /// Each pipeline that runs, one for each configuration.
    pub pipelines: Vec<PipelineReport>,
    /// What was counted since the data directory was made, also by what has ended.
    pub sum: Sum,
    /// Resident memory of the process.
    pub memory_bytes: u64,
}

/// A container some of whose labels mean nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedLabels {
    /// All 64 digits with Docker, the container's id in Mesos for a sandbox.
    pub container_id: String,
    /// Name of the container.
    pub container_name: String,
    /// Image of the container.
    pub image: String,
    /// The labels by their whole names, each with the reason.
    pub labels: Vec<Refusal>,
}

/// A container that a configuration would read, were it not for the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForbiddenRead {
    /// As in [`RefusedLabels`].
    pub container_id: String,
    /// Name of the container.
    pub container_name: String,
    /// Image of the container.
    pub image: String,
    /// The configuration that would read it.
    pub configuration: ConfigKey,
    /// The rule that forbids it, as it is written.
    pub rule: String,
}

impl From<&Forbidden<'_>> for ForbiddenRead {
    fn from(forbidden: &Forbidden<'_>) -> Self {
        Self {
            container_id: forbidden.container.id.to_string(),
            container_name: forbidden.container.name.to_string(),
            image: forbidden.container.image.to_string(),
            configuration: forbidden.configuration.clone(),
            rule: forbidden.rule.clone(),
        }
    }
}

/// How it stands with the Docker daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DockerReport {
    /// No configuration needs it, or nothing was heard yet.
    #[default]
    Unused,
    /// The daemon answers.
    Connected,
    /// It does not.
    Unreachable(String),
}

/// Where the bytes of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// A file inside a container.
    ContainerFile,
    /// Standard output and error of a container.
    ContainerOutput,
    /// A file of the machine.
    HostFile,
}

/// What can be said about one stream: what it is, how it is read, how far.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamReport {
    /// Names it for as long as it lives.
    pub id: String,
    /// Where its bytes are.
    pub kind: StreamKind,
    /// All 64 digits; empty for a file of the machine.
    pub container_id: String,
    /// Name of the container.
    pub container_name: String,
    /// Image of the container.
    pub image: String,
    /// Of the file.
    pub path: String,
    /// The rung of the ladder: `proc-root`, `host-layers`, `exec-tail`, `json-file`, `logs-api`, `host`.
    pub method: String,
    /// Why it is read that way, or why it cannot be read.
    pub reason: String,
    /// How far it has been read.
    pub offset: u64,
    /// Bytes that are there and not read yet.
    pub lag_bytes: u64,
    /// How long ago the oldest of the bytes that have not arrived was first seen.
    pub lag_secs: u64,
    /// What was counted for as long as its position is kept, over restarts.
    pub total: StreamTotals,
    /// Events made of it since it was begun.
    pub events: u64,
    /// What is known to be lost since then, by reason.
    pub lost: BTreeMap<String, u64>,
    /// The configurations that read it.
    pub configurations: Vec<ConfigKey>,
}

/// What can be said about one pipeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PipelineReport {
    /// The configuration it runs.
    pub configuration: String,
    /// To what that applies; none for a pipeline of the command line.
    pub kind: Option<Kind>,
    /// Events that came in.
    pub events_in: u64,
    /// Events that an output has, or that a filter dropped.
    pub events_out: u64,
    /// Events that an output refused for ever.
    pub events_failed: u64,
    /// How often a plugin has panicked: its event is in the dead letters, or is read again.
    pub failures: u64,
    /// What the last such failure was, or why an input can never work.
    pub failure: Option<String>,
    /// Bytes that its own inputs left out, or that were damaged in the queues of its outputs, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Events that a condition had no answer for, such as `if [a] > 5` for a text: they are in the dead letters.
    pub unanswered: u64,
    /// The dead letters that it keeps, and what became of others.
    pub dead_letters: DeadLetterStatus,
    /// Its filters and outputs, in order.
    pub plugins: Vec<PluginReport>,
    /// Each output, in the order of the configuration.
    pub outputs: Vec<OutputReport>,
    /// What was counted under the configuration's name since the data directory was made.
    pub total: Counted,
}

/// What one plugin has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginReport {
    /// The `id` of the plugin, which is unique in its pipeline.
    pub id: String,
    /// The name of the plugin: `elasticsearch`.
    pub name: String,
    /// Events it was given.
    pub events_in: u64,
    /// Events it passed on, or that its server has.
    pub events_out: u64,
    /// The time it took, over all workers; estimated.
    pub busy_ms: u64,
}

/// What can be said about one output of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputReport {
    /// Name of the plugin or the sink.
    pub name: String,
    /// Why it does not deliver at the moment; it is tried again.
    pub error: Option<String>,
    /// Events given to it that it has not confirmed.
    pub pending: u64,
    /// Events that its destination does not take now, though it takes others: they wait aside, beside those that are
    /// pending.
    pub aside: u64,
    /// Why: what the destination said last of one of them.
    pub aside_reason: Option<String>,
}

/// Resident memory of this process.
#[must_use]
pub fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()));
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

impl PipelineReport {
    /// Its name among the pipelines of a program: `docker/nginx*`, or the id that the command line gave.
    #[must_use]
    pub fn label(&self) -> String {
        match self.kind {
            Some(kind) => format!("{}/{}", kind.name(), self.configuration),
            None => self.configuration.clone(),
        }
    }
}

/// What can be said about the pipeline `configuration`, which has counted `now`, and under its name `total`.
#[must_use]
pub fn pipeline(
    configuration: &str,
    kind: Option<Kind>,
    running: &RunningPipeline,
    now: Counted,
    total: Counted,
) -> PipelineReport {
    let counters = running.counters();
    let outputs = running.outputs();
    let plugins = running.plugins().into_iter().map(|(id, name, counters)| PluginReport {
        id: id.to_string(),
        name: name.to_owned(),
        events_in: counters.events_in(),
        events_out: counters.events_out(),
        busy_ms: counters.nanos() / 1_000_000,
    });
    PipelineReport {
        configuration: configuration.to_owned(),
        kind,
        failures: counters.failures(),
        failure: counters.last_failure(),
        lost: now.lost,
        unanswered: counters.unanswered(),
        dead_letters: running.dead_letters(),
        plugins: plugins.collect(),
        events_in: counters.events_in(),
        events_out: counters.events_out(),
        events_failed: outputs.iter().map(|output| output.rejected).sum(),
        outputs: outputs
            .into_iter()
            .map(|output| OutputReport {
                name: output.sink,
                error: output.trouble,
                pending: output.on_disk,
                aside: output.aside,
                aside_reason: output.aside_reason,
            })
            .collect(),
        total,
    }
}
