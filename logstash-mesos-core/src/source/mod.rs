//! Bytes with a position: following files, framing lines, and remembering how far they have arrived.
//!
//! A [`Readers`] runs [`Follow`]s, one per stream. Each asks its [`FileOpener`] which file the stream's
//! name leads to, reads that in large blocks, cuts them at the last line end ([`Lines`]; no byte of a line
//! is copied), has a [`Decoder`] turn them into a batch, and sends it. When the batch has arrived
//! everywhere, its acknowledgement moves the position in [`Checkpoints`].

pub(crate) mod archives;
pub(crate) mod asking;
mod body;
mod chain;
pub mod checkpoint;
pub mod container_file;
mod copied;
pub mod daemon_log;
#[cfg(feature = "docker")]
pub mod daemon_stream;
mod decoder;
mod directory;
#[cfg(feature = "docker")]
pub mod docker_logs;
mod ending;
#[cfg(feature = "docker")]
pub mod exec_tail;
mod fingerprint;
mod follow;
mod framing;
mod hanging;
mod holdings;
mod host_file;
pub(crate) mod host_glob;
pub(crate) mod last;
pub(crate) mod looks;
mod member;
mod outlet;
mod rest;
mod room;
mod settings;
mod status;
mod tail;
mod tracker;
mod unanswered;
mod watch;
mod writers;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

pub use checkpoint::{CheckpointError, Checkpoints, FilePosition, StreamPositions};
pub use decoder::{Decoder, Flush, Kept};
pub use directory::{Directories, Names};
pub use ending::{Ended, Stop};
pub use fingerprint::{Fingerprint, Heads, Mark};
pub use follow::{Follow, Readers};
pub use framing::{Content, Framing, Line, LineIter, Lines};
pub use holdings::{HoldLimits, raise_descriptor_limit};
pub use host_file::HostFile;
pub(crate) use host_file::{is_gone, left_of};
pub use host_glob::files_matching;
pub(crate) use logstash_mesos_engine::tools::glob;
pub use settings::{StartPosition, TailSettings};
pub use status::{Lost, StreamSnapshot, StreamStatus, Tally};
pub use tracker::Tracker;

use body::Body;
pub(crate) use framing::Framer;
pub(crate) use hanging::Hanging;
pub(crate) use outlet::OnTheWay;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

/// Which file it is, whatever its name: device, inode and time of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The number of the device that the file is on.
    pub dev: u64,
    /// The number of the inode on that device.
    pub ino: u64,
    /// When it was made, in nanoseconds since 1970: an inode is used again. 0 where that is not known, or says
    /// nothing: a file of an image has another one once it has been written to.
    pub born: u64,
}

impl Identity {
    /// From what the system says about a file.
    #[must_use]
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let born = metadata.created().ok().and_then(|born| born.duration_since(std::time::UNIX_EPOCH).ok());
        let born = born.and_then(|born| u64::try_from(born.as_nanos()).ok()).unwrap_or_default();
        Self { dev: metadata.dev(), ino: metadata.ino(), born }
    }

    /// Whether both may be the same file.
    #[must_use]
    pub fn may_be(self, other: Self) -> bool {
        let born_alike = self.born == other.born || self.born == 0 || other.born == 0;
        (self.dev, self.ino) == (other.dev, other.ino) && born_alike
    }
}

/// What can be said of a file without reading it.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Which one it is.
    pub identity: Identity,
    /// How many bytes it has.
    pub size: u64,
    /// Its last change, in nanoseconds since 1970.
    pub modified: i64,
}

impl Stat {
    /// From what the system says about a file.
    #[must_use]
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let modified = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Self { identity: Identity::of(metadata), size: metadata.len(), modified }
    }

    /// Whether it is the same file, and nothing says that it has changed.
    pub(crate) fn is_as(&self, before: &Self) -> bool {
        (self.identity, self.size, self.modified) == (before.identity, before.size, before.modified)
    }
}

/// A file that was opened for a stream.
#[derive(Debug)]
pub struct Opened {
    /// The file, open for reading.
    pub file: File,
    /// Which one it is.
    pub identity: Identity,
    /// The way it was reached. The same file has another identity by another way; a position made by one
    /// is taken up by the other when the first bytes of the file are the same.
    pub rung: &'static str,
    /// Whether inotify tells of writes to it. It does not for the host's side of an overlay: then the file
    /// is asked more often.
    pub notifies: bool,
}

impl Opened {
    /// The same file, once more.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, ..*self })
    }
}

/// Knows the file that the name of a stream leads to now, and those that rotation has left beside it.
///
/// # Contract
///
/// - Calls are blocking and cheap: no network, no waiting on a pipe (open with `O_NONBLOCK`).
/// - Only regular files are returned.
/// - `at` is a name in the directory of the stream's own, or `None` for the stream's own.
///
/// # Errors
///
/// An error is shown in the status of the stream and the call is repeated: a file that is not there (yet)
/// is `Ok(None)`, one that may not be read is an error.
pub trait FileOpener: Send + Sync + 'static {
    /// The path of the stream's own name.
    fn path(&self) -> &Path;

    /// Opens the file; `None` while there is none.
    fn open(&self, at: Option<&OsStr>) -> io::Result<Option<Opened>>;

    /// Which file it is, without opening it where that is cheaper.
    fn stat(&self, at: Option<&OsStr>) -> io::Result<Option<Stat>>;

    /// The names in the directory; those of rotated files are enough. None for a directory that is not there. Unless
    /// they have to be `fresh`, those of a large directory may be some milliseconds old.
    fn names(&self, fresh: bool) -> io::Result<Names>;

    /// Since when rotated files that nothing is known of are a part of the stream, from their first byte: those that were
    /// changed then or later, in nanoseconds since 1970. None are, if `None`.
    fn owns_since(&self) -> Option<i64> {
        None
    }

    /// Whether its files are behind mounts that this process has, and no others: not those inside containers.
    fn has_own_mounts(&self) -> bool {
        false
    }

    /// The device that its directory is on, or what is left of the way to it; `None` where that is not known.
    fn device(&self) -> Option<u64> {
        None
    }

    /// The directory, for inotify to tell of changes in it.
    fn watched_directory(&self) -> Option<&Path> {
        None
    }
}
