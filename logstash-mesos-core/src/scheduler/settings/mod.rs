//! What a scheduler is asked to do.

mod identity;
mod placement;
mod port;
mod predecessor;
mod table;

pub use placement::Placement;
pub use predecessor::{MadeConfiguration, NAMES, Name, Predecessor, predecessor, take_arguments};
pub use table::SETTINGS;

use super::{Credentials, HttpTls, policy_file};
use crate::configs::{ExecutorSettings, ReadPolicy};
use crate::error_chain;
use crate::offer::Needs;
use crate::pipeline::plugin::EcsCompatibility;
use crate::settings::{Loaded, SettingError, Sources};
use crate::store::StateUrl;
use crate::tls::ClientTls;
use crate::zookeeper::{OUR_ROOT, ZooKeeperUrl};
use mesos_v1::endpoint::{DEFAULT_MASTER_PORT, Endpoint, EndpointError};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Checked settings: they exist only if they can be right.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where the masters are.
    pub master: Master,
    /// Name of the framework in Mesos.
    pub framework_name: String,
    /// Which agents get an executor, and from which offers.
    pub placement: Placement,
    /// User under which executors run.
    pub user: String,
    /// Who the framework is to Mesos.
    pub credentials: Credentials,
    /// Masters whose address says nothing about it speak TLS.
    pub masters_speak_tls: bool,
    /// Whom to believe where TLS is spoken to Mesos, and with which certificate to come.
    pub mesos_tls: ClientTls,
    /// How long executors outlive an absent scheduler.
    pub failover_timeout: Duration,
    /// Where the state is kept.
    pub state: StateUrl,
    /// Nobody said where, and it is in the working directory.
    pub state_by_default: bool,
    /// After which silence ZooKeeper or etcd takes this scheduler for gone, and another leads.
    pub session_timeout: Duration,
    /// Directory of configurations.
    pub config_dir: Option<PathBuf>,
    /// Where to listen.
    pub http_bind: SocketAddr,
    /// How long a port that another process has is waited for.
    pub port_patience: Duration,
    /// TLS on that port, and on those of other schedulers.
    pub http_tls: HttpTls,
    /// How agents reach us.
    pub advertise_url: Option<String>,
    /// Serve the page.
    pub ui: bool,
    /// Credentials of the HTTP API.
    pub auth_file: Option<PathBuf>,
    /// Let anybody write.
    pub no_auth: bool,
    /// The file that says which configurations may read which containers, and what it said at the start.
    pub policy: Option<(PathBuf, ReadPolicy)>,
    /// Where the executor's program comes from.
    pub executor: ExecutorProgram,
    /// For each executor.
    pub needs: Needs,
    /// Put into the environment of executors.
    pub executor_environment: BTreeMap<String, String>,
    /// Settings that executors get with the configurations.
    pub executor_settings: BTreeMap<String, String>,
    /// For configurations that have no output.
    pub default_output: String,
    /// A host configuration that settings of the predecessor make.
    pub made_configuration: Option<MadeConfiguration>,
    /// An installation of the predecessor has these settings, and its defaults hold.
    pub from_predecessor: bool,
    /// Launches that may be unconfirmed at a time.
    pub launch_parallelism: usize,
    /// After which an unconfirmed launch is given up.
    pub launch_timeout: Duration,
    /// Agents that may get a changed executor at a time.
    pub rollout_parallelism: usize,
    /// Failures of a changed executor after which no further agent gets it.
    pub rollout_max_failures: u32,
}

/// Where the masters are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Master {
    /// In this process, with one agent.
    Local,
    /// At these addresses.
    Endpoints(Vec<Endpoint>),
    /// Where ZooKeeper says, below this path.
    ZooKeeper(ZooKeeperUrl),
}

/// Where the executor's program comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutorProgram {
    /// Served from this file.
    Served(PathBuf),
    /// A command that is there on the agents.
    Command(String),
    /// The image that it is in, and who runs that.
    Image(String, Containerizer),
}

/// Who runs an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containerizer {
    /// The agent itself.
    Mesos,
    /// The Docker daemon.
    Docker,
}

impl Settings {
    /// From pairs of a setting's key, as in a settings file, and its value; everything else has its default.
    ///
    /// ```
    /// # use logstash_mesos_core::scheduler::Settings;
    /// let settings = Settings::of([("mesos.master", "10.0.0.1:5050"), ("state", "memory")])?;
    /// assert_eq!(settings.framework_name, "logstash");
    /// # Ok::<(), logstash_mesos_core::settings::SettingError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SettingError`] for a key that is none, and for the first value that cannot be right.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, SettingError> {
        let mut flags = BTreeMap::<String, Vec<String>>::new();
        for (key, value) in pairs {
            flags.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        let sources = Sources { flags: &flags, variable: &|_| None, file: None, aliases: &[] };
        // Where the program cannot tell, an executor that is to lie beside it is missed and named.
        let program = std::env::current_exe().unwrap_or_default();
        Self::check(&Loaded::load(SETTINGS, sources)?, &directory_of(&program))
    }

    /// Checks what was written. `beside` is the directory of the running program.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first value that cannot be right, with who gave it.
    pub fn check(raw: &Loaded, beside: &std::path::Path) -> Result<Self, SettingError> {
        let text = |key: &str| raw.text(key).map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned);
        let path = |key: &str| text(key).map(PathBuf::from);
        let master = master(raw)?;
        let framework_name = text("framework.name").unwrap_or_default();
        if framework_name.is_empty() || framework_name.chars().any(char::is_control) {
            return Err(raw.invalid("framework.name", "is empty or has control characters"));
        }
        let placement = Placement::check(raw, master == Master::Local)?;
        let (state, state_by_default) = match raw.text("state") {
            Some(state) => {
                let state = with_our_root(state, &framework_name);
                (state.parse().map_err(|e| raw.invalid("state", e))?, false)
            }
            None => default_state(raw, &master, &framework_name)?,
        };
        let credentials = identity::credentials(raw)?;
        let mesos_tls = identity::tls(raw)?;
        let config_dir = path("config_dir");
        if let Some(dir) = &config_dir {
            std::fs::read_dir(dir).map_err(|e| raw.invalid("config_dir", format!("cannot be read: {e}")))?;
        }
        let mut http_bind: SocketAddr =
            raw.text("http.bind").and_then(|t| t.trim().parse().ok()).ok_or_else(|| {
                raw.invalid("http.bind", "is not ADDRESS:PORT, such as 0.0.0.0:9092 or [::1]:9092")
            })?;
        if master == Master::Local
            && raw.origin("http.bind") == "--http-bind"
            && http_bind.ip().is_unspecified()
        {
            // Trying the thing opens nothing to others.
            http_bind.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let (advertise_url, http_tls) = port::check(raw)?;
        let executor = executor(raw, &text, beside)?;
        let needs = Needs {
            cpus_milli: cpus(raw)?,
            mem_megabytes: raw.number("executor.mem_megabytes", 32, 1 << 20)?,
            disk_megabytes: raw.number("executor.disk_megabytes", 0, 1 << 30)?,
        };
        let mut executor_environment = pairs(raw, "executor.env")?;
        if let Some(name) = executor_environment.keys().find(|n| n.starts_with("MESOS_")) {
            let problem = format!("sets {name}, and MESOS_* variables are the agent's own");
            return Err(raw.invalid("executor.env", problem));
        }
        // Both are paths on the agents, below the first of which an executor in an image sees the second.
        for name in ["LOGSTASH_MESOS_HOST_ROOT", "LOGSTASH_MESOS_DATA_DIR"] {
            if executor_environment.get(name).is_some_and(|path| !path.starts_with('/')) {
                return Err(raw.invalid("executor.env", format!("gives {name} a path that is not absolute")));
            }
        }
        identity::of_executors(raw, has_tls(raw, &master)?, &mut executor_environment)?;
        identity::certificates_are_of_use(raw, has_tls(raw, &master)?, &credentials, &executor_environment)?;
        Ok(Self {
            master,
            framework_name,
            placement,
            user: text("mesos.user").unwrap_or_else(|| "root".to_owned()),
            credentials,
            masters_speak_tls: raw.switch("mesos.tls")?,
            mesos_tls,
            failover_timeout: Duration::from_secs(raw.number("failover_timeout_secs", 0, 10 * 31_536_000)?),
            state,
            state_by_default,
            session_timeout: Duration::from_millis(raw.number("zk.timeout_ms", 1000, 600_000)?),
            config_dir,
            http_bind,
            port_patience: Duration::from_secs(30),
            http_tls,
            advertise_url,
            ui: !raw.switch("no_ui")?,
            auth_file: path("auth_file"),
            no_auth: raw.switch("no_auth")?,
            policy: policy(raw, path("policy_file"))?,
            executor,
            needs,
            executor_environment,
            executor_settings: executor_settings(raw)?,
            default_output: default_output(raw, path("default_output"))?,
            made_configuration: None,
            from_predecessor: false,
            launch_parallelism: usize::try_from(raw.number("launch_parallelism", 1, 100_000)?).unwrap_or(1),
            launch_timeout: Duration::from_secs(raw.number("launch_timeout_secs", 1, 86_400)?),
            rollout_parallelism: usize::try_from(raw.number("rollout_parallelism", 1, 100_000)?).unwrap_or(1),
            rollout_max_failures: u32::try_from(raw.number("rollout_max_failures", 1, 1_000_000)?)
                .unwrap_or(1),
        })
    }
}

impl Settings {
    /// The names of fields that configurations have on the agents, unless they say otherwise.
    pub fn ecs(&self) -> EcsCompatibility {
        let checked = ExecutorSettings::parse(&self.executor_settings).unwrap_or_default();
        checked.pipeline.ecs.unwrap_or_default()
    }
}

fn master(raw: &Loaded) -> Result<Master, SettingError> {
    let Some(text) = raw.text("mesos.master").map(str::trim).filter(|t| !t.is_empty()) else {
        let help = "the Mesos master, as HOST:PORT, or local to try without a cluster";
        return Err(SettingError::Missing { flag: "--mesos-master".to_owned(), help });
    };
    if text == "local" {
        return Ok(Master::Local);
    }
    if text.starts_with("zk://") {
        if !cfg!(feature = "zookeeper") {
            let problem = "asks for ZooKeeper, which this program was built without; build it with `--features \
                           zookeeper`, or list the masters as HOST:PORT,HOST:PORT,… (each leads to the leading one)";
            return Err(raw.invalid("mesos.master", problem));
        }
        return text.parse().map(Master::ZooKeeper).map_err(|error| raw.invalid("mesos.master", error));
    }
    let tls = raw.switch("mesos.tls")?;
    let endpoints: Result<Vec<_>, _> = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let endpoint = Endpoint::parse(part, DEFAULT_MASTER_PORT)?;
            let tls = endpoint.is_tls() || (tls && !part.contains("://"));
            Ok::<_, EndpointError>(endpoint.with_tls(tls))
        })
        .collect();
    match endpoints {
        Ok(endpoints) if !endpoints.is_empty() => Ok(Master::Endpoints(endpoints)),
        Ok(_) => Err(raw.invalid("mesos.master", "names no master")),
        Err(error) => Err(raw.invalid("mesos.master", error)),
    }
}

/// Beside the masters, if ZooKeeper is there; else in the working directory, which is worth a word.
fn default_state(
    raw: &Loaded,
    master: &Master,
    framework_name: &str,
) -> Result<(StateUrl, bool), SettingError> {
    let Master::ZooKeeper(url) = master else {
        return Ok((StateUrl::File("logstash-mesos-state".into()), true));
    };
    // What stays of a name of dots alone is no path.
    let url = url.with_path(&our_root(framework_name)).ok_or_else(|| {
        raw.invalid("framework.name", "cannot be part of a path in ZooKeeper; give --state a path there")
    })?;
    Ok((StateUrl::ZooKeeper(url), false))
}

/// The servers of a service without a path mean our own root there.
fn with_our_root(state: &str, framework_name: &str) -> String {
    let state = state.trim();
    let servers = ["zk://", "etcd://"].iter().find_map(|scheme| state.strip_prefix(scheme));
    let has_path = |servers: &str| servers.rsplit('@').next().unwrap_or(servers).contains('/');
    match servers {
        Some(servers) if !has_path(servers) => format!("{state}{}", our_root(framework_name)),
        _ => state.to_owned(),
    }
}

fn our_root(framework_name: &str) -> String {
    format!("{OUR_ROOT}/{}", percent_encoding::utf8_percent_encode(framework_name, IN_A_PATH))
}

/// Everything but letters, digits and `-._~`.
const IN_A_PATH: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn has_tls(raw: &Loaded, master: &Master) -> Result<bool, SettingError> {
    Ok(match master {
        Master::Local => false,
        Master::ZooKeeper(_) => raw.switch("mesos.tls")?,
        Master::Endpoints(masters) => raw.switch("mesos.tls")? || masters.iter().any(Endpoint::is_tls),
    })
}

fn executor(
    raw: &Loaded,
    text: &dyn Fn(&str) -> Option<String>,
    beside: &std::path::Path,
) -> Result<ExecutorProgram, SettingError> {
    let containerizer = match raw.text("executor.containerizer") {
        None | Some("mesos") => Containerizer::Mesos,
        Some("docker") => Containerizer::Docker,
        Some(_) => return Err(raw.invalid("executor.containerizer", "is neither mesos nor docker")),
    };
    let given = ["executor.binary", "executor.command", "executor.image"].map(text);
    if given.iter().flatten().count() > 1 {
        let last = ["executor.image", "executor.command"].into_iter().find(|k| text(k).is_some());
        let key = last.unwrap_or("executor.binary");
        return Err(
            raw.invalid(key, "is one of --executor-binary, --executor-command and --executor-image too many")
        );
    }
    Ok(match given {
        [None, Some(command), _] if !command.starts_with('/') => {
            return Err(raw.invalid("executor.command", "is not an absolute path on the agents"));
        }
        [None, Some(command), _] => ExecutorProgram::Command(command),
        [None, None, Some(image)] => ExecutorProgram::Image(image, containerizer),
        [Some(file), ..] => ExecutorProgram::Served(file.into()),
        [None, None, None] => ExecutorProgram::Served(beside.join("logstash-mesos-executor")),
    })
}

fn cpus(raw: &Loaded) -> Result<u64, SettingError> {
    let number = raw.text("executor.cpus").and_then(|t| t.trim().parse::<f64>().ok());
    number
        .filter(|n| (0.02..=1024.0).contains(n))
        .map(|n| (n * 1000.0).round() as u64)
        .ok_or_else(|| raw.invalid("executor.cpus", "is not a number from 0.02 to 1024"))
}

/// Where the executor lies beside a program.
pub fn directory_of(program: &Path) -> PathBuf {
    program.parent().map(Path::to_owned).unwrap_or_default()
}

fn pairs(raw: &Loaded, key: &str) -> Result<BTreeMap<String, String>, SettingError> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').filter(|(name, _)| !name.trim().is_empty())?;
        Some((name.trim().to_owned(), value.to_owned()))
    };
    let all: Option<_> = raw.list(key).iter().map(pair).collect();
    all.ok_or_else(|| raw.invalid(key, "is not NAME=VALUE"))
}

fn policy(raw: &Loaded, file: Option<PathBuf>) -> Result<Option<(PathBuf, ReadPolicy)>, SettingError> {
    let Some(file) = file else { return Ok(None) };
    if executor_settings(raw)?.contains_key(ReadPolicy::SETTING) {
        return Err(raw.invalid("executor.setting", "has a policy beside --policy-file: leave one out"));
    }
    match policy_file::read(&file) {
        Ok(policy) => Ok(Some((file, policy))),
        Err(error) => Err(raw.invalid("policy_file", error_chain(&error))),
    }
}

/// Every executor would refuse what is refused here.
fn executor_settings(raw: &Loaded) -> Result<BTreeMap<String, String>, SettingError> {
    let written = pairs(raw, "executor.setting")?;
    for (key, value) in &written {
        ExecutorSettings::default().set(key, value).map_err(|error| SettingError::Invalid {
            origin: raw.origin("executor.setting"),
            value: format!("{key}={value}"),
            problem: format!("is refused: {error}"),
        })?;
    }
    Ok(written)
}

fn default_output(raw: &Loaded, file: Option<PathBuf>) -> Result<String, SettingError> {
    if let Some(path) = file {
        return std::fs::read_to_string(path)
            .map_err(|e| raw.invalid("default_output", format!("cannot be read: {e}")));
    }
    let Some(endpoints) = raw.text("elasticsearch.endpoint").map(str::trim).filter(|t| !t.is_empty()) else {
        return Ok("output { stdout { codec => json_lines } }\n".to_owned());
    };
    let mut hosts = Vec::new();
    for endpoint in endpoints.split(',').map(str::trim) {
        // The predecessor took host and port.
        let url = if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") };
        let uri = url.parse::<axum::http::Uri>().ok();
        let schemes = ["http", "https", "srv+http", "srv+https"];
        let fine = uri.is_some_and(|u| {
            u.host().is_some() && u.scheme_str().is_some_and(|scheme| schemes.contains(&scheme))
        });
        if !fine || url.contains(['"', '\\', '\n']) {
            let problem = "is not a URL such as http://elasticsearch:9200 or srv+http://_http._es._tcp.marathon.mesos, or \
                 several with commas between them";
            return Err(raw.invalid("elasticsearch.endpoint", problem));
        }
        hosts.push(format!("\"{url}\""));
    }
    Ok(format!("output {{ elasticsearch {{ hosts => [{}] }} }}\n", hosts.join(", ")))
}

#[cfg(test)]
mod tests;
