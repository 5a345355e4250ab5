//! The sandboxes of a Mesos agent, beside the containers of another discovery.
//!
//! They are found in the agent's work directory, where their files have to be read in any case: that works while the
//! agent is away, needs no credentials, and costs the agent nothing.

mod layout;
mod picture;
mod records;

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::layout::Layout;
use super::{ContainerDiscovery, DaemonState, Discovered, DiscoveryError, SandboxState};

/// Adds the sandboxes of a Mesos agent to the containers that another discovery finds.
///
/// The work directory is looked at once a second, and when the other discovery has news: so what the agent notes of a
/// task is known with its container. See [`Sandbox`](super::Sandbox) for what it finds.
#[derive(Debug)]
pub struct SandboxDiscovery {
    beside: Arc<dyn ContainerDiscovery>,
    work_dir: PathBuf,
    host_root: PathBuf,
}

/// How often the work directory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the first picture waits for the other discovery: from that it is known which containers Docker runs.
const FIRST_WORD: Duration = Duration::from_secs(5);

impl SandboxDiscovery {
    /// Of the agent with this `--work_dir`, an absolute path on the machine whose root directory is at `host_root`.
    pub fn beside(
        other: Arc<dyn ContainerDiscovery>,
        work_dir: impl Into<PathBuf>,
        host_root: impl Into<PathBuf>,
    ) -> Self {
        Self { beside: other, work_dir: work_dir.into(), host_root: host_root.into() }
    }

    async fn look(
        &self,
        mut others: watch::Receiver<Arc<Discovered>>,
        picture: &watch::Sender<Arc<Discovered>>,
    ) {
        let seen = self.host_root.join(self.work_dir.strip_prefix("/").unwrap_or(&self.work_dir));
        let mut layout = Layout::new(seen);
        let mut by_docker = BTreeSet::new();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let begun = Instant::now();
        let mut found = Vec::new();
        loop {
            tokio::select! {
                changed = others.changed() => if changed.is_err() { return },
                _ = look.tick() => {}
            }
            let other = Arc::clone(&others.borrow_and_update());
            if other.daemon == DaemonState::Unknown && begun.elapsed() < FIRST_WORD {
                continue;
            }
            let looked = tokio::task::spawn_blocking(move || {
                let looked = layout.look();
                (layout, looked)
            });
            // It does not panic, and nobody aborts it.
            let Ok((same, looked)) = looked.await else { return };
            layout = same;
            let sandboxes = match looked {
                Ok(now) => {
                    found = now;
                    SandboxState::Seen
                }
                // Those that were seen are still there, for all we know.
                Err(error) => SandboxState::Unreadable { reason: self.why(&error) },
            };
            let containers = picture::join(&other.containers, &found, &self.work_dir, &mut by_docker);
            let now = Discovered { daemon: other.daemon.clone(), sandboxes, containers };
            publish(now, picture);
        }
    }

    fn why(&self, error: &std::io::Error) -> String {
        format!(
            "the sandboxes below `{}` cannot be listed ({error}): give the agent's `--work_dir` with \
             --mesos-work-dir or LOGSTASH_MESOS_WORK_DIR, run as root, and with --host-root in a container",
            self.work_dir.display()
        )
    }
}

fn publish(now: Discovered, picture: &watch::Sender<Arc<Discovered>>) {
    picture.send_if_modified(|before| {
        let news = before.daemon != now.daemon
            || before.sandboxes != now.sandboxes
            || before.containers != now.containers;
        if before.sandboxes != now.sandboxes {
            match &now.sandboxes {
                SandboxState::Unreadable { reason } => warn!(error = %reason, "Sandboxes cannot be seen"),
                SandboxState::Seen => info!("Sandboxes of the Mesos agent are seen"),
                SandboxState::Unused => {}
            }
        }
        if news {
            *before = Arc::new(now);
        }
        news
    });
}

#[async_trait]
impl ContainerDiscovery for SandboxDiscovery {
    async fn run(
        &self,
        picture: watch::Sender<Arc<Discovered>>,
        shutdown: CancellationToken,
    ) -> Result<(), DiscoveryError> {
        let (sender, others) = watch::channel(Arc::new(Discovered::default()));
        let (others, ()) =
            tokio::join!(self.beside.run(sender, shutdown.clone()), self.look(others, &picture));
        others
    }
}

/// The work directory of the agent that gave an executor the sandbox `directory`, as `MESOS_DIRECTORY` names it.
#[must_use]
pub fn work_dir_of(directory: &Path) -> Option<PathBuf> {
    // From the last one on: a directory above it may be called `slaves` too.
    let above = directory.ancestors().find(|above| {
        above.file_name().is_some_and(|name| name == "slaves")
            && directory
                .strip_prefix(above)
                .is_ok_and(|rest| rest.components().nth(1) == Some(Component::Normal("frameworks".as_ref())))
    })?;
    above.parent().map(Path::to_owned)
}

#[cfg(test)]
mod tests;
