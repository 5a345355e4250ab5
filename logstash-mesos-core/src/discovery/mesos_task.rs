//! From a container to the Mesos task that it is.

use std::path::{Component, Path};

use super::{MesosTask, Mount};

/// Tells the task from the container's name, mounts and environment; `None` for a container that Mesos
/// did not start.
///
/// Mesos itself sets no labels. The sandbox is mounted where `MESOS_SANDBOX` says, from a host path that
/// ends in `slaves/<agent>/frameworks/<framework>/executors/<executor>/runs/<container>`; where an id has
/// a colon the source is a link, and `resolve` follows it. `MESOS_TASK_ID` comes from Marathon.
pub fn mesos_task(
    name: &str,
    mounts: &[Mount],
    environment: &[(&str, &str)],
    labels: &std::collections::BTreeMap<String, String>,
    resolve: impl Fn(&Path) -> Option<std::path::PathBuf>,
) -> Option<MesosTask> {
    let variable = |wanted: &str| {
        environment.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
    };
    let sandbox = variable("MESOS_SANDBOX").unwrap_or_else(|| "/mnt/mesos/sandbox".to_owned());
    let mut task = mounts
        .iter()
        .filter(|mount| mount.destination == Path::new(&sandbox))
        .filter_map(|mount| mount.source.as_deref())
        .find_map(|source| from_sandbox(source).or_else(|| from_sandbox(&resolve(source)?)));
    if task.is_none() && is_mesos_name(name) {
        task = Some(MesosTask::default());
    }
    let framework_id = variable("MESOS_FRAMEWORK_ID");
    if task.is_none() && framework_id.is_some() && variable("MESOS_EXECUTOR_ID").is_some() {
        task = Some(MesosTask::default());
    }
    let mut task = task?;
    task.framework_id = task.framework_id.or(framework_id);
    task.executor_id = task.executor_id.or_else(|| variable("MESOS_EXECUTOR_ID"));
    task.task_id = variable("MESOS_TASK_ID").or_else(|| labels.get("MESOS_TASK_ID").cloned()).or_else(|| {
        // Of a container that runs a command the executor has the task's name. One with an executor
        // of its own has it in its environment, and its tasks are not to be told from outside.
        variable("MESOS_EXECUTOR_ID").is_none().then(|| task.executor_id.clone()).flatten()
    });
    Some(task)
}

fn from_sandbox(source: &Path) -> Option<MesosTask> {
    let parts: Vec<&str> = source
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect();
    let at = parts
        .windows(7)
        .position(|window| matches!(window, ["slaves", _, "frameworks", _, "executors", _, "runs"]))?;
    Some(MesosTask {
        agent_id: Some(parts[at + 1].to_owned()),
        framework_id: Some(parts[at + 3].to_owned()),
        executor_id: Some(parts[at + 5].to_owned()),
        mesos_container_id: parts.get(at + 7).map(|id| (*id).to_owned()),
        ..MesosTask::default()
    })
}

/// `mesos-` and a UUID, with the agent's id before it (0.23 to 1.3) or `.executor` behind it.
fn is_mesos_name(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("mesos-") else { return false };
    let rest = rest.strip_suffix(".executor").unwrap_or(rest);
    let uuid = rest.rsplit('.').next().unwrap_or(rest);
    let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    const RUN: &str = "/var/lib/mesos/slaves/a-S1/frameworks/f-0001/executors/web.1/runs/8f0fb7b4-0dd6-4d45-8f6a-0b1e7a6b2d11";

    fn sandbox(source: &str) -> Vec<Mount> {
        vec![Mount { destination: "/mnt/mesos/sandbox".into(), source: Some(source.into()) }]
    }

    #[test]
    fn the_sandbox_mount_names_everything() {
        let task = mesos_task("any", &sandbox(RUN), &[], &BTreeMap::new(), |_| None).unwrap();
        assert_eq!(task.agent_id.as_deref(), Some("a-S1"));
        assert_eq!(task.framework_id.as_deref(), Some("f-0001"));
        assert_eq!(task.executor_id.as_deref(), Some("web.1"));
        assert_eq!(task.task_id.as_deref(), Some("web.1"));
        assert_eq!(task.mesos_container_id.as_deref(), Some("8f0fb7b4-0dd6-4d45-8f6a-0b1e7a6b2d11"));
    }

    #[test]
    fn a_linked_sandbox_is_resolved_and_marathon_names_the_task() {
        let link = "/var/lib/mesos/slaves/a-S1/docker/links/8f0fb7b4-0dd6-4d45-8f6a-0b1e7a6b2d11";
        let environment = [("MESOS_TASK_ID", "web.instance-1")];
        let task =
            mesos_task("any", &sandbox(link), &environment, &BTreeMap::new(), |_| Some(PathBuf::from(RUN)))
                .unwrap();
        assert_eq!(task.executor_id.as_deref(), Some("web.1"));
        assert_eq!(task.task_id.as_deref(), Some("web.instance-1"));
    }

    #[test]
    fn other_containers_are_no_tasks() {
        assert_eq!(mesos_task("web", &[], &[], &BTreeMap::new(), |_| None), None);
        assert_eq!(mesos_task("mesos-dns", &[], &[], &BTreeMap::new(), |_| None), None);
        let named = "mesos-8f0fb7b4-0dd6-4d45-8f6a-0b1e7a6b2d11";
        assert_eq!(mesos_task(named, &[], &[], &BTreeMap::new(), |_| None), Some(MesosTask::default()));
    }
}
