//! The second rung: the container's files pieced together from the machine's side.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Denied, View, ViewError};
use crate::confined::{self, Node};
use crate::discovery::{Container, Mount};

/// Which files and directories were mounted, by device and inode, under the paths at which the container saw them. Seen
/// while it ran: today's path may lead elsewhere, as when another container has replaced a part of it by a link.
pub(super) type Mounted = BTreeMap<PathBuf, (u64, u64)>;

/// Device and inode.
pub(super) fn which(file: impl AsFd) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(file)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// A container's files as its mounts and the layers of its overlay file system hold them.
///
/// Every path is resolved part by part, links included, over mounts first and then the upper and the lower
/// layers, as the kernel would; no link leads out of the directory a part was found in.
#[derive(Debug)]
pub(crate) struct Layered {
    host_root: PathBuf,
    mounts: Vec<Mount>,
    mounted: Mounted,
    // The upper one first.
    layers: Vec<PathBuf>,
}

impl Layered {
    /// The files of `container`, whose directories lie below `host_root`.
    pub(super) fn of(container: &Container, host_root: &Path, mounted: Mounted) -> Result<Self, Denied> {
        let layers: Vec<PathBuf> = container
            .layers
            .iter()
            .flat_map(|layers| std::iter::once(&layers.upper).chain(&layers.lower))
            .cloned()
            .collect();
        let mut mounts = container.mounts.clone();
        // The longest destination that fits is the one that covers a path.
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.destination.components().count()));
        let view = Self { host_root: host_root.to_owned(), mounts, mounted, layers };
        let Some(upper) = view.layers.first() else {
            return if view.mounts.is_empty() { Err(Denied::NoLayers) } else { Ok(view) };
        };
        match view.open_host(upper) {
            Ok(_) => Ok(view),
            Err(error) => Err(Denied::HostDirectory { path: upper.clone(), error: error.kind().to_string() }),
        }
    }

    /// Whether the layers say everything: what a directory hides is in a mark that not everybody may read.
    pub(crate) fn is_exact(&self) -> bool {
        self.layers.is_empty() || confined::sees_overlay_marks()
    }

    fn open_host(&self, path: &Path) -> io::Result<OwnedFd> {
        confined::open_directory(&self.host_root.join(path.strip_prefix("/").unwrap_or(path)))
    }

    /// What lies at `at` (relative to the container's root, no link on the way).
    fn at(&self, at: &Path) -> io::Result<Node> {
        if let Some(mount) = self.mount_over(at) {
            return self.in_mount(mount, at);
        }
        match self.in_layers(at)?.into_iter().next() {
            Some(node) => Ok(node),
            None if self.mounts.iter().any(|mount| below(&mount.destination, at)) => Ok(Node::MountPoint),
            None => Err(Errno::NOENT.into()),
        }
    }

    fn mount_over(&self, at: &Path) -> Option<&Mount> {
        self.mounts.iter().find(|mount| at.starts_with(relative(&mount.destination)))
    }

    fn in_mount(&self, mount: &Mount, at: &Path) -> io::Result<Node> {
        let Some(source) = &mount.source else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} is in memory and cannot be seen from outside", mount.destination.display()),
            ));
        };
        let rest = at.strip_prefix(relative(&mount.destination)).unwrap_or(Path::new(""));
        match self.mount_source(mount, source)? {
            // A mount may be of a single file.
            source if rest.as_os_str().is_empty() => Ok(source),
            Node::Directory(source) => confined::lookup_beneath(source.as_fd(), rest),
            _ => Err(Errno::NOTDIR.into()),
        }
    }

    /// What is mounted there, and nothing else that today's path may lead to.
    fn mount_source(&self, mount: &Mount, source: &Path) -> io::Result<Node> {
        let other = |why: &str| {
            let (source, destination) = (source.display(), mount.destination.display());
            io::Error::other(format!("`{source}`, which was mounted at `{destination}`, {why}"))
        };
        let below_root = source.strip_prefix("/").unwrap_or(source);
        let Some(known) = self.mounted.get(&mount.destination) else {
            let root = confined::open_directory(&self.host_root)?;
            return match confined::lookup_beneath(root.as_fd(), below_root) {
                Ok(Node::Link(_)) => Err(other(OVER_A_LINK)),
                Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                    Err(other(OVER_A_LINK))
                }
                found => found,
            };
        };
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
        let found = rustix::fs::open(self.host_root.join(below_root), flags, rustix::fs::Mode::empty())?;
        if which(&found)? == *known {
            confined::node(found)
        } else {
            Err(other("is another one now: it is not read"))
        }
    }

    /// What each layer that counts has at `at`, upper first. A file or link ends the list, and so does
    /// what hides the layers below: a whiteout, an opaque directory, a file in place of a directory.
    fn in_layers(&self, at: &Path) -> io::Result<Vec<Node>> {
        let mut found = Vec::new();
        'layers: for layer in &self.layers {
            let root = match self.open_host(layer) {
                Ok(root) => root,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let mut hides = false;
            let mut way = PathBuf::new();
            let mut parts = at.components().peekable();
            let mut node = confined::lookup_beneath(root.as_fd(), &way)?;
            while let Some(part) = parts.next() {
                way.push(part);
                node = match confined::lookup_beneath(root.as_fd(), &way) {
                    Ok(node) => node,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        if hides {
                            break 'layers;
                        }
                        continue 'layers;
                    }
                    Err(error) => return Err(error),
                };
                match &node {
                    Node::Whiteout => break 'layers,
                    Node::Directory(directory) => {
                        if confined::has_overlay_mark(directory, "redirect") {
                            return Err(io::Error::new(
                                io::ErrorKind::Unsupported,
                                format!("/{} was renamed across layers", way.display()),
                            ));
                        }
                        hides |= confined::has_overlay_mark(directory, "opaque");
                    }
                    _ if parts.peek().is_some() => break 'layers,
                    // Only its attributes were copied up; the data is still in a lower layer.
                    Node::File(file) if confined::has_overlay_mark(file, "metacopy") => continue 'layers,
                    _ => hides = true,
                }
            }
            found.push(node);
            if hides {
                break;
            }
        }
        Ok(found)
    }
}

impl View for Layered {
    fn lookup(&self, path: &Path) -> Result<Node, ViewError> {
        Ok(confined::resolve(path, |at| self.at(at))?)
    }

    fn lookup_link(&self, path: &Path) -> Result<Node, ViewError> {
        let mut last = None;
        let name = path.file_name().ok_or(ViewError::NotFound)?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        confined::resolve(parent, |at| {
            last = Some(at.to_owned());
            self.at(at)
        })?;
        let at = last.ok_or(ViewError::NotFound)?.join(name);
        Ok(self.at(&at)?)
    }

    fn list(&self, directory: &Path) -> Result<Vec<(OsString, bool)>, ViewError> {
        let mut at = PathBuf::new();
        let found = confined::resolve(directory, |way| {
            way.clone_into(&mut at);
            self.at(way)
        })?;
        let (Node::Directory(_) | Node::MountPoint) = found else { return Err(ViewError::NotFound) };
        let mut names: BTreeMap<OsString, bool> = BTreeMap::new();
        if let Some(mount) = self.mount_over(&at) {
            if let Node::Directory(directory) = self.in_mount(mount, &at)? {
                names.extend(super::names_of(&directory)?);
            }
        } else {
            let mut hidden = BTreeSet::new();
            for node in self.in_layers(&at)? {
                let Node::Directory(directory) = node else { break };
                for (name, kind) in confined::names(&directory)? {
                    let whiteout = kind == rustix::fs::FileType::CharacterDevice
                        && matches!(
                            confined::lookup_beneath(directory.as_fd(), Path::new(&name)),
                            Ok(Node::Whiteout)
                        );
                    if whiteout {
                        hidden.insert(name);
                    } else if !hidden.contains(&name) {
                        names.entry(name).or_insert_with(|| super::may_be_directory(kind));
                    }
                }
            }
        }
        for mount in &self.mounts {
            if let Some(next) =
                relative(&mount.destination).strip_prefix(&at).ok().and_then(|rest| rest.components().next())
            {
                names.insert(next.as_os_str().to_owned(), true);
            }
        }
        Ok(names.into_iter().collect())
    }
}

const OVER_A_LINK: &str = "is reached over a link, and was not seen while the container ran: it is not read. Mount the path \
                           that the link leads to";

fn relative(destination: &Path) -> &Path {
    destination.strip_prefix("/").unwrap_or(destination)
}

fn below(destination: &Path, at: &Path) -> bool {
    let destination = relative(destination);
    destination != at && destination.starts_with(at)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;

    use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

    use super::super::{ContainerFiles, Rung};
    use super::*;
    use crate::discovery::{ContainerId, ContainerState, Layers, LogDriver};

    /// An upper and two lower layers below a directory, as overlay lays them out.
    struct Laid {
        dir: tempfile::TempDir,
        mounts: Vec<Mount>,
        mounted: Mounted,
    }

    impl Laid {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            for layer in ["upper", "lower1", "lower2"] {
                std::fs::create_dir_all(dir.path().join(layer)).unwrap();
            }
            Self { dir, mounts: Vec::new(), mounted: Mounted::new() }
        }

        fn write(&self, path: &str, text: &str) -> PathBuf {
            let path = self.dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        }

        fn whiteout(&self, path: &str) {
            let path = self.dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            mknodat(CWD, &path, FileType::CharacterDevice, Mode::from_raw_mode(0o600), 0).unwrap();
        }

        fn mark(&self, path: &str, mark: &str, value: &[u8]) {
            let path = self.dir.path().join(path);
            setxattr(path, format!("trusted.overlay.{mark}"), value, XattrFlags::empty()).unwrap();
        }

        fn files(&self) -> ContainerFiles {
            let container = Container {
                id: ContainerId("0".repeat(64).into()),
                name: "laid".into(),
                image: "laid".into(),
                labels: BTreeMap::new(),
                state: ContainerState::Exited,
                started_at: "".into(),
                mounts: self.mounts.clone(),
                layers: Some(Layers {
                    upper: "/upper".into(),
                    lower: vec!["/lower1".into(), "/lower2".into()],
                }),
                log: LogDriver::default(),
                tty: false,
                mesos: None,
                shipper_of: None,
                sandbox: None,
            };
            let files = ContainerFiles::new(Arc::new(container), self.dir.path());
            files.state.lock().unwrap().mounted = self.mounted.clone();
            files
        }

        fn read(&self, path: &str) -> Result<String, ViewError> {
            let (mut file, rung) = self.files().open(Path::new(path))?;
            assert_eq!(rung, Rung::HostLayers);
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            Ok(text)
        }
    }

    #[test]
    fn the_upper_layer_wins_and_whiteouts_hide() {
        let laid = Laid::new();
        laid.write("lower2/var/log/a", "lowest");
        laid.write("lower1/var/log/a", "lower");
        laid.write("lower2/var/log/b", "below");
        laid.write("lower2/gone/c", "deleted");
        assert_eq!(laid.read("/var/log/a").unwrap(), "lower");
        laid.write("upper/var/log/a", "upper");
        assert_eq!(laid.read("/var/log/a").unwrap(), "upper");
        assert_eq!(laid.read("/var/log/b").unwrap(), "below");
        laid.whiteout("upper/var/log/b");
        laid.whiteout("lower1/gone");
        assert!(matches!(laid.read("/var/log/b"), Err(ViewError::NotFound)));
        assert!(matches!(laid.read("/gone/c"), Err(ViewError::NotFound)));
        assert_eq!(laid.files().expand("/var/log/*").unwrap(), [PathBuf::from("/var/log/a")]);
    }

    #[test]
    fn an_opaque_directory_hides_what_is_below_it() {
        let laid = Laid::new();
        laid.write("lower2/var/log/old", "old");
        laid.write("upper/var/log/new", "new");
        laid.mark("upper/var/log", "opaque", b"y");
        assert!(matches!(laid.read("/var/log/old"), Err(ViewError::NotFound)));
        assert_eq!(laid.read("/var/log/new").unwrap(), "new");
        assert_eq!(laid.files().expand("/var/log/*").unwrap(), [PathBuf::from("/var/log/new")]);
    }

    #[test]
    fn who_cannot_read_the_marks_says_so() {
        let laid = Laid::new();
        laid.write("lower2/var/log/old", "old");
        laid.write("upper/var/log/new", "new");
        laid.mark("upper/var/log", "opaque", b"y");
        let reason = || laid.files().rung().unwrap().1;
        assert!(!reason().contains("CAP_SYS_ADMIN"), "{}", reason());
        // Capabilities are those of a thread.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut sets = capabilities(None).unwrap();
                sets.effective.remove(CapabilitySet::SYS_ADMIN);
                set_capabilities(None, sets).unwrap();
                assert!(reason().contains("without CAP_SYS_ADMIN"), "{}", reason());
                assert_eq!(laid.read("/var/log/old").unwrap(), "old");
            });
        });
    }

    #[test]
    fn a_metacopy_stub_is_not_data() {
        let laid = Laid::new();
        laid.write("lower2/etc/motd", "text");
        laid.write("upper/etc/motd", "\0\0\0\0");
        laid.mark("upper/etc/motd", "metacopy", b"");
        assert_eq!(laid.read("/etc/motd").unwrap(), "text");
    }

    #[test]
    fn links_cross_layers_and_mounts_and_stay_inside() {
        let mut laid = Laid::new();
        laid.write("host/volume/app.log", "volume");
        laid.write("host/secret", "secret");
        laid.write("lower1/data/real.log", "real");
        laid.mounts = vec![Mount { destination: "/logs".into(), source: Some("/host/volume".into()) }];
        std::fs::create_dir_all(laid.dir.path().join("upper/var")).unwrap();
        symlink("../data", laid.dir.path().join("upper/var/log")).unwrap();
        symlink("/logs/app.log", laid.dir.path().join("upper/var/app")).unwrap();
        symlink("/data/real.log", laid.dir.path().join("host/volume/back")).unwrap();
        symlink("../secret", laid.dir.path().join("host/volume/escape")).unwrap();
        assert_eq!(laid.read("/var/log/real.log").unwrap(), "real");
        assert_eq!(laid.read("/var/app").unwrap(), "volume");
        assert_eq!(laid.read("/logs/back").unwrap(), "real");
        assert!(matches!(laid.read("/logs/escape"), Err(ViewError::NotFound)));
        assert_eq!(laid.files().expand("/l*/*.log").unwrap(), [PathBuf::from("/logs/app.log")]);
    }

    #[test]
    fn what_was_not_mounted_is_not_read_in_its_place() {
        let mut laid = Laid::new();
        laid.write("shared/volume/app.log", "volume");
        laid.write("secret/volume/app.log", "secret");
        laid.mounts = vec![Mount { destination: "/logs".into(), source: Some("/shared/volume".into()) }];
        let root = laid.dir.path().to_owned();
        let volume = std::fs::File::open(root.join("shared/volume")).unwrap();
        for seen in [None, Some(which(&volume).unwrap())] {
            laid.mounted = seen.map(|seen| (PathBuf::from("/logs"), seen)).into_iter().collect();
            assert_eq!(laid.read("/logs/app.log").unwrap(), "volume");
            // Whoever may write there moves the directory away, and lays a link to another one.
            std::fs::rename(root.join("shared"), root.join("moved")).unwrap();
            symlink("secret", root.join("shared")).unwrap();
            let error = laid.read("/logs/app.log").unwrap_err().to_string();
            assert!(error.contains("/shared/volume"), "{error}");
            assert!(laid.files().expand("/logs/*.log").unwrap_or_default().is_empty());
            std::fs::remove_file(root.join("shared")).unwrap();
            // Where it was seen, a link that leads to it is as good.
            symlink("moved", root.join("shared")).unwrap();
            assert_eq!(laid.read("/logs/app.log").is_ok(), seen.is_some());
            std::fs::remove_file(root.join("shared")).unwrap();
            std::fs::rename(root.join("moved"), root.join("shared")).unwrap();
        }
    }

    #[test]
    fn a_link_to_standard_output_names_the_remedy() {
        let laid = Laid::new();
        std::fs::create_dir_all(laid.dir.path().join("lower1/var/log/nginx")).unwrap();
        symlink("/dev/stdout", laid.dir.path().join("lower1/var/log/nginx/access.log")).unwrap();
        let error = laid.read("/var/log/nginx/access.log").unwrap_err();
        assert!(error.to_string().contains("docker { }"), "{error}");
    }
}
