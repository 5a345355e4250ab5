//! From sandboxes to containers. No I/O happens here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::layout::Found;
use super::records;
use crate::discovery::{Container, ContainerId, ContainerState, MesosTask, Sandbox};

/// The containers of Docker and the sandboxes of the agent in one picture.
///
/// A container that Docker runs for Mesos stands in it twice: as Docker has it, and as its sandbox. Both say what either
/// knows of the task. `by_docker` remembers, by their Mesos ids, those that Docker has shown: when Docker has removed
/// one, its sandbox is still there.
pub(super) fn join(
    docker: &BTreeMap<ContainerId, Arc<Container>>,
    found: &[Found],
    work_dir: &Path,
    by_docker: &mut BTreeSet<String>,
) -> BTreeMap<ContainerId, Arc<Container>> {
    let mut joined = docker.clone();
    by_docker.retain(|id| found.iter().any(|found| found.container_id == *id));
    let of_docker: BTreeMap<&str, &Arc<Container>> =
        docker.values().filter_map(|container| Some((container.mesos_id()?, container))).collect();
    for found in found {
        let mut sandbox = sandbox_of(found, work_dir);
        if let Some(container) = of_docker.get(&*found.container_id) {
            by_docker.insert(found.container_id.clone());
            sandbox.image.clone_from(&container.image);
            for (label, value) in &container.labels {
                sandbox.labels.entry(label.clone()).or_insert_with(|| value.clone());
            }
            let known = with_notes(container, &sandbox);
            joined.insert(container.id.clone(), Arc::new(known));
        }
        if let Some(place) = &mut sandbox.sandbox {
            place.by_docker |= by_docker.contains(&found.container_id);
        }
        joined.insert(sandbox.id.clone(), Arc::new(sandbox));
    }
    joined
}

/// What the agent knows beyond what could be told from the container.
fn with_notes(container: &Container, sandbox: &Container) -> Container {
    let mut known = container.clone();
    for (label, value) in &sandbox.labels {
        known.labels.entry(label.clone()).or_insert_with(|| value.clone());
    }
    if let (Some(task), Some(noted)) = (&mut known.mesos, &sandbox.mesos) {
        task.task_id = task.task_id.take().or_else(|| noted.task_id.clone());
        task.framework_name.clone_from(&noted.framework_name);
        task.role.clone_from(&noted.role);
    }
    known
}

fn sandbox_of(found: &Found, work_dir: &Path) -> Container {
    let tasks = || found.tasks.values().flatten();
    let executor = found.executor.as_deref();
    let containers = || {
        let of_tasks = tasks().filter_map(|task| task.container.as_ref());
        of_tasks.chain(executor.and_then(|executor| executor.container.as_ref()))
    };
    // What several tasks in one sandbox say differently is said of none of them.
    let mut labels = records::by_key(executor.and_then(|executor| executor.labels.as_ref()));
    let of_tasks: Vec<_> = tasks().map(|task| records::by_key(task.labels.as_ref())).collect();
    if let Some((first, others)) = of_tasks.split_first() {
        let alike =
            |label: &String, value: &String| others.iter().all(|other| other.get(label) == Some(value));
        labels.extend(
            first.iter().filter(|(label, value)| alike(label, value)).map(|(a, b)| (a.clone(), b.clone())),
        );
    }
    let task_id = match found.tasks.len() {
        1 => found.tasks.keys().next().cloned(),
        _ => None,
    };
    let role = tasks().find_map(|task| records::role(&task.resources));
    let name = task_id.as_deref().unwrap_or(&found.executor_id).to_owned();
    let image = containers().find_map(|container| container.image()).unwrap_or_default().to_owned();
    Container {
        labels,
        state: match found.ended {
            true => ContainerState::Exited,
            // Which process it is does not matter: nothing is read by way of it.
            false => ContainerState::Running { pid: 0 },
        },
        mesos: Some(MesosTask {
            agent_id: Some(found.agent_id.clone()),
            framework_id: Some(found.framework_id.clone()),
            framework_name: found.framework.as_ref().map(|framework| framework.name.clone()),
            role: role.or_else(|| records::role(&executor?.resources)),
            executor_id: Some(found.executor_id.clone()),
            task_id,
            mesos_container_id: Some(found.container_id.clone()),
        }),
        // All executors of a framework of ours are shippers.
        shipper_of: Some(found.framework_id.clone()),
        sandbox: Some(Sandbox {
            work_dir: work_dir.to_owned(),
            below: found.below.clone(),
            by_docker: containers().any(records::ContainerInfo::by_docker),
        }),
        ..Container::new(found.container_id.clone(), name, image)
    }
}
