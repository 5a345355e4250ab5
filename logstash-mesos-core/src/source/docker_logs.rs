//! Standard output and error of a container through the daemon's logs API: for log drivers whose files
//! cannot be read, and for daemons elsewhere.
//!
//! Records are passed to the decoder one to a line, as `o` or `e` for the channel, `.` or `+` for a line that
//! is whole or goes on in the next record, the daemon's time in nanoseconds, the number of the record among
//! those of the same time and channel, and the bytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::Bytes;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::daemon_stream::{DaemonReader, DaemonStream, Pause};
use super::outlet::Outlet;
use super::{Ended, Flush, Lines, Lost, StreamPositions, StreamStatus, Tracker};
use crate::discovery::{ContainerId, DockerEndpoint};
use crate::error_chain;

/// A container's output to be followed.
pub struct DockerLogs(pub DaemonStream);

/// The last record of each channel that has arrived: its time, and how many of that time there were.
/// Docker's times are neither unique nor the same for both channels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    #[serde(flatten)]
    channels: BTreeMap<char, (i64, u32)>,
}

const RUNG: &str = "logs-api";
const RETRY: Duration = Duration::from_secs(1);
/// Records that are there already are passed on together, up to this many.
const AT_ONCE: usize = 512;
/// A piece of a line that the daemon split has this many bytes.
const SPLIT_AT: usize = 16 << 10;

impl DockerLogs {
    /// Reads until the stream is stopped or its container has ended.
    pub async fn run(self) -> Ended {
        self.0.follow(|positions, status| Reader::new(positions, Arc::clone(status))).await
    }
}

struct Reader {
    // Records up to here are not passed on again.
    arrived: Cursor,
    // The last record passed on.
    seen: Cursor,
    // Where the next record is, in the bytes given to the decoder.
    at: u64,
    // The position in front of each record that the decoder may keep.
    starts: Arc<Mutex<Starts>>,
    tracker: Tracker<String>,
    status: Arc<StreamStatus>,
}

/// Where records begin in the bytes given to the decoder, and the last record before each.
type Starts = VecDeque<(u64, Cursor)>;

/// When more are remembered, every other one is forgotten: a position further back only means reading more
/// again.
const MOST_STARTS: usize = 4096;

impl DaemonReader for Reader {
    async fn read(
        &mut self,
        docker: &DockerEndpoint,
        container: &ContainerId,
        outlet: &mut Outlet,
    ) -> Result<Ended, Pause> {
        match self.follow(docker, container, outlet).await {
            Ok(Some(ended)) => Ok(ended),
            Ok(None) => Err(Pause { after: RETRY, why: None }),
            Err(error) => Err(Pause { after: RETRY, why: Some(error_chain(&error)) }),
        }
    }

    async fn finish(&mut self, outlet: &mut Outlet) -> Ended {
        outlet.finish().await
    }

    fn go_back(&mut self) {
        // A stream that ends while its container runs goes on where it was.
        self.arrived = self.seen.clone();
    }
}

impl Reader {
    fn new(positions: &StreamPositions, status: Arc<StreamStatus>) -> Self {
        let arrived: Cursor =
            positions.cursor().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self {
            seen: arrived.clone(),
            arrived,
            at: 0,
            starts: Arc::default(),
            tracker: positions.cursor_tracker(),
            status,
        }
    }

    async fn follow(
        &mut self,
        endpoint: &DockerEndpoint,
        container: &ContainerId,
        outlet: &mut Outlet,
    ) -> Result<Option<Ended>, bollard::errors::Error> {
        let docker = endpoint.connect().await?;
        let since = self.arrived.channels.values().map(|(time, _)| time / 1_000_000_000).min().unwrap_or(0);
        let options = LogsOptionsBuilder::default()
            .follow(true)
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(i32::try_from(since).unwrap_or(0))
            .build();
        let mut logs = docker.logs(&container.0, Some(options)).ready_chunks(AT_ONCE);
        self.status.reached(RUNG);
        // Counted anew: the API gives the records of the first second again.
        let mut counted = Cursor::default();
        loop {
            let chunk = tokio::select! {
                chunk = logs.next() => chunk,
                () = outlet.idle() => {
                    if let Some(ended) = outlet.flush(Flush::Idle).await {
                        return Ok(Some(ended));
                    }
                    continue;
                }
            };
            let Some(chunk) = chunk else { return Ok(None) };
            let mut data = Vec::new();
            let mut ends = Vec::with_capacity(chunk.len());
            let mut failed = None;
            for output in chunk {
                match output {
                    Ok(output) => self.add(output, &mut counted, &mut data, &mut ends),
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            if let Some(ended) = self.pass_on(data, ends, outlet).await {
                return Ok(Some(ended));
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    /// Adds the records of one message, unless they have arrived before.
    fn add(
        &mut self,
        output: LogOutput,
        counted: &mut Cursor,
        data: &mut Vec<u8>,
        ends: &mut Vec<(u64, Cursor)>,
    ) {
        let (channel, message) = match output {
            LogOutput::StdErr { message } => ('e', message),
            LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
                ('o', message)
            }
        };
        let pieces = pieces(&message);
        if pieces.is_empty() && !message.is_empty() {
            self.status.lost(Lost::Unreadable, message.len() as u64);
            warn!(
                lost_bytes = message.len(),
                "A record of the daemon's logs API begins with no time, it is lost"
            );
        }
        for (time, content, whole) in pieces {
            let count = match counted.channels.get(&channel) {
                Some((then, count)) if *then == time => count + 1,
                _ => 1,
            };
            counted.channels.insert(channel, (time, count));
            let known = self.arrived.channels.get(&channel);
            if known.is_some_and(|(last, last_count)| time < *last || (time == *last && count <= *last_count))
            {
                continue;
            }
            let before = self.seen.clone();
            ends.push((self.at + data.len() as u64, before));
            data.extend_from_slice(
                format!("{channel}{}{time} {count} ", if whole { '.' } else { '+' }).as_bytes(),
            );
            // A line break inside a record would end it: terminals write them after carriage returns only.
            data.extend(content.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
            data.push(b'\n');
            self.seen.channels.insert(channel, (time, count));
        }
    }

    async fn pass_on(
        &mut self,
        data: Vec<u8>,
        starts: Vec<(u64, Cursor)>,
        outlet: &mut Outlet,
    ) -> Option<Ended> {
        if data.is_empty() {
            return None;
        }
        let bytes = data.len();
        let lines = Lines::new(data, Arc::from(*b"\n"), self.at);
        self.at += bytes as u64;
        self.status.read_on(bytes as u64, self.at);
        remember(&mut self.starts.lock().unwrap_or_else(PoisonError::into_inner), starts);
        let (seen, tracker, starts) = (self.seen.clone(), self.tracker.clone(), Arc::clone(&self.starts));
        let settle = move |kept: Option<u64>| {
            let mut starts = starts.lock().unwrap_or_else(PoisonError::into_inner);
            let cursor = before(&mut starts, kept);
            tracker.begin(serde_json::to_string(cursor.as_ref().unwrap_or(&seen)).unwrap_or_default())
        };
        outlet.lines(lines, settle).await
    }
}

fn remember(starts: &mut Starts, more: Vec<(u64, Cursor)>) {
    starts.extend(more);
    while starts.len() > MOST_STARTS {
        let mut number = 0;
        starts.retain(|_| {
            number += 1;
            number % 2 == 1
        });
    }
}

/// The position in front of the record at `kept`, or of one before it; those before it are forgotten.
fn before(starts: &mut Starts, kept: Option<u64>) -> Option<Cursor> {
    let Some(kept) = kept else {
        starts.clear();
        return None;
    };
    while starts.get(1).is_some_and(|(start, _)| *start <= kept) {
        starts.pop_front();
    }
    starts.front().map(|(_, before)| before.clone())
}

/// The records in a message: each begins with the daemon's time. A line that was split comes as several
/// messages, or, from a terminal, as one with times in its middle.
fn pieces(message: &Bytes) -> Vec<(i64, Vec<u8>, bool)> {
    let whole = message.last() == Some(&b'\n');
    let mut rest = &message[..message.len() - usize::from(whole)];
    let mut found: Vec<(i64, Vec<u8>, bool)> = Vec::new();
    while let Some((time, content)) = stamp(rest) {
        let split = content.len() > SPLIT_AT && stamp(&content[SPLIT_AT..]).is_some();
        let (content, more): (&[u8], &[u8]) = if split { content.split_at(SPLIT_AT) } else { (content, &[]) };
        found.push((time, content.to_vec(), false));
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    if let Some(last) = found.last_mut() {
        // The last words of a program may lack the end of line.
        last.2 = whole || last.1.len() < SPLIT_AT;
    }
    found
}

fn stamp(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let blank = memchr::memchr(b' ', bytes.get(..bytes.len().min(40))?).unwrap_or(bytes.len());
    let text = std::str::from_utf8(bytes.get(..blank)?).ok()?;
    if !text.contains('T') {
        return None;
    }
    let instant: jiff::Timestamp = text.parse().ok()?;
    let content = bytes.get(blank + 1..).unwrap_or_default();
    Some((i64::try_from(instant.as_nanosecond()).ok()?, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_apart() {
        let message = Bytes::from_static(b"2026-11-23T02:00:00.000000001Z hello world\n");
        assert_eq!(pieces(&message), [(1_795_399_200_000_000_001, b"hello world".to_vec(), true)]);
        let long = "x".repeat(SPLIT_AT);
        let split = format!("2026-11-23T02:00:00.000000001Z {long}2026-11-23T02:00:00.000000002Z end\r\n");
        let found = pieces(&Bytes::from(split));
        assert_eq!(found.len(), 2);
        assert!(!found[0].2 && found[1].2);
        // A terminal's carriage return is the decoder's business, as with the daemon's file.
        assert_eq!(found[1].1, b"end\r");
        let part = pieces(&Bytes::from(format!("2026-11-23T02:00:00.000000001Z {long}")));
        assert!(!part[0].2);
        let last = pieces(&Bytes::from_static(b"2026-11-23T02:00:00Z bye"));
        assert!(last[0].2);
        let empty = pieces(&Bytes::from_static(b"2026-11-23T02:00:00Z \n"));
        assert_eq!(empty, [(1_795_399_200_000_000_000, Vec::new(), true)]);
    }
}
