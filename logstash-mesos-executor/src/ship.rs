//! `ship`: the shipper alone on one Docker host.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use logstash_mesos_core::configs::ExecutorSettings;
use logstash_mesos_core::discovery::{DiscoveryError, DockerDiscovery, DockerEndpoint};
use logstash_mesos_core::event::FieldReference;
use logstash_mesos_core::executor::ShipperSettings;
use logstash_mesos_core::executor::ship::{ShipSettings, ship};
use logstash_mesos_core::telemetry::MetricsAddress;

/// Ships the logs of the containers on this machine, without Mesos.
#[derive(Debug, clap::Args)]
pub(crate) struct ShipFlags {
    /// Directory with docker/*.conf and host/*.conf; watched for changes
    #[arg(long, value_name = "DIR", env = "LOGSTASH_MESOS_CONFIG_DIR")]
    config_dir: PathBuf,
    /// Directory for positions; one process at a time uses it
    #[arg(
        long,
        value_name = "DIR",
        env = "LOGSTASH_MESOS_DATA_DIR",
        default_value = "/var/lib/logstash-mesos/ship"
    )]
    data_dir: PathBuf,
    /// The Docker daemon: unix://PATH, tcp://HOST:PORT or http://HOST:PORT
    #[arg(long, value_name = "ADDRESS", env = "DOCKER_HOST", default_value = "unix:///var/run/docker.sock")]
    docker_host: DockerHost,
    /// Where events of configurations without an output go
    #[arg(long, value_name = "URL", env = "LOGSTASH_MESOS_ELASTICSEARCH_ENDPOINT")]
    elasticsearch_endpoint: Option<String>,
    #[command(flatten)]
    common: Common,
    /// Name of this machine in `[host][name]`
    #[arg(long, value_name = "NAME", env = "LOGSTASH_MESOS_HOST_NAME")]
    host_name: Option<String>,
    /// Puts the metadata of events below this field
    #[arg(long, value_name = "FIELD", env = "LOGSTASH_MESOS_METADATA_TARGET", value_parser = field)]
    metadata_target: Option<FieldReference>,
    /// Memory for what is on its way, in all queues and in front of all outputs together
    #[arg(long, value_name = "N", env = "LOGSTASH_MESOS_QUEUE_MEGABYTES", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..))]
    queue_megabytes: u32,
    /// Threads of each pipeline
    #[arg(long, value_name = "N", env = "LOGSTASH_MESOS_PIPELINE_WORKERS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pipeline_workers: u32,
    /// Another setting, as `--executor-setting` of the scheduler has it; may be given several times
    #[arg(long = "setting", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// How long the end may take
    #[arg(long, value_name = "N", env = "LOGSTASH_MESOS_SHUTDOWN_GRACE_SECS", default_value_t = 10)]
    shutdown_grace_secs: u64,
}

/// The address of the Docker daemon. An empty one is none, as for Docker's own client.
#[derive(Clone, Debug)]
pub(crate) struct DockerHost(pub(crate) Option<DockerEndpoint>);

impl std::str::FromStr for DockerHost {
    type Err = DiscoveryError;

    fn from_str(text: &str) -> Result<Self, DiscoveryError> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|endpoint| Self(Some(endpoint))) }
    }
}

/// What `ship` and the executor of an agent have in common.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// The machine's root directory as this process sees it, when it runs in a container
    #[arg(long, value_name = "DIR", env = "LOGSTASH_MESOS_HOST_ROOT", default_value = "/", value_parser = directory)]
    pub(crate) host_root: PathBuf,
    /// The --work_dir of the Mesos agent on this machine, for the input `sandbox`; an executor of the agent knows it
    #[arg(long, value_name = "DIR", env = "LOGSTASH_MESOS_WORK_DIR", value_parser = absolute)]
    pub(crate) mesos_work_dir: Option<PathBuf>,
    /// How long the files of a removed container are still read
    #[arg(long, value_name = "N", env = "LOGSTASH_MESOS_DRAIN_TIMEOUT_SECS", default_value_t = 10)]
    pub(crate) drain_timeout_secs: u64,
    #[command(flatten)]
    pub(crate) metrics: MetricsFlag,
}

/// What everything that ships has in common.
#[derive(Debug, clap::Args)]
pub(crate) struct MetricsFlag {
    /// Where GET /metrics and GET /health are answered: ADDR:PORT, or unix:PATH; nowhere if not given
    #[arg(long, value_name = "ADDRESS", env = "LOGSTASH_MESOS_METRICS_BIND")]
    pub(crate) metrics_bind: Option<MetricsAddress>,
}

pub(crate) fn run(flags: ShipFlags) -> Result<(), Box<dyn Error>> {
    let docker = flags.docker_host.0.unwrap_or_else(DockerEndpoint::local).seen_from(&flags.common.host_root);
    let default_output = match &flags.elasticsearch_endpoint {
        None => String::new(),
        Some(url) => elasticsearch(url)?,
    };
    let mut shipper = ShipperSettings::new(flags.data_dir);
    shipper.name = format!("`ship` (process {})", std::process::id());
    shipper.host_root.clone_from(&flags.common.host_root);
    shipper.docker = Some(docker.clone());
    shipper.mesos_work_dir.clone_from(&flags.common.mesos_work_dir);
    // As a task of Mesos it would read what it says itself.
    shipper.traces.sandbox = std::env::var_os("MESOS_DIRECTORY").map(PathBuf::from);
    if let Some(name) = flags.host_name {
        shipper.machine.host_name = name;
    }
    shipper.machine.target = flags.metadata_target;
    shipper.metrics_bind = flags.common.metrics.metrics_bind;
    shipper.drain_timeout = Duration::from_secs(flags.common.drain_timeout_secs);
    shipper.compile.variables = crate::variables();
    shipper.queue_bytes = usize::try_from(flags.queue_megabytes)? << 20;
    shipper.workers = usize::try_from(flags.pipeline_workers)?;
    let mut settings = ShipSettings::new(flags.config_dir, shipper);
    settings.default_output = default_output;
    settings.settings = flags.settings.into_iter().collect();
    settings.shutdown_grace = Duration::from_secs(flags.shutdown_grace_secs);
    let discovery = Arc::new(DockerDiscovery::new(docker, flags.common.host_root));
    let output_closed = settings.shipper.output_closed.clone();
    crate::run(async |shutdown| {
        tokio::select! {
            ended = ship(settings, discovery, shutdown) => Ok(ended?),
            () = output_closed.cancelled() => crate::end_without_reader(),
        }
    })
}

/// The output for configurations that have none.
fn elasticsearch(url: &str) -> Result<String, Box<dyn Error>> {
    let without = url.strip_prefix("srv+").unwrap_or(url);
    let rest = without.strip_prefix("http://").or_else(|| without.strip_prefix("https://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with(['/', ':'])) || url.contains(['"', '\\']) {
        return Err(format!(
            "--elasticsearch-endpoint `{url}` is no URL: write http://HOST:PORT or srv+http://NAME"
        )
        .into());
    }
    Ok(format!("output {{ elasticsearch {{ hosts => [\"{url}\"] }} }}"))
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it must be written KEY=VALUE")?;
    ExecutorSettings::default().set(key, value).map_err(|error| error.to_string())?;
    Ok((key.to_owned(), value.to_owned()))
}

fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("it is not a directory".to_owned()) }
}

/// On the machine: it may not be there as this process sees it, or not yet.
fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("it must be an absolute path".to_owned()) }
}

fn field(text: &str) -> Result<FieldReference, String> {
    FieldReference::parse(text).map_err(|error| error.to_string())
}
