//! The first rung: the container's own view of its files, below `/proc/<pid>/root`.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Denied, View, ViewError};
use crate::confined::{self, Node};
use crate::discovery::ContainerId;

/// A running container's files as its processes see them: volumes, memory and every storage driver.
#[derive(Debug)]
pub(crate) struct ProcRoot {
    // Names this one process: after its end every use fails, whoever gets its number.
    process: OwnedFd,
}

impl ProcRoot {
    /// Takes hold of process `pid`, and makes sure that it is one of container `id`: in another process
    /// namespace the number would name somebody else.
    pub(crate) fn of(proc: &Path, pid: i32, id: &ContainerId) -> Result<Self, ViewError> {
        let process = match confined::open_directory(&proc.join(pid.to_string())) {
            Ok(process) => process,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ViewError::Denied(Denied::ProcessNotVisible { pid }));
            }
            Err(error) => return Err(ViewError::Io(error)),
        };
        let named = ["cgroup", "mountinfo"].iter().any(|file| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let mut text = Vec::new();
            rustix::fs::openat(&process, *file, flags, Mode::empty())
                .map(std::fs::File::from)
                .and_then(|mut file| file.read_to_end(&mut text).map_err(|_| Errno::IO))
                .is_ok()
                && memchr::memmem::find(&text, id.0.as_bytes()).is_some()
        });
        if !named {
            return Err(ViewError::Denied(Denied::OtherProcess { pid }));
        }
        let root = Self { process };
        root.root()?;
        Ok(root)
    }

    fn root(&self) -> Result<OwnedFd, ViewError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.process, "root", flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT | Errno::SRCH => ViewError::Ended,
            Errno::ACCESS | Errno::PERM => ViewError::Denied(Denied::NotPermitted),
            other => ViewError::Io(other.into()),
        })
    }
}

impl View for ProcRoot {
    fn lookup(&self, path: &Path) -> Result<Node, ViewError> {
        let root = self.root()?;
        Ok(confined::lookup_in_root(root.as_fd(), path)?)
    }

    fn lookup_link(&self, path: &Path) -> Result<Node, ViewError> {
        let root = self.root()?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let Node::Directory(parent) = confined::lookup_in_root(root.as_fd(), parent)? else {
            return Err(ViewError::NotFound);
        };
        let name = path.file_name().ok_or(ViewError::NotFound)?;
        Ok(confined::lookup_beneath(parent.as_fd(), Path::new(name))?)
    }

    fn list(&self, directory: &Path) -> Result<Vec<(std::ffi::OsString, bool)>, ViewError> {
        match self.lookup(directory)? {
            Node::Directory(found) => Ok(super::names_of(&found)?),
            _ => Err(ViewError::NotFound),
        }
    }
}
