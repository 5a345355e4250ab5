//! `--mesos-master local`: a cluster in this process, and something to look at.

use super::error::RunError;
use super::lead::Lead;
use super::settings::{ExecutorProgram, Master, Settings};
use crate::configs::{Author, Configuration, Precondition};
use crate::local::{Cluster, LocalSettings};
use crate::store::StateUrl;
use mesos_v1::endpoint::{DEFAULT_MASTER_PORT, Endpoint};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncSeekExt, BufReader};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A local cluster with its sample.
#[derive(Debug)]
pub(super) struct Trial {
    cluster: Cluster,
    dir: PathBuf,
    output: PathBuf,
}

impl Trial {
    /// Starts the cluster and changes the settings to use it.
    pub(super) async fn start(settings: &mut Settings) -> Result<Self, RunError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| RunError::Local(error);
        let dir = match &settings.state {
            StateUrl::File(dir) => dir.join("local"),
            StateUrl::Memory | StateUrl::ZooKeeper(_) | StateUrl::Etcd(_) => {
                std::env::temp_dir().join(format!("logstash-mesos-local-{}", std::process::id()))
            }
        };
        fs::create_dir_all(&dir).map_err(|e| failed(e.into()))?;
        let dir = dir.canonicalize().map_err(|e| failed(e.into()))?;
        let mut local = LocalSettings::new(dir.join("agent"));
        let data_dir = dir.join("data").display().to_string();
        local.executor_environment.insert("LOGSTASH_MESOS_DATA_DIR".to_owned(), data_dir);
        if Path::new(DOCKER_SOCKET).exists() {
            local.executor_environment.insert("DOCKER_HOST".to_owned(), format!("unix://{DOCKER_SOCKET}"));
        }
        // The agent is on this machine, and its fetcher believes no authority but the usual ones.
        if let (Some(_), ExecutorProgram::Served(path)) = (&settings.http_tls.identity, &settings.executor) {
            let path = path.canonicalize().unwrap_or_else(|_| path.clone());
            settings.executor = ExecutorProgram::Command(path.display().to_string());
        }
        let cluster = Cluster::start(local).await.map_err(|e| failed(e.into()))?;
        let master = Endpoint::parse(&cluster.address().to_string(), DEFAULT_MASTER_PORT);
        settings.master = Master::Endpoints(vec![master.map_err(|e| failed(e.into()))?]);
        let output = dir.join("events.json");
        if !settings.default_output.contains("elasticsearch") {
            let path = output.display();
            settings.default_output =
                format!("output {{ file {{ path => \"{path}\" codec => json_lines }} }}\n");
        }
        Ok(Self { cluster, dir, output })
    }

    /// Starts the sample, unless there is a configuration already; tells each event that arrives.
    pub(super) async fn show(
        &self,
        scheduler: &Lead,
        events: mpsc::Sender<String>,
        stop: &CancellationToken,
    ) {
        let registry = scheduler.shared.registry();
        let log = self.dir.join("sample/access.log");
        let only_sample = registry.snapshot().entries.keys().all(|key| key.name == SAMPLE || key.name == ALL);
        if only_sample && registry.snapshot().problems.is_empty() {
            let input = SAMPLE_CONFIGURATION.replace("{path}", &log.display().to_string());
            let mut samples = vec![Configuration::host(SAMPLE, input)];
            if Path::new(DOCKER_SOCKET).exists() {
                samples.push(Configuration::docker(ALL, ALL_CONFIGURATION));
            }
            for sample in samples {
                if let Err(error) =
                    registry.put(sample, Precondition::default(), &Author::part("sample")).await
                {
                    tracing::warn!(
                        error = crate::error_chain(&error),
                        "The sample configuration is not used"
                    );
                }
            }
            tokio::spawn(write_sample(log.clone(), stop.clone()));
            tracing::info!(log = %log.display(), "A sample log is written, rotated every 200 lines and shipped");
        }
        tracing::info!(
            page = format!("{}/", scheduler.shared.url()),
            status = format!("{}/api/status", scheduler.shared.url()),
            events = %self.output.display(),
            "Try it: change the configuration on the page, end with Ctrl-C"
        );
        tokio::spawn(follow(self.output.clone(), events, stop.clone()));
    }

    /// Ends the executor, too: nothing of a trial stays behind but files.
    pub(super) async fn end(self) {
        self.cluster.shutdown().await;
    }
}

/// Three lines a second, as a web server has them, renamed away every 200 lines.
async fn write_sample(path: PathBuf, stop: CancellationToken) {
    let mut lines = 0_u64;
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(333)) => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = write_line(&path, lines) {
            tracing::warn!(%error, path = %path.display(), "Cannot write the sample log");
            return;
        }
        lines += 1;
    }
}

fn write_line(path: &Path, n: u64) -> io::Result<()> {
    if n.is_multiple_of(200) {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        match fs::rename(path, path.with_extension("log.1")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    let pages = ["/", "/index.html", "/login", "/api/orders?page=2", "/missing"];
    let page = pages[usize::try_from(n).unwrap_or_default() % pages.len()];
    let status = if page == "/missing" { 404 } else { 200 };
    let time = jiff::Zoned::now().strftime("%d/%b/%Y:%H:%M:%S %z").to_string();
    let mut file: File = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(
        file,
        "192.0.2.{} - - [{time}] \"GET {page} HTTP/1.1\" {status} {} \"-\" \"sample/{n}\"",
        n % 250 + 1,
        500 + n % 4000
    )
}

/// Tells every line that is appended to the file from now on.
async fn follow(path: PathBuf, events: mpsc::Sender<String>, stop: CancellationToken) {
    let mut reader = loop {
        match tokio::fs::File::open(&path).await {
            Ok(mut file) => {
                // What an earlier trial left is not news.
                let _ = file.seek(io::SeekFrom::End(0)).await;
                break BufReader::new(file);
            }
            // It is made with the first event: begin at its beginning.
            Err(_) => tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(200)) => {
                    if let Ok(file) = tokio::fs::File::open(&path).await {
                        break BufReader::new(file);
                    }
                }
                () = stop.cancelled() => return,
            },
        }
    };
    let mut line = String::new();
    loop {
        match reader.read_line(&mut line).await {
            Ok(0) => tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
                () = stop.cancelled() => return,
            },
            Ok(_) if line.ends_with('\n') => {
                if events.send(std::mem::take(&mut line).trim_end().to_owned()).await.is_err() {
                    return;
                }
            }
            // The rest of the line follows.
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// Matches every image.
const ALL: &str = "*";
const ALL_CONFIGURATION: &str =
    "# A sample: what every container writes to its standard output and error.\ninput { docker { } }\n";
const SAMPLE: &str = "sample";
const SAMPLE_CONFIGURATION: &str = r#"# A sample: what a web server wrote, taken apart.
input {
  file { host-path => "{path}" }
}
filter {
  grok { match => { "message" => "%{COMBINEDAPACHELOG}" } }
  date { match => [ "timestamp", "dd/MMM/yyyy:HH:mm:ss Z" ] }
}
"#;
