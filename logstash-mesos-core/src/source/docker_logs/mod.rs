//! Standard output and error of a container through the daemon's logs API: for log drivers whose files
//! cannot be read, and for daemons elsewhere.
//!
//! Records are passed to the decoder one to a line, as `o` or `e` for the channel, `.` or `+` for a line that
//! is whole or goes on in the next record, the daemon's time in nanoseconds, the number of the record among
//! those of the same time and channel, and the bytes.

mod mark;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::{Stream, StreamExt};
use tracing::warn;

use mark::{Mark, Numbers, Search};

use super::daemon_stream::{DaemonReader, DaemonStream, Pause};
use super::last::LAST_BYTES;
use super::outlet::Outlet;
use super::{Ended, Flush, Lines, Lost, StreamPositions, StreamStatus, Tracker};
use crate::discovery::{ContainerId, DockerEndpoint};
use crate::error_chain;

/// A container's output to be followed.
pub struct DockerLogs(pub DaemonStream);

/// What the daemon gives at once: a line, or a piece of a long one.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    /// `o` or `e`.
    channel: char,
    /// In nanoseconds since 1970.
    time: i64,
    content: Vec<u8>,
    /// Whether the line ends with it.
    whole: bool,
}

impl Record {
    fn channel_index(&self) -> usize {
        usize::from(self.channel == 'e')
    }

    /// Writes it as the decoder takes it, with its number.
    fn write(&self, number: u32, data: &mut Vec<u8>) {
        let Self { channel, time, content, whole } = self;
        let whole = if *whole { '.' } else { '+' };
        data.extend_from_slice(format!("{channel}{whole}{time} {number} ").as_bytes());
        // A line break inside a record would end it: terminals write them after carriage returns only.
        data.extend(content.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
        data.push(b'\n');
    }
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

/// How far back the last record to arrive is looked for, in records, before all are looked at. Of the daemon's filters
/// only this one does not depend on the clock, and it is read from the end.
const LOOK_BACK: [u64; 2] = [100, 10_000];
/// What may be written between the look and the reading.
const MEANWHILE: u64 = 1000;

struct Reader {
    // Records up to this one are not passed on again.
    arrived: Option<Mark>,
    // The last record passed on.
    seen: Option<Mark>,
    // `arrived` has moved out of the last records while it was looked for.
    look_at_all: bool,
    // Where the next record is, in the bytes given to the decoder.
    at: u64,
    // The position in front of each record that the decoder may keep.
    starts: Arc<Mutex<Starts>>,
    tracker: Tracker<String>,
    status: Arc<StreamStatus>,
}

/// Where records begin in the bytes given to the decoder, and the last record before each.
type Starts = VecDeque<(u64, Option<Mark>)>;

/// When more are remembered, every other one is forgotten: a position further back only means reading more
/// again.
const MOST_STARTS: usize = 4096;

/// The records at the end of a container's output among which reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    All,
    Last(u64),
}

impl DaemonReader for Reader {
    async fn read(
        &mut self,
        docker: &DockerEndpoint,
        container: &ContainerId,
        outlet: &mut Outlet,
    ) -> Result<Ended, Pause> {
        loop {
            match self.follow(docker, container, outlet).await {
                Ok(Some(ended)) => return Ok(ended),
                Ok(None) if self.look_at_all => tokio::time::sleep(RETRY).await,
                Ok(None) => return Err(Pause { after: RETRY, why: None }),
                Err(error) => return Err(Pause { after: RETRY, why: Some(error_chain(&error)) }),
            }
        }
    }

    async fn finish(&mut self, outlet: &mut Outlet) -> Ended {
        outlet.finish().await
    }

    fn go_back(&mut self) {
        // A stream that ends while its container runs goes on where it was.
        self.arrived = self.seen;
    }
}

impl Reader {
    fn new(positions: &StreamPositions, status: Arc<StreamStatus>) -> Self {
        let arrived = positions.cursor().and_then(|text| Mark::parse(&text));
        Self {
            seen: arrived,
            arrived,
            look_at_all: false,
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
        let look_at_all = std::mem::take(&mut self.look_at_all);
        let mut window = Window::All;
        let mut search = None;
        if let Some(mark) = self.arrived {
            match look_for(mark, &docker, container).await? {
                Some(found_in) => {
                    if !look_at_all {
                        window = found_in;
                    }
                    search = Some(Search::new(mark, window == Window::All));
                }
                None => {
                    self.status.lost(Lost::RemovedByDaemon, 1);
                    warn!(
                        container_id = %container.short(),
                        last_time = %mark.time(),
                        "The daemon has removed a part of a container's output before it was read: what was in it is \
                         lost, how much cannot be told. Larger `max-size` or `max-file` of its log driver keep it longer"
                    );
                }
            }
        }
        let mut logs = logs(&docker, container, window, true).ready_chunks(AT_ONCE);
        self.status.reached(RUNG);
        let mut numbers = Numbers::default();
        let mut passed_over = 0;
        loop {
            let chunk = tokio::select! {
                chunk = logs.next() => chunk,
                // Its file was removed since the look.
                () = tokio::time::sleep(RETRY), if search.is_some() => {
                    self.look_at_all = true;
                    return Ok(None);
                }
                () = outlet.idle() => {
                    if let Some(ended) = outlet.flush(Flush::Idle).await {
                        return Ok(Some(ended));
                    }
                    continue;
                }
            };
            let Some(chunk) = chunk else {
                self.look_at_all = search.is_some();
                return Ok(None);
            };
            let mut data = Vec::new();
            let mut starts = Vec::with_capacity(chunk.len());
            let mut failed = None;
            for output in chunk {
                let output = match output {
                    Ok(output) => output,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                };
                for record in self.records(output) {
                    let number = numbers.next(&record);
                    match &mut search {
                        None => self.add(&record, number, &mut data, &mut starts),
                        Some(looking) => {
                            if looking.is_at(&record, number) {
                                search = None;
                            } else {
                                passed_over += 1;
                            }
                        }
                    }
                }
            }
            if let Some(ended) = self.pass_on(data, starts, outlet).await {
                return Ok(Some(ended));
            }
            if let Some(error) = failed {
                return Err(error);
            }
            if search.is_some() && matches!(window, Window::Last(most) if passed_over >= most) {
                self.look_at_all = true;
                return Ok(None);
            }
        }
    }

    fn records(&self, output: LogOutput) -> Vec<Record> {
        let lost = |lost_bytes: usize| {
            self.status.lost(Lost::Unreadable, lost_bytes as u64);
            warn!(lost_bytes, "A record of the daemon's logs API begins with no time, it is lost");
        };
        records(output, lost)
    }

    /// Adds a record with its number.
    fn add(
        &mut self,
        record: &Record,
        number: u32,
        data: &mut Vec<u8>,
        starts: &mut Vec<(u64, Option<Mark>)>,
    ) {
        starts.push((self.at + data.len() as u64, self.seen));
        record.write(number, data);
        self.seen = Some(Mark::of(record, number));
    }

    async fn pass_on(
        &mut self,
        data: Vec<u8>,
        starts: Vec<(u64, Option<Mark>)>,
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
        let (seen, tracker, starts) = (self.seen, self.tracker.clone(), Arc::clone(&self.starts));
        let settle = move |kept: Option<u64>| {
            let mut starts = starts.lock().unwrap_or_else(PoisonError::into_inner);
            let cursor = before(&mut starts, kept);
            tracker.begin(serde_json::to_string(&cursor.unwrap_or(seen)).unwrap_or_default())
        };
        outlet.lines(lines, settle).await
    }
}

/// The last `most` records, or fewer, as the decoder takes them, and whether the first of them may be in part only.
///
/// # Errors
///
/// What the daemon says.
pub(crate) async fn last(
    endpoint: &DockerEndpoint,
    container: &ContainerId,
    most: usize,
) -> Result<(Vec<u8>, bool), bollard::errors::Error> {
    let docker = endpoint.connect().await?;
    let mut logs = logs(&docker, container, Window::Last(most as u64), false);
    let (mut data, mut cut) = (Vec::new(), false);
    while let Some(output) = logs.next().await {
        records(output?, |_| {}).iter().for_each(|record| record.write(1, &mut data));
        if data.len() > LAST_BYTES {
            data.drain(..data.len() - LAST_BYTES);
            cut = true;
        }
    }
    Ok((data, cut))
}

fn remember(starts: &mut Starts, more: Vec<(u64, Option<Mark>)>) {
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
fn before(starts: &mut Starts, kept: Option<u64>) -> Option<Option<Mark>> {
    let Some(kept) = kept else {
        starts.clear();
        return None;
    };
    while starts.get(1).is_some_and(|(start, _)| *start <= kept) {
        starts.pop_front();
    }
    starts.front().map(|(_, before)| *before)
}

/// Among which records the last one that arrived is found again; `None` where the daemon does not have it any more.
async fn look_for(
    mark: Mark,
    docker: &Docker,
    container: &ContainerId,
) -> Result<Option<Window>, bollard::errors::Error> {
    for window in LOOK_BACK.map(Window::Last).into_iter().chain([Window::All]) {
        let (mut numbers, mut search) = (Numbers::default(), Search::new(mark, window == Window::All));
        let (mut is_found, mut behind) = (false, 0);
        let mut logs = logs(docker, container, window, false);
        while let Some(output) = logs.next().await {
            for record in records(output?, |_| {}) {
                let number = numbers.next(&record);
                if is_found {
                    behind += 1;
                } else {
                    is_found = search.is_at(&record, number);
                }
            }
        }
        if is_found {
            return Ok(Some(match window {
                Window::All => Window::All,
                Window::Last(count) => Window::Last(count + behind + MEANWHILE),
            }));
        }
    }
    Ok(None)
}

fn logs(
    docker: &Docker,
    container: &ContainerId,
    window: Window,
    follow: bool,
) -> impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin + use<> {
    let options = LogsOptionsBuilder::default().follow(follow).stdout(true).stderr(true).timestamps(true);
    let options = match window {
        Window::All => options.tail("all"),
        Window::Last(count) => options.tail(&count.to_string()),
    };
    Box::pin(docker.logs(&container.0, Some(options.build())))
}

/// The records in a message: each begins with the daemon's time. A line that was split comes as several
/// messages, or, from a terminal, as one with times in its middle. `lost` is told of bytes in which there is none.
fn records(output: LogOutput, lost: impl FnOnce(usize)) -> Vec<Record> {
    let (channel, message) = match output {
        LogOutput::StdErr { message } => ('e', message),
        LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
            ('o', message)
        }
    };
    let ends = message.last() == Some(&b'\n');
    let mut rest = &message[..message.len() - usize::from(ends)];
    let mut found: Vec<Record> = Vec::new();
    while let Some((time, content)) = stamp(rest) {
        let is_split = content.len() > SPLIT_AT && stamp(&content[SPLIT_AT..]).is_some();
        // The driver `local` leaves out the end of a line that was split, but for the terminal's carriage return.
        let end = || memchr::memchr_iter(b'\r', content).find(|at| stamp(&content[at + 1..]).is_some());
        let end = if is_split || found.is_empty() { None } else { end() };
        let len = if is_split { SPLIT_AT } else { end.map_or(content.len(), |at| at + 1) };
        let (content, more) = content.split_at(len);
        found.push(Record { channel, time, content: content.to_vec(), whole: end.is_some() });
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    match found.last_mut() {
        // The last words of a program may lack the end of line.
        Some(last) => last.whole = ends || last.content.len() < SPLIT_AT,
        None if message.is_empty() => {}
        None => lost(message.len()),
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
    use bytes::Bytes;

    use super::*;

    fn taken_apart(message: impl Into<Bytes>) -> Vec<Record> {
        records(LogOutput::Console { message: message.into() }, |bytes| {
            panic!("{bytes} bytes without a time")
        })
    }

    fn record(time: i64, content: &str) -> Record {
        Record { channel: 'o', time, content: content.as_bytes().to_vec(), whole: true }
    }

    #[test]
    fn messages_are_taken_apart() {
        let message = "2026-11-23T02:00:00.000000001Z hello world\n";
        assert_eq!(taken_apart(message), [record(1_795_399_200_000_000_001, "hello world")]);
        let long = "x".repeat(SPLIT_AT);
        let split = format!("2026-11-23T02:00:00.000000001Z {long}2026-11-23T02:00:00.000000002Z end\r\n");
        let found = taken_apart(split);
        assert_eq!(found.len(), 2);
        assert!(!found[0].whole && found[1].whole);
        // A terminal's carriage return is the decoder's business, as with the daemon's file.
        assert_eq!(found[1].content, b"end\r");
        // The next line of a terminal, behind a split one whose end is not there.
        let found = taken_apart(format!(
            "2026-11-23T02:00:00Z {long}2026-11-23T02:00:00Z end\r2026-11-23T02:00:00Z a\rb\r\n"
        ));
        let seen: Vec<_> = found.iter().map(|record| (record.content.len(), record.whole)).collect();
        assert_eq!(seen, [(SPLIT_AT, false), (4, true), (4, true)]);
        let part = taken_apart(format!("2026-11-23T02:00:00.000000001Z {long}"));
        assert!(!part[0].whole);
        let last = taken_apart("2026-11-23T02:00:00Z bye");
        assert!(last[0].whole);
        let empty = taken_apart("2026-11-23T02:00:00Z \n");
        assert_eq!(empty, [record(1_795_399_200_000_000_000, "")]);
    }
}
