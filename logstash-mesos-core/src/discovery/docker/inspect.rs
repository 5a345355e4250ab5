//! From the daemon's answer to a [`Container`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::answers::{GraphDriver, Inspected};
use super::{About, root_mount};
use crate::discovery::mesos_task::mesos_task;
use crate::discovery::{Container, ContainerId, ContainerState, Layers, LogDriver, Mount};
use crate::event::Text;

/// Turns the daemon's answer into what we keep. What the daemon no longer says (the log path and the
/// layers of some drivers once a container has ended) is taken from `before`.
pub(super) fn container(
    inspected: Inspected,
    before: Option<&Container>,
    host_root: &Path,
    about: &About,
) -> Option<Container> {
    let id = ContainerId(Text::from(inspected.id?));
    let name = inspected.name?.trim_start_matches('/').to_owned();
    let config = inspected.config.unwrap_or_default();
    let labels: BTreeMap<String, String> = config.labels.unwrap_or_default();
    let host_config = inspected.host_config.unwrap_or_default();
    let mut mounts: Vec<Mount> = inspected
        .mounts
        .unwrap_or_default()
        .into_iter()
        .filter_map(|mount| {
            let in_memory = mount.kind.as_deref() == Some("tmpfs");
            Some(Mount {
                destination: PathBuf::from(mount.destination?),
                source: mount
                    .source
                    .filter(|source| !in_memory && source.starts_with('/'))
                    .map(PathBuf::from),
            })
        })
        .collect();
    mounts.extend(
        host_config
            .tmpfs
            .unwrap_or_default()
            .into_keys()
            .map(|destination| Mount { destination: destination.into(), source: None }),
    );
    let state = inspected.state.unwrap_or_default();
    let pid = state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
    let life = match (state.status.as_deref(), pid) {
        (Some("created"), _) => ContainerState::Created,
        (_, Some(pid)) => ContainerState::Running { pid },
        (_, None) => ContainerState::Exited,
    };
    let environment = config.env.unwrap_or_default();
    let environment: Vec<(&str, &str)> = environment.iter().filter_map(|pair| pair.split_once('=')).collect();
    let mesos = mesos_task(&name, &mounts, &environment, &labels, |link| {
        let below = host_root.join(link.strip_prefix("/").unwrap_or(link));
        std::fs::read_link(below).ok()
    });
    let driver = host_config.log_config.and_then(|log| log.driver).unwrap_or_default();
    // What Podman calls by this name to Docker's clients is not Docker's file.
    let driver = if about.is_podman && driver == "json-file" { LogDriver::PODMAN.to_owned() } else { driver };
    let log_path = inspected.log_path.filter(|path| !path.is_empty()).map(PathBuf::from);
    let log_path = log_path
        .or_else(|| before.filter(|before| before.log.name == driver)?.log.path.clone())
        .or_else(|| own_log(&driver, about, &id));
    Some(Container {
        id,
        name: name.into(),
        image: familiar(config.image.or(inspected.image).unwrap_or_default(), about).into(),
        labels,
        state: life,
        started_at: state.started_at.unwrap_or_default().into(),
        mounts,
        layers: inspected
            .graph_driver
            .as_ref()
            .and_then(layers)
            .or_else(|| root_mount::layers(host_root, pid?))
            .or_else(|| before.and_then(|before| before.layers.clone())),
        log: LogDriver { path: log_path, name: driver, in_pieces: about.is_podman },
        tty: config.tty.unwrap_or_default(),
        // Mesos gives this to executors that run in a container, and to nothing else.
        shipper_of: environment
            .iter()
            .any(|(name, _)| *name == "MESOS_EXECUTOR_ID")
            .then(|| environment.iter().find(|(name, _)| *name == "MESOS_FRAMEWORK_ID"))
            .flatten()
            .map(|(_, framework)| (*framework).to_owned()),
        mesos,
        sandbox: None,
    })
}

/// The name of an image as one writes it: Podman makes it whole.
fn familiar(image: String, about: &About) -> String {
    let short = image.strip_prefix("docker.io/").filter(|_| about.is_podman);
    let short = short.map(|short| short.strip_prefix("library/").unwrap_or(short).to_owned());
    short.unwrap_or(image)
}

/// Where the daemon keeps the log where it does not say so: of a container that has not been started, and of all drivers
/// but one. For drivers that only send it may keep a copy (since 20.10, unless `cache-disabled`).
fn own_log(driver: &str, about: &About, id: &ContainerId) -> Option<PathBuf> {
    let directory = about.data_root.join("containers").join(&*id.0);
    match driver {
        _ if about.is_podman || !about.data_root.is_absolute() => None,
        "journald" | "none" => None,
        "json-file" => Some(directory.join(format!("{id}-json.log"))),
        "local" => Some(directory.join("local-logs/container.log")),
        _ => Some(directory.join(LogDriver::COPY)),
    }
}

fn layers(driver: &GraphDriver) -> Option<Layers> {
    let directories = driver.data.as_ref()?;
    let upper = directories.upper_dir.as_ref()?;
    let lower = directories.lower_dir.as_deref().unwrap_or_default();
    Some(Layers {
        upper: PathBuf::from(upper),
        lower: lower.split(':').filter(|dir| !dir.is_empty()).map(PathBuf::from).collect(),
    })
}
