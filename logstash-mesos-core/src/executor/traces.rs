//! What the executor must not read: its own output, and that of its like.

use std::path::PathBuf;

use crate::discovery::Container;

/// What an executor knows of itself in order not to read its own output.
#[derive(Clone, Debug, Default)]
pub struct OwnTraces {
    /// The framework the executor belongs to: its executors in containers carry the id.
    pub framework_id: Option<String>,
    /// `/proc/self/cgroup` and `/proc/self/mountinfo`: name the container we run in.
    pub process: String,
    /// The sandbox we run in, where a Mesos agent started us, as it is called on the machine: `MESOS_DIRECTORY`.
    pub sandbox: Option<PathBuf>,
}

impl OwnTraces {
    /// Of this process.
    #[must_use]
    pub fn of_this_process(framework_id: Option<String>) -> Self {
        let process = ["/proc/self/cgroup", "/proc/self/mountinfo"]
            .iter()
            .filter_map(|file| std::fs::read_to_string(file).ok())
            .collect();
        Self { framework_id, process, sandbox: None }
    }

    /// Whether `container` may be read: it does not ask to be left alone and is no shipper of ours.
    #[must_use]
    pub fn may_read(&self, container: &Container) -> bool {
        let ours = container.shipper_of.as_ref().is_some_and(|of| Some(of) == self.framework_id.as_ref());
        !container.is_ignored() && !ours && !self.runs_in(container)
    }

    /// Whether the sandbox behind `container` may be read; with `own` also those of our framework, and the one we run
    /// in.
    #[must_use]
    pub fn may_read_sandbox(&self, container: &Container, own: bool) -> bool {
        let ours = container.shipper_of.is_some() && container.shipper_of == self.framework_id;
        !container.is_ignored() && (own || !(ours || self.is_sandbox(container)))
    }

    fn is_sandbox(&self, container: &Container) -> bool {
        let id = container.id.0.rsplit('.').next().unwrap_or_default();
        self.sandbox.as_ref().is_some_and(|sandbox| sandbox.iter().any(|part| part == id))
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

    fn container(image: &str) -> Container {
        Container::new("ab".repeat(32), "web-1", image)
    }

    #[test]
    fn ignored_containers_and_our_own_are_not_read() {
        let traces = OwnTraces { framework_id: Some("f-ours".into()), ..OwnTraces::default() };
        let mut subject = container("x");
        assert!(traces.may_read(&subject));
        subject.shipper_of = Some("f-ours".into());
        assert!(!traces.may_read(&subject));
        subject.shipper_of = Some("f-other".into());
        assert!(traces.may_read(&subject));
        subject.labels.insert("logstash.mesos/ignore".into(), "true".into());
        assert!(!traces.may_read(&subject));
        let process = format!("5:memory:/docker/{}\n", "ab".repeat(32));
        let inside = OwnTraces { process, ..OwnTraces::default() };
        assert!(!inside.may_read(&container("x")));
    }

    #[test]
    fn sandboxes_of_our_own_are_read_only_where_that_is_wanted() {
        let sandbox = |id: &str, framework: &str| Container {
            shipper_of: Some(framework.into()),
            ..Container::new(id.to_owned(), "task", "")
        };
        let ours = sandbox("8f0fb7b4", "f-ours");
        let traces = OwnTraces { framework_id: Some("f-ours".into()), ..OwnTraces::default() };
        assert!(!traces.may_read_sandbox(&ours, false) && traces.may_read_sandbox(&ours, true));
        assert!(traces.may_read_sandbox(&sandbox("8f0fb7b4", "f-other"), false));
        // `ship` as a task of some other framework knows its sandbox alone.
        let inside = Some("/work/slaves/s/frameworks/f/executors/e/runs/8f0fb7b4".into());
        let traces = OwnTraces { sandbox: inside, ..OwnTraces::default() };
        assert!(!traces.may_read_sandbox(&ours, false) && traces.may_read_sandbox(&ours, true));
        assert!(traces.may_read_sandbox(&sandbox("0b1e7a6b", "f-ours"), false));
        assert!(!traces.may_read_sandbox(&sandbox("8f0fb7b4.8f0fb7b4", "f-ours"), false));
    }
}
