//! Which containers a configuration applies to.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::discovery::Container;
use crate::source::glob;

/// The conditions of one docker configuration: the image and everything in `match`. All must hold.
///
/// A name without wildcards is the image as the container was started with, exactly; in one with `*`, `?`
/// or `[…]` a `*` crosses `/`. The same goes for the values in `match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    image: String,
    conditions: Vec<(Subject, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Label(String),
    ContainerName,
    Image,
    Framework,
    Agent,
    Executor,
    Task,
}

/// A key of `match` is not known.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`match.{key}` is not known: there are label.NAME, container_name, image, framework, agent_id, executor_id \
     and task_id"
)]
pub struct UnknownCondition {
    /// The key.
    pub key: String,
}

impl Matcher {
    /// From the name of a configuration and its `match`.
    ///
    /// # Errors
    ///
    /// [`UnknownCondition`] for a key that is none.
    pub fn new(name: &str, conditions: &BTreeMap<String, String>) -> Result<Self, UnknownCondition> {
        let conditions = conditions
            .iter()
            .map(|(key, value)| {
                let subject = match key.strip_prefix("match.").unwrap_or(key) {
                    "container_name" | "name" => Subject::ContainerName,
                    "image" => Subject::Image,
                    "framework" | "framework_id" => Subject::Framework,
                    "agent" | "agent_id" => Subject::Agent,
                    "executor" | "executor_id" => Subject::Executor,
                    "task" | "task_id" => Subject::Task,
                    other => match other.strip_prefix("label.").filter(|label| !label.is_empty()) {
                        Some(label) => Subject::Label(label.to_owned()),
                        None => return Err(UnknownCondition { key: key.clone() }),
                    },
                };
                Ok((subject, value.clone()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { image: name.to_owned(), conditions })
    }

    /// Whether all conditions hold for `container`.
    #[must_use]
    pub fn matches(&self, container: &Container) -> bool {
        if !fits(&self.image, &container.image) {
            return false;
        }
        self.conditions.iter().all(|(subject, wanted)| {
            let task = container.mesos.as_ref();
            let value = match subject {
                Subject::Label(label) => container.labels.get(label).map(String::as_str),
                Subject::ContainerName => Some(container.name.as_str()),
                Subject::Image => Some(container.image.as_str()),
                Subject::Framework => task.and_then(|task| task.framework_id.as_deref()),
                Subject::Agent => task.and_then(|task| task.agent_id.as_deref()),
                Subject::Executor => task.and_then(|task| task.executor_id.as_deref()),
                Subject::Task => task.and_then(|task| task.task_id.as_deref()),
            };
            value.is_some_and(|value| fits(wanted, value))
        })
    }
}

fn fits(pattern: &str, value: &str) -> bool {
    pattern == value
        || (pattern.contains(['*', '?', '[']) && glob::matches(pattern.as_bytes(), value.as_bytes()))
}

/// What an executor knows of itself in order not to read its own output.
#[derive(Clone, Debug, Default)]
pub struct OwnTraces {
    /// The framework the executor belongs to: its executors in containers carry the id.
    pub framework_id: Option<String>,
    /// `/proc/self/cgroup` and `/proc/self/mountinfo`: name the container we run in.
    pub process: String,
}

impl OwnTraces {
    /// Of this process.
    #[must_use]
    pub fn of_this_process(framework_id: Option<String>) -> Self {
        let process = ["/proc/self/cgroup", "/proc/self/mountinfo"]
            .iter()
            .filter_map(|file| std::fs::read_to_string(file).ok())
            .collect();
        Self { framework_id, process }
    }

    /// Whether `container` may be read: it does not ask to be left alone and is no shipper of ours.
    #[must_use]
    pub fn may_read(&self, container: &Container) -> bool {
        let ours = container.shipper_of.as_ref().is_some_and(|of| Some(of) == self.framework_id.as_ref());
        !container.is_ignored() && !ours && !self.runs_in(container)
    }

    fn runs_in(&self, container: &Container) -> bool {
        // In our mounts the id also stands for the directories of containers on a machine whose files we
        // see; those of the container that we are in are mounted on files in `/etc`.
        self.process.lines().any(|line| {
            line.contains(container.id.0.as_str())
                && (line.contains(" /etc/hostname ")
                    || line.contains(" /etc/resolv.conf ")
                    || !line.contains(" / "))
                && !line.contains("/merged ")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::{ContainerId, ContainerState, LogDriver, MesosTask};

    fn container(image: &str) -> Container {
        Container {
            id: ContainerId("ab".repeat(32).into()),
            name: "web-1".into(),
            image: image.into(),
            labels: BTreeMap::from([("app".into(), "web".into())]),
            state: ContainerState::Running { pid: 1 },
            started_at: "".into(),
            mounts: Vec::new(),
            layers: None,
            log: LogDriver::default(),
            tty: false,
            mesos: Some(MesosTask {
                framework_id: Some("f-0001".into()),
                task_id: Some("web.instance-7".into()),
                ..MesosTask::default()
            }),
            shipper_of: None,
        }
    }

    fn matches(name: &str, conditions: &[(&str, &str)], image: &str) -> bool {
        let conditions = conditions.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Matcher::new(name, &conditions).unwrap().matches(&container(image))
    }

    #[test]
    fn names_match_exactly_or_as_patterns_across_slashes() {
        assert!(matches("nginx", &[], "nginx"));
        assert!(!matches("nginx", &[], "nginx:1.27"));
        assert!(matches("nginx:*", &[], "nginx:1.27"));
        assert!(matches("*", &[], "registry.local:5000/team/nginx:1.27"));
        assert!(matches("registry*nginx:1.2?", &[], "registry.local:5000/team/nginx:1.27"));
        assert!(!matches("registry*apache*", &[], "registry.local:5000/team/nginx:1.27"));
    }

    #[test]
    fn every_condition_must_hold() {
        assert!(matches("*", &[("label.app", "web"), ("container_name", "web-*")], "x"));
        assert!(!matches("*", &[("label.app", "web"), ("container_name", "db-*")], "x"));
        assert!(!matches("*", &[("label.missing", "*")], "x"));
        assert!(matches("*", &[("framework", "f-0001"), ("task_id", "web.*")], "x"));
        assert!(matches("*", &[("match.label.app", "web")], "x"));
        let unknown = BTreeMap::from([("colour".to_owned(), "red".to_owned())]);
        assert!(Matcher::new("*", &unknown).unwrap_err().to_string().contains("colour"));
    }

    #[test]
    fn ignored_containers_and_our_own_are_not_read() {
        let traces = OwnTraces { framework_id: Some("f-ours".into()), process: String::new() };
        let mut subject = container("x");
        assert!(traces.may_read(&subject));
        subject.shipper_of = Some("f-ours".into());
        assert!(!traces.may_read(&subject));
        subject.shipper_of = Some("f-other".into());
        assert!(traces.may_read(&subject));
        subject.labels.insert("logstash.mesos/ignore".into(), "true".into());
        assert!(!traces.may_read(&subject));
        let inside =
            OwnTraces { framework_id: None, process: format!("5:memory:/docker/{}\n", "ab".repeat(32)) };
        assert!(!inside.may_read(&container("x")));
    }
}
