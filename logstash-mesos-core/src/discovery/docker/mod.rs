//! Containers of a Docker daemon: its stream of events, reconciled with a listing now and then.

mod answers;
mod daemon;
mod inspect;
mod looks;
mod root_mount;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::answers::{Info, Inspected, Listed};
use self::daemon::Daemon;
use self::looks::Looks;
use super::{
    Container, ContainerDiscovery, ContainerId, DaemonState, Discovered, DiscoveryError, DockerEndpoint,
};
use crate::backoff::Backoff;
use crate::checksum::checksum;
use crate::error_chain;

/// Asks a Docker daemon.
///
/// Events say when to look; a listing every `LISTING_EVERY` finds what no event told, and every fourth
/// one looks at each container again. After an outage everything is read anew, so a restart of the
/// daemon costs no more than the wait until it answers.
#[derive(Debug)]
pub struct DockerDiscovery {
    endpoint: DockerEndpoint,
    host_root: PathBuf,
}

/// Time between two listings.
const LISTING_EVERY: Duration = Duration::from_secs(15);

/// Longest time between two attempts to reach a daemon that is away.
const RETRY_AT_MOST: Duration = Duration::from_secs(15);

const LISTINGS_PER_FULL_LOOK: u32 = 4;

impl DockerDiscovery {
    /// Asks the daemon at `endpoint`; links of Mesos sandboxes are resolved below `host_root`.
    #[must_use]
    pub fn new(endpoint: DockerEndpoint, host_root: impl Into<PathBuf>) -> Self {
        Self { endpoint, host_root: host_root.into() }
    }
}

#[async_trait]
impl ContainerDiscovery for DockerDiscovery {
    async fn run(
        &self,
        picture: watch::Sender<Arc<Discovered>>,
        shutdown: CancellationToken,
    ) -> Result<(), DiscoveryError> {
        let host_root = self.host_root.clone();
        let mut known = Known { containers: BTreeMap::new(), host_root, about: About::default() };
        let mut backoff = Backoff::new(Duration::from_millis(500), RETRY_AT_MOST);
        let mut last_said: Option<(String, Instant)> = None;
        loop {
            let reason = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                reason = self.follow(&mut known, &picture, &mut backoff) => reason,
            };
            let reason = format!("docker daemon at {} does not answer: {reason}", self.endpoint);
            let again = last_said
                .as_ref()
                .is_none_or(|(said, at)| *said != reason || at.elapsed() >= Duration::from_secs(15));
            let pause = backoff.next_wait();
            if again {
                warn!(error = %reason, retry_in_ms = pause.as_millis(), "Docker daemon is away, trying again");
                last_said = Some((reason.clone(), Instant::now()));
            }
            known.publish(&picture, DaemonState::Unreachable { reason });
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

impl DockerDiscovery {
    /// Follows the daemon until it fails, and returns why.
    async fn follow(
        &self,
        known: &mut Known,
        picture: &watch::Sender<Arc<Discovered>>,
        backoff: &mut Backoff,
    ) -> String {
        match self.try_follow(known, picture, backoff).await {
            Ok(()) => "the stream of events ended".to_owned(),
            Err(error) => error_chain(&error),
        }
    }

    async fn try_follow(
        &self,
        known: &mut Known,
        picture: &watch::Sender<Arc<Discovered>>,
        backoff: &mut Backoff,
    ) -> Result<(), bollard::errors::Error> {
        let daemon = self.endpoint.connect().await?;
        // Events first, then the listing: what happens in between is seen twice rather than not at all.
        let mut events = std::pin::pin!(events(&daemon.docker));
        known.about = About::of(&daemon).await?;
        let mut looks = Looks::new(daemon.clone());
        known.list(&daemon, &mut looks, true).await?;
        // Whoever is not in the first picture is gone.
        while let Some((id, answer)) = looks.next().await {
            known.take(&id, answer)?;
        }
        let connected = DaemonState::Connected { id: known.about.id.clone() };
        known.publish(picture, connected.clone());
        info!(docker = %self.endpoint, count = known.containers.len(), "Docker daemon answers");
        backoff.reset();
        let mut listing = tokio::time::interval(LISTING_EVERY);
        listing.set_missed_tick_behavior(MissedTickBehavior::Delay);
        listing.tick().await;
        let mut listings = 0_u32;
        loop {
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event else { return Ok(()) };
                    let event = event?;
                    let Some(id) = event.actor.and_then(|actor| actor.id) else { continue };
                    if matches!(event.action.as_deref(), Some("destroy" | "remove")) {
                        looks.forget(&id);
                        known.containers.remove(&ContainerId(id.into()));
                    } else {
                        looks.at(id);
                    }
                }
                Some((id, answer)) = looks.next() => known.take(&id, answer)?,
                _ = listing.tick() => {
                    listings = listings.wrapping_add(1);
                    known.list(&daemon, &mut looks, listings.is_multiple_of(LISTINGS_PER_FULL_LOOK)).await?;
                }
            }
            known.publish(picture, connected.clone());
        }
    }
}

/// What the daemon at `endpoint` calls itself, if it answers.
pub async fn daemon_id(endpoint: &DockerEndpoint) -> Option<String> {
    let daemon = endpoint.connect().await.ok()?;
    let about = About::of(&daemon).await.ok()?;
    Some(about.id).filter(|id| !id.is_empty())
}

/// What a daemon says of itself.
#[derive(Debug, Default)]
struct About {
    /// The same after each of its starts.
    id: String,
    /// Where it keeps everything.
    data_root: PathBuf,
    is_podman: bool,
}

impl About {
    async fn of(daemon: &Daemon) -> Result<Self, bollard::errors::Error> {
        let Info { id, name, docker_root_dir } = daemon.ask("/info").await?;
        let (name, data_root) = (name.unwrap_or_default(), docker_root_dir.unwrap_or_default());
        let id = if daemon.is_podman {
            // Podman makes up another id for each answer. Its containers are where this is.
            format!("podman-{:016x}", checksum(format!("{name}:{data_root}").as_bytes()))
        } else {
            id.unwrap_or_default()
        };
        Ok(Self { id, data_root: data_root.into(), is_podman: daemon.is_podman })
    }
}

fn events(docker: &Docker) -> impl Stream<Item = Result<EventMessage, bollard::errors::Error>> + use<> {
    let filters = std::collections::HashMap::from([
        ("type", vec!["container"]),
        // Health checks make an event each; these are the ones that change what we know.
        // Podman's filter has its own names for two of them.
        (
            "event",
            vec![
                "create", "start", "die", "died", "destroy", "remove", "rename", "update", "pause", "unpause",
            ],
        ),
    ]);
    docker.events(Some(EventsOptionsBuilder::default().filters(&filters).build()))
}

struct Known {
    containers: BTreeMap<ContainerId, Arc<Container>>,
    host_root: PathBuf,
    about: About,
}

impl Known {
    /// Brings everything in line with a listing. Has containers looked at that are new or in another state,
    /// or each of them with `every`.
    async fn list(
        &mut self,
        daemon: &Daemon,
        looks: &mut Looks,
        every: bool,
    ) -> Result<(), bollard::errors::Error> {
        let listed: Vec<Listed> = daemon.ask("/containers/json?all=true").await?;
        let mut gone: Vec<ContainerId> = self.containers.keys().cloned().collect();
        for summary in listed {
            let Some(id) = summary.id else { continue };
            let key = ContainerId(id.as_str().into());
            gone.retain(|known| *known != key);
            let runs = matches!(summary.state.as_deref(), Some("running" | "paused"));
            let as_known = self.containers.get(&key).is_some_and(|known| known.pid().is_some() == runs);
            if every || !as_known {
                looks.at(id);
            }
        }
        for id in gone {
            looks.forget(&id.0);
            self.containers.remove(&id);
        }
        Ok(())
    }

    /// Takes over what the daemon says of a container.
    fn take(
        &mut self,
        id: &str,
        answer: Result<Inspected, bollard::errors::Error>,
    ) -> Result<(), bollard::errors::Error> {
        let key = ContainerId(id.into());
        match answer {
            Ok(inspected) => {
                let before = self.containers.get(&key).map(|known| &**known);
                match inspect::container(inspected, before, &self.host_root, &self.about) {
                    Some(container) if before.is_none_or(|known| *known != container) => {
                        debug!(container_id = %key.short(), state = ?container.state, "Container changed");
                        self.containers.insert(key, Arc::new(container));
                    }
                    Some(_) => {}
                    None => {
                        debug!(container_id = %key.short(), "Container without name or image, passed over")
                    }
                }
                Ok(())
            }
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {
                self.containers.remove(&key);
                Ok(())
            }
            // One container that cannot be looked at (being removed, say, or stuck) must not hide the others.
            Err(bollard::errors::Error::RequestTimeoutError) => {
                warn!(container_id = %key.short(), "The Docker daemon does not answer about a container");
                Ok(())
            }
            Err(bollard::errors::Error::JsonSerdeError { err: error }) => {
                warn!(container_id = %key.short(), %error, "The Docker daemon's answer about a container is not understood");
                Ok(())
            }
            Err(bollard::errors::Error::DockerResponseServerError { status_code, message }) => {
                debug!(container_id = %key.short(), status_code, error = %message, "Container cannot be inspected");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn publish(&self, picture: &watch::Sender<Arc<Discovered>>, daemon: DaemonState) {
        picture.send_if_modified(|seen| {
            let same = seen.daemon == daemon
                && seen.containers.len() == self.containers.len()
                && seen.containers.values().zip(self.containers.values()).all(|(a, b)| Arc::ptr_eq(a, b));
            if !same {
                *seen = Arc::new(Discovered {
                    daemon,
                    containers: self.containers.clone(),
                    ..Discovered::default()
                });
            }
            !same
        });
    }
}
