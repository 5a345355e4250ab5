//! The shipper alone on one Docker host: configurations from a directory, no scheduler.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::report::{DockerReport, Report};
use super::run::{Shipper, ShipperError};
use super::settings::ShipperSettings;
use crate::configs::directory::{self, DirectoryError, FileError};
use crate::configs::{ConfigKey, ConfigSet, Configuration};
use crate::discovery::ContainerDiscovery;

/// What `ship` works with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShipSettings {
    /// Holds `docker/*.conf` and `host/*.conf`; watched.
    pub config_dir: PathBuf,
    /// Logstash configuration text with the `output` section for configurations that have none.
    pub default_output: String,
    /// Settings as executors get them from a scheduler, by their key.
    pub settings: BTreeMap<String, String>,
    /// The shipper's own.
    pub shipper: ShipperSettings,
    /// How long the end may take.
    pub shutdown_grace: Duration,
}

impl ShipSettings {
    /// Ships by the configurations in `config_dir`, which name their outputs, and drains for up to ten seconds at the end.
    pub fn new(config_dir: impl Into<PathBuf>, shipper: ShipperSettings) -> Self {
        Self {
            config_dir: config_dir.into(),
            default_output: String::new(),
            settings: BTreeMap::new(),
            shipper,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

/// Why `ship` ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShipError {
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The shipper cannot work.
    #[error(transparent)]
    Shipper(#[from] ShipperError),
}

/// How often the directory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Ships until `shutdown`, then drains.
///
/// # Errors
///
/// [`ShipError`] when it cannot work: a directory that is not there, positions that cannot be read.
pub async fn ship(
    settings: ShipSettings,
    discovery: Arc<dyn ContainerDiscovery>,
    shutdown: CancellationToken,
) -> Result<(), ShipError> {
    let mut directory = Directory::default();
    // A directory that is not there is a mistake at the start, and only a pity later.
    directory.look(&settings.config_dir)?;
    // The directory says what holds, also at the start: a file may have been deleted or corrected meanwhile.
    let own = ShipperSettings { keeps_configurations: false, ..settings.shipper.clone() };
    let mut shipper = Shipper::start(own, discovery);
    let mut reports = shipper.handle().report();
    let mut sayer = Sayer::default();
    let mut applied = None;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            ended = shipper.ended() => {
                ended?;
                return Ok(());
            }
            changed = reports.changed() => {
                if changed.is_err() {
                    continue;
                }
                sayer.say(&reports.borrow_and_update());
            }
            _ = look.tick() => {
                if let Err(error) = directory.look(&settings.config_dir) {
                    warn!(error = %crate::error_chain(&error), "Configurations stay as they are");
                    continue;
                }
                let set = directory.set(&settings);
                if applied.as_ref() != Some(&set.version) {
                    let version = set.version.clone();
                    let count = set.configurations.len();
                    match shutdown.run_until_cancelled(shipper.handle().apply(set)).await {
                        Some(applied) => applied?,
                        None => break,
                    };
                    info!(set_version = %version, count, "Configurations taken from the directory");
                    applied = Some(version);
                }
            }
        }
    }
    info!("Shutting down: what is on its way is delivered first");
    shipper.stop(settings.shutdown_grace).await;
    info!("Shut down");
    Ok(())
}

/// The directory as it was last good.
#[derive(Debug, Default)]
struct Directory {
    good: BTreeMap<ConfigKey, Configuration>,
    problems: BTreeMap<PathBuf, FileError>,
}

impl Directory {
    /// Takes over what is in the directory now. A file that cannot be used leaves its previous content in
    /// force.
    fn look(&mut self, dir: &Path) -> Result<(), DirectoryError> {
        let found = directory::scan(dir)?;
        let mut good = BTreeMap::new();
        let mut problems = BTreeMap::new();
        for file in found {
            let key = ConfigKey { kind: file.kind, name: file.name };
            match file.content {
                Ok(content) => {
                    good.insert(key, content);
                }
                Err(problem) => {
                    if self.problems.get(&file.path) != Some(&problem) {
                        warn!(path = %file.path.display(), error = %problem, "Configuration file cannot be used");
                    }
                    problems.insert(file.path, problem);
                    if let Some(before) = self.good.remove(&key) {
                        good.insert(key, before);
                    }
                }
            }
        }
        self.good = good;
        self.problems = problems;
        Ok(())
    }

    fn set(&self, settings: &ShipSettings) -> ConfigSet {
        let configurations = self.good.values().cloned().collect();
        ConfigSet::new(configurations, &*settings.default_output, settings.settings.clone())
    }
}

/// Tells the terminal what the status page of a scheduler would show.
#[derive(Debug, Default)]
struct Sayer {
    said: BTreeMap<String, (String, String)>,
    lost: u64,
    docker: DockerReport,
}

impl Sayer {
    fn say(&mut self, report: &Report) {
        for stream in &report.streams {
            let now = (stream.method.clone(), stream.reason.clone());
            if self.said.get(&stream.id) != Some(&now) {
                info!(
                    stream = %stream.id,
                    container_name = %stream.container_name,
                    path = %stream.path,
                    method = %stream.method,
                    reason = %stream.reason,
                    offset = stream.offset,
                    "Stream"
                );
                self.said.insert(stream.id.clone(), now);
            }
        }
        self.said.retain(|id, _| report.streams.iter().any(|stream| stream.id == *id));
        let lost = report.streams.iter().flat_map(|stream| stream.lost.values()).sum();
        if lost > self.lost {
            for stream in report.streams.iter().filter(|stream| !stream.lost.is_empty()) {
                warn!(stream = %stream.id, lost = ?stream.lost, "Bytes are known to be lost");
            }
        }
        self.lost = lost;
        if self.docker != report.docker {
            self.docker.clone_from(&report.docker);
            match &report.docker {
                DockerReport::Unreachable(reason) => {
                    warn!(error = %reason, "Containers cannot be seen; files of the host are read all the same");
                }
                other => info!(docker = ?other, "Docker daemon"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
