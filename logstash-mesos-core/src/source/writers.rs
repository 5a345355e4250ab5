//! Who has a file open for writing.
//!
//! A file that was renamed or removed grows for as long as its writer has it open, and how long the writer
//! pauses says nothing. Below `/proc` every process shows what it has open. (A read lease would say it too, but
//! there is no safe way to ask for one, and not every file system has them.)

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Identity;

/// Whether somebody can still write to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// It is being found out: ask again.
    Unsure,
    /// Some process has it open.
    Somebody,
    /// No process has.
    Nobody,
    /// Not all processes can be seen.
    Unseen,
}

/// Looks through the processes of the machine, for all files at once and in a thread of its own: that may take
/// a while.
#[derive(Clone, Debug)]
pub(super) struct Writers {
    proc: Arc<Path>,
    last: Arc<Mutex<Last>>,
}

#[derive(Debug, Default)]
struct Last {
    found: Option<Found>,
    looking: bool,
}

#[derive(Debug)]
struct Found {
    begun: Instant,
    written: HashSet<(u64, u64)>,
    all_seen: bool,
}

impl Writers {
    /// Among the processes that the file system at `proc` shows.
    pub(super) fn new(proc: PathBuf) -> Self {
        Self { proc: proc.into(), last: Arc::default() }
    }

    /// Whether somebody had the file open at some time after `since`.
    pub(super) fn of(&self, file: Identity, since: Instant) -> Writer {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = last.found.as_ref().filter(|found| found.begun >= since) {
            return match found.written.contains(&(file.dev, file.ino)) {
                true => Writer::Somebody,
                false if found.all_seen => Writer::Nobody,
                false => Writer::Unseen,
            };
        }
        if !last.looking {
            let (proc, shared) = (Arc::clone(&self.proc), Arc::clone(&self.last));
            let look = move || {
                let begun = Instant::now();
                let (written, all_seen) = look(&proc);
                let mut last = shared.lock().unwrap_or_else(PoisonError::into_inner);
                *last = Last { found: Some(Found { begun, written, all_seen }), looking: false };
            };
            last.looking = std::thread::Builder::new().name("writers".into()).spawn(look).is_ok();
        }
        Writer::Unsure
    }
}

/// What is open for writing, and whether all processes could be asked.
fn look(proc: &Path) -> (HashSet<(u64, u64)>, bool) {
    let mut written = HashSet::new();
    // The second process of a machine is the kernel's: where it is another, this is a part of the machine.
    let mut all_seen = fs::read_to_string(proc.join("2/comm")).is_ok_and(|name| name == "kthreadd\n");
    let Ok(processes) = fs::read_dir(proc) else { return (written, false) };
    for process in processes.flatten() {
        if !process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        match fs::read_dir(process.path().join("fd")) {
            Ok(open) => written.extend(open.flatten().filter_map(|open| written_file(&open.path()))),
            Err(error) => all_seen &= error.kind() == ErrorKind::NotFound || is_over(&error),
        }
    }
    (written, all_seen)
}

/// A process that ends while it is asked.
fn is_over(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// The regular file behind a descriptor, if that may write.
fn written_file(descriptor: &Path) -> Option<(u64, u64)> {
    // The rights of the link are those of the descriptor.
    let may_write = fs::symlink_metadata(descriptor).ok()?.permissions().mode() & 0o200 != 0;
    let file = may_write.then(|| fs::metadata(descriptor).ok()).flatten()?;
    file.is_file().then(|| (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ask(writers: &Writers, file: Identity) -> Writer {
        let since = Instant::now();
        for _ in 0..1000 {
            match writers.of(file, since) {
                Writer::Unsure => std::thread::sleep(Duration::from_millis(10)),
                known => return known,
            }
        }
        Writer::Unsure
    }

    #[test]
    fn a_writer_is_seen_for_as_long_as_it_has_the_file_open() {
        let writers = Writers::new("/proc".into());
        let file = tempfile::NamedTempFile::new().unwrap();
        let identity = Identity::of(&file.as_file().metadata().unwrap());
        let (reader, path) = (fs::File::open(file.path()).unwrap(), file.into_temp_path());
        let writer = fs::OpenOptions::new().append(true).open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(ask(&writers, identity), Writer::Somebody);
        drop(writer);
        // Whoever reads it does not count. Without rights over all processes nobody can be sure.
        assert!(matches!(ask(&writers, identity), Writer::Nobody | Writer::Unseen));
        drop(reader);
    }

    #[test]
    fn processes_that_are_not_shown_are_not_taken_for_none() {
        let part = tempfile::tempdir().unwrap();
        fs::create_dir_all(part.path().join("2")).unwrap();
        fs::write(part.path().join("2/comm"), "bash\n").unwrap();
        let nobody = Identity { dev: 0, ino: 0, born: 0 };
        assert_eq!(ask(&Writers::new(part.path().to_owned()), nobody), Writer::Unseen);
    }
}
