//! The names in a directory, listed once for all streams whose files are in it.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The names in a directory at one moment.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<Listing>);

/// Which listing of a directory it was. Thousands of streams have looked at the same large directory, each at its time.
#[derive(Clone, Debug)]
pub(super) struct Version(Weak<Listing>);

#[derive(Debug, Default)]
struct Listing {
    names: BTreeSet<OsString>,
    at: i64,
}

impl Names {
    /// As they are now.
    pub fn new(names: impl IntoIterator<Item = OsString>) -> Self {
        Self::listed(names, now())
    }

    fn listed(names: impl IntoIterator<Item = OsString>, at: Duration) -> Self {
        let at = i64::try_from(at.saturating_sub(CLOCK_STEP).as_nanos()).unwrap_or(i64::MAX);
        Self(Arc::new(Listing { names: names.into_iter().collect(), at }))
    }

    /// What was written after this, in nanoseconds since 1970, may have been written after the listing.
    #[must_use]
    pub fn at(&self) -> i64 {
        self.0.at
    }

    /// To know this listing by, without keeping the names.
    pub(super) fn version(&self) -> Version {
        Version(Arc::downgrade(&self.0))
    }

    /// Whether this is the same listing: nothing was created, renamed or removed in between.
    pub(super) fn is(&self, version: &Version) -> bool {
        version.0.ptr_eq(&Arc::downgrade(&self.0))
    }

    /// The names that begin with `start`.
    pub fn beginning_with(&self, start: &OsStr) -> impl Iterator<Item = &OsStr> {
        let from = (Bound::Included(start.to_owned()), Bound::Unbounded);
        let start = start.to_owned();
        let names = self.0.names.range(from).map(OsString::as_os_str);
        names.take_while(move |name| name.as_bytes().starts_with(start.as_bytes()))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &OsStr> {
        self.0.names.iter().map(OsString::as_os_str)
    }
}

/// What was last listed of a directory.
#[derive(Debug, Default)]
pub(super) struct Directory {
    last: Mutex<Option<Listed>>,
}

#[derive(Clone, Debug)]
struct Listed {
    names: Names,
    stamp: (u64, u64, i64, i64),
    /// It was listed well after its last change, so that another one would show in the time of change.
    settled: bool,
    at: Instant,
    took: Duration,
}

/// File systems stamp changes with a clock that goes in steps, of 10 ms at most.
const CLOCK_STEP: Duration = Duration::from_millis(50);
/// No more than a tenth of the time is spent on a large directory: it is listed less often.
const SHARE: u32 = 10;
/// What takes no longer is not large.
const SMALL: Duration = Duration::from_millis(1);

impl Directory {
    /// The names in it, listed anew if it has changed. `stat` and `list` are asked for what is in it.
    pub(super) fn names(
        &self,
        stat: io::Result<Metadata>,
        fresh: bool,
        list: impl FnOnce() -> io::Result<Vec<OsString>>,
    ) -> io::Result<Names> {
        let stat = stat?;
        let stamp = (stat.dev(), stat.ino(), stat.mtime(), stat.mtime_nsec());
        // Held while it is listed: others in this directory wait for the same.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && ((last.settled && last.stamp == stamp)
                || (!fresh && last.took > SMALL && last.at.elapsed() < last.took * SHARE))
        {
            return Ok(last.names.clone());
        }
        let at = Instant::now();
        let settled = is_past(&stat);
        let listed_at = now();
        let names = Names::listed(list()?, listed_at);
        *last = Some(Listed { names: names.clone(), stamp, settled, at, took: at.elapsed() });
        Ok(names)
    }
}

fn is_past(stat: &Metadata) -> bool {
    let changed = Duration::new(
        u64::try_from(stat.mtime()).unwrap_or_default(),
        u32::try_from(stat.mtime_nsec()).unwrap_or_default(),
    );
    now() > changed + CLOCK_STEP
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// When it was made, in nanoseconds since 1970, if that is known.
pub(super) fn born(directory: &Metadata) -> Option<i64> {
    let born = directory.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(born.as_nanos()).ok()
}

/// The directories of the machine in which streams have files.
#[derive(Clone, Debug)]
pub struct Directories {
    known: Arc<Mutex<HashMap<PathBuf, Weak<Directory>>>>,
    began: i64,
}

impl Default for Directories {
    fn default() -> Self {
        Self { known: Arc::default(), began: i64::try_from(now().as_nanos()).unwrap_or(i64::MAX) }
    }
}

impl Directories {
    /// When somebody began to read in them, in nanoseconds since 1970: all files of one that was made later are known to
    /// have come later.
    pub(crate) fn began(&self) -> i64 {
        self.began
    }

    pub(super) fn of(&self, path: &Path) -> Arc<Directory> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = known.get(path).and_then(Weak::upgrade) {
            return directory;
        }
        known.retain(|_, directory| directory.strong_count() > 0);
        let directory = Arc::<Directory>::default();
        known.insert(path.to_owned(), Arc::downgrade(&directory));
        directory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(path: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    #[test]
    fn a_directory_is_listed_again_when_it_has_changed_and_only_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let directory = Directories::default().of(path);
        let names = || directory.names(path.metadata(), false, || list(path)).unwrap();
        std::fs::write(path.join("a.log"), "").unwrap();
        std::fs::write(path.join("a.log.1"), "").unwrap();
        std::fs::write(path.join("b.log"), "").unwrap();
        std::thread::sleep(2 * CLOCK_STEP);
        let first = names();
        assert_eq!(first.beginning_with(OsStr::new("a.log")).collect::<Vec<_>>(), ["a.log", "a.log.1"]);
        std::thread::sleep(Duration::from_millis(10));
        assert!(names().is(&first.version()));
        // The same names with other files behind them are another listing.
        std::fs::rename(path.join("a.log"), path.join("a.log.1")).unwrap();
        std::fs::write(path.join("a.log"), "").unwrap();
        let second = names();
        assert!(!second.is(&first.version()));
        assert_eq!(second.iter().count(), 3);
    }
}
