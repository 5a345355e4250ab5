//! inotify: tells the readers of files what happened to them.
//!
//! A watch on a directory tells of all files in it, however many they are, so that nobody has to look at those that
//! nobody writes to. It tells nothing of what another machine writes, and of what goes by another name: `rest`
//! decides what is made of that.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatFs, StatxFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::{Identity, chain};

/// Whom to tell: the reader of one stream.
#[derive(Debug, Default)]
pub(super) struct Sleeper {
    /// Somebody has written to a file of the stream.
    pub(super) written: Notify,
    /// A name of the stream has come, gone, or leads elsewhere; or its room for an open file has changed.
    pub(super) moved: Notify,
    // It waits for room to open its file.
    waits: AtomicBool,
    // It is to close its file.
    leaves: AtomicBool,
}

/// One inotify queue for all files of a set of readers.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    queue: AsyncFd<OwnedFd>,
    // Held while a watch is added, so that its event is not looked up before it is noted here.
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    /// Files, until their next change: a busy one costs nothing.
    files: HashMap<i32, Vec<Arc<Sleeper>>>,
    directories: HashMap<i32, Directory>,
}

#[derive(Debug)]
struct Directory {
    /// The streams that have their name in it.
    streams: HashMap<Arc<OsStr>, Vec<Arc<Sleeper>>>,
    /// The number of the mount it was reached by, if everything that is written to files in it is told.
    trusted: Option<u64>,
}

/// A directory that is watched for a stream. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Attended {
    shared: Arc<Shared>,
    watch: i32,
    name: Arc<OsStr>,
    sleeper: Arc<Sleeper>,
    // No link leads to it, which could lead elsewhere without a word.
    is_direct: bool,
}

/// All that may happen to the files of a directory, and to itself.
const ALL: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Changes come in crowds: they are taken together.
const CROWD: Duration = Duration::from_millis(2);
/// After more changes than the system keeps, everybody looks: not more often than this.
const OVERFLOW: Duration = Duration::from_millis(100);

/// File systems of which inotify tells everything: no other machine writes to them. Their numbers are in Linux'
/// `include/uapi/linux/magic.h`, or with the file system.
const LOCAL: [u32; 13] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlay
    0x2fc1_2fc1, // zfs
    0xf2f5_2010, // f2fs
    0xca45_1a4e, // bcachefs
    0x3153_464a, // jfs
    0x5265_4973, // reiserfs
    0x0000_3434, // nilfs
    0x0000_4d44, // vfat
];

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
        let shared = Arc::new(Shared { queue, watched: Mutex::default() });
        let serve = Arc::clone(&shared);
        let task = tokio::spawn(async move { serve.run().await }).abort_handle();
        Ok(Self { shared, task })
    }

    /// Tells `sleeper` of the next change of `file`. Not an error of ours where the system has no room
    /// for another watch: the reader looks at the file from time to time anyway.
    pub(super) fn arm(&self, file: &File, sleeper: &Arc<Sleeper>) -> bool {
        // Through the descriptor: the name may lead elsewhere by now, or be out of our reach.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let events =
            WatchFlags::MODIFY | WatchFlags::ATTRIB | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
        let mut watched = self.shared.lock();
        let Ok(watch) =
            inotify::add_watch(self.shared.queue.get_ref(), Path::new(&path), events | WatchFlags::ONESHOT)
        else {
            return false;
        };
        let waiting = watched.files.entry(watch).or_default();
        if !waiting.iter().any(|other| Arc::ptr_eq(other, sleeper)) {
            waiting.push(Arc::clone(sleeper));
        }
        true
    }

    /// Tells `sleeper` from now on of all that happens in `directory` to `name`, and to what rotation makes of it.
    /// Nothing where the directory is not there, or the system has no room for another watch.
    pub(super) fn attend(&self, directory: &Path, name: &OsStr, sleeper: &Arc<Sleeper>) -> Option<Attended> {
        let is_direct = fs::canonicalize(directory).is_ok_and(|path| path == directory);
        let mut watched = self.shared.lock();
        let watch = inotify::add_watch(self.shared.queue.get_ref(), directory, ALL).ok()?;
        let known = watched.directories.entry(watch).or_insert_with(|| Directory {
            streams: HashMap::new(),
            trusted: rustix::fs::statfs(directory)
                .is_ok_and(|found| is_local(&found))
                .then(|| Entry::at(directory).ok()?.mount)
                .flatten(),
        });
        let name =
            known.streams.get_key_value(name).map_or_else(|| Arc::from(name), |(name, _)| Arc::clone(name));
        let streams = known.streams.entry(Arc::clone(&name)).or_insert_with(|| Vec::with_capacity(1));
        streams.push(Arc::clone(sleeper));
        let (shared, sleeper) = (Arc::clone(&self.shared), Arc::clone(sleeper));
        Some(Attended { shared, watch, name, sleeper, is_direct })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Attended {
    /// Whether `directory` is still the one that is watched.
    pub(super) fn is_of(&self, directory: &Path) -> bool {
        let watched = self.shared.lock();
        // The same directory has the same number for as long as it is watched.
        watched.directories.contains_key(&self.watch)
            && inotify::add_watch(self.shared.queue.get_ref(), directory, ALL)
                .is_ok_and(|watch| watch == self.watch)
    }

    /// Whether everything is told that happens to the file that was reached by `path` in the directory.
    pub(super) fn tells_of(&self, path: &Path, file: Identity) -> io::Result<bool> {
        let mount = self.shared.lock().directories.get(&self.watch).and_then(|known| known.trusted);
        let Some(mount) = mount.filter(|_| self.is_direct) else { return Ok(false) };
        // What is written by another name is told where that name is: behind a link, a second name, or a mount.
        let entry = Entry::at(path)?;
        let is_file = (entry.dev, entry.ino) == (file.dev, file.ino) && entry.is_single;
        Ok(is_file && entry.mount == Some(mount))
    }

    /// Whether everything is told that is written by the names in it.
    pub(super) fn is_trusted(&self) -> bool {
        self.is_direct
            && self.shared.lock().directories.get(&self.watch).is_some_and(|known| known.trusted.is_some())
    }

    /// Something was written that was not told.
    pub(super) fn distrust(&self) {
        if let Some(directory) = self.shared.lock().directories.get_mut(&self.watch) {
            directory.trusted = None;
        }
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        let mut watched = self.shared.lock();
        let Some(directory) = watched.directories.get_mut(&self.watch) else { return };
        if let Some(streams) = directory.streams.get_mut(&*self.name) {
            streams.retain(|sleeper| !Arc::ptr_eq(sleeper, &self.sleeper));
            if streams.is_empty() {
                directory.streams.remove(&*self.name);
            }
        }
        if directory.streams.is_empty() {
            watched.directories.remove(&self.watch);
            let _gone_already = inotify::remove_watch(self.shared.queue.get_ref(), self.watch);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self) {
        loop {
            let Ok(mut ready) = self.queue.readable().await else { return };
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut events = inotify::Reader::new(self.queue.get_ref(), &mut buffer);
            let mut overflowed = false;
            loop {
                match events.next() {
                    Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => overflowed = true,
                    Ok(event) => self.tell(&event),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(_) => break,
                }
            }
            ready.clear_ready();
            if overflowed {
                self.tell_everybody();
            }
            tokio::time::sleep(if overflowed { OVERFLOW } else { CROWD }).await;
        }
    }

    /// Anything may have happened to anybody.
    fn tell_everybody(&self) {
        let mut watched = self.lock();
        watched.everybody().for_each(Sleeper::wake);
        // Some of them have fired, and nobody knows which: those who wait for one arm it again.
        watched.files.clear();
    }

    fn tell(&self, event: &inotify::Event<'_>) {
        let mut watched = self.lock();
        let what = event.events();
        for sleeper in watched.files.remove(&event.wd()).into_iter().flatten() {
            sleeper.written.notify_one();
        }
        let Some(directory) = watched.directories.get(&event.wd()) else { return };
        match event.file_name() {
            Some(name) => {
                let is_write = what.contains(ReadFlags::MODIFY);
                for base in chain::bases(OsStr::from_bytes(name.to_bytes())) {
                    for sleeper in directory.streams.get(base).into_iter().flatten() {
                        if is_write { sleeper.written.notify_one() } else { sleeper.moved.notify_one() }
                    }
                }
            }
            // The directory itself has gone, or is somewhere else: what its name leads to is another one.
            None => {
                directory.everybody().for_each(Sleeper::wake);
                watched.directories.remove(&event.wd());
                let _gone_already = inotify::remove_watch(self.queue.get_ref(), event.wd());
            }
        }
    }
}

impl Watched {
    fn everybody(&self) -> impl Iterator<Item = &Sleeper> {
        let files = self.files.values().flatten().map(|sleeper| &**sleeper);
        files.chain(self.directories.values().flat_map(Directory::everybody))
    }
}

impl Directory {
    fn everybody(&self) -> impl Iterator<Item = &Sleeper> {
        self.streams.values().flatten().map(|sleeper| &**sleeper)
    }
}

impl Sleeper {
    /// Whether it waits for room from now on, and has not before.
    pub(super) fn begins_to_wait(&self) -> bool {
        !self.waits.swap(true, Ordering::Relaxed)
    }

    /// There is room for its file.
    pub(super) fn has_room(&self) {
        self.stops_waiting();
        self.moved.notify_one();
    }

    /// Whether it has waited for room until now.
    pub(super) fn stops_waiting(&self) -> bool {
        self.waits.swap(false, Ordering::Relaxed)
    }

    /// Somebody else needs the room of its file.
    pub(super) fn leave(&self) {
        self.leaves.store(true, Ordering::Relaxed);
        self.moved.notify_one();
    }

    /// Nobody does any more, or it needs the room itself.
    pub(super) fn stay(&self) {
        self.leaves.store(false, Ordering::Relaxed);
    }

    /// Whether it is to close its file.
    pub(super) fn leaves(&self) -> bool {
        self.leaves.load(Ordering::Relaxed)
    }

    fn wake(&self) {
        self.written.notify_one();
        self.moved.notify_one();
    }
}

/// What is at a path, no link being followed.
struct Entry {
    dev: u64,
    ino: u64,
    /// It has no other name.
    is_single: bool,
    /// The number of the mount by which it is reached.
    mount: Option<u64>,
}

impl Entry {
    /// One call says it since Linux 5.8. Before, only what is open tells its mount.
    fn at(path: &Path) -> io::Result<Self> {
        let asked = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
        if let Ok(found) = rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, asked)
            && found.stx_mask & StatxFlags::MNT_ID.bits() != 0
        {
            let dev = rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor);
            let (ino, is_single) = (found.stx_ino, found.stx_nlink == 1);
            return Ok(Self { dev, ino, is_single, mount: Some(found.stx_mnt_id) });
        }
        let flags = OFlags::NOFOLLOW | OFlags::PATH | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())?;
        let found = rustix::fs::fstat(&file)?;
        let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
        let mount = about.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
        let is_single = found.st_nlink == 1;
        Ok(Self { dev: found.st_dev, ino: found.st_ino, is_single, mount })
    }
}

/// Whether it is a file system of the machine's own.
pub(super) fn is_local(file_system: &StatFs) -> bool {
    // The numbers have 32 bits, in a type that has more or a sign.
    LOCAL.contains(&(file_system.f_type as u32))
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use futures_util::FutureExt;

    use super::*;

    async fn is_told(what: &Notify) {
        tokio::time::timeout(Duration::from_secs(60), what.notified()).await.expect("it is told");
    }

    fn is_silent(what: &Notify) -> bool {
        what.notified().now_or_never().is_none()
    }

    fn append(path: &Path) -> File {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(b"x\n").unwrap();
        file
    }

    #[tokio::test]
    async fn a_directory_tells_of_a_file_and_of_what_rotation_makes_of_it_and_of_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let (app, last) = (Arc::<Sleeper>::default(), Arc::<Sleeper>::default());
        let mut log = append(&path("app.log"));
        append(&path("last.log"));
        let watch = Watch::new().unwrap();
        let attended = watch.attend(dir.path(), OsStr::new("app.log"), &app).unwrap();
        let _also = watch.attend(dir.path(), OsStr::new("last.log"), &last).unwrap();
        append(&path("app.log"));
        is_told(&app.written).await;
        append(&path("other.log"));
        append(&path("last.log"));
        is_told(&last.written).await;
        assert!(is_silent(&app.written) && is_silent(&app.moved), "what comes in order is told in order");
        fs::rename(path("app.log"), path("app.log.1")).unwrap();
        is_told(&app.moved).await;
        assert!(is_silent(&app.written));
        log.write_all(b"y\n").unwrap();
        is_told(&app.written).await;
        // Of the rename both names were told.
        is_silent(&app.moved);
        // Another directory stands at the name.
        assert!(attended.is_of(dir.path()));
        let moved = tempfile::tempdir().unwrap();
        fs::rename(dir.path(), moved.path().join("moved")).unwrap();
        fs::create_dir(dir.path()).unwrap();
        is_told(&app.moved).await;
        assert!(!attended.is_of(dir.path()) && !attended.is_trusted());
    }

    #[tokio::test]
    async fn what_may_be_written_by_another_name_is_not_told_for_sure() {
        let dir = tempfile::tempdir().unwrap();
        let (log, link, second) =
            (dir.path().join("app.log"), dir.path().join("link.log"), dir.path().join("second"));
        append(&log);
        std::os::unix::fs::symlink(&log, &link).unwrap();
        let watch = Watch::new().unwrap();
        let attended = watch.attend(dir.path(), OsStr::new("app.log"), &Arc::default()).unwrap();
        let tells =
            |path: &Path| attended.tells_of(path, Identity::of(&fs::metadata(path).unwrap())).unwrap();
        assert!(tells(&log) && !tells(&link));
        fs::hard_link(&log, second).unwrap();
        assert!(!tells(&log));
        // The link may lead to another directory the next time.
        let linked = dir.path().join("linked");
        std::os::unix::fs::symlink(dir.path(), &linked).unwrap();
        assert!(attended.is_trusted());
        assert!(!watch.attend(&linked, OsStr::new("app.log"), &Arc::default()).unwrap().is_trusted());
    }

    #[tokio::test]
    async fn after_more_changes_than_the_system_keeps_everybody_is_told() {
        let (busy, quiet) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let most: usize = most.trim().parse().unwrap();
        let sleeper = Arc::<Sleeper>::default();
        let watch = Watch::new().unwrap();
        let _busy = watch.attend(busy.path(), OsStr::new("app.log"), &Arc::default()).unwrap();
        let _quiet = watch.attend(quiet.path(), OsStr::new("app.log"), &sleeper).unwrap();
        // Two in turn: equal changes one after the other count once. Nobody takes them meanwhile.
        let mut files = ["1", "2"].map(|name| append(&busy.path().join(name)));
        for at in 0..most {
            files[at % 2].write_all(b"x\n").unwrap();
        }
        is_told(&sleeper.written).await;
        is_told(&sleeper.moved).await;
    }
}
