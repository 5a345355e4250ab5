//! What every [`ContainerDiscovery`] must do.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::discovery::{Container, ContainerDiscovery, ContainerState, DaemonState, Discovered};

/// Makes and ends containers where the discovery under test will find them.
#[async_trait]
pub trait World: Send + Sync {
    /// Starts a container of this name.
    async fn start(&self, name: &str);

    /// Has its processes end; it stays there.
    async fn end(&self, name: &str);

    /// Removes the container `name`.
    async fn remove(&self, name: &str);
}

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs every clause. `world` has no container of the names used here: `conformance-…`.
///
/// # Panics
///
/// Where the discovery breaks the contract.
pub async fn conformance(discovery: Arc<dyn ContainerDiscovery>, world: &dyn World) {
    what_is_there_already_is_in_the_first_picture(&discovery, world).await;
    the_life_of_a_container_is_followed(&discovery, world).await;
    it_ends_when_it_is_told_to_and_runs_again(&discovery, world).await;
}

async fn what_is_there_already_is_in_the_first_picture(
    discovery: &Arc<dyn ContainerDiscovery>,
    world: &dyn World,
) {
    world.start("conformance-early").await;
    let mut running = Running::start(discovery);
    let first = running.when(|picture| matches!(picture.daemon, DaemonState::Connected { .. })).await;
    let found = named(&first, "conformance-early").expect("the first picture is complete");
    assert!(matches!(found.state, ContainerState::Running { .. }), "{found:?}");
    running.stop().await;
    world.remove("conformance-early").await;
}

async fn the_life_of_a_container_is_followed(discovery: &Arc<dyn ContainerDiscovery>, world: &dyn World) {
    let mut running = Running::start(discovery);
    world.start("conformance-life").await;
    let lives = |picture: &Discovered| {
        named(picture, "conformance-life")
            .is_some_and(|found| matches!(found.state, ContainerState::Running { .. }))
    };
    let alive = running.when(lives).await;
    let alive = named(&alive, "conformance-life").expect("it was just there");
    world.end("conformance-life").await;
    let ended = running
        .when(|picture| {
            named(picture, "conformance-life").is_some_and(|found| found.state == ContainerState::Exited)
        })
        .await;
    let ended = named(&ended, "conformance-life").expect("it was just there");
    assert_eq!(ended.id, alive.id);
    assert_eq!(ended.layers, alive.layers, "what was learned of the layers stays");
    assert_eq!(ended.log, alive.log, "what was learned of the log stays");
    world.start("conformance-life").await;
    let again = running.when(lives).await;
    let again = named(&again, "conformance-life").expect("it was just there");
    assert_eq!(again.id, alive.id);
    assert_ne!(again.started_at, alive.started_at, "one life is told from the next");
    world.remove("conformance-life").await;
    running.when(|picture| named(picture, "conformance-life").is_none()).await;
    running.stop().await;
}

async fn it_ends_when_it_is_told_to_and_runs_again(
    discovery: &Arc<dyn ContainerDiscovery>,
    world: &dyn World,
) {
    let running = Running::start(discovery);
    running.stop().await;
    world.start("conformance-again").await;
    let mut running = Running::start(discovery);
    running.when(|picture| named(picture, "conformance-again").is_some()).await;
    running.stop().await;
    world.remove("conformance-again").await;
}

struct Running {
    picture: watch::Receiver<Arc<Discovered>>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(discovery: &Arc<dyn ContainerDiscovery>) -> Self {
        let (sender, picture) = watch::channel(Arc::new(Discovered::default()));
        let shutdown = CancellationToken::new();
        let (discovery, until) = (Arc::clone(discovery), shutdown.clone());
        let task = tokio::spawn(async move {
            discovery.run(sender, until).await.expect("the discovery can work");
        });
        Self { picture, shutdown, task }
    }

    async fn when(&mut self, holds: impl Fn(&Discovered) -> bool) -> Arc<Discovered> {
        let found = tokio::time::timeout(PATIENCE, self.picture.wait_for(|picture| holds(picture))).await;
        Arc::clone(&*found.expect("the picture changes in time").expect("the discovery goes on"))
    }

    async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended.expect("it ends in time").expect("it does not panic");
    }
}

fn named(picture: &Discovered, name: &str) -> Option<Arc<Container>> {
    picture.containers.values().find(|container| container.name == name).cloned()
}
