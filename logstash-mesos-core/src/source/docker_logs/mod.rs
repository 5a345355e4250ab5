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
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

use mark::{Mark, Numbers, Search};

use super::daemon_stream::{DaemonReader, DaemonStream, Pause};
use super::last::End;
use super::outlet::Outlet;
use super::{Ended, Flush, Lines, Lost, StreamPositions, StreamStatus, Tracker};
use crate::discovery::{ContainerId, DockerEndpoint, LogDriver};
use crate::error_chain;

/// A container's output to be followed.
pub struct DockerLogs {
    /// The container's output, as its daemon gives it.
    pub stream: DaemonStream,
    /// The driver whose records are given.
    pub driver: LogDriver,
}

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
/// So often a daemon that fails is asked again before what was heard of it is forgotten.
const TRIES: usize = 10;
/// Records that are there already are passed on together, up to this many.
const AT_ONCE: usize = 512;
/// A piece of a line that the daemon split has this many bytes.
const SPLIT_AT: usize = 16 << 10;

impl DockerLogs {
    /// Reads until the stream is stopped or its container has ended.
    pub async fn run(self) -> Ended {
        let Self { stream, driver } = self;
        stream.follow(|positions, status| Reader::new(positions, Arc::clone(status), &driver)).await
    }
}

/// So many records more than were heard of are asked for, for those that came meanwhile and the one to go on behind.
const SLACK: u64 = 64;
/// By so much further back it is looked, time after time, where that one is not among them; then at all there is.
const FURTHER: u64 = 8;
const FURTHEST: u64 = 1 << 18;
/// What comes within this time is read together.
const GATHER: Duration = Duration::from_millis(50);
/// When it has told of so many, they are read.
const MOST_HEARD: usize = 8192;
/// So long the first word is waited for.
const FIRST: Duration = Duration::from_secs(10);
/// A daemon that has told nothing is asked after a second, and then less and less often, at least once in this time.
const SILENCE: Duration = Duration::from_secs(30);

/// Reads what the daemon has, again whenever it tells that there is more.
///
/// A daemon that is followed leaves records out, or repeats them, when it rotates its files (20.10 gave 988 of 3,000 with
/// `max-size=20k`). One that is asked for what is there opens all files under its lock and gives each record once. So it is
/// followed only to hear when to ask. That costs the records twice, and at rest a question each half minute, as a follower of the
/// daemon may fall silent.
struct Reader {
    // The last record passed on.
    seen: Option<Mark>,
    // Where the next record is, in the bytes given to the decoder.
    at: u64,
    // The position in front of each record that the decoder may keep.
    starts: Arc<Mutex<Starts>>,
    tracker: Tracker<String>,
    status: Arc<StreamStatus>,
    // Of the driver, see [`LogDriver`].
    in_pieces: bool,
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
        match self.follow(docker, container, outlet).await {
            Ok(Some(ended)) => Ok(ended),
            Ok(None) => Err(Pause { after: RETRY, why: None }),
            Err(error) => Err(Pause { after: RETRY, why: Some(error_chain(&error)) }),
        }
    }

    async fn finish(&mut self, outlet: &mut Outlet) -> Ended {
        outlet.finish().await
    }

    // It always goes on behind the last record.
    fn go_back(&mut self) {}
}

impl Reader {
    fn new(positions: &StreamPositions, status: Arc<StreamStatus>, driver: &LogDriver) -> Self {
        Self {
            seen: positions.cursor().and_then(|text| Mark::parse(&text)),
            at: 0,
            starts: Arc::default(),
            tracker: positions.cursor_tracker(),
            status,
            in_pieces: driver.in_pieces,
        }
    }

    /// Passes on what comes until the daemon tells of no more: `None` then.
    async fn follow(
        &mut self,
        endpoint: &DockerEndpoint,
        container: &ContainerId,
        outlet: &mut Outlet,
    ) -> Result<Option<Ended>, bollard::errors::Error> {
        let docker = endpoint.connect().await?.docker;
        if self.in_pieces {
            return self.follow_podman(&docker, container, outlet).await;
        }
        // With the last record, so that what is there already is heard of. Nothing is read before that: who is followed can be
        // removed, and what it said last is heard.
        let mut bell = logs(&docker, container, Window::Last(1), true).ready_chunks(AT_ONCE);
        let (mut heard, mut silence, mut last) = (Vec::new(), FIRST, None);
        loop {
            let quiet = tokio::time::sleep(silence);
            tokio::pin!(quiet);
            let mut rung = loop {
                tokio::select! {
                    rung = bell.next() => break Some(rung),
                    () = &mut quiet => break None,
                    () = outlet.idle() => {
                        if let Some(ended) = outlet.flush(Flush::Idle).await {
                            return Ok(Some(ended));
                        }
                    }
                }
            };
            let gathered = Instant::now() + GATHER;
            while let Some(ringing) = rung {
                let Some(outputs) = ringing else {
                    last = Some(Ok(None));
                    break;
                };
                for output in outputs {
                    match output {
                        Ok(output) => heard.push(output),
                        Err(error) => last = Some(Err(error)),
                    }
                }
                let enough = last.is_some() || heard.len() >= MOST_HEARD;
                rung = if enough { None } else { timeout_at(gathered, bell.next()).await.ok() };
            }
            let before = self.seen;
            let about = heard.len() as u64;
            let mut read = self.read_on(&docker, container, about, outlet).await;
            for _ in 0..TRIES {
                if !read.as_ref().is_err_and(may_be_gone) {
                    break;
                }
                tokio::time::sleep(RETRY).await;
                read = self.read_on(&docker, container, about, outlet).await;
            }
            let ended = match read {
                // It was removed as soon as it had ended: what it said last is heard.
                Err(error) if is_gone(&error) => {
                    while let Ok(Some(outputs)) = timeout(RETRY, bell.next()).await {
                        heard.extend(outputs.into_iter().flatten());
                    }
                    if let Some(ended) = self.pass_on_heard(std::mem::take(&mut heard), outlet).await {
                        return Ok(Some(ended));
                    }
                    return Err(error);
                }
                read => read?,
            };
            if ended.is_some() {
                return Ok(ended);
            }
            self.status.reached(RUNG);
            if let Some(last) = last {
                return last;
            }
            silence = if self.seen == before { SILENCE.min(silence * 2) } else { RETRY };
            heard.clear();
        }
    }

    /// The same with Podman, which keeps one file, and is asked for all of it: of the last records, which it reads before it
    /// looks for the end of the file, it leaves out what is written in between.
    async fn follow_podman(
        &mut self,
        docker: &Docker,
        container: &ContainerId,
        outlet: &mut Outlet,
    ) -> Result<Option<Ended>, bollard::errors::Error> {
        let mut search = None;
        if let Some(mark) = self.seen {
            if self.is_there(mark, docker, container).await? {
                search = Some(Search::new(mark, true));
            } else {
                self.count_removed(&mark, container);
            }
        }
        self.status.reached(RUNG);
        let logs = logs(docker, container, Window::All, true);
        Ok(self.pass_on_all(logs, search, outlet).await?.1)
    }

    async fn is_there(
        &self,
        mark: Mark,
        docker: &Docker,
        container: &ContainerId,
    ) -> Result<bool, bollard::errors::Error> {
        let (mut numbers, mut search) = (Numbers::default(), Search::new(mark, true));
        let mut logs = logs(docker, container, Window::All, false);
        while let Some(output) = logs.next().await {
            for record in self.records(output?, false) {
                let number = numbers.next(&record);
                if search.is_at(&record, number) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn count_removed(&self, last: &Mark, container: &ContainerId) {
        self.status.lost(Lost::RemovedByDaemon, 1);
        warn!(
            container_id = %container.short(),
            last_time = %last.time(),
            "The daemon has removed a part of a container's output before it was read: what was in it is \
             lost, how much cannot be told. Larger `max-size` or `max-file` of its log driver keep it longer"
        );
    }

    /// Passes on what was heard from the daemon behind the last record that was passed on.
    async fn pass_on_heard(&mut self, heard: Vec<LogOutput>, outlet: &mut Outlet) -> Option<Ended> {
        let mut numbers = Numbers::default();
        let records: Vec<(Record, u32)> = heard
            .into_iter()
            .flat_map(|output| self.records(output, false))
            .map(|record| {
                let number = numbers.next(&record);
                (record, number)
            })
            .collect();
        let mut search = self.seen.map(|mark| Search::new(mark, true));
        let known = search
            .as_mut()
            .and_then(|search| records.iter().position(|(record, number)| search.is_at(record, *number)));
        let (mut data, mut starts) = (Vec::new(), Vec::new());
        for (record, number) in &records[known.map_or(0, |known| known + 1)..] {
            self.add(record, *number, &mut data, &mut starts);
        }
        self.pass_on(data, starts, outlet).await
    }

    /// Passes on what the daemon has behind the last record that was; about `heard` records are new.
    async fn read_on(
        &mut self,
        docker: &Docker,
        container: &ContainerId,
        heard: u64,
        outlet: &mut Outlet,
    ) -> Result<Option<Ended>, bollard::errors::Error> {
        let Some(mark) = self.seen else {
            return Ok(self.read_window(docker, container, Window::All, None, outlet).await?.1);
        };
        let mut most = heard + SLACK;
        loop {
            let window = if most > FURTHEST { Window::All } else { Window::Last(most) };
            let search = Search::new(mark, window == Window::All);
            let (found, ended) = self.read_window(docker, container, window, Some(search), outlet).await?;
            if found || ended.is_some() {
                return Ok(ended);
            }
            if window == Window::All {
                break;
            }
            most *= FURTHER;
        }
        self.count_removed(&mark, container);
        Ok(self.read_window(docker, container, Window::All, None, outlet).await?.1)
    }

    /// Passes on the records of a window, with `search` those behind the one that it finds; says whether it did.
    async fn read_window(
        &mut self,
        docker: &Docker,
        container: &ContainerId,
        window: Window,
        search: Option<Search>,
        outlet: &mut Outlet,
    ) -> Result<(bool, Option<Ended>), bollard::errors::Error> {
        self.pass_on_all(logs(docker, container, window, false), search, outlet).await
    }

    async fn pass_on_all(
        &mut self,
        logs: impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin,
        mut search: Option<Search>,
        outlet: &mut Outlet,
    ) -> Result<(bool, Option<Ended>), bollard::errors::Error> {
        let mut logs = logs.ready_chunks(AT_ONCE);
        let mut numbers = Numbers::default();
        loop {
            let chunk = tokio::select! {
                chunk = logs.next() => chunk,
                () = outlet.idle() => {
                    if let Some(ended) = outlet.flush(Flush::Idle).await {
                        return Ok((true, Some(ended)));
                    }
                    continue;
                }
            };
            let Some(chunk) = chunk else { return Ok((search.is_none(), None)) };
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
                for record in self.records(output, search.is_none()) {
                    let number = numbers.next(&record);
                    match &mut search {
                        None => self.add(&record, number, &mut data, &mut starts),
                        Some(looking) => {
                            if looking.is_at(&record, number) {
                                search = None;
                            }
                        }
                    }
                }
            }
            if let Some(ended) = self.pass_on(data, starts, outlet).await {
                return Ok((true, Some(ended)));
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    /// The records in a message; those that cannot be read are counted only when they are `new`.
    fn records(&self, output: LogOutput, new: bool) -> Vec<Record> {
        // Podman says what keeps it from going on in the middle of the records.
        if self.in_pieces && output.as_ref().starts_with(b"{\"cause\":") {
            debug!(said = %String::from_utf8_lossy(output.as_ref()), "Podman has no more records");
            return Vec::new();
        }
        let lost = |lost_bytes: usize| {
            if !new {
                return;
            }
            self.status.lost(Lost::Unreadable, lost_bytes as u64);
            warn!(lost_bytes, "A record of the daemon's logs API begins with no time, it is lost");
        };
        records(output, self.in_pieces, lost)
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

/// The last `most` records, or fewer, as the decoder takes them.
///
/// # Errors
///
/// What the daemon says.
pub(crate) async fn last(
    endpoint: &DockerEndpoint,
    container: &ContainerId,
    driver: &LogDriver,
    most: usize,
) -> Result<End, bollard::errors::Error> {
    let docker = endpoint.connect().await?.docker;
    let mut logs = logs(&docker, container, Window::Last(most as u64), false);
    let mut end = End::default();
    while let Some(output) = logs.next().await {
        let records = records(output?, driver.in_pieces, |_| {});
        records.iter().for_each(|record| record.write(1, &mut end.bytes));
        end.shorten();
    }
    Ok(end)
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

/// Whether the container may be about to be removed: its files go before the daemon says that it is.
fn may_be_gone(error: &bollard::errors::Error) -> bool {
    matches!(error, bollard::errors::Error::DockerResponseServerError { status_code: 500, .. })
}

/// Whether the container is removed, or is about to be.
fn is_gone(error: &bollard::errors::Error) -> bool {
    matches!(error, bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. })
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
/// messages, or, from a terminal, as one with times in its middle. A piece may have any length with `in_pieces`. `lost` is told of bytes in which there is none.
fn records(output: LogOutput, in_pieces: bool, lost: impl FnOnce(usize)) -> Vec<Record> {
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
        let is_split = !in_pieces && content.len() > SPLIT_AT && stamp(&content[SPLIT_AT..]).is_some();
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
        Some(last) => last.whole = ends || (!in_pieces && last.content.len() < SPLIT_AT),
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
mod tests;
