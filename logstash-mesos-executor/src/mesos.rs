//! Without subcommand: the executor on an agent of a Mesos cluster.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use logstash_mesos_core::executor::agent::{self, AgentSettings};
use logstash_mesos_core::pipeline::compile::CompileOptions;
use tokio_util::sync::CancellationToken;

use crate::ship::{Common, DockerHost};

/// What the executor on an agent takes from its environment or its command.
#[derive(Debug, clap::Args)]
pub(crate) struct AgentFlags {
    #[command(flatten)]
    common: Common,
    /// Directory on the machine for positions
    #[arg(long, value_name = "DIR", env = "LOGSTASH_MESOS_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// The Docker daemon of the agent
    #[arg(long, value_name = "ADDRESS", env = "DOCKER_HOST")]
    docker_host: Option<DockerHost>,
}

pub(crate) fn run(flags: AgentFlags) -> Result<(), Box<dyn Error>> {
    let settings = AgentSettings {
        docker: flags.docker_host.and_then(|host| host.0),
        data_dir: flags.data_dir,
        host_root: flags.common.host_root,
        drain_timeout: Duration::from_secs(flags.common.drain_timeout_secs),
        compile: CompileOptions { deterministic_ids: true, ..CompileOptions::default() },
        build: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let runtime = crate::runtime()?;
    let result = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        crate::on_signal(shutdown.clone())?;
        agent::run(settings, shutdown).await?;
        Ok(())
    });
    // A thread that waits for a slow disk must not hold up the end: the agent does not wait for it either.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}
