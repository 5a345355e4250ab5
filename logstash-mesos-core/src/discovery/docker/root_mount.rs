//! The layers of a container whose daemon does not name them, as with containerd's image store: the kernel says what the root
//! file system of its first process is made of (`proc_pid_mountinfo(5)`, overlayfs in the kernel's documentation).

use std::path::{Path, PathBuf};

use crate::discovery::Layers;

/// Of the process `pid` of the machine; `None` where it cannot be seen, or has no overlay, or one with relative paths.
pub(super) fn layers(host_root: &Path, pid: i32) -> Option<Layers> {
    let mounts = std::fs::read_to_string(host_root.join(format!("proc/{pid}/mountinfo"))).ok()?;
    of_root(&mounts)
}

fn of_root(mounts: &str) -> Option<Layers> {
    let is_root = |mount: &&str| mount.split(' ').nth(4) == Some("/");
    let (_, about) = mounts.lines().find(is_root)?.split_once(" - ")?;
    let mut about = about.split(' ');
    let (kind, _, options) = (about.next()?, about.next()?, about.next()?);
    // An escaped character may be a comma or a colon of a path.
    if kind != "overlay" || options.contains('\\') {
        return None;
    }
    let option =
        |name: &str| options.split(',').find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
    let upper = PathBuf::from(option("upperdir")?);
    // Two colons stand in front of layers that hold data alone.
    let lower = option("lowerdir")?.split(':').filter(|path| !path.is_empty()).map(PathBuf::from);
    let lower: Vec<PathBuf> = lower.collect();
    (upper.is_absolute() && lower.iter().all(|path| path.is_absolute())).then_some(Layers { upper, lower })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_overlay_is_made_of() {
        let mounts = "1042 998 0:59 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/c/12/fs:/c/11/fs,upperdir=/c/13/fs,\
                      workdir=/c/13/work,nouserxattr\n\
                      1043 1042 0:62 / /proc rw,nosuid - proc proc rw\n";
        let layers = of_root(mounts).unwrap();
        assert_eq!(layers.upper, Path::new("/c/13/fs"));
        assert_eq!(layers.lower, ["/c/12/fs", "/c/11/fs"].map(PathBuf::from));
        let others = [
            mounts.replace(" - overlay ", " - ext4 "),
            mounts.replace("/c/11/fs", "11/fs"),
            mounts.replace(" / / ", " / /elsewhere "),
            mounts.replace("/c/12", "/c\\,12"),
            mounts.replace("upperdir=/c/13/fs,", ""),
        ];
        for other in others {
            assert_eq!(of_root(&other), None, "{other}");
        }
    }
}
