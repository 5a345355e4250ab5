//! Where the bytes of a stream come from, and what stands at their end.

use std::collections::VecDeque;
use std::io;
#[cfg(feature = "docker")]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

#[cfg(feature = "docker")]
use super::records::PlainLines;
use super::records::{Record, Records};
#[cfg(feature = "docker")]
use crate::discovery::{ContainerId, DockerEndpoint, LogDriver};
use crate::source::FileOpener;
use crate::source::last::End;
#[cfg(feature = "docker")]
use crate::source::{docker_logs, exec_tail};

/// Where the bytes of a stream come from.
pub(super) enum Source {
    /// A file, and what its lines hold.
    File(Arc<dyn FileOpener>, Box<dyn Records>),
    /// `tail` inside the container; why not from outside.
    #[cfg(feature = "docker")]
    Exec { docker: DockerEndpoint, container: ContainerId, path: PathBuf, reason: String },
    /// The logs API, and what its records hold; why not the daemon's file.
    #[cfg(feature = "docker")]
    Logs {
        docker: DockerEndpoint,
        container: ContainerId,
        driver: LogDriver,
        records: Box<dyn Records>,
        reason: String,
    },
    /// It cannot be read, for this reason.
    None(String),
}

/// Why the last lines of a stream are not to be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LastLinesError {
    /// No such stream is read.
    #[error("no such stream is read here any more: look at the streams again")]
    NotRead,
    /// It cannot be read at all.
    #[error("{0}")]
    Unreadable(String),
    /// The system, or the Docker daemon, refused to read its end.
    #[error("its end cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A mount, a container or a daemon does not answer.
    #[error("it was not read within {} seconds: see whether a mount, the container or the Docker daemon hangs", LIMIT.as_secs())]
    Late,
    /// The shipper has ended.
    #[error("the shipper has ended")]
    Ended,
}

impl Source {
    /// The last `limit` lines, or as many as there are in the last 256 KiB.
    pub(super) async fn last_lines(
        self,
        delimiter: Vec<u8>,
        limit: usize,
    ) -> Result<Vec<String>, LastLinesError> {
        tokio::time::timeout(LIMIT, self.read_end(delimiter, limit))
            .await
            .unwrap_or(Err(LastLinesError::Late))
    }

    async fn read_end(self, delimiter: Vec<u8>, limit: usize) -> Result<Vec<String>, LastLinesError> {
        let (end, mut records) = match self {
            Self::File(opener, records) => {
                let read = tokio::task::spawn_blocking(move || End::of_file(&*opener));
                (read.await.map_err(io::Error::other)??, records)
            }
            #[cfg(feature = "docker")]
            Self::Exec { docker, container, path, .. } => {
                let end = exec_tail::last(&docker, &container, &path).await?;
                (end, Box::new(PlainLines) as Box<dyn Records>)
            }
            #[cfg(feature = "docker")]
            Self::Logs { docker, container, driver, records, .. } => {
                let read = docker_logs::last(&docker, &container, &driver, limit).await;
                (read.map_err(|error| io::Error::other(crate::error_chain(&error)))?, records)
            }
            Self::None(reason) => return Err(LastLinesError::Unreadable(reason)),
        };
        let mut newest = VecDeque::with_capacity(limit.min(64));
        let mut keep = |record: Record| {
            if newest.len() == limit {
                newest.pop_front();
            }
            newest.push_back(record);
        };
        // What it keeps is the beginning of a line.
        records.read(end.lines(&delimiter), &mut keep);
        let text = |record: &Record| String::from_utf8_lossy(record.content.as_bytes()).into_owned();
        Ok(newest.iter().map(text).collect())
    }
}

/// So long somebody waits for it.
const LIMIT: Duration = Duration::from_secs(10);
