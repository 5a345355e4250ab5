//! The daemon's own file for the output of a container.

use std::io;
use std::path::PathBuf;

use super::{FileOpener, HostFile, Identity, Opened};

/// The `json-file` log of a container, with what its rotation leaves beside it.
#[derive(Clone, Debug)]
pub struct DaemonLog {
    file: HostFile,
}

impl DaemonLog {
    /// At the path that the daemon says, as this process sees it.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { file: HostFile::new(path) }
    }
}

const RUNG: &str = "json-file";

impl FileOpener for DaemonLog {
    fn open(&self) -> io::Result<Option<Opened>> {
        Ok(self.file.open()?.map(|opened| Opened { rung: RUNG, ..opened }))
    }

    fn identity(&self) -> io::Result<Option<Identity>> {
        self.file.identity()
    }

    fn find(&self, identity: Identity) -> io::Result<Option<Opened>> {
        Ok(self.file.find(identity)?.map(|opened| Opened { rung: RUNG, ..opened }))
    }
}
