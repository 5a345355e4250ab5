//! Where a test keeps its files, which ports it takes, and where the real parts are installed.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::thread;

/// The environment variable that every process of one test carries, so that none is overlooked at the end.
pub const MARK: &str = "LOGSTASH_MESOS_TEST_PLACE";

/// A directory of one test, removed at its end unless the test failed.
///
/// The path is short, because a Unix socket's may have no more than 107 bytes.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// Makes a new empty directory.
    #[must_use]
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let parent = env::var_os("LOGSTASH_MESOS_TEST_DIR").map_or_else(env::temp_dir, PathBuf::from);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("lm-{}-{number}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        Self { path }
    }

    /// Returns the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of an entry of the directory, which need not exist.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes a subdirectory and returns its path.
    #[must_use]
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if thread::panicking() || env::var_os("LOGSTASH_MESOS_TEST_KEEP").is_some() {
            eprintln!("the logs of this test are below {}", self.path.display());
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Packs what is below a directory into an archive.
///
/// # Panics
///
/// If `tar` cannot.
#[track_caller]
pub fn pack(root: &Path, archive: &Path) {
    let mut tar = Command::new("tar");
    let status = tar.arg("-C").arg(root).arg("-cf").arg(archive).arg(".").status().expect("tar is installed");
    assert!(status.success(), "tar could not pack {}", root.display());
}

/// Unmounts everything below a directory, so that it can be removed.
pub fn unmount_below(directory: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut below: Vec<_> = points.filter(|point| Path::new(point).starts_with(directory)).collect();
    below.sort_unstable();
    for point in below.into_iter().rev() {
        let _ = Command::new("umount").arg("-l").arg(point).status();
    }
}

/// Returns the files below a directory, sorted, apart from locks; none if there is no such directory.
#[must_use]
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if !path.to_string_lossy().ends_with("lock") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Whether a file below `directory`, with a name that ends so, holds all of these texts.
#[must_use]
pub fn keeps(directory: &Path, ending: &str, texts: &[&str]) -> bool {
    let files = files_below(directory).into_iter().filter(|file| file.to_string_lossy().ends_with(ending));
    let mut contents = files.map(|file| fs::read_to_string(file).unwrap_or_default());
    contents.any(|content| texts.iter().all(|text| content.contains(text)))
}

/// Returns a loopback port that is free and was not handed out before.
///
/// The ports lie below the range from which the kernel takes those of outgoing connections, so that none is
/// lost between this call and the start of the program that is to have it.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = (std::process::id() % 100 * 100) as u16;
    for _ in 0..10_000 {
        let port = 12_000 + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 12000 and 22000");
}

/// Returns the path of a program that `tests/setup` installs.
///
/// # Panics
///
/// If it is not there, naming the script.
#[must_use]
pub fn installed(program: &str) -> PathBuf {
    let cache = env::var_os("LOGSTASH_MESOS_TEST_CACHE").map_or_else(
        || {
            PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/root".into()))
                .join(".cache/logstash-mesos-tests")
        },
        PathBuf::from,
    );
    let path = cache.join(program);
    assert!(path.exists(), "{} is missing: run `tests/setup`, as root the first time", path.display());
    path
}

/// Returns the directory with the scheduler and, beside it, the statically linked executor.
///
/// # Panics
///
/// If it is not there, naming the command that builds both.
#[must_use]
pub fn programs() -> PathBuf {
    let directory = env::var_os("LOGSTASH_MESOS_TEST_PROGRAMS").map_or_else(
        || {
            // Beside this test's own `deps` directory, where `tests/build` leaves them.
            let own = env::current_exe().expect("a running program has a path");
            let target = own.ancestors().find(|path| path.join(".rustc_info.json").exists());
            target.unwrap_or_else(|| Path::new("target")).join("whole-program")
        },
        PathBuf::from,
    );
    for name in ["logstash-mesos-scheduler", "logstash-mesos-executor"] {
        let path = directory.join(name);
        assert!(path.exists(), "{} is missing: run `tests/build`", path.display());
    }
    directory
}
