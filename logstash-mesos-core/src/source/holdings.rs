//! What is held open of files that rotation has put aside, within limits.
//!
//! While an output takes nothing, every generation is held: without a name the descriptor is all that is left of it.
//! Descriptors and disk are not endless, though. What is beyond the limits is given up, oldest first among all
//! streams, and its reader counts what it had not read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much may be held.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HoldLimits {
    /// Files that were put aside and are open.
    pub files: usize,
    /// Bytes of such files that have no name any more: nobody else keeps them on the disk.
    pub removed_bytes: u64,
    /// Files behind the names of streams that are open; quiet ones are closed for others.
    pub open: usize,
}

impl Default for HoldLimits {
    /// Half of the descriptors that this process may have now, 1 GiB, and a quarter of the descriptors: the last
    /// quarter is left for everything else.
    fn default() -> Self {
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        Self { files: most / 2, removed_bytes: 1 << 30, open: (most / 4).max(1) }
    }
}

impl HoldLimits {
    /// With other numbers for what was put aside.
    #[must_use]
    pub fn new(files: usize, removed_bytes: u64) -> Self {
        Self { files, removed_bytes, ..Self::default() }
    }
}

/// Raises the number of descriptors that this process may have to what the system allows it: 1,024 are usual, and
/// few programs that follow files do with them.
///
/// # Errors
///
/// What the system says.
pub fn raise_descriptor_limit() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// All that is held by a set of readers.
#[derive(Clone, Debug)]
pub(super) struct Holdings(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: HoldLimits,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    // Oldest first. Those that were told to leave are not among them any more.
    files: BTreeMap<u64, File>,
    removed_bytes: u64,
}

#[derive(Debug)]
struct File {
    removed_bytes: u64,
    leaves: Arc<AtomicBool>,
}

/// One file that is held.
#[derive(Debug)]
pub(super) struct Hold {
    shared: Arc<Shared>,
    number: u64,
    leaves: Arc<AtomicBool>,
}

impl Holdings {
    pub(super) fn new(limits: HoldLimits) -> Self {
        Self(Arc::new(Shared { limits, held: Mutex::default() }))
    }

    /// One more file.
    pub(super) fn hold(&self) -> Hold {
        let mut held = self.0.lock();
        let (number, leaves) = (held.next, Arc::<AtomicBool>::default());
        held.next += 1;
        held.files.insert(number, File { removed_bytes: 0, leaves: Arc::clone(&leaves) });
        held.keep_within(self.0.limits);
        Hold { shared: Arc::clone(&self.0), number, leaves }
    }
}

impl Hold {
    /// It has so many bytes and no name.
    pub(super) fn removed(&self, bytes: u64) {
        let mut held = self.shared.lock();
        let Some(file) = held.files.get_mut(&self.number) else { return };
        let before = std::mem::replace(&mut file.removed_bytes, bytes);
        held.removed_bytes = held.removed_bytes - before + bytes;
        held.keep_within(self.shared.limits);
    }

    /// Whether it has to be given up.
    pub(super) fn leaves(&self) -> bool {
        self.leaves.load(Ordering::Relaxed)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.lock().remove(self.number);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Tells the oldest to leave until the others are within the limits.
    fn keep_within(&mut self, limits: HoldLimits) {
        while self.files.len() > limits.files
            && let Some(oldest) = self.files.keys().next().copied()
        {
            self.tell(oldest);
        }
        while self.removed_bytes > limits.removed_bytes
            && let Some(oldest) = self.files.iter().find(|(_, file)| file.removed_bytes > 0)
        {
            self.tell(*oldest.0);
        }
    }

    fn tell(&mut self, number: u64) {
        if let Some(file) = self.remove(number) {
            file.leaves.store(true, Ordering::Relaxed);
        }
    }

    fn remove(&mut self, number: u64) -> Option<File> {
        let file = self.files.remove(&number)?;
        self.removed_bytes -= file.removed_bytes;
        Some(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leave_first_and_only_as_many_as_have_to() {
        let holdings = Holdings::new(HoldLimits::new(3, 100));
        let held: Vec<Hold> = (0..4).map(|_| holdings.hold()).collect();
        let leaving = || held.iter().map(Hold::leaves).collect::<Vec<_>>();
        assert_eq!(leaving(), [true, false, false, false]);
        held[2].removed(60);
        held[3].removed(40);
        assert_eq!(leaving(), [true, false, false, false]);
        // The second has a name: nothing is won by giving it up.
        held[3].removed(41);
        assert_eq!(leaving(), [true, false, true, false]);
        drop(held);
        assert!(!(0..3).map(|_| holdings.hold()).any(|hold| hold.leaves()));
    }
}
