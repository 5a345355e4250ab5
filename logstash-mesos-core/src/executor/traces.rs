//! What the executor must not read: its own output, and that of its like.

use std::path::PathBuf;

use memchr::memmem;

use crate::discovery::Container;

/// What an executor knows of itself in order not to read its own output.
#[derive(Clone, Debug, Default)]
pub struct OwnTraces {
    /// The framework the executor belongs to: its executors in containers carry the id.
    pub framework_id: Option<String>,
    /// What names the container that we run in: lines of `/proc/self/cgroup` and `/proc/self/mountinfo`.
    pub process: String,
    /// The sandbox we run in, where a Mesos agent started us, as it is called on the machine: `MESOS_DIRECTORY`.
    pub sandbox: Option<PathBuf>,
}

impl OwnTraces {
    /// What `/proc` says of this process; without a sandbox. What cannot be read there is left out.
    #[must_use]
    pub fn of_this_process(framework_id: Option<String>) -> Self {
        let process = ["/proc/self/cgroup", "/proc/self/mountinfo"]
            .iter()
            .filter_map(|file| std::fs::read_to_string(file).ok())
            .map(|text| telling(&text))
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

    /// Asked about every container at every look.
    fn runs_in(&self, container: &Container) -> bool {
        let id = container.id.0.as_str();
        memmem::find(self.process.as_bytes(), id.as_bytes()).is_some() && telling(&self.process).contains(id)
    }
}

/// The lines that name nothing but the container that the process runs in: in its mounts an id also stands for the
/// directories of containers on a machine whose files it sees. Those of its own container are mounted on files in `/etc`.
fn telling(text: &str) -> String {
    let is_own = |line: &&str| {
        let on_own_file = line.contains(" /etc/hostname ") || line.contains(" /etc/resolv.conf ");
        (on_own_file || !line.contains(" / ")) && !line.contains("/merged ")
    };
    text.lines().filter(is_own).flat_map(|line| [line, "\n"]).collect()
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
    fn containers_whose_directories_are_seen_are_not_our_own() {
        let (own, other) = ("cd".repeat(32), "ab".repeat(32));
        let process = telling(&format!(
            "7:pids:/docker/{own}\n\
             1042 998 0:59 / / rw - overlay overlay rw,upperdir=/var/lib/docker/overlay2/{other}/diff\n\
             1050 1042 8:1 /var/lib/docker/containers/{own}/hostname /etc/hostname rw - ext4 /dev/sda rw\n\
             1051 1042 0:60 / /host/var/lib/docker/containers/{other}/mounts/shm rw - tmpfs shm rw\n\
             1052 1042 0:61 /x /host/var/lib/docker/overlay2/{other}/merged rw - overlay overlay rw\n"
        ));
        let traces = OwnTraces { process, ..OwnTraces::default() };
        assert!(traces.may_read(&container("x")));
        assert!(!traces.may_read(&Container::new(own, "ship", "x")));
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
