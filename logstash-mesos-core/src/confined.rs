//! Looking up files below a directory in a way that nothing inside can lead out of it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities};

/// What lies at a path.
#[derive(Debug)]
pub(crate) enum Node {
    /// A directory, open, to go on from.
    Directory(OwnedFd),
    /// A directory that is there only because something is mounted further down.
    MountPoint,
    /// A regular file.
    File(OwnedFd),
    /// A symbolic link and where it points.
    Link(PathBuf),
    /// Overlay's mark for a name that was deleted.
    Whiteout,
    /// A pipe, a socket, a device: never opened.
    Other(&'static str),
}

/// Opens a directory of the machine as the place to look below.
pub(crate) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// What lies at `relative` below `root`. Only the last part may be a link, which is returned as such.
pub(crate) fn lookup_beneath(root: BorrowedFd<'_>, relative: &Path) -> io::Result<Node> {
    let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    node(match openat2(root, relative, flags, resolve) {
        Err(Errno::NOSYS) => step_by_step(root, relative)?,
        opened => opened?,
    })
}

/// What lies at `path` for a process whose root directory is `root`: links are followed there.
pub(crate) fn lookup_in_root(root: BorrowedFd<'_>, path: &Path) -> io::Result<Node> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match openat2(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS) {
        Err(Errno::NOSYS) => resolve(path, |at| lookup_beneath(root, at)),
        opened => node(opened?),
    }
}

/// Resolves `path` link by link over `lookup`, which gets paths relative to the root without any link in
/// a part but the last. As in a process, `..` at the root stays there.
pub(crate) fn resolve(path: &Path, mut lookup: impl FnMut(&Path) -> io::Result<Node>) -> io::Result<Node> {
    let mut todo: Vec<std::ffi::OsString> = Vec::new();
    push_parts(&mut todo, path);
    let mut at = PathBuf::new();
    let mut links = 0;
    let mut found = lookup(&at)?;
    while let Some(part) = todo.pop() {
        if part == ".." {
            at.pop();
            found = lookup(&at)?;
            continue;
        }
        if !matches!(found, Node::Directory(_) | Node::MountPoint) {
            return Err(Errno::NOTDIR.into());
        }
        at.push(&part);
        found = lookup(&at)?;
        if let Node::Link(target) = &found {
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP.into());
            }
            at.pop();
            if target.is_absolute() {
                at = PathBuf::new();
            }
            let target = target.clone();
            push_parts(&mut todo, &target);
            found = lookup(&at)?;
        }
    }
    Ok(found)
}

/// The path by which this process reaches what is `path` for one whose root directory is `root`.
#[cfg(any(test, feature = "docker"))]
pub(crate) fn path_in_root(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let directory = open_directory(root)?;
    let mut last = PathBuf::new();
    resolve(path, |at| {
        at.clone_into(&mut last);
        lookup_beneath(directory.as_fd(), at)
    })?;
    Ok(root.join(last))
}

/// Opens the file behind a [`Node::File`] for reading. The descriptor names the very file that was
/// checked, so nothing can be put in its place in between.
pub(crate) fn open_for_reading(file: &OwnedFd) -> io::Result<File> {
    let again = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(File::from(rustix::fs::open(again, flags, Mode::empty())?))
}

/// The names in a directory, with what kind each is as far as the file system says.
pub(crate) fn names(directory: &OwnedFd) -> io::Result<Vec<(std::ffi::OsString, FileType)>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let readable = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&readable)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push((std::ffi::OsString::from_vec(name.to_vec()), entry.file_type()));
        }
    }
    Ok(names)
}

/// Whether an extended attribute of overlay is set on the file or directory.
pub(crate) fn has_overlay_mark(file: &OwnedFd, mark: &str) -> bool {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut value = [0_u8; 256];
    ["trusted", "user"].iter().any(|space| {
        let name = format!("{space}.overlay.{mark}");
        match rustix::fs::getxattr(&path, &name, &mut value) {
            Ok(0) | Err(Errno::RANGE) => true,
            Ok(_) => mark != "opaque" || value[0] == b'y',
            Err(_) => false,
        }
    })
}

/// Whether this thread may read such marks: to those without the capability the kernel says of every attribute
/// `trusted.*` that it is not there (xattr(7)).
pub(crate) fn sees_overlay_marks() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

const MOST_LINKS: u32 = 40;

fn push_parts(todo: &mut Vec<std::ffi::OsString>, path: &Path) {
    let parts: Vec<_> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        })
        .collect();
    todo.extend(parts.into_iter().rev());
}

fn openat2(root: BorrowedFd<'_>, path: &Path, flags: OFlags, how: ResolveFlags) -> Result<OwnedFd, Errno> {
    // Kernels before 5.6 and some seccomp profiles do not have the call; asking once is enough.
    static MISSING: AtomicBool = AtomicBool::new(false);
    if MISSING.load(Ordering::Relaxed) {
        return Err(Errno::NOSYS);
    }
    let mut attempts = 0;
    loop {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), how) {
            // The kernel could not rule out a rename of a part of the way: it asks to try again.
            Err(Errno::AGAIN) if attempts < 16 => attempts += 1,
            // Seccomp profiles that do not know the call refuse it, which for opening a path means nothing else.
            Err(Errno::NOSYS | Errno::PERM) => {
                MISSING.store(true, Ordering::Relaxed);
                return Err(Errno::NOSYS);
            }
            opened => return opened,
        }
    }
}

fn step_by_step(root: BorrowedFd<'_>, relative: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = rustix::fs::openat(root, ".", flags, Mode::empty())?;
    for part in relative.components() {
        match part {
            Component::Normal(name) => at = rustix::fs::openat(at.as_fd(), name, flags, Mode::empty())?,
            Component::CurDir => {}
            _ => return Err(Errno::XDEV.into()),
        }
    }
    Ok(at)
}

pub(crate) fn node(file: OwnedFd) -> io::Result<Node> {
    let stat = rustix::fs::fstat(&file)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Node::Directory(file),
        FileType::RegularFile => Node::File(file),
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(&file, "", Vec::new())?;
            Node::Link(PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes())))
        }
        FileType::CharacterDevice if stat.st_rdev == 0 => Node::Whiteout,
        FileType::CharacterDevice | FileType::BlockDevice => Node::Other("a device"),
        FileType::Fifo => Node::Other("a pipe"),
        FileType::Socket => Node::Other("a socket"),
        FileType::Unknown => Node::Other("no regular file"),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    fn read(node: Node) -> String {
        let Node::File(file) = node else { panic!("{node:?}") };
        let mut text = String::new();
        open_for_reading(&file).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/etc")).unwrap();
        std::fs::create_dir_all(dir.path().join("root/var/log")).unwrap();
        std::fs::write(dir.path().join("root/etc/passwd"), "inside").unwrap();
        std::fs::write(dir.path().join("secret"), "outside").unwrap();
        symlink("/etc/passwd", dir.path().join("root/var/log/absolute")).unwrap();
        symlink("../../../../../../etc/passwd", dir.path().join("root/var/log/relative")).unwrap();
        symlink("../../../secret", dir.path().join("root/var/log/escape")).unwrap();
        symlink("loop", dir.path().join("root/var/log/loop")).unwrap();
        let root = open_directory(&dir.path().join("root")).unwrap();
        type Way<'a> = &'a dyn Fn(&str) -> io::Result<Node>;
        let ways: [Way<'_>; 2] = [&|path| lookup_in_root(root.as_fd(), Path::new(path)), &|path| {
            resolve(Path::new(path), |at| lookup_beneath(root.as_fd(), at))
        }];
        for way in ways {
            assert_eq!(read(way("/var/log/absolute").unwrap()), "inside");
            assert_eq!(read(way("/var/log/relative").unwrap()), "inside");
            assert_eq!(way("/var/log/escape").unwrap_err().kind(), io::ErrorKind::NotFound);
            assert_eq!(way("/var/log/loop").unwrap_err().raw_os_error(), Some(40));
            assert!(way("/../../secret").is_err());
        }
        let reached = path_in_root(&dir.path().join("root"), Path::new("/var/log/relative")).unwrap();
        assert_eq!(reached, dir.path().join("root/etc/passwd"));
        assert!(path_in_root(&dir.path().join("root"), Path::new("/var/log/escape")).is_err());
    }

    #[test]
    fn without_the_call_every_step_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/file"), "text").unwrap();
        symlink("a", dir.path().join("link")).unwrap();
        let root = open_directory(dir.path()).unwrap();
        let found = step_by_step(root.as_fd(), Path::new("a/b/file")).unwrap();
        assert_eq!(read(node(found).unwrap()), "text");
        assert!(step_by_step(root.as_fd(), Path::new("link/b/file")).is_err());
        assert!(step_by_step(root.as_fd(), Path::new("../x")).is_err());
    }

    #[test]
    fn a_pipe_is_recognised_and_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, mode, 0).unwrap();
        let root = open_directory(dir.path()).unwrap();
        assert!(matches!(lookup_in_root(root.as_fd(), Path::new("pipe")).unwrap(), Node::Other("a pipe")));
    }
}
