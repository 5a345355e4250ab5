//! The executor's program, served to agents.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// A file that is served under a path that holds its hash.
///
/// It is kept open: a newer file moved to the same place changes nothing here until the next start.
#[derive(Clone, Debug)]
pub struct ServedBinary {
    file: Arc<File>,
    sha256: String,
    bytes: u64,
}

/// The executor's program cannot be served.
#[derive(Debug, Error)]
#[error(
    "the executor's program {path} cannot be read; put it beside the scheduler's, or use --executor-binary, \
     --executor-command or --executor-image"
)]
pub struct BinaryError {
    /// Where it should be.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl ServedBinary {
    /// Opens and hashes a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is empty.
    pub fn open(path: &Path) -> Result<Self, BinaryError> {
        let failed = |source| BinaryError { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(failed)?;
        let mut hash = Sha256::new();
        let (mut bytes, mut buffer) = (0, vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => break,
                n => {
                    hash.update(&buffer[..n]);
                    bytes += n as u64;
                }
            }
        }
        if bytes == 0 {
            return Err(failed(io::Error::other("the file is empty")));
        }
        file.rewind().map_err(failed)?;
        Ok(Self { file: Arc::new(file), sha256: hex::encode(hash.finalize()), bytes })
    }

    /// 64 hex digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The size of the program, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where it is served.
    pub fn path(&self) -> String {
        format!("/executor/{}/logstash-mesos-executor", self.sha256)
    }

    /// The part that begins at `offset`; empty at the end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub async fn chunk(&self, offset: u64) -> io::Result<Vec<u8>> {
        let (file, left) = (self.file.clone(), self.bytes.saturating_sub(offset));
        let read = move || {
            let mut buffer = vec![0; usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
            file.read_exact_at(&mut buffer, offset).map(|()| buffer)
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }
}

const CHUNK: usize = 1 << 18;
