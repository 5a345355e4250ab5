//! Which containers are on this machine, and what is known of each.

mod container;
#[cfg(feature = "docker")]
mod docker;
mod endpoint;
mod fixed;
pub mod mesos_task;
#[cfg(feature = "sandboxes")]
mod sandbox;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use container::{
    Container, ContainerId, ContainerState, IGNORE_LABEL, Layers, LogDriver, MesosTask, Mount, Sandbox,
};
#[cfg(feature = "docker")]
pub use docker::{DockerDiscovery, daemon_id};
pub use endpoint::DockerEndpoint;
pub use fixed::FixedDiscovery;
#[cfg(feature = "sandboxes")]
pub use sandbox::{SandboxDiscovery, work_dir_of};

/// Finds the containers of one machine and keeps the picture current.
///
/// # Contract
///
/// - The picture is a level, not a stream of changes: `run` publishes the whole [`Discovered`] whenever
///   something differs, and a reader that was slow sees the newest one.
/// - What is published is complete: containers that run, those that have exited and are not removed yet,
///   and none that are gone. The first picture is published as soon as it is known.
/// - What was learned of a container while it ran (its layers, its log path) stays in the picture after
///   it has exited.
/// - When the daemon does not answer, the containers stay as they were last seen and
///   [`Discovered::daemon`] says since when and why. `run` goes on trying; it never ends because of that.
///
/// # Cancellation safety
///
/// A dropped `run` stops publishing and leaves nothing behind. It may be called again.
///
/// # Errors
///
/// [`DiscoveryError`] for what can never work, such as an address that is none. A daemon that is away is
/// no error.
///
/// # Implementing
///
/// Run `testing::container_discovery::conformance` against your discovery from one test.
#[async_trait]
pub trait ContainerDiscovery: std::fmt::Debug + Send + Sync + 'static {
    /// Publishes to `picture` until `shutdown` is cancelled.
    async fn run(
        &self,
        picture: watch::Sender<Arc<Discovered>>,
        shutdown: CancellationToken,
    ) -> Result<(), DiscoveryError>;
}

/// The containers of a machine at one moment.
#[derive(Clone, Debug, Default)]
pub struct Discovered {
    /// How it stands with the daemon that was asked.
    pub daemon: DaemonState,
    /// How it stands with the sandboxes of a Mesos agent.
    pub sandboxes: SandboxState,
    /// Every container by its id.
    pub containers: BTreeMap<ContainerId, Arc<Container>>,
}

/// How it stands with the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DaemonState {
    /// Nothing was heard yet.
    #[default]
    Unknown,
    /// It answers, and the picture is its own.
    Connected {
        /// What it calls itself; stays the same as long as its data does.
        id: String,
    },
    /// It does not answer.
    Unreachable {
        /// What happened, with the address and a remedy.
        reason: String,
    },
}

/// How it stands with the sandboxes of a Mesos agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SandboxState {
    /// Nobody looks for them.
    #[default]
    Unused,
    /// All that are there are in the picture.
    Seen,
    /// They cannot be listed.
    Unreadable {
        /// What happened, with the directory and a remedy.
        reason: String,
    },
}

/// Discovery can never work like this.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The address of the daemon cannot be right.
    #[error(
        "`{address}` is no address of a Docker daemon: {reason}; give unix://PATH, tcp://HOST:PORT or http://HOST:PORT"
    )]
    Address {
        /// The address as it was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
}
