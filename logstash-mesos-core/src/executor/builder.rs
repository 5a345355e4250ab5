//! A shipper in a few lines, for whoever embeds it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::run::{Shipper, ShipperError};
use super::settings::ShipperSettings;
use crate::configs::{ConfigSet, Configuration};
use crate::discovery::ContainerDiscovery;

/// Prepares a [`Shipper`].
#[derive(Debug)]
pub struct ShipperBuilder {
    settings: ShipperSettings,
    containers: Option<Arc<dyn ContainerDiscovery>>,
    configurations: Vec<Configuration>,
    default_output: String,
}

impl Shipper {
    /// Prepares a shipper that keeps its positions in `data_dir`, which one process uses at a time.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), logstash_mesos_core::ShipperError> {
    /// use logstash_mesos_core::{Configuration, Shipper};
    ///
    /// let shipper = Shipper::builder("/var/lib/my-program")
    ///     .configuration(Configuration::docker("nginx*", "input { docker { } }"))
    ///     .default_output("output { stdout { codec => json_lines } }")
    ///     .start()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn builder(data_dir: impl Into<PathBuf>) -> ShipperBuilder {
        ShipperBuilder {
            settings: ShipperSettings::new(data_dir),
            containers: None,
            configurations: Vec::new(),
            default_output: String::new(),
        }
    }
}

impl ShipperBuilder {
    /// Ships by `configuration` too.
    #[must_use]
    pub fn configuration(mut self, configuration: Configuration) -> Self {
        self.configurations.push(configuration);
        self
    }

    /// Logstash configuration text with the `output` section for configurations that have none.
    #[must_use]
    pub fn default_output(mut self, text: impl Into<String>) -> Self {
        self.default_output = text.into();
        self
    }

    /// Ships the containers that `discovery` finds. Without this, those of the Docker daemon at its usual socket, if
    /// the feature `docker` is on, and otherwise only files of the machine.
    #[must_use]
    pub fn containers(mut self, discovery: Arc<dyn ContainerDiscovery>) -> Self {
        self.containers = Some(discovery);
        self
    }

    /// Changes anything else.
    #[must_use]
    pub fn settings(mut self, change: impl FnOnce(&mut ShipperSettings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Starts it on the Tokio runtime of the caller, and returns once every configuration runs. Call
    /// [`ShipperHandle::apply`](super::ShipperHandle::apply) to have others later.
    ///
    /// While another process has the data directory nothing is read: the [report](super::ShipperHandle::report) says so.
    ///
    /// # Cancellation safety
    ///
    /// Dropping it stops what was started.
    ///
    /// # Errors
    ///
    /// [`ShipperError::Refused`] for the first configuration that cannot be used, and everything else for which it
    /// cannot work.
    pub async fn start(self) -> Result<Shipper, ShipperError> {
        let Self { mut settings, containers, configurations, default_output } = self;
        let containers = containers.unwrap_or_else(|| usual_containers(&mut settings));
        let mut shipper = Shipper::start(settings, containers);
        let set = ConfigSet::new(configurations, default_output, BTreeMap::new());
        let applied = match shipper.handle().apply(set).await {
            Ok(applied) => applied,
            // It knows better why.
            Err(ended) => return Err(shipper.ended().await.err().unwrap_or(ended)),
        };
        let refused = applied.results.into_iter().find_map(|outcome| Some((outcome.key, outcome.error?)));
        match refused {
            None => Ok(shipper),
            Some((key, source)) => {
                shipper.stop(Duration::ZERO).await;
                Err(ShipperError::Refused { key, source })
            }
        }
    }
}

#[cfg(feature = "docker")]
fn usual_containers(settings: &mut ShipperSettings) -> Arc<dyn ContainerDiscovery> {
    use crate::discovery::{DockerDiscovery, DockerEndpoint};

    let endpoint = settings.docker.get_or_insert_with(DockerEndpoint::local);
    let endpoint = endpoint.clone().seen_from(&settings.host_root);
    Arc::new(DockerDiscovery::new(endpoint, settings.host_root.clone()))
}

#[cfg(not(feature = "docker"))]
fn usual_containers(_: &mut ShipperSettings) -> Arc<dyn ContainerDiscovery> {
    Arc::new(crate::discovery::FixedDiscovery::default())
}
