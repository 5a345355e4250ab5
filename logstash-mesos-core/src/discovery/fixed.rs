//! A list of containers that somebody else keeps: for embedders, for tests, and for machines without a daemon.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Container, ContainerDiscovery, DaemonState, Discovered, DiscoveryError};

/// Publishes the containers it is given.
///
/// ```
/// use logstash_mesos_core::discovery::FixedDiscovery;
///
/// let discovery = FixedDiscovery::default();
/// discovery.set(Vec::new()); // as often as something changes
/// ```
#[derive(Debug)]
pub struct FixedDiscovery {
    list: watch::Sender<Arc<Discovered>>,
}

impl FixedDiscovery {
    /// Starts with these containers.
    #[must_use]
    pub fn new(containers: Vec<Container>) -> Self {
        Self { list: watch::Sender::new(picture(containers)) }
    }

    /// Replaces the list.
    pub fn set(&self, containers: Vec<Container>) {
        self.list.send_replace(picture(containers));
    }
}

impl Default for FixedDiscovery {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

fn picture(containers: Vec<Container>) -> Arc<Discovered> {
    Arc::new(Discovered {
        daemon: DaemonState::Connected { id: "fixed".to_owned() },
        containers: containers
            .into_iter()
            .map(|container| (container.id.clone(), Arc::new(container)))
            .collect(),
    })
}

#[async_trait]
impl ContainerDiscovery for FixedDiscovery {
    async fn run(
        &self,
        published: watch::Sender<Arc<Discovered>>,
        shutdown: CancellationToken,
    ) -> Result<(), DiscoveryError> {
        let mut list = self.list.subscribe();
        loop {
            published.send_replace(list.borrow_and_update().clone());
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                changed = list.changed() => if changed.is_err() { return Ok(()) },
            }
        }
    }
}
