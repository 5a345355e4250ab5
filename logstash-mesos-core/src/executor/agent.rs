//! The executor on an agent of a Mesos cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mesos_v1::executor::{
    EnvironmentError, ExecutorClient, ExecutorConfig, ExecutorEnvironment, ExecutorEvent, ExecutorHandle,
};
use mesos_v1::proto::{AgentInfo, ExecutorInfo, TaskId, TaskInfo, TaskState, TaskStatus};
use mesos_v1::tls::Tls;
use prost::Message;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::metadata::Machine;
use super::run::{Shipper, ShipperError};
use super::session::{self, Access};
use super::settings::ShipperSettings;
use super::traces::OwnTraces;
use crate::discovery::{
    ContainerDiscovery, DiscoveryError, DockerDiscovery, DockerEndpoint, daemon_id, work_dir_of,
};
use crate::pipeline::catalog;
use crate::pipeline::compile::{CompileOptions, Variables};
use crate::protocol::{Bootstrap, Hello, Wake};
use crate::telemetry::MetricsAddress;
use crate::tls::{ClientTls, Reloaded, TlsError};

/// What an executor finds in its environment, beside what the agent puts there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentSettings {
    /// `DOCKER_HOST`; without it the usual socket, or port 2376 of the agent where there is none.
    pub docker: Option<DockerEndpoint>,
    /// `LOGSTASH_MESOS_DATA_DIR`, on the machine: below `host_root` for a process in a container.
    pub data_dir: Option<PathBuf>,
    /// The machine's root directory as this process sees it.
    pub host_root: PathBuf,
    /// The agent's `--work_dir` on the machine; without it the one that our own sandbox lies in.
    pub mesos_work_dir: Option<PathBuf>,
    /// How long a removed container's files are still read.
    pub drain_timeout: Duration,
    /// What configurations are compiled with.
    pub compile: CompileOptions,
    /// Version of the program.
    pub build: String,
    /// The executor's token, where it is no longer in the environment.
    pub token: Option<String>,
    /// How to believe an agent that speaks TLS; none if it does not.
    pub tls: Option<AgentTls>,
    /// Where its numbers are served, at `/metrics`; nowhere if none.
    pub metrics_bind: Option<MetricsAddress>,
}

impl AgentSettings {
    /// For a program of version `build` that sees the machine as it is, with an agent that speaks no TLS.
    pub fn new(build: impl Into<String>) -> Self {
        Self {
            docker: None,
            data_dir: None,
            host_root: PathBuf::from("/"),
            mesos_work_dir: None,
            drain_timeout: Duration::from_secs(10),
            compile: CompileOptions::new(catalog()).with(|options| options.deterministic_ids = true),
            build: build.into(),
            token: None,
            tls: None,
            metrics_bind: None,
        }
    }
}

/// How an agent that speaks TLS is reached.
#[derive(Clone, Debug, Default)]
pub struct AgentTls {
    /// The agent's host name, for which its certificate may be instead of its address.
    pub name: Option<String>,
    /// Whom to believe, and with which certificate to come.
    pub client: ClientTls,
}

impl AgentTls {
    /// Prepares connections, and reads the files once to see that they can be used.
    fn prepare(self) -> Result<Tls, TlsError> {
        let tls = Reloaded::new(self.client);
        tls.latest()?;
        Ok(Tls::from_fn(move || tls.latest().map_err(Into::into)))
    }
}

/// Why an executor could not work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The agent's part of the environment.
    #[error("this is not the environment of a Mesos executor; without Mesos use `ship`")]
    Environment(#[from] EnvironmentError),
    /// The shipper cannot work.
    #[error(transparent)]
    Shipper(#[from] ShipperError),
    /// What is needed for TLS with the agent.
    #[error("TLS with the agent cannot be prepared")]
    Tls(#[from] TlsError),
    /// The address of the daemon.
    #[error(transparent)]
    Docker(#[from] DiscoveryError),
}

/// How long the daemon may take to say its id before the work begins without containers.
const DAEMON_ID_TIMEOUT: Duration = Duration::from_secs(3);

/// Kept from the grace for the last updates.
const LAST_UPDATES: Duration = Duration::from_millis(500);

/// The grace of a task that is killed when nothing says another.
const KILL_GRACE: Duration = Duration::from_secs(3);

/// Runs as an executor until the agent, the scheduler or `shutdown` ends it.
///
/// # Errors
///
/// [`AgentError`]; the scheduler has been told then, where there was a task.
pub async fn run(settings: AgentSettings, shutdown: CancellationToken) -> Result<(), AgentError> {
    let mut environment = ExecutorEnvironment::from_process()?;
    environment.token = settings.token.clone().or(environment.token);
    let tls = match settings.tls.clone() {
        None => Tls::default(),
        Some(tls) => {
            environment.agent =
                environment.agent.with_tls(true).with_announced_name(tls.name.as_deref().unwrap_or_default());
            tls.prepare()?
        }
    };
    let grace = environment.shutdown_grace;
    let mut settings = settings;
    settings.mesos_work_dir =
        settings.mesos_work_dir.or_else(|| work_dir_of(Path::new(environment.directory.as_ref()?)));
    let framework_id = environment.framework_id.value.clone();
    let executor_id = environment.executor_id.value.clone();
    let agent_id = environment.agent_id.as_ref().map(|id| id.value.clone()).unwrap_or_default();
    // First of all, as the agent waits for it (EXE-1).
    let (handle, mut events) =
        ExecutorClient::connect(ExecutorConfig::new(environment).with(|config| config.tls = tls));
    let (access, accessed) = watch::channel(Access::default());
    let mut agent = Agent {
        settings,
        framework_id,
        executor_id,
        agent_id,
        handle,
        access,
        accessed,
        tasks: BTreeSet::new(),
        about: None,
        working: None,
    };
    loop {
        tokio::select! {
            () = shutdown.cancelled() => {
                return agent.end(grace, "the executor was told to end by a signal").await;
            }
            ended = agent.ended() => {
                let error = ended.err().unwrap_or(ShipperError::Ended);
                agent.fail(&crate::error_chain(&error)).await;
                return Err(error.into());
            }
            event = events.next() => {
                let Some(event) = event else { return agent.end(grace, "the agent is gone").await };
                match event {
                    ExecutorEvent::Subscribed { executor, agent: about, .. } => {
                        info!(agent_id = %agent.agent_id, hostname = %about.hostname, "Subscribed");
                        agent.about = Some((executor, about));
                    }
                    ExecutorEvent::Launch(task) => agent.launch(*task).await?,
                    ExecutorEvent::LaunchGroup(tasks) => {
                        for task in tasks {
                            agent.launch(task).await?;
                        }
                    }
                    ExecutorEvent::Message(data) => agent.message(&data),
                    ExecutorEvent::Kill { task_id, kill_policy } => {
                        if !agent.tasks.contains(&task_id.value) {
                            continue;
                        }
                        let grace = kill_policy
                            .and_then(|policy| policy.grace_period)
                            .map_or(KILL_GRACE, |grace| Duration::from_nanos(grace.nanoseconds.unsigned_abs()));
                        if agent.tasks.len() == 1 {
                            return agent.end(grace, "the task was killed").await;
                        }
                        agent.tasks.remove(&task_id.value);
                        agent.update(&task_id.value, TaskState::TaskKilled, "the task was killed");
                    }
                    ExecutorEvent::Shutdown { grace, reason } => {
                        info!(?reason, grace_ms = grace.as_millis(), "Shutting down");
                        return agent.end(grace, "the executor was shut down").await;
                    }
                    ExecutorEvent::Error(error) => warn!(%error, "The agent complains"),
                    ExecutorEvent::Disconnected { reason, .. } => {
                        info!(error = %reason, "Not subscribed at the agent, trying again");
                    }
                    _ => {}
                }
            }
        }
    }
}

struct Agent {
    settings: AgentSettings,
    framework_id: String,
    executor_id: String,
    agent_id: String,
    handle: ExecutorHandle,
    access: watch::Sender<Access>,
    accessed: watch::Receiver<Access>,
    tasks: BTreeSet<String>,
    about: Option<(Box<ExecutorInfo>, Box<AgentInfo>)>,
    working: Option<Working>,
}

/// What Mesos chose stands in variables, before those of the environment.
fn with_ports(ports: BTreeMap<String, u32>, others: Variables) -> Variables {
    Variables::new(move |name| ports.get(name).map(u32::to_string).or_else(|| others.get(name)))
}

struct Working {
    shipper: Shipper,
    session: JoinHandle<()>,
}

impl Agent {
    async fn launch(&mut self, task: TaskInfo) -> Result<(), AgentError> {
        let task_id = task.task_id.value.clone();
        info!(%task_id, "Task launched");
        self.tasks.insert(task_id.clone());
        match Bootstrap::decode(task.data.as_deref().unwrap_or_default()) {
            Ok(Bootstrap { urls, authorities, ports, .. }) => {
                let compile = &mut self.settings.compile;
                compile.variables = with_ports(ports, compile.variables.clone());
                if urls.is_empty() {
                    info!("The task does not say where the scheduler is; a message will");
                } else {
                    self.access.send_modify(|access| {
                        // What a Wake said is newer.
                        if access.token.is_empty() {
                            (access.urls, access.authorities) = (urls, authorities);
                        }
                    });
                }
            }
            Err(error) => {
                warn!(%error, "The task's data cannot be read; a message will say where the scheduler is")
            }
        }
        if self.working.is_none() {
            match self.start().await {
                Ok(working) => self.working = Some(working),
                Err(error) => {
                    self.fail(&crate::error_chain(&error)).await;
                    return Err(error);
                }
            }
        }
        self.update(&task_id, TaskState::TaskRunning, "");
        Ok(())
    }

    async fn start(&self) -> Result<Working, AgentError> {
        let (executor, about) = match &self.about {
            Some((executor, about)) => (Some(executor), Some(about)),
            None => (None, None),
        };
        let hostname = about.map(|about| about.hostname.clone()).unwrap_or_default();
        let host_root = &self.settings.host_root;
        let endpoint = match &self.settings.docker {
            Some(endpoint) => endpoint.clone().seen_from(host_root),
            None => endpoint(&hostname, host_root),
        };
        let daemon = tokio::time::timeout(DAEMON_ID_TIMEOUT, daemon_id(&endpoint)).await;
        let daemon = daemon.ok().flatten();
        let data_dir = match &self.settings.data_dir {
            Some(dir) => host_root.join(dir.strip_prefix("/").unwrap_or(dir)),
            None => data_dir(host_root, &self.framework_id, &endpoint, daemon.as_deref()),
        };
        info!(docker = %endpoint, data_dir = %data_dir.display(), "Starting to ship");
        let granted = |name: &str| {
            let resource = executor?.resources.iter().find(|resource| resource.name == name)?;
            resource.scalar.as_ref().map(|scalar| scalar.value)
        };
        let shipper = ShipperSettings {
            keeps_configurations: true,
            name: format!("executor {} (process {})", self.executor_id, std::process::id()),
            host_root: self.settings.host_root.clone(),
            docker: Some(endpoint.clone()),
            mesos_work_dir: self.settings.mesos_work_dir.clone(),
            machine: Machine {
                host_name: hostname.clone(),
                agent_id: Some(self.agent_id.clone()).filter(|id| !id.is_empty()),
                target: None,
            },
            traces: OwnTraces::of_this_process(Some(self.framework_id.clone())),
            drain_timeout: self.settings.drain_timeout,
            compile: self.settings.compile.clone().with(|options| options.data_dir = Some(data_dir.clone())),
            queue_bytes: queue_bytes(granted("mem").unwrap_or(64.0)),
            disk_bytes: disk_bytes(granted("disk").unwrap_or(256.0)),
            metrics_bind: self.settings.metrics_bind.clone(),
            ..ShipperSettings::new(&data_dir)
        };
        let discovery = DockerDiscovery::new(endpoint, self.settings.host_root.clone());
        let discovery: Arc<dyn ContainerDiscovery> = Arc::new(discovery);
        let shipper = Shipper::start(shipper, discovery);
        let hello = Hello {
            framework_id: self.framework_id.clone(),
            agent_id: self.agent_id.clone(),
            executor_id: self.executor_id.clone(),
            hostname,
            token: String::new(),
            set_version: String::new(),
            data_dir: data_dir.display().to_string(),
            docker_daemon_id: daemon.unwrap_or_default(),
            pid: std::process::id(),
            build: self.settings.build.clone(),
        };
        let session = tokio::spawn(session::keep(hello, shipper.handle().clone(), self.accessed.clone()));
        Ok(Working { shipper, session })
    }

    fn message(&self, data: &[u8]) {
        match Wake::decode(data) {
            Ok(wake) if !wake.urls.is_empty() => {
                self.access.send_if_modified(|access| {
                    let new = Access { urls: wake.urls, token: wake.token, authorities: wake.authorities };
                    let news = *access != new;
                    *access = new;
                    news
                });
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "A message of the scheduler cannot be read"),
        }
    }

    /// Waits until the shipper gives up.
    async fn ended(&mut self) -> Result<(), ShipperError> {
        match &mut self.working {
            Some(working) => working.shipper.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Delivers what is on its way, says goodbye, all within `grace`.
    async fn end(mut self, grace: Duration, why: &str) -> Result<(), AgentError> {
        let begun = tokio::time::Instant::now();
        if let Some(working) = self.working.take() {
            working.session.abort();
            working.shipper.stop(grace.saturating_sub(LAST_UPDATES)).await;
        }
        for task_id in &self.tasks {
            self.update(task_id, TaskState::TaskKilled, why);
        }
        let left = grace.saturating_sub(begun.elapsed()).max(Duration::from_millis(200));
        let _the_agent_may_be_gone = tokio::time::timeout(left, self.handle.flushed()).await;
        info!(reason = why, "Ended");
        Ok(())
    }

    async fn fail(&self, why: &str) {
        for task_id in &self.tasks {
            self.update(task_id, TaskState::TaskFailed, why);
        }
        let _the_agent_may_be_gone =
            tokio::time::timeout(Duration::from_secs(3), self.handle.flushed()).await;
    }

    fn update(&self, task_id: &str, state: TaskState, message: &str) {
        let status = TaskStatus {
            task_id: TaskId { value: task_id.to_owned() },
            state: state.into(),
            message: (!message.is_empty()).then(|| message.chars().take(500).collect()),
            ..TaskStatus::default()
        };
        if let Err(error) = self.handle.update(status) {
            warn!(%error, %task_id, "Update could not be sent");
        }
    }
}

/// Three sixteenths of what Mesos granted are for queues: of 64 MB, so much that 40 configurations stay below it while all
/// are busy (`forty_configurations_at_work_hold_no_more_than_was_granted`).
fn queue_bytes(mem_megabytes: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to whole megabytes")]
    let megabytes = (mem_megabytes * 3.0 / 16.0).clamp(4.0, 4096.0) as usize;
    megabytes << 20
}

/// What Mesos granted is for queues; the rest that is kept is small.
fn disk_bytes(disk_megabytes: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to whole megabytes")]
    let megabytes = disk_megabytes.clamp(0.0, f64::from(u32::MAX)) as u64;
    megabytes << 20
}

fn endpoint(hostname: &str, host_root: &Path) -> DockerEndpoint {
    let local = DockerEndpoint::local().seen_from(host_root);
    if local.exists() || hostname.is_empty() { local } else { DockerEndpoint::of_agent(hostname) }
}

/// On the machine, outside the sandbox, one for each daemon. The id that a daemon last had is noted, so
/// that one that is away for a moment does not make us forget the positions.
fn data_dir(
    host_root: &Path,
    framework_id: &str,
    endpoint: &DockerEndpoint,
    daemon: Option<&str>,
) -> PathBuf {
    let base = host_root.join("var/lib/logstash-mesos").join(file_name(framework_id));
    let note = base.join(format!("daemon-at-{}", file_name(&endpoint.to_string())));
    if let Some(id) = daemon {
        let id = file_name(id);
        let noted = std::fs::create_dir_all(&base).and_then(|()| std::fs::write(&note, &id));
        if let Err(error) = noted {
            warn!(%error, path = %note.display(), "The id of the Docker daemon could not be noted");
        }
        let dir = base.join(id);
        // What was read of the machine's files while the daemon had never been seen.
        let without = base.join(WITHOUT_DOCKER);
        if without.exists() && !dir.exists() {
            let moved = std::fs::rename(&without, &dir);
            info!(?moved, data_dir = %dir.display(), "Positions made without Docker are taken over");
        }
        return dir;
    }
    match std::fs::read_to_string(&note) {
        Ok(id) if !id.trim().is_empty() => base.join(file_name(id.trim())),
        _ => base.join(WITHOUT_DOCKER),
    }
}

const WITHOUT_DOCKER: &str = "without-docker";

fn file_name(text: &str) -> String {
    let name: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    if name.starts_with('.') { format!("-{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_is_named_after_framework_and_daemon_and_remembered() {
        let root = tempfile::tempdir().unwrap();
        let endpoint: DockerEndpoint = "unix:///run/d.sock".parse().unwrap();
        let without = data_dir(root.path(), "f-0001", &endpoint, None);
        assert!(without.ends_with("var/lib/logstash-mesos/f-0001/without-docker"));
        std::fs::create_dir_all(&without).unwrap();
        std::fs::write(without.join("positions.json"), "x").unwrap();
        let with = data_dir(root.path(), "f-0001", &endpoint, Some("ABCD:EFGH"));
        assert!(with.join("positions.json").exists());
        assert!(with.ends_with("var/lib/logstash-mesos/f-0001/ABCD-EFGH"));
        assert_eq!(data_dir(root.path(), "f-0001", &endpoint, None), with);
    }
}
