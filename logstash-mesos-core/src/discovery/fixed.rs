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

    /// From now on there are these containers and no others.
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
        ..Discovered::default()
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

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::*;
    use crate::discovery::ContainerState;
    use crate::testing::container_discovery::{World, conformance};

    /// Containers that exist on paper.
    struct Paper {
        discovery: Arc<FixedDiscovery>,
        list: Mutex<(BTreeMap<String, Container>, u32)>,
    }

    impl Paper {
        fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Container>, u32)) {
            let mut list = self.list.lock().unwrap();
            list.1 += 1;
            let now = list.1;
            change(&mut list.0, now);
            self.discovery.set(list.0.values().cloned().collect());
        }
    }

    #[async_trait]
    impl World for Paper {
        async fn start(&self, name: &str) {
            self.change(|list, now| {
                let container = list
                    .entry(name.to_owned())
                    .or_insert_with(|| Container::new(format!("{now:064x}"), name, "paper"));
                container.state = ContainerState::Running { pid: 1 };
                container.started_at = now.to_string().into();
            });
        }

        async fn end(&self, name: &str) {
            self.change(|list, _| {
                if let Some(container) = list.get_mut(name) {
                    container.state = ContainerState::Exited;
                }
            });
        }

        async fn remove(&self, name: &str) {
            self.change(|list, _| {
                list.remove(name);
            });
        }
    }

    #[tokio::test]
    async fn conforms() {
        let discovery = Arc::new(FixedDiscovery::default());
        let world = Paper { discovery: Arc::clone(&discovery), list: Mutex::default() };
        conformance(discovery, &world).await;
    }
}
