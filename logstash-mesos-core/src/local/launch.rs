//! Starts an executor as an agent does: sandbox, fetching, environment, process.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use mesos_v1::endpoint::Endpoint;
use mesos_v1::proto::{CommandInfo, ExecutorInfo, FrameworkId, command_info};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::LocalSettings;
use super::state::ExecutorKey;

/// A download that stands still for this long has failed.
const FETCH_STALL: Duration = Duration::from_secs(60);

/// Search path of executors: that of the agent is not theirs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What to start.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) key: ExecutorKey,
    pub(super) agent_id: String,
    pub(super) mesos_container_id: String,
    pub(super) info: ExecutorInfo,
    pub(super) checkpoint: bool,
    pub(super) kill: CancellationToken,
}

/// How an executor ended.
#[derive(Debug)]
pub(super) enum End {
    /// No process came about.
    NotStarted { text: String },
    /// The process ended.
    Exited { wait_status: i32, text: String },
}

/// Fills in what the master fills in, so that two definitions can be compared.
pub(super) fn completed(info: &ExecutorInfo, framework_id: &str) -> ExecutorInfo {
    let framework_id = Some(FrameworkId { value: framework_id.to_owned() });
    ExecutorInfo { framework_id, ..info.clone() }
}

/// Runs an executor from the download to its end.
pub(super) async fn run(inner: Arc<Inner>, start: Start) {
    let end = match run_process(&inner, &start).await {
        Ok(end) => end,
        Err(text) => End::NotStarted { text },
    };
    let (End::NotStarted { text } | End::Exited { text, .. }) = &end;
    tracing::info!(executor_id = %start.key.1, how = %text, "Executor of the local cluster ended");
    inner.with_state(|state| state.executor_ended(&start.key, &end));
}

async fn run_process(inner: &Inner, start: &Start) -> Result<End, String> {
    if start
        .info
        .container
        .as_ref()
        .is_some_and(|container| container.docker.is_some() || container.mesos.is_some())
    {
        return Err("the local cluster runs no images; use --executor-command or the default".to_owned());
    }
    let command = start.info.command.clone().unwrap_or_default();
    let sandbox =
        make_sandbox(&inner.settings, start).await.map_err(|error| format!("no sandbox: {error}"))?;
    let fetched = tokio::select! {
        fetched = fetch_all(&command.uris, &sandbox) => fetched,
        () = start.kill.cancelled() => Err("killed while it was fetched".to_owned()),
        () = inner.stop.cancelled() => Err("the local cluster ends".to_owned()),
    };
    fetched?;
    let mut process = spawn(inner, start, &command, &sandbox).await?;
    let group = process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let kill_group = || {
        if let Some(group) = group {
            // Gone already, in the best case.
            let _ = kill_process_group(group, Signal::KILL);
        }
    };
    let status = tokio::select! {
        status = process.wait() => status,
        () = start.kill.cancelled() => { kill_group(); process.wait().await }
        () = inner.stop.cancelled() => { kill_group(); process.wait().await }
    };
    // Whatever it has left behind goes with its container.
    kill_group();
    let status = status.map_err(|error| format!("cannot wait for it: {error}"))?;
    Ok(End::Exited { wait_status: status.into_raw(), text: format!("executor ended: {status}") })
}

async fn make_sandbox(settings: &LocalSettings, start: &Start) -> std::io::Result<PathBuf> {
    let executor = settings
        .work_dir
        .join("slaves")
        .join(&start.agent_id)
        .join("frameworks")
        .join(&start.key.0)
        .join("executors")
        .join(&start.key.1);
    let runs = executor.join("runs");
    let sandbox = runs.join(&start.mesos_container_id);
    tokio::fs::create_dir_all(&sandbox).await?;
    let latest = runs.join("latest");
    let _ = tokio::fs::remove_file(&latest).await;
    tokio::fs::symlink(&sandbox, &latest).await?;
    Ok(sandbox)
}

async fn spawn(
    inner: &Inner,
    start: &Start,
    command: &CommandInfo,
    sandbox: &Path,
) -> Result<tokio::process::Child, String> {
    let value = command.value.clone().ok_or("the executor's command has no value")?;
    let mut process = if command.shell() {
        let mut process = Command::new("/bin/sh");
        process.args(["-c", &value]);
        process
    } else {
        // Relative to the sandbox, and not to the directory we are in.
        let program = if value.contains('/') { sandbox.join(&value) } else { PathBuf::from(&value) };
        let mut process = Command::new(program);
        // The first argument is argv[0], as in the Mesos containerizer (facts 7.1).
        if let Some((name, arguments)) = command.arguments.split_first() {
            process.arg0(name).args(arguments);
        }
        process
    };
    let output = |name: &str| {
        let file = std::fs::File::options().create(true).append(true).open(sandbox.join(name));
        file.map(Stdio::from).map_err(|error| format!("no {name} in the sandbox: {error}"))
    };
    process
        .env_clear()
        .env("PATH", PATH)
        .envs(environment(inner, start, sandbox))
        .envs(&inner.settings.executor_environment);
    for variable in command.environment.iter().flat_map(|environment| &environment.variables) {
        process.env(&variable.name, variable.value());
    }
    process
        .current_dir(sandbox)
        .stdin(Stdio::null())
        .stdout(output("stdout")?)
        .stderr(output("stderr")?)
        .process_group(0)
        .kill_on_drop(true);
    process.spawn().map_err(|error| format!("cannot run `{value}`: {error}"))
}

/// What an agent tells an executor (facts 3.3).
fn environment(inner: &Inner, start: &Start, sandbox: &Path) -> Vec<(&'static str, String)> {
    let settings = &inner.settings;
    let grace =
        super::state::duration(start.info.shutdown_grace_period.as_ref()).unwrap_or(settings.shutdown_grace);
    let millis = |duration: Duration| format!("{}ms", duration.as_millis());
    let mut variables = vec![
        ("MESOS_FRAMEWORK_ID", start.key.0.clone()),
        ("MESOS_EXECUTOR_ID", start.key.1.clone()),
        ("MESOS_SLAVE_ID", start.agent_id.clone()),
        ("MESOS_SLAVE_PID", format!("slave(1)@{}", inner.address)),
        ("MESOS_AGENT_ENDPOINT", inner.address.to_string()),
        ("MESOS_DIRECTORY", sandbox.display().to_string()),
        ("MESOS_SANDBOX", sandbox.display().to_string()),
        ("MESOS_CHECKPOINT", if start.checkpoint { "1" } else { "0" }.to_owned()),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", millis(grace)),
        ("LIBPROCESS_PORT", "0".to_owned()),
    ];
    if start.checkpoint {
        variables.push(("MESOS_RECOVERY_TIMEOUT", millis(settings.recovery_timeout)));
        variables.push(("MESOS_SUBSCRIPTION_BACKOFF_MAX", millis(settings.executor_reregistration_timeout)));
    }
    variables
}

async fn fetch_all(uris: &[command_info::Uri], sandbox: &Path) -> Result<(), String> {
    for uri in uris {
        fetch(uri, sandbox).await.map_err(|error| format!("failed to fetch {}: {error}", uri.value))?;
    }
    Ok(())
}

async fn fetch(uri: &command_info::Uri, sandbox: &Path) -> Result<(), String> {
    let path = uri.value.split(['?', '#']).next().unwrap_or_default();
    let base = path.rsplit('/').next().filter(|name| !name.is_empty() && *name != "..");
    let name = uri.output_file.as_deref().or(base).ok_or("it names no file")?;
    if Path::new(name).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
        return Err(format!("`{name}` leads out of the sandbox"));
    }
    let archive = [".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".zip"];
    if uri.extract() && !uri.executable() && archive.iter().any(|end| path.ends_with(end)) {
        return Err("the local cluster extracts no archives".to_owned());
    }
    let target = sandbox.join(name);
    if let Some(directory) = target.parent() {
        tokio::fs::create_dir_all(directory).await.map_err(|error| error.to_string())?;
    }
    if uri.value.starts_with("http://") {
        download(&uri.value, &target).await?;
    } else {
        let source = uri.value.strip_prefix("file://").unwrap_or(&uri.value);
        if !source.starts_with('/') {
            return Err("only http://, file:// and absolute paths can be fetched".to_owned());
        }
        tokio::fs::copy(source, &target).await.map_err(|error| error.to_string())?;
    }
    if uri.executable() {
        let mode = std::fs::Permissions::from_mode(0o755);
        tokio::fs::set_permissions(&target, mode).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn download(url: &str, target: &Path) -> Result<(), String> {
    let endpoint = Endpoint::parse(url, 80).map_err(|error| error.to_string())?;
    let uri: http::Uri = url.parse().map_err(|error| format!("{error}"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let stalled = |_| "it stands still".to_owned();
    let connect = TcpStream::connect((endpoint.host(), endpoint.port()));
    let stream = tokio::time::timeout(FETCH_STALL, connect).await.map_err(stalled)?;
    let stream = stream.map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let request = http::Request::get(path)
        .header(http::header::HOST, endpoint.authority())
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = tokio::time::timeout(FETCH_STALL, sender.send_request(request)).await.map_err(stalled)?;
    let response = response.map_err(|error| error.to_string())?;
    if !response.status().is_success() {
        return Err(format!("status {}", response.status()));
    }
    let mut file = tokio::fs::File::create(target).await.map_err(|error| error.to_string())?;
    let mut body = response.into_body();
    while let Some(frame) = tokio::time::timeout(FETCH_STALL, body.frame()).await.map_err(stalled)? {
        let frame = frame.map_err(|error| error.to_string())?;
        if let Some(data) = frame.data_ref() {
            file.write_all(data).await.map_err(|error| error.to_string())?;
        }
    }
    // Written out before it is run: a file open for writing cannot be.
    file.flush().await.map_err(|error| error.to_string())?;
    drop(file.into_std().await);
    connection.abort();
    Ok(())
}
