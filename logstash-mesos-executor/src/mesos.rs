//! Without subcommand: the executor on an agent of a Mesos cluster.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use logstash_mesos_core::executor::agent::{self, AgentSettings, AgentTls};
use logstash_mesos_core::tls::{ClientTls, Identity};

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
    #[command(flatten)]
    tls: TlsFlags,
}

/// How an agent that speaks TLS is reached: it does not say itself that it does.
#[derive(Debug, clap::Args)]
struct TlsFlags {
    /// Whether the agent speaks TLS
    #[arg(long, value_name = "true|false", env = "LOGSTASH_MESOS_AGENT_TLS", default_value_t = false, action = clap::ArgAction::Set)]
    agent_tls: bool,
    /// Host name for which the agent's certificate may be, instead of its address
    #[arg(long, value_name = "NAME", env = "LOGSTASH_MESOS_AGENT_NAME")]
    agent_name: Option<String>,
    /// The authority that signed the agent's certificate, in PEM itself; the usual ones if not given
    #[arg(
        long,
        value_name = "PEM",
        env = "LOGSTASH_MESOS_AGENT_CA",
        conflicts_with = "agent_ca_file",
        hide_env_values = true
    )]
    agent_ca: Option<String>,
    /// The same as a file
    #[arg(long, value_name = "FILE", env = "LOGSTASH_MESOS_AGENT_CA_FILE")]
    agent_ca_file: Option<PathBuf>,
    /// Our own certificate in PEM, for agents that want one
    #[arg(
        long,
        value_name = "FILE",
        env = "LOGSTASH_MESOS_AGENT_CLIENT_CERT_FILE",
        requires = "agent_client_key_file"
    )]
    agent_client_cert_file: Option<PathBuf>,
    /// Its key
    #[arg(
        long,
        value_name = "FILE",
        env = "LOGSTASH_MESOS_AGENT_CLIENT_KEY_FILE",
        requires = "agent_client_cert_file"
    )]
    agent_client_key_file: Option<PathBuf>,
}

impl TlsFlags {
    fn settings(self) -> std::io::Result<Option<AgentTls>> {
        if !self.agent_tls {
            return Ok(None);
        }
        let authorities = match (self.agent_ca, self.agent_ca_file) {
            (Some(pem), _) => {
                // The working directory is the sandbox.
                std::fs::write(AUTHORITY, pem)?;
                vec![PathBuf::from(AUTHORITY)]
            }
            (None, file) => file.into_iter().collect(),
        };
        let identity = self.agent_client_cert_file.zip(self.agent_client_key_file);
        let identity = identity.map(|(certificate, key)| Identity {
            certificate,
            extra_chain: Vec::new(),
            key,
            passphrase: None,
        });
        let client = ClientTls { authorities, identity, ..ClientTls::default() };
        Ok(Some(AgentTls { name: self.agent_name, client }))
    }
}

/// Where the authority lies that came in the environment.
const AUTHORITY: &str = "agent-ca.pem";

pub(crate) fn run(flags: AgentFlags, token: Option<String>) -> Result<(), Box<dyn Error>> {
    let mut settings = AgentSettings::new(env!("CARGO_PKG_VERSION"));
    settings.docker = flags.docker_host.and_then(|host| host.0);
    settings.data_dir = flags.data_dir;
    settings.host_root = flags.common.host_root;
    settings.mesos_work_dir = flags.common.mesos_work_dir;
    settings.drain_timeout = Duration::from_secs(flags.common.drain_timeout_secs);
    settings.compile.variables = crate::variables();
    settings.token = token;
    settings.tls = flags.tls.settings()?;
    settings.metrics_bind = flags.common.metrics.metrics_bind;
    crate::run(async |shutdown| Ok(agent::run(settings, shutdown).await?))
}
