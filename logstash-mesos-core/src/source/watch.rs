//! Wakes the reader of a file when it is written to, renamed or removed.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// One inotify queue for all files of a set of readers.
///
/// A watch is armed just before a reader goes to sleep and fires once, so that a busy file costs nothing.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    queue: AsyncFd<OwnedFd>,
    // Held while a watch is added, so that its event is not looked up before it is noted here.
    sleepers: Mutex<HashMap<i32, Vec<Arc<Notify>>>>,
}

impl Watch {
    /// Must be called within a runtime, which then serves the queue.
    pub(super) fn new() -> io::Result<Self> {
        let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "what follows it is unsafe to call; the descriptor of an `OwnedFd` never changes, \
                      which is what the warning is about"
        )]
        let queue = AsyncFd::new(queue)?;
        let shared = Arc::new(Shared { queue, sleepers: Mutex::default() });
        let serve = Arc::clone(&shared);
        let task = tokio::spawn(async move { serve.run().await }).abort_handle();
        Ok(Self { shared, task })
    }

    /// Notifies `sleeper` at the next change of `file`. Not an error of ours where the system has no room
    /// for another watch: the reader looks at the file from time to time anyway.
    pub(super) fn arm(&self, file: &File, sleeper: &Arc<Notify>) -> bool {
        // Through the descriptor: the name may lead elsewhere by now, or be out of our reach.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let events =
            WatchFlags::MODIFY | WatchFlags::ATTRIB | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
        self.add(Path::new(&path), events, sleeper)
    }

    /// Notifies `sleeper` when the next name in `directory` comes, goes or changes.
    pub(super) fn arm_directory(&self, directory: &Path, sleeper: &Arc<Notify>) -> bool {
        let events = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO;
        self.add(directory, events, sleeper)
    }

    fn add(&self, path: &Path, events: WatchFlags, sleeper: &Arc<Notify>) -> bool {
        let events = events | WatchFlags::ONESHOT;
        let mut sleepers = self.shared.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(watch) = inotify::add_watch(self.shared.queue.get_ref(), path, events) else { return false };
        let waiting = sleepers.entry(watch).or_default();
        if !waiting.iter().any(|other| Arc::ptr_eq(other, sleeper)) {
            waiting.push(Arc::clone(sleeper));
        }
        true
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn run(&self) {
        loop {
            let Ok(mut ready) = self.queue.readable().await else { return };
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut events = inotify::Reader::new(self.queue.get_ref(), &mut buffer);
            loop {
                match events.next() {
                    Ok(event) => self.wake(event.wd()),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(_) => break,
                }
            }
            ready.clear_ready();
        }
    }

    fn wake(&self, watch: i32) {
        let waiting = {
            let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
            if watch < 0 {
                // The queue overflowed: anybody may have been meant.
                std::mem::take(&mut *sleepers).into_values().flatten().collect()
            } else {
                sleepers.remove(&watch).unwrap_or_default()
            }
        };
        for sleeper in waiting {
            sleeper.notify_one();
        }
    }
}
