//! Bytes with a position: following files, framing lines, and remembering how far they have arrived.
//!
//! A [`Readers`] runs [`Follow`]s, one per stream. Each asks its [`FileOpener`] which file the stream's
//! name leads to, reads that in large blocks, cuts them at the last line end ([`Lines`]; no byte of a line
//! is copied), has a [`Decoder`] turn them into a batch, and sends it. When the batch has arrived
//! everywhere, its acknowledgement moves the position in [`Checkpoints`].

pub mod checkpoint;
pub(crate) mod confined;
pub mod container_file;
pub mod daemon_log;
#[cfg(feature = "docker")]
pub mod daemon_stream;
#[cfg(feature = "docker")]
pub mod docker_logs;
#[cfg(feature = "docker")]
pub mod exec_tail;
mod fingerprint;
mod follow;
mod framing;
mod host_file;
pub(crate) mod host_glob;
mod outlet;
mod status;
mod tail;
mod tracker;
mod watch;

#[cfg(test)]
mod tests;

pub use checkpoint::{CheckpointError, Checkpoints, FilePosition, StreamPositions};
pub use fingerprint::Fingerprint;
pub use follow::{Decoder, Ended, Flush, Follow, Kept, Readers, Stop};
pub use framing::{Content, Framing, Line, LineIter, Lines};
pub use host_file::HostFile;
pub use host_glob::files_matching;
pub(crate) use logstash_mesos_engine::tools::glob;
pub use status::{Lost, StreamSnapshot, StreamStatus};
pub use tail::{StartPosition, TailSettings};
pub use tracker::Tracker;

use std::fs::File;
use std::io;

/// Which file it is, whatever its name: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The device.
    pub dev: u64,
    /// The inode.
    pub ino: u64,
}

impl Identity {
    /// From what the system says about a file.
    #[must_use]
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { dev: metadata.dev(), ino: metadata.ino() }
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

/// Knows which file the name of a stream leads to now.
///
/// # Contract
///
/// - Calls are blocking and cheap: no network, no waiting on a pipe (open with `O_NONBLOCK`).
/// - Only regular files are returned.
///
/// # Errors
///
/// An error is shown in the status of the stream and the call is repeated: a file that is not there (yet)
/// is `Ok(None)`, one that may not be read is an error.
pub trait FileOpener: Send + Sync + 'static {
    /// Opens the file that the name leads to; `None` while there is none.
    fn open(&self) -> io::Result<Option<Opened>>;

    /// Which file the name leads to, without opening it where that is cheaper.
    fn identity(&self) -> io::Result<Option<Identity>> {
        Ok(self.open()?.map(|opened| opened.identity))
    }

    /// The files that rotation has put aside, oldest first, where their order is known. They are part of the
    /// stream: those that nothing is known of are read from their beginning.
    fn earlier(&self) -> io::Result<Vec<Opened>> {
        Ok(Vec::new())
    }

    /// Opens an earlier file of this stream, which has been renamed since: what a rotation left behind
    /// while nobody read. `None` where it cannot be found.
    fn find(&self, identity: Identity) -> io::Result<Option<Opened>> {
        let _ = identity;
        Ok(None)
    }
}
