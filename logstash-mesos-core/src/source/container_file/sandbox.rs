//! The sandbox that a Mesos agent gave a container: a directory of the machine, in which the task may put links.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::{View, ViewError};
use crate::confined::{self, Node};
use crate::discovery::Sandbox;

/// Sees what is below the sandbox and nothing else.
///
/// The sandbox is looked up below the work directory without following links each time: that of a nested container lies
/// in one that another task may change.
#[derive(Debug)]
pub(crate) struct SandboxView {
    /// As this process sees it.
    work_dir: PathBuf,
    below: PathBuf,
    /// What tasks call their sandbox in links.
    names: [PathBuf; 2],
}

/// `--sandbox_directory` of the agent, unless it was changed: where a task with an image sees its sandbox.
const IN_CONTAINERS: &str = "/mnt/mesos/sandbox";

impl SandboxView {
    pub(crate) fn of(sandbox: &Sandbox, host_root: &Path) -> Self {
        let work_dir = host_root.join(sandbox.work_dir.strip_prefix("/").unwrap_or(&sandbox.work_dir));
        let names = [PathBuf::from(IN_CONTAINERS), sandbox.work_dir.join(&sandbox.below)];
        Self { work_dir, below: sandbox.below.clone(), names }
    }

    /// As the machine calls it.
    pub(crate) fn directory(&self) -> &Path {
        let [_, directory] = &self.names;
        directory
    }

    fn root(&self) -> Result<OwnedFd, ViewError> {
        let work_dir = confined::open_directory(&self.work_dir)?;
        match confined::lookup_beneath(work_dir.as_fd(), &self.below)? {
            Node::Directory(root) => Ok(root),
            _ => Err(ViewError::NotFound),
        }
    }

    /// Resolves a path of the sandbox, with links as the task sees them.
    fn resolve(&self, path: &Path) -> Result<Node, ViewError> {
        let root = self.root()?;
        let mut out = None;
        let found = confined::resolve(path, |at| {
            let node = confined::lookup_beneath(root.as_fd(), at)?;
            let Node::Link(target) = &node else { return Ok(node) };
            if !target.is_absolute() {
                return Ok(node);
            }
            match self.names.iter().find_map(|name| target.strip_prefix(name).ok()) {
                Some(inside) => Ok(Node::Link(Path::new("/").join(inside))),
                None => {
                    out = Some(target.clone());
                    Err(io::ErrorKind::NotFound.into())
                }
            }
        });
        match out {
            Some(target) => Err(ViewError::LeadsOut { target }),
            None => Ok(found?),
        }
    }
}

impl View for SandboxView {
    fn lookup(&self, path: &Path) -> Result<Node, ViewError> {
        self.resolve(path)
    }

    fn lookup_link(&self, path: &Path) -> Result<Node, ViewError> {
        let Node::Directory(parent) = self.resolve(path.parent().unwrap_or(Path::new("/")))? else {
            return Err(ViewError::NotFound);
        };
        let name = path.file_name().ok_or(ViewError::NotFound)?;
        Ok(confined::lookup_beneath(parent.as_fd(), Path::new(name))?)
    }

    fn list(&self, directory: &Path) -> Result<Vec<(OsString, bool)>, ViewError> {
        match self.resolve(directory)? {
            Node::Directory(found) => Ok(super::names_of(&found)?),
            _ => Err(ViewError::NotFound),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;

    use super::super::{ContainerFiles, Rung};
    use super::*;
    use crate::discovery::Container;

    #[test]
    fn links_of_the_task_lead_to_its_own_sandbox_and_nowhere_else() {
        let root = tempfile::tempdir().unwrap();
        let work_dir = PathBuf::from("/work");
        let below = PathBuf::from("slaves/s/frameworks/f/executors/e/runs/r/containers/n");
        let own = root.path().join("work").join(&below);
        std::fs::create_dir_all(own.join("logs")).unwrap();
        std::fs::write(own.join("logs/app.log"), "inside").unwrap();
        std::fs::write(root.path().join("work/secret"), "outside").unwrap();
        let host = work_dir.join(&below).join("logs/app.log");
        for (name, target) in [
            ("relative", Path::new("logs/app.log")),
            ("image", Path::new("/mnt/mesos/sandbox/logs/app.log")),
            ("host", &host),
        ] {
            symlink(target, own.join(name)).unwrap();
        }
        symlink("/work/secret", own.join("absolute")).unwrap();
        symlink("../../../../../../../../../../../secret", own.join("up")).unwrap();
        symlink("/work", own.join("directory")).unwrap();
        symlink("/dev/stdout", own.join("device")).unwrap();

        let sandbox = Sandbox { work_dir, below: below.clone(), by_docker: false };
        let container = Container { sandbox: Some(sandbox), ..Container::new("r.n", "task", "") };
        let files = ContainerFiles::new(Arc::new(container), root.path());
        let read = |path: &str| {
            let (mut file, rung) = files.open(Path::new(path))?;
            assert_eq!(rung, Rung::Sandbox);
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            Ok::<_, ViewError>(text)
        };
        for path in ["/logs/app.log", "/relative", "/image", "/host"] {
            assert_eq!(read(path).unwrap(), "inside", "{path}");
        }
        for path in ["/absolute", "/directory/secret", "/device"] {
            let error = read(path).unwrap_err().to_string();
            assert!(error.contains("leads out of the sandbox"), "{path}: {error}");
        }
        assert!(matches!(read("/up").unwrap_err(), ViewError::NotFound));
        let found = files.expand("/**/*.log").unwrap();
        assert_eq!(found, [Path::new("/logs/app.log")]);

        // The executor owns what is above, and puts a link in its place.
        let nested = own.parent().unwrap();
        std::fs::rename(nested, nested.with_file_name("moved")).unwrap();
        symlink("moved", nested).unwrap();
        assert!(read("/logs/app.log").is_err());
    }
}
