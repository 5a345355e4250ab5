//! Calls of the system that may not come back, as on a mount whose server is away.
//!
//! A thread in such a call serves nobody. So where a file system may hang, each call is made while another thread goes on with
//! what this one had to do (as many at a time as there are turns), and a stream whose call has not come back is named. On the
//! file systems of a machine's own disks, where nearly all logs are, calls are made as they are: that costs nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::block_in_place;

use super::StreamStatus;
use super::unanswered::Unanswered;
use super::watch;

/// So many calls at a time, each of which may keep a thread for as long as its server is away. Fewer than a runtime has threads
/// to go on with.
const TURNS: usize = 64;
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What a file system is asked here.
const QUESTION: &str = "a call for a file that is read";

/// The calls of all readers that may hang.
#[derive(Clone, Debug)]
pub(crate) struct Hanging(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    turns: Semaphore,
    calls: Mutex<Calls>,
    // Whether there was a mount that somebody else serves, and when that was looked at.
    served: Mutex<Option<(Instant, bool)>>,
}

#[derive(Debug, Default)]
struct Calls {
    next: u64,
    running: BTreeMap<u64, Call>,
}

#[derive(Debug)]
struct Call {
    path: PathBuf,
    status: Arc<StreamStatus>,
    unanswered: Unanswered,
}

impl Default for Hanging {
    fn default() -> Self {
        Self(Arc::new(Shared {
            turns: Semaphore::new(TURNS),
            calls: Mutex::default(),
            served: Mutex::default(),
        }))
    }
}

impl Hanging {
    /// Names those that do not come back, for as long as somebody may call.
    pub(super) async fn watch(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            for Call { path, status, unanswered } in self.calls().running.values_mut() {
                if let Some(secs) = unanswered.name(&path.display(), QUESTION) {
                    status.update(|status| status.error = Some(no_answer(secs)));
                }
            }
        }
    }

    /// Whether this process has a mount that may hang.
    fn has_served_mounts(&self) -> bool {
        let mut served = self.0.served.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, served)) = served.filter(|(at, _)| at.elapsed() < LOOK_EVERY) {
            return served;
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo");
        let now = mounts.map_or(true, |mounts| mounts.lines().any(is_of_a_server));
        *served = Some((Instant::now(), now));
        now
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call about a file of the machine, by a task of [`Readers::handle`](super::Readers::handle).
    ///
    /// # Cancellation safety
    ///
    /// As [`Careful::call`].
    pub(crate) async fn call_of_machine<T>(
        &self,
        path: &Path,
        status: &Arc<StreamStatus>,
        call: impl FnOnce() -> T,
    ) -> T {
        if self.has_served_mounts() { self.call(path, status, call).await } else { call() }
    }

    /// What reads `file`, of the machine, by a thread that serves nobody else.
    pub(crate) fn read(&self, file: File, path: &Path, status: &Arc<StreamStatus>) -> Reads {
        let may_hang = self.has_served_mounts();
        Reads {
            file,
            hanging: may_hang.then(|| self.clone()),
            path: path.to_owned(),
            status: Arc::clone(status),
        }
    }

    async fn call<T>(&self, path: &Path, status: &Arc<StreamStatus>, call: impl FnOnce() -> T) -> T {
        // It is never closed.
        let _turn = self.0.turns.acquire().await;
        block_in_place(|| self.noted(path, status, call))
    }

    /// Makes a call that [`Hanging::watch`] knows of.
    fn noted<T>(&self, path: &Path, status: &Arc<StreamStatus>, call: impl FnOnce() -> T) -> T {
        let id = {
            let mut calls = self.calls();
            calls.next += 1;
            let id = calls.next;
            let (path, status) = (path.to_owned(), Arc::clone(status));
            let call = Call { path, status, unanswered: Unanswered::new() };
            calls.running.insert(id, call);
            id
        };
        let done = call();
        let call = self.calls().running.remove(&id);
        if let Some(Call { path, status, unanswered }) = call
            && unanswered.end(&path.display(), QUESTION)
        {
            status.update(|status| status.error = None);
        }
        done
    }
}

/// Reads a file, and is named when that does not come back.
#[derive(Debug)]
pub(crate) struct Reads {
    file: File,
    hanging: Option<Hanging>,
    path: PathBuf,
    status: Arc<StreamStatus>,
}

impl Read for Reads {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self { file, hanging, path, status } = self;
        match hanging {
            Some(hanging) => hanging.noted(path, status, || file.read(buffer)),
            None => file.read(buffer),
        }
    }
}

fn no_answer(secs: u64) -> String {
    format!("no answer from its file system for {secs} seconds: see whether the mount hangs")
}

/// How the calls for the files of one stream are made.
#[derive(Debug)]
pub(super) struct Careful {
    hanging: Hanging,
    status: Arc<StreamStatus>,
    may_hang: bool,
}

impl Careful {
    /// For a stream of which it is not known yet where its files are: behind mounts of this process alone, if it has `own_mounts`.
    pub(super) fn new(hanging: &Hanging, status: &Arc<StreamStatus>, own_mounts: bool) -> Self {
        let may_hang = !own_mounts || hanging.has_served_mounts();
        Self { hanging: hanging.clone(), status: Arc::clone(status), may_hang }
    }

    /// Whether nothing may be asked of its files but through [`Careful::call`].
    pub(super) fn may_hang(&self) -> bool {
        self.may_hang
    }

    /// Makes a call about the files of `of`.
    ///
    /// # Cancellation safety
    ///
    /// A call that was begun is made; the future ends with it.
    pub(super) async fn call<O: HasFiles, T>(&mut self, of: &mut O, call: impl FnOnce(&mut O) -> T) -> T {
        if !self.may_hang {
            return call(of);
        }
        let path = of.path().to_owned();
        let (done, are_local) = self
            .hanging
            .call(&path, &self.status, || {
                let done = call(of);
                (done, of.are_local())
            })
            .await;
        self.may_hang = !are_local;
        done
    }
}

/// Somebody who has files.
pub(super) trait HasFiles {
    /// The stream's own name.
    fn path(&self) -> &Path;

    /// Whether they are known to be on a file system that does not hang. The call may hang itself.
    fn are_local(&self) -> bool;
}

/// Whether a file is on a file system of the machine's own.
pub(super) fn is_local(file: &File) -> bool {
    rustix::fs::fstatfs(file.as_fd()).is_ok_and(|found| watch::is_local(&found))
}

/// Whether a line of `mountinfo` (proc_pid_mountinfo(5)) is about a file system that somebody else serves.
fn is_of_a_server(mount: &str) -> bool {
    let kind = mount.split_once(" - ").and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default();
    const SERVED: [&str; 13] = [
        "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "lustre", "gfs2", "ocfs2", "orangefs",
        "virtiofs", "autofs",
    ];
    SERVED.contains(&kind) || kind == "fuse" || kind.starts_with("fuse.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_that_somebody_serves_are_known() {
        for (line, served) in [
            ("36 35 98:0 / /mnt1 rw,noatime master:1 - ext3 /dev/root rw,errors=continue", false),
            ("40 35 0:44 / /logs rw,relatime shared:9 - nfs4 server:/logs rw,vers=4.2", true),
            ("41 35 0:45 / /home/a rw - fuse.sshfs a@b: rw,user_id=0", true),
            ("42 35 0:46 / /run rw - tmpfs tmpfs rw", false),
            ("", false),
        ] {
            assert_eq!(is_of_a_server(line), served, "{line}");
        }
    }
}
