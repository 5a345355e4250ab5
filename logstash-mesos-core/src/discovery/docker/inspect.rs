//! From the daemon's answer to a [`Container`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, DriverData};

use crate::discovery::mesos_task::mesos_task;
use crate::discovery::{Container, ContainerId, ContainerState, Layers, LogDriver, Mount};
use crate::event::Text;

/// Turns the daemon's answer into what we keep. What the daemon no longer says (the log path and the
/// layers of some drivers once a container has ended) is taken from `before`.
pub(super) fn container(
    inspected: ContainerInspectResponse,
    before: Option<&Container>,
    host_root: &Path,
    data_root: &Path,
) -> Option<Container> {
    let id = ContainerId(Text::from(inspected.id?));
    let name = inspected.name?.trim_start_matches('/').to_owned();
    let config = inspected.config.unwrap_or_default();
    let labels: BTreeMap<String, String> = config.labels.unwrap_or_default().into_iter().collect();
    let host_config = inspected.host_config.unwrap_or_default();
    let mut mounts: Vec<Mount> = inspected
        .mounts
        .unwrap_or_default()
        .into_iter()
        .filter_map(|mount| {
            let in_memory = mount.typ.as_deref() == Some("tmpfs");
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
    let life = match (state.status, pid) {
        (Some(ContainerStateStatusEnum::CREATED), _) => ContainerState::Created,
        (_, Some(pid)) => ContainerState::Running { pid },
        (_, None) => ContainerState::Exited,
    };
    let environment = config.env.unwrap_or_default();
    let environment: Vec<(&str, &str)> = environment.iter().filter_map(|pair| pair.split_once('=')).collect();
    let mesos = mesos_task(&name, &mounts, &environment, &labels, |link| {
        let below = host_root.join(link.strip_prefix("/").unwrap_or(link));
        std::fs::read_link(below).ok()
    });
    let driver = host_config.log_config.and_then(|log| log.typ).unwrap_or_default();
    let log_path = inspected.log_path.filter(|path| !path.is_empty()).map(PathBuf::from);
    let log_path = log_path
        .or_else(|| before.filter(|before| before.log.name == driver)?.log.path.clone())
        .or_else(|| own_log(&driver, data_root, &id));
    Some(Container {
        id,
        name: name.into(),
        image: config.image.or(inspected.image).unwrap_or_default().into(),
        labels,
        state: life,
        started_at: state.started_at.unwrap_or_default().into(),
        mounts,
        layers: inspected
            .graph_driver
            .as_ref()
            .and_then(layers)
            .or_else(|| before.and_then(|before| before.layers.clone())),
        log: LogDriver { path: log_path, name: driver },
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

/// Where the daemon keeps the log where it does not say so: of a container that has not been started, and of all drivers
/// but one. For drivers that only send it may keep a copy (since 20.10, unless `cache-disabled`).
fn own_log(driver: &str, data_root: &Path, id: &ContainerId) -> Option<PathBuf> {
    let directory = data_root.join("containers").join(&*id.0);
    match driver {
        _ if !data_root.is_absolute() => None,
        "journald" | "none" => None,
        "json-file" => Some(directory.join(format!("{id}-json.log"))),
        "local" => Some(directory.join("local-logs/container.log")),
        _ => Some(directory.join(LogDriver::COPY)),
    }
}

fn layers(driver: &DriverData) -> Option<Layers> {
    let upper = driver.data.get("UpperDir")?;
    let lower = driver.data.get("LowerDir").map_or("", String::as_str);
    Some(Layers {
        upper: PathBuf::from(upper),
        lower: lower.split(':').filter(|dir| !dir.is_empty()).map(PathBuf::from).collect(),
    })
}
