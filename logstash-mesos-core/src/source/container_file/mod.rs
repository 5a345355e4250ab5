//! Files inside containers: the ladder of ways to reach them.
//!
//! The first rung that works is used, and which one that is, and why, is part of the stream's status:
//!
//! 1. [`Rung::ProcRoot`]: the container runs and its processes are visible: its own view of its files.
//! 2. [`Rung::HostLayers`]: it has ended, or its processes are not accessible: mounts and layers, from the
//!    machine's side.
//! 3. [`Rung::ExecTail`]: the machine's files are not visible: `tail` inside the container.
//!
//! A sandbox of a Mesos agent has a rung of its own, [`Rung::Sandbox`]: it is a directory of the machine.

pub(crate) mod layers;
mod opener;
pub(crate) mod proc_root;
mod sandbox;

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::FileType;
use thiserror::Error;

pub use self::opener::ContainerFile;

use self::layers::{Layered, Mounted, which};
use self::proc_root::ProcRoot;
use self::sandbox::SandboxView;
use super::glob::{self, Directories};
use super::{Identity, Stat};
use crate::confined::{self, Node};
use crate::discovery::Container;

/// A way to reach a container's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// Through the process of the container: below `/proc/<pid>/root`.
    ProcRoot,
    /// Mounts and layers from the machine's side.
    HostLayers,
    /// `docker exec … tail`.
    ExecTail,
    /// The directory that a Mesos agent gave it.
    Sandbox,
}

impl Rung {
    /// The word in the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProcRoot => "proc-root",
            Self::HostLayers => "host-layers",
            Self::ExecTail => "exec-tail",
            Self::Sandbox => "sandbox",
        }
    }
}

/// Why a file cannot be read in some way.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ViewError {
    /// There is no such file (yet).
    #[error("there is no such file")]
    NotFound,
    /// It is a link to the container's standard output or error.
    #[error("it is a link to {target}: read it with `docker {{ }}` in place of `file`")]
    StandardStream {
        /// What the link names.
        target: String,
    },
    /// It is a link that leads out of the sandbox.
    #[error("it is a link that leads out of the sandbox, to {}, and is not followed", target.display())]
    LeadsOut {
        /// What the link names.
        target: PathBuf,
    },
    /// It is something that is never read.
    #[error("it is {kind}, and only regular files are read")]
    NotAFile {
        /// What it is.
        kind: &'static str,
    },
    /// The container has ended.
    #[error("the container has ended")]
    Ended,
    /// This rung of the ladder is out of reach.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No rung from the machine's side works.
    #[error(transparent)]
    OutOfReach(#[from] OutOfReach),
    /// The system's error.
    #[error(transparent)]
    Io(io::Error),
}

/// What keeps a rung of the ladder out of reach.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// The container's process is not below `/proc`.
    #[error(
        "process {pid} of the container is not visible: run the executor in the host's process namespace (`--pid=host`)"
    )]
    ProcessNotVisible {
        /// As the daemon says.
        pid: i32,
    },
    /// The number names another process here.
    #[error(
        "process {pid} is not the container's here: run the executor in the host's process namespace (`--pid=host`)"
    )]
    OtherProcess {
        /// As the daemon says.
        pid: i32,
    },
    /// The kernel refuses.
    #[error("reading below /proc/<pid>/root is not permitted: run the executor as root with CAP_SYS_PTRACE")]
    NotPermitted,
    /// The daemon named no directories.
    #[error("the daemon does not say which directories the container's files lie in")]
    NoLayers,
    /// A directory that the daemon named is out of reach.
    #[error("{} cannot be opened ({error}): run the executor as root and give the host's root directory with `--host-root` or LOGSTASH_MESOS_HOST_ROOT", path.display())]
    HostDirectory {
        /// The directory, as the machine calls it.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
}

/// Why a container's files are out of reach from the machine's side; the third rung, a command inside, is next.
#[derive(Debug, Error)]
#[error("{process}; {layers}")]
#[non_exhaustive]
pub struct OutOfReach {
    /// Why they are not read below `/proc/<pid>/root`.
    pub process: Box<ViewError>,
    /// Why they are not put together from layers and mounts.
    pub layers: Denied,
}

impl From<io::Error> for ViewError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::Denied(Denied::NotPermitted),
            _ => Self::Io(error),
        }
    }
}

/// A container's files, seen in one way.
pub(crate) trait View: Send + Sync + std::fmt::Debug {
    /// What lies at `path`, links followed within the container.
    fn lookup(&self, path: &Path) -> Result<Node, ViewError>;

    /// As [`View::lookup`], but a link as the last part is returned as such.
    fn lookup_link(&self, path: &Path) -> Result<Node, ViewError>;

    /// The names in a directory, and whether each may be a directory.
    fn list(&self, directory: &Path) -> Result<Vec<(OsString, bool)>, ViewError>;
}

/// The files of one container, by whichever of the first two rungs works at the moment.
///
/// What is known of the container is replaced with [`ContainerFiles::update`]; a life that has ended and
/// the next one are the same container with the same files.
#[derive(Debug)]
pub struct ContainerFiles {
    host_root: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    container: Arc<Container>,
    chosen: Option<Chosen>,
    // As it was found last.
    known: Option<Result<(Rung, String), String>>,
    // Of its present life.
    mounted: Mounted,
}

#[derive(Clone, Debug)]
struct Chosen {
    view: Arc<dyn View>,
    rung: Rung,
    reason: String,
}

impl ContainerFiles {
    /// The files of `container`; the machine's root directory is at `host_root`.
    #[must_use]
    pub fn new(container: Arc<Container>, host_root: impl Into<PathBuf>) -> Self {
        let state = State { container, chosen: None, known: None, mounted: Mounted::new() };
        Self { host_root: host_root.into(), state: Mutex::new(state) }
    }

    /// Takes over what is newly known of the container.
    pub fn update(&self, container: Arc<Container>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let same = state.container.state == container.state
            && state.container.started_at == container.started_at
            && state.container.layers == container.layers
            && state.container.mounts == container.mounts;
        if state.container.started_at != container.started_at {
            state.mounted.clear();
        }
        state.container = container;
        if !same {
            state.chosen = None;
        }
    }

    /// What is known of the container.
    #[must_use]
    pub fn container(&self) -> Arc<Container> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner).container)
    }

    /// What [`ContainerFiles::rung`] has found last, if it was asked; an error as it is shown. Nothing is asked for it.
    pub(crate) fn known_rung(&self) -> Option<Result<(Rung, String), String>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).known.clone()
    }

    /// The rung that works at the moment, and why it is not a higher one. The call may take as long as the file systems do.
    ///
    /// # Errors
    ///
    /// What keeps each of the two out of reach.
    pub fn rung(&self) -> Result<(Rung, String), OutOfReach> {
        self.chosen(None).map(|chosen| (chosen.rung, chosen.reason))
    }

    /// Opens the regular file at `path`.
    ///
    /// # Errors
    ///
    /// [`ViewError`]; `OutOfReach` when no rung from the machine's side works.
    pub fn open(&self, path: &Path) -> Result<(File, Rung), ViewError> {
        let opened = self.with_view(|view| Ok(confined::open_for_reading(&regular_file(view, path)?)?))?;
        if opened.1 == Rung::ProcRoot {
            self.remember_mount(path);
        }
        Ok(opened)
    }

    /// Takes note of what is mounted where `path` lies, while the container's own view of it can be had. Only there: other
    /// mounts may hang.
    fn remember_mount(&self, path: &Path) {
        let (view, destination) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(chosen) = state.chosen.as_ref().filter(|chosen| chosen.rung == Rung::ProcRoot) else {
                return;
            };
            let over = state.container.mounts.iter().filter(|mount| path.starts_with(&mount.destination));
            let Some(mount) = over.max_by_key(|mount| mount.destination.components().count()) else { return };
            if mount.source.is_none() || state.mounted.contains_key(&mount.destination) {
                return;
            }
            (Arc::clone(&chosen.view), mount.destination.clone())
        };
        if let Ok(Node::Directory(found) | Node::File(found)) = view.lookup(&destination)
            && let Ok(found) = which(found)
        {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).mounted.insert(destination, found);
        }
    }

    /// Which regular file is at `path`, without opening it.
    ///
    /// # Errors
    ///
    /// As [`ContainerFiles::open`].
    pub fn stat(&self, path: &Path) -> Result<Stat, ViewError> {
        let found = self.with_view(|view| Ok(File::from(regular_file(view, path)?).metadata()?));
        found.map(|(metadata, rung)| Stat { identity: identity(&metadata, rung), ..Stat::of(&metadata) })
    }

    /// What the system says about a directory: it changes with the names in it.
    pub(crate) fn directory_stat(&self, directory: &Path) -> Result<Metadata, ViewError> {
        self.with_view(|view| match view.lookup(directory)? {
            Node::Directory(directory) => Ok(File::from(directory).metadata()?),
            _ => Err(ViewError::NotFound),
        })
        .map(|(metadata, _)| metadata)
    }

    /// The names in a directory.
    ///
    /// # Errors
    ///
    /// As [`ContainerFiles::open`].
    pub fn list(&self, directory: &Path) -> Result<Vec<OsString>, ViewError> {
        let (names, _) = self.with_view(|view| view.list(directory))?;
        Ok(names.into_iter().map(|(name, _)| name).collect())
    }

    /// The paths that match `pattern` now.
    ///
    /// # Errors
    ///
    /// As [`ContainerFiles::open`].
    pub fn expand(&self, pattern: &str) -> Result<Vec<PathBuf>, ViewError> {
        self.with_view(|view| Ok(glob::expand(pattern, &InView(view)))).map(|(paths, _)| paths)
    }

    fn with_view<T>(
        &self,
        mut work: impl FnMut(&dyn View) -> Result<T, ViewError>,
    ) -> Result<(T, Rung), ViewError> {
        let chosen = self.chosen(None)?;
        match work(&*chosen.view) {
            // The process has just ended, or its root may not be entered after all: one rung further.
            Err(ViewError::Ended | ViewError::Denied(_)) if chosen.rung == Rung::ProcRoot => {
                let next = self.chosen(Some(Rung::ProcRoot))?;
                work(&*next.view).map(|done| (done, next.rung))
            }
            result => result.map(|done| (done, chosen.rung)),
        }
    }

    fn chosen(&self, below: Option<Rung>) -> Result<Chosen, OutOfReach> {
        let (container, mounted) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(chosen) = &state.chosen
                && below.is_none_or(|rung| chosen.rung > rung)
            {
                return Ok(chosen.clone());
            }
            (Arc::clone(&state.container), state.mounted.clone())
        };
        // Not under the lock, which others wait for: a directory may be on a mount that does not answer.
        let found = self.choose(&container, mounted, below.is_some());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&state.container, &container) {
            match &found {
                Ok(chosen) => {
                    state.known = Some(Ok((chosen.rung, chosen.reason.clone())));
                    state.chosen = Some(chosen.clone());
                }
                Err(out_of_reach) => state.known = Some(Err(out_of_reach.to_string())),
            }
        }
        found
    }

    fn choose(&self, container: &Container, mounted: Mounted, has_ended: bool) -> Result<Chosen, OutOfReach> {
        if let Some(sandbox) = &container.sandbox {
            let view = SandboxView::of(sandbox, &self.host_root);
            let reason = format!("the sandbox is `{}`", view.directory().display());
            return Ok(Chosen { view: Arc::new(view), rung: Rung::Sandbox, reason });
        }
        let first = match container.pid() {
            _ if has_ended => ViewError::Ended,
            None => ViewError::Ended,
            Some(pid) => match ProcRoot::of(&self.host_root.join("proc"), pid, &container.id) {
                Ok(view) => {
                    let reason = "the container's own view of its files".to_owned();
                    return Ok(Chosen { view: Arc::new(view), rung: Rung::ProcRoot, reason });
                }
                Err(error) => error,
            },
        };
        match Layered::of(container, &self.host_root, mounted) {
            Ok(view) => {
                let reason =
                    if view.is_exact() { first.to_string() } else { format!("{first}; {WITHOUT_MARKS}") };
                Ok(Chosen { view: Arc::new(view), rung: Rung::HostLayers, reason })
            }
            Err(layers) => Err(OutOfReach { process: Box::new(first), layers }),
        }
    }
}

const WITHOUT_MARKS: &str = "without CAP_SYS_ADMIN it cannot be seen which directories the container made anew: files \
                             that its image has below them are read as well";

struct InView<'a>(&'a dyn View);

impl Directories for InView<'_> {
    fn list(&self, directory: &Path) -> Vec<(OsString, bool)> {
        self.0.list(directory).unwrap_or_default()
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.lookup_link(path).is_ok_and(|node| !matches!(node, Node::Whiteout))
    }
}

/// The regular file at `path`, or what is the matter with what is there.
fn regular_file(view: &dyn View, path: &Path) -> Result<OwnedFd, ViewError> {
    match view.lookup(path) {
        Ok(Node::File(file)) => Ok(file),
        Ok(Node::Directory(_) | Node::MountPoint) => Err(ViewError::NotAFile { kind: "a directory" }),
        Ok(Node::Other(kind)) => Err(standard_stream(view, path).unwrap_or(ViewError::NotAFile { kind })),
        Ok(Node::Link(_) | Node::Whiteout) => Err(ViewError::NotFound),
        Err(error @ (ViewError::NotFound | ViewError::Io(_))) => {
            Err(standard_stream(view, path).unwrap_or(error))
        }
        Err(error) => Err(error),
    }
}

/// Whether `path` leads, link by link, to the standard output or error of a process.
fn standard_stream(view: &dyn View, path: &Path) -> Option<ViewError> {
    let mut path = path.to_owned();
    for _ in 0..8 {
        let Ok(Node::Link(target)) = view.lookup_link(&path) else { return None };
        path = path.parent().unwrap_or(Path::new("/")).join(&target);
        let text = path.to_string_lossy();
        let descriptor = text.starts_with("/proc/") && (text.ends_with("/fd/1") || text.ends_with("/fd/2"));
        if descriptor || matches!(&*text, "/dev/stdout" | "/dev/stderr" | "/dev/fd/1" | "/dev/fd/2") {
            return Some(ViewError::StandardStream { target: target.display().to_string() });
        }
    }
    None
}

/// Without the time of birth where there are layers: a file of the image has another one once it has been written to,
/// and is the same.
fn identity(metadata: &Metadata, rung: Rung) -> Identity {
    match rung {
        Rung::Sandbox => Identity::of(metadata),
        Rung::ProcRoot | Rung::HostLayers | Rung::ExecTail => Identity { born: 0, ..Identity::of(metadata) },
    }
}

/// The names in a directory, and whether each may be a directory.
fn names_of(directory: &OwnedFd) -> io::Result<Vec<(OsString, bool)>> {
    Ok(confined::names(directory)?.into_iter().map(|(name, kind)| (name, may_be_directory(kind))).collect())
}

fn may_be_directory(kind: FileType) -> bool {
    // A link may lead to a directory, and some file systems do not say.
    matches!(kind, FileType::Directory | FileType::Symlink | FileType::Unknown)
}
