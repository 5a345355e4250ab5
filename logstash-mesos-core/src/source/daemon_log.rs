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
const MOST_FILES: u32 = 1000;

impl FileOpener for DaemonLog {
    fn open(&self) -> io::Result<Option<Opened>> {
        Ok(self.file.open()?.map(|opened| Opened { rung: RUNG, ..opened }))
    }

    fn identity(&self) -> io::Result<Option<Identity>> {
        self.file.identity()
    }

    /// `….log.1` is the one before; the daemon counts up to `max-file`.
    fn earlier(&self) -> io::Result<Vec<Opened>> {
        let mut found = Vec::new();
        for number in 1..MOST_FILES {
            let mut path = self.file.path().as_os_str().to_owned();
            path.push(format!(".{number}"));
            match HostFile::new(PathBuf::from(path)).open()? {
                Some(opened) => found.push(Opened { rung: RUNG, ..opened }),
                None => break,
            }
        }
        found.reverse();
        Ok(found)
    }

    fn find(&self, identity: Identity) -> io::Result<Option<Opened>> {
        Ok(self.file.find(identity)?.map(|opened| Opened { rung: RUNG, ..opened }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_come_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in
            [("x-json.log", "3"), ("x-json.log.1", "22"), ("x-json.log.2", "111"), ("x-json.log.4", "")]
        {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let log = DaemonLog::new(dir.path().join("x-json.log"));
        let sizes: Vec<u64> =
            log.earlier().unwrap().iter().map(|opened| opened.file.metadata().unwrap().len()).collect();
        assert_eq!(sizes, [3, 2]);
    }
}
