//! What the executor must not read: its own output, and that of its like.

use crate::discovery::Container;

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

    fn container(image: &str) -> Container {
        Container::new("ab".repeat(32), "web-1", image)
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
