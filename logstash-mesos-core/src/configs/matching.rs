//! Which containers a configuration applies to.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::discovery::Container;
use crate::source::glob;

/// The conditions of one docker configuration: the image and everything in `match`. All must hold.
///
/// A name without wildcards is the image as the container was started with, exactly; in one with `*`, `?`
/// or `[…]` a `*` crosses `/`. The same goes for the values in `match`. An image that is pinned by its digest
/// (`name:tag@sha256:…`) is also the one without.
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
    Role,
    Agent,
    Executor,
    Task,
    Described,
}

/// A key of `match` is not known.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`match` has an unknown key `{key}`; there are label.NAME, container_name, image, framework, role, agent_id, \
     executor_id, task_id and described"
)]
pub struct UnknownCondition {
    /// The key as it stands in `match`.
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
                    "role" => Subject::Role,
                    "agent" | "agent_id" => Subject::Agent,
                    "executor" | "executor_id" => Subject::Executor,
                    "task" | "task_id" => Subject::Task,
                    "described" => Subject::Described,
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

    /// Whether all conditions hold for `container`, whose labels do not describe its logs.
    #[must_use]
    pub fn matches(&self, container: &Container) -> bool {
        self.holds_for(container, false)
    }

    /// Whether the configuration wants to know if labels describe the logs of containers.
    pub(crate) fn asks_for_described(&self) -> bool {
        self.conditions.iter().any(|(subject, _)| *subject == Subject::Described)
    }

    /// Whether all conditions hold for `container`, whose labels describe its logs or not.
    pub(crate) fn holds_for(&self, container: &Container, is_described: bool) -> bool {
        if !fits_image(&self.image, &container.image) {
            return false;
        }
        self.conditions.iter().all(|(subject, wanted)| {
            let task = container.mesos.as_ref();
            let value = match subject {
                Subject::Label(label) => container.labels.get(label).map(String::as_str),
                Subject::ContainerName => Some(container.name.as_str()),
                Subject::Image => return fits_image(wanted, &container.image),
                Subject::Framework => {
                    let name = task.and_then(|task| task.framework_name.as_deref());
                    if name.is_some_and(|name| fits(wanted, name)) {
                        return true;
                    }
                    task.and_then(|task| task.framework_id.as_deref())
                }
                Subject::Role => task.and_then(|task| task.role.as_deref()),
                Subject::Agent => task.and_then(|task| task.agent_id.as_deref()),
                Subject::Executor => task.and_then(|task| task.executor_id.as_deref()),
                Subject::Task => task.and_then(|task| task.task_id.as_deref()),
                Subject::Described => Some(if is_described { "true" } else { "false" }),
            };
            value.is_some_and(|value| fits(wanted, value))
        })
    }
}

fn fits_image(pattern: &str, image: &str) -> bool {
    // `@` is in no name and in no tag.
    fits(pattern, image) || image.split_once('@').is_some_and(|(name, _)| fits(pattern, name))
}

pub(super) fn fits(pattern: &str, value: &str) -> bool {
    pattern == value
        || (pattern.contains(['*', '?', '[']) && glob::matches(pattern.as_bytes(), value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::MesosTask;

    fn container(image: &str) -> Container {
        Container {
            labels: BTreeMap::from([("app".into(), "web".into())]),
            mesos: Some(MesosTask {
                framework_id: Some("f-0001".into()),
                framework_name: Some("marathon".into()),
                role: Some("web".into()),
                task_id: Some("web.instance-7".into()),
                ..MesosTask::default()
            }),
            ..Container::new("ab", "web-1", image)
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
    fn an_image_pinned_by_its_digest_is_the_one_without() {
        let pinned = "registry.local:5000/team/nginx:1.27@sha256:0123abcd";
        for name in ["registry.local:5000/team/nginx:1.27", "*/nginx:1.2?", "*nginx*", pinned, "*@sha256:*"] {
            assert!(matches(name, &[("image", name)], pinned), "{name}");
        }
        for name in ["registry.local:5000/team/nginx", "*/nginx:1.28", "*@sha256:ff*"] {
            assert!(!matches(name, &[], pinned), "{name}");
        }
        assert!(matches("nginx", &[], "nginx@sha256:0123abcd"));
    }

    #[test]
    fn every_condition_must_hold() {
        assert!(matches("*", &[("label.app", "web"), ("container_name", "web-*")], "x"));
        assert!(!matches("*", &[("label.app", "web"), ("container_name", "db-*")], "x"));
        assert!(!matches("*", &[("label.missing", "*")], "x"));
        assert!(matches("*", &[("framework", "f-0001"), ("task_id", "web.*")], "x"));
        assert!(matches("*", &[("framework", "mara*")], ""), "by its name, and without an image");
        assert!(matches("*", &[("role", "w*")], "x") && !matches("*", &[("role", "db")], "x"));
        assert!(matches("*", &[("match.label.app", "web")], "x"));
        assert!(matches("*", &[("described", "false")], "x") && !matches("*", &[("described", "true")], "x"));
        let unknown = BTreeMap::from([("colour".to_owned(), "red".to_owned())]);
        assert!(Matcher::new("*", &unknown).unwrap_err().to_string().contains("colour"));
    }
}
