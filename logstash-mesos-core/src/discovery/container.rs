//! A container as the shipper needs to know it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::event::Text;

/// The id of a container: all 64 hexadecimal digits for Docker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub Text);

impl ContainerId {
    /// The first twelve digits, as `docker ps` shows them.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl std::fmt::Display for ContainerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// The id that the daemon gave it, 64 hex digits with Docker.
    pub id: ContainerId,
    /// Its name, without the leading slash.
    pub name: Text,
    /// The image as the container was started with (`Config.Image`).
    pub image: Text,
    /// Labels of the container, with those of its image.
    pub labels: BTreeMap<String, String>,
    /// Whether it runs, and with which process.
    pub state: ContainerState,
    /// When it was last started, as the daemon writes it: tells one life of a container from the next.
    pub started_at: Text,
    /// What is mounted into it from elsewhere.
    pub mounts: Vec<Mount>,
    /// The directories its root file system is made of, if the daemon says.
    pub layers: Option<Layers>,
    /// Where its standard output and error go.
    pub log: LogDriver,
    /// Whether it has a terminal: standard error and output are one stream then.
    pub tty: bool,
    /// The Mesos task it is, if it is one.
    pub mesos: Option<MesosTask>,
    /// The framework whose log shipper runs in it, if it is a Mesos executor.
    pub shipper_of: Option<String>,
    /// For a container that was found by the sandbox it has on an agent: only that is read of it.
    pub sandbox: Option<Sandbox>,
}

impl Container {
    /// A container that was made and never started, with nothing mounted: set the fields of which more is known.
    pub fn new(id: impl Into<Text>, name: impl Into<Text>, image: impl Into<Text>) -> Self {
        Self {
            id: ContainerId(id.into()),
            name: name.into(),
            image: image.into(),
            labels: BTreeMap::new(),
            state: ContainerState::Created,
            started_at: Text::default(),
            mounts: Vec::new(),
            layers: None,
            log: LogDriver::default(),
            tty: false,
            mesos: None,
            shipper_of: None,
            sandbox: None,
        }
    }
}

/// Where a Mesos agent lets a container write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The agent's `--work_dir`, as the machine calls it.
    pub work_dir: PathBuf,
    /// The sandbox below it: `slaves/…/runs/…`, for a nested container `…/containers/…` behind that.
    pub below: PathBuf,
    /// Whether the Docker containerizer runs it. Docker keeps its standard output and error too, then.
    pub by_docker: bool,
}

/// The life of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// It was made and never started: there is nothing to read.
    Created,
    /// It runs (or is paused).
    Running {
        /// Process id of its first process, as the daemon's machine counts.
        pid: i32,
    },
    /// It has ended and is kept.
    Exited,
}

/// Something mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where the container sees it.
    pub destination: PathBuf,
    /// Where it lies on the machine; `None` for memory (`tmpfs`).
    pub source: Option<PathBuf>,
}

/// The directories of an overlay file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// What the container wrote.
    pub upper: PathBuf,
    /// What it was made from, topmost first.
    pub lower: Vec<PathBuf>,
}

/// Where the daemon puts what a container writes to its standard output and error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogDriver {
    /// `json-file`, `local`, `journald`, `none`, …; with Podman also `k8s-file` and `passthrough`.
    pub name: String,
    /// The daemon's own file, for drivers that have one.
    pub path: Option<PathBuf>,
    /// Whether a piece of a line may have any length, as with Podman: Docker's have 16 KiB, but for the last words.
    pub in_pieces: bool,
}

impl LogDriver {
    /// The file that Docker keeps for a driver that only sends.
    #[cfg(feature = "docker")]
    pub(crate) const COPY: &str = "container-cached.log";

    /// The driver of which Podman has files.
    pub(crate) const PODMAN: &str = "k8s-file";

    /// Whether the daemon always has files of it.
    pub(crate) fn is_file(&self) -> bool {
        matches!(&*self.name, "json-file" | "local" | Self::PODMAN)
    }

    /// Whether the daemon keeps nothing that could be read.
    pub(crate) fn keeps_nothing(&self) -> bool {
        matches!(&*self.name, "none" | "passthrough")
    }

    /// Whether Docker keeps a copy of what this driver sends, if it is there.
    #[cfg(feature = "docker")]
    pub(crate) fn is_copy(&self) -> bool {
        self.path.as_ref().is_some_and(|path| path.ends_with(Self::COPY))
    }
}

impl Container {
    /// Process id of its first process while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        match self.state {
            ContainerState::Running { pid } if pid > 0 => Some(pid),
            _ => None,
        }
    }

    /// The id that Mesos has given it: a container of Docker and the sandbox of its task have the same.
    pub(crate) fn mesos_id(&self) -> Option<&str> {
        self.mesos.as_ref()?.mesos_container_id.as_deref()
    }

    /// Whether it asks not to be read, by its label `logstash.mesos/ignore`.
    #[must_use]
    pub fn is_ignored(&self) -> bool {
        self.labels.get(IGNORE_LABEL).is_some_and(|value| value.is_empty() || value == "true")
    }
}

/// A container with this label (`true` or empty) is never read.
pub const IGNORE_LABEL: &str = "logstash.mesos/ignore";

/// The Mesos task behind a container, as far as it can be told from the container alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MesosTask {
    /// The agent that started it.
    pub agent_id: Option<String>,
    /// The framework it belongs to.
    pub framework_id: Option<String>,
    /// What that calls itself, where the agent has noted it.
    pub framework_name: Option<String>,
    /// The role that its resources are allocated to, where the agent has noted it.
    pub role: Option<String>,
    /// Its executor; for a task that is a container of its own this is the task's id.
    pub executor_id: Option<String>,
    /// The task's id, where the container tells it, as those that Marathon starts do.
    pub task_id: Option<String>,
    /// What Mesos calls the container.
    pub mesos_container_id: Option<String>,
}
