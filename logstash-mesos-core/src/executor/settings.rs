//! What a shipper works with.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::metadata::Machine;
use super::traces::OwnTraces;
use crate::discovery::DockerEndpoint;
use crate::pipeline::catalog;
use crate::pipeline::compile::CompileOptions;
use crate::telemetry::MetricsAddress;

/// What a shipper works with: [`ShipperSettings::new`], and then what is to be different.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShipperSettings {
    /// Holds positions, the lock and, with `keeps_configurations`, the last set of configurations.
    pub data_dir: PathBuf,
    /// Whether the last set of configurations is kept in the data directory and worked with from the start until
    /// another one comes: for configurations of a scheduler, which may be away. Without, a shipper begins with none.
    pub keeps_configurations: bool,
    /// Who we are, for whoever finds the data directory locked.
    pub name: String,
    /// The machine's root directory as this process sees it.
    pub host_root: PathBuf,
    /// The daemon, for what only it can read. It needs the feature `docker`.
    pub docker: Option<DockerEndpoint>,
    /// The `--work_dir` of the machine's Mesos agent, as the machine calls it: with it, sandboxes are found beside the
    /// containers of the discovery. It needs the feature `sandboxes`.
    pub mesos_work_dir: Option<PathBuf>,
    /// For the metadata of events.
    pub machine: Machine,
    /// How to know our own output.
    pub traces: OwnTraces,
    /// How long a removed container's files are still read.
    pub drain_timeout: Duration,
    /// What configurations are compiled with; `pipeline_id` and `origin` are set for each.
    pub compile: CompileOptions,
    /// How much memory all that is on its way may take together, in queues and buffers of outputs.
    pub queue_bytes: usize,
    /// How much disk all queues of outputs together may take.
    pub disk_bytes: u64,
    /// Worker threads of each pipeline.
    pub workers: usize,
    /// Cancelled when nobody will ever take anything of an output again, such as a closed standard output. The shipper
    /// goes on.
    pub output_closed: CancellationToken,
    /// Where [its numbers](super::metrics) are served over HTTP, at `/metrics`; nowhere if none. An address that is taken
    /// is tried again, and holds nothing up. It needs the feature `metrics`.
    pub metrics_bind: Option<MetricsAddress>,
}

impl ShipperSettings {
    /// For a program of its own on one machine: no daemon, 12 MiB for queues in memory, any room on disk, one worker for each pipeline, document
    /// ids made from the place of a line.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            keeps_configurations: false,
            name: format!("process {}", std::process::id()),
            host_root: PathBuf::from("/"),
            docker: None,
            mesos_work_dir: None,
            machine: Machine { host_name: Machine::own_name(), ..Machine::default() },
            traces: OwnTraces::of_this_process(None),
            drain_timeout: Duration::from_secs(10),
            compile: CompileOptions::new(catalog()).with(|options| {
                options.data_dir = Some(data_dir.clone());
                options.deterministic_ids = true;
            }),
            queue_bytes: 12 << 20,
            disk_bytes: u64::MAX,
            workers: 1,
            output_closed: CancellationToken::new(),
            metrics_bind: None,
            data_dir,
        }
    }
}
