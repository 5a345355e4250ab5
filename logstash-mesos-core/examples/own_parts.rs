//! A container discovery and an output of one's own: the containers are directories, and their lines come back to this
//! program.
//!
//! `cargo run -p logstash-mesos-core --example own_parts -- /var/lib/machines`

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use logstash_mesos_core::configs::{ConfigSet, Configuration};
use logstash_mesos_core::discovery::{
    Container, ContainerDiscovery, ContainerState, DaemonState, Discovered, DiscoveryError, Layers,
};
use logstash_mesos_core::event::{Event, FieldReference};
use logstash_mesos_core::pipeline::plugin::{
    Build, BuildContext, BuildError, EncodeError, MakeOutput, Output, PluginSpec, settings::Settings,
};
use logstash_mesos_core::sink::{Delivered, LogSink, RecordBatch, SinkError};
use logstash_mesos_core::{Shipper, pipeline};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Finds containers that are directories, as those of systemd-nspawn below `/var/lib/machines`.
#[derive(Debug)]
struct Machines {
    directory: PathBuf,
}

#[async_trait]
impl ContainerDiscovery for Machines {
    async fn run(
        &self,
        picture: watch::Sender<Arc<Discovered>>,
        shutdown: CancellationToken,
    ) -> Result<(), DiscoveryError> {
        loop {
            let found = std::fs::read_dir(&self.directory).into_iter().flatten().flatten().map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                let layers = Some(Layers { upper: entry.path(), lower: Vec::new() });
                let state = ContainerState::Exited; // Whether it runs, this discovery does not know.
                let machine =
                    Container { state, layers, ..Container::new(name.as_str(), name.as_str(), "machine") };
                (machine.id.clone(), Arc::new(machine))
            });
            let daemon = DaemonState::Connected { id: self.directory.display().to_string() };
            let containers = found.collect();
            picture.send_replace(Arc::new(Discovered { daemon, containers, ..Discovered::default() }));
            let pause = tokio::time::sleep(Duration::from_secs(1));
            if shutdown.run_until_cancelled(pause).await.is_none() {
                return Ok(());
            }
        }
    }
}

/// Ships `/var/log/app.log` of every machine in `directory` until so many lines have come back.
pub(crate) async fn ship(
    directory: &Path,
    data_dir: &Path,
    lines: usize,
) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let input = r#"input { file { docker-path => "/var/log/app.log" } }"#;
    let shipper = Shipper::builder(data_dir)
        .containers(Arc::new(Machines { directory: directory.to_owned() }))
        .configuration(Configuration::docker("machine", input))
        .default_output("output { remember { } }")
        .settings(|settings| settings.compile.catalog = pipeline::catalog().with([&REMEMBER]))
        .start()
        .await?;
    let arrived = || ARRIVED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    while arrived().len() < lines {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Configurations may change at any time; here all of them go.
    shipper.handle().apply(ConfigSet::default()).await?;
    shipper.stop(Duration::from_secs(5)).await;
    Ok(arrived())
}

/// What has arrived. A program with several shippers would give each a place of its own.
static ARRIVED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Its line in a configuration: `output { remember { } }`.
static REMEMBER: PluginSpec = PluginSpec {
    name: "remember",
    doc: "Remembers the message of each event.",
    settings: &[],
    build: Build::Output(&MakeOutput::new(remember)),
};

fn remember(_: &Settings, _: &BuildContext) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(Remember))
}

/// Encodes events on the workers of a pipeline, and transports what was encoded.
#[derive(Debug)]
struct Remember;

impl Output for Remember {
    fn encode(&mut self, event: &Event, batch: &mut RecordBatch) -> Result<(), EncodeError> {
        let message = event.get_text(&FieldReference::field("message")).ok_or("there is no `message`")?;
        batch.body.extend_from_slice(message.as_bytes());
        batch.finish_record(None);
        Ok(())
    }

    fn fork(&self) -> Box<dyn Output> {
        Box::new(Self)
    }

    fn sink(&self) -> Arc<dyn LogSink> {
        Arc::new(Self)
    }
}

#[async_trait]
impl LogSink for Remember {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    /// `Ok` says that every record is safe here, and lets the positions of its lines move.
    async fn deliver(&self, batch: &Arc<RecordBatch>) -> Result<Delivered, SinkError> {
        let mut arrived = ARRIVED.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.extend((0..batch.len()).map(|at| String::from_utf8_lossy(batch.bytes(at)).into_owned()));
        Ok(Delivered::default())
    }
}

#[allow(
    dead_code,
    clippy::print_stdout,
    reason = "an example speaks to its reader; the tests include this file"
)]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let machines = std::env::args().nth(1).ok_or("which directory? own_parts DIRECTORY")?;
    println!("{:?}", ship(Path::new(&machines), Path::new("/tmp/own-parts-example"), 1).await?);
    Ok(())
}
