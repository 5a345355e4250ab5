//! The third rung: a file inside a container, read by the container's own `tail`.
//!
//! One `docker exec` runs a small shell script that follows the file by its descriptor, through rotation and
//! truncation, and says between the pieces which file and which place they are from. It ends with its
//! standard input: when this process dies, however it dies, nothing stays behind in the container.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::daemon_stream::{DaemonReader, DaemonStream, Pause};
use super::last::{End, LAST_BYTES};
use super::outlet::Outlet;
use super::{Ended, Fingerprint, Flush, Framer, Framing, Lines, StreamPositions, StreamStatus, Tracker};
use crate::discovery::{ContainerId, DockerEndpoint};
use crate::error_chain;

/// A file to be followed from inside its container.
pub struct ExecTail {
    /// What it is a part of, and who takes it.
    pub stream: DaemonStream,
    /// The file inside the container.
    pub path: PathBuf,
    /// How it is cut into lines.
    pub framing: Framing,
}

/// The place in a stream: which file, and the first byte that has not arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    ino: u64,
    offset: u64,
    // When its content was first seen: an inode and a cut file come back with other content.
    #[serde(default)]
    begun: u64,
    // Of that content: a file that was cut and has grown beyond the offset is known by it.
    #[serde(default)]
    head: Fingerprint,
}

/// As much of a file's head as its fingerprint covers.
const HEAD: usize = 1024;

const SCRIPT: &str = include_str!("exec_tail.sh");
const RUNG: &str = "exec-tail";
const RETRY: Duration = Duration::from_secs(2);
const RETRY_UNUSABLE: Duration = Duration::from_secs(15);
/// The script says no more than this at a time that is not in the file.
const MOST_TALK: usize = 64 << 10;
/// The paths that a container's shell may name.
const MOST_PATHS: usize = 1 << 20;

impl ExecTail {
    /// Reads until the stream is stopped or its container has ended.
    pub async fn run(self) -> Ended {
        let Self { stream, path, framing } = self;
        stream
            .follow(|positions, status| Reader::new(positions, &path, framing.clone(), Arc::clone(status)))
            .await
    }
}

/// How one run of the script came to its end.
enum Follow {
    /// The stream is over.
    Ended(Ended),
    /// The script ended: its container has, or the daemon.
    Over,
    /// The container cannot do it; why.
    Unusable(String),
    /// The daemon did not do it; why.
    Failed(String),
}

impl DaemonReader for Reader {
    async fn read(
        &mut self,
        docker: &DockerEndpoint,
        container: &ContainerId,
        outlet: &mut Outlet,
    ) -> Result<Ended, Pause> {
        let mark = uuid::Uuid::new_v4().simple().to_string();
        let (after, why) = match try_follow(docker, container, &mark, self, outlet).await {
            Ok(Follow::Ended(ended)) => return Ok(ended),
            Ok(Follow::Over) => (RETRY, None),
            Ok(Follow::Unusable(why)) => (RETRY_UNUSABLE, Some(why)),
            Ok(Follow::Failed(why)) => (RETRY, Some(why)),
            Err(error) => (RETRY, Some(error_chain(&error))),
        };
        Err(Pause { after, why })
    }

    async fn finish(&mut self, outlet: &mut Outlet) -> Ended {
        match self.pass_on_rest(outlet).await {
            Some(ended) => ended,
            None => outlet.finish().await,
        }
    }

    fn go_back(&mut self) {
        // What was read of an unfinished line is read again.
        self.begin_at(self.framer.start());
    }
}

async fn try_follow(
    endpoint: &DockerEndpoint,
    container: &ContainerId,
    mark: &str,
    reader: &mut Reader,
    outlet: &mut Outlet,
) -> Result<Follow, bollard::errors::Error> {
    let docker: Docker = endpoint.connect().await?.docker;
    let path = reader.path.to_string_lossy().into_owned();
    let (ino, offset) = match reader.cursor.ino {
        0 => ("-".to_owned(), "0".to_owned()),
        ino => (ino.to_string(), reader.cursor.offset.to_string()),
    };
    let cmd = ["sh", "-c", SCRIPT, "logstash-mesos", mark, &path, &ino, &offset];
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        user: Some("0".to_owned()),
        cmd: Some(cmd.iter().map(|&word| word.to_owned()).collect()),
        ..CreateExecOptions::default()
    };
    let exec = docker.create_exec(&container.0, options).await?;
    let StartExecResults::Attached { mut output, input } = docker.start_exec(&exec.id, None).await? else {
        return Ok(Follow::Failed("the daemon runs the command without its output".to_owned()));
    };
    reader.status.reached(RUNG);
    let mut parser = Parser::new(mark);
    let mut complaint = Vec::new();
    loop {
        let piece = tokio::select! {
            piece = output.next() => piece,
            () = outlet.idle() => {
                if let Some(ended) = outlet.flush(Flush::Idle).await {
                    return Ok(Follow::Ended(ended));
                }
                continue;
            }
        };
        let Some(piece) = piece else { break };
        match piece? {
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                parser.push(&message);
                while let Some(found) = parser.next() {
                    if let Some(ended) = reader.take(found, outlet).await {
                        return Ok(Follow::Ended(ended));
                    }
                    if std::mem::take(&mut reader.written_anew) {
                        return Ok(Follow::Over);
                    }
                }
                if parser.is_lost() {
                    return Ok(Follow::Unusable(
                        "the container's `sh` writes something else than what it is asked for: let the executor see \
                         the host's files"
                            .to_owned(),
                    ));
                }
            }
            LogOutput::StdErr { message } if complaint.len() < 1024 => complaint.extend_from_slice(&message),
            _ => {}
        }
    }
    drop(input);
    let code = docker.inspect_exec(&exec.id).await.ok().and_then(|exec| exec.exit_code);
    Ok(match code {
        // What the runtime says when there is no such program.
        Some(126 | 127) => {
            let said = String::from_utf8_lossy(&complaint);
            Follow::Unusable(format!(
                "the container has no `sh` with `tail`, `head`, `ls` and `sleep` ({}): let the executor see the \
                 host's files",
                said.trim()
            ))
        }
        _ => Follow::Over,
    })
}

struct Reader {
    path: PathBuf,
    // Of the next byte that comes.
    cursor: Cursor,
    // Has the beginning of an unfinished line, before that byte.
    framer: Framer,
    framing: Framing,
    // The first bytes of the file.
    head: Vec<u8>,
    // The file has other content than the position is about: it is to be read from its beginning.
    written_anew: bool,
    tracker: Tracker<String>,
    status: Arc<StreamStatus>,
}

impl Reader {
    fn new(positions: &StreamPositions, path: &Path, framing: Framing, status: Arc<StreamStatus>) -> Self {
        let cursor = positions.cursor().and_then(|text| serde_json::from_str(&text).ok());
        let cursor: Cursor = cursor.unwrap_or_default();
        Self {
            path: path.to_owned(),
            framer: Framer::new(framing.clone(), cursor.offset),
            framing,
            cursor,
            head: Vec::new(),
            written_anew: false,
            tracker: positions.cursor_tracker(),
            status,
        }
    }

    /// The next byte that comes is at `offset`; what was read of an unfinished line is forgotten.
    fn begin_at(&mut self, offset: u64) {
        self.cursor.offset = offset;
        self.framer = Framer::new(self.framing.clone(), offset);
    }

    async fn take(&mut self, found: Found, outlet: &mut Outlet) -> Option<Ended> {
        match found {
            Found::Head { ino, data } => {
                if ino == self.cursor.ino && !self.cursor.head.matches_bytes(&data) {
                    if let Some(ended) = self.file_ended(outlet).await {
                        return Some(ended);
                    }
                    self.cursor = Cursor::default();
                    self.begin_at(0);
                    self.written_anew = true;
                }
                self.head = data;
                None
            }
            Found::File { ino, offset, opened } => {
                if !opened {
                    self.head.clear();
                }
                // The end of an unfinished line is not in the next file.
                let another = ino != self.cursor.ino || offset != self.cursor.offset;
                if another && let Some(ended) = self.file_ended(outlet).await {
                    return Some(ended);
                }
                if another || self.cursor.begun == 0 {
                    let now = crate::event::Timestamp::now();
                    let begun = now.secs().unsigned_abs() * 1_000_000_000 + u64::from(now.subsec_nanos());
                    self.cursor = Cursor { ino, begun, ..Cursor::default() };
                    self.begin_at(offset);
                }
                None
            }
            Found::Piece { offset, data } => {
                if offset != self.framer.position() {
                    self.begin_at(offset);
                }
                if offset == self.head.len() as u64 {
                    let room = HEAD.saturating_sub(self.head.len());
                    self.head.extend_from_slice(&data[..data.len().min(room)]);
                }
                self.cursor.offset += data.len() as u64;
                self.framer.push(data);
                while let Some(lines) = self.framer.take() {
                    if let Some(ended) = self.pass_on(lines, outlet).await {
                        return Some(ended);
                    }
                }
                None
            }
        }
    }

    async fn pass_on(&mut self, mut lines: Lines, outlet: &mut Outlet) -> Option<Ended> {
        let end = lines.end();
        self.cursor.head = Fingerprint::of_bytes(&self.head);
        let Cursor { ino, begun, head, .. } = self.cursor;
        lines.set_file(Arc::from(format!("{begun:x}")));
        let tracker = self.tracker.clone();
        let read = self.cursor.offset;
        self.status.read_on(end - lines.offset(), read);
        let settle = move |kept: Option<u64>| {
            tracker.begin(text(&Cursor { ino, offset: kept.unwrap_or(end), begun, head }))
        };
        outlet.lines(lines, settle).await
    }

    async fn pass_on_rest(&mut self, outlet: &mut Outlet) -> Option<Ended> {
        let rest = self.framer.take_rest()?;
        self.pass_on(rest, outlet).await
    }

    async fn file_ended(&mut self, outlet: &mut Outlet) -> Option<Ended> {
        match self.pass_on_rest(outlet).await {
            Some(ended) => Some(ended),
            None => outlet.flush(Flush::Rotated).await,
        }
    }
}

fn text(cursor: &Cursor) -> String {
    serde_json::to_string(cursor).unwrap_or_default()
}

/// What the script says.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// A file has been opened, and begins like this.
    Head { ino: u64, data: Vec<u8> },
    /// What follows is from this file, at this place; it was opened, or cut.
    File { ino: u64, offset: u64, opened: bool },
    /// Bytes of it.
    Piece { offset: u64, data: Vec<u8> },
}

/// Takes the script's output apart.
struct Parser {
    // A line break, the mark, a blank.
    mark: Vec<u8>,
    buf: Vec<u8>,
    // In a piece that starts there.
    piece: Option<u64>,
    // In the head of this file.
    head: Option<u64>,
}

impl Parser {
    fn new(mark: &str) -> Self {
        Self { mark: format!("\n{mark} ").into_bytes(), buf: Vec::new(), piece: None, head: None }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// Whether this is not what the script says: it would be held for ever.
    fn is_lost(&self) -> bool {
        self.piece.is_none() && self.buf.len() > MOST_TALK
    }

    fn next(&mut self) -> Option<Found> {
        loop {
            let at = memchr::memmem::find(&self.buf, &self.mark);
            if let Some(offset) = self.piece {
                // What cannot be the beginning of the mark is data.
                let end = at.unwrap_or_else(|| self.buf.len().saturating_sub(self.mark.len()));
                if end > 0 {
                    let data: Vec<u8> = self.buf.drain(..end).collect();
                    self.piece = Some(offset + data.len() as u64);
                    return Some(Found::Piece { offset, data });
                }
            }
            let at = at?;
            if let Some(ino) = self.head.take() {
                return Some(Found::Head { ino, data: self.buf.drain(..at).collect() });
            }
            let words = at + self.mark.len();
            let end = words + memchr::memchr(b'\n', self.buf.get(words..)?)?;
            let line = String::from_utf8_lossy(&self.buf[words..end]).into_owned();
            self.buf.drain(..=end);
            let mut words = line.split(' ');
            let kind = words.next();
            let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
            let (Some(ino), Some(offset)) = (number(), number()) else { continue };
            match kind {
                Some("H") => self.head = Some(ino),
                Some("D") => self.piece = Some(offset),
                Some("E") => self.piece = None,
                Some(kind @ ("F" | "T")) => {
                    self.piece = None;
                    return Some(Found::File { ino, offset, opened: kind == "F" });
                }
                _ => {}
            }
        }
    }
}

/// The paths that match `pattern` inside the container, asked of its shell.
///
/// # Errors
///
/// What the daemon says.
pub(crate) async fn expand(
    endpoint: &DockerEndpoint,
    container: &ContainerId,
    pattern: &str,
) -> io::Result<Vec<PathBuf>> {
    let script = "IFS=; for f in $1; do [ -f \"$f\" ] && printf '%s\\n' \"$f\"; done";
    let text = run_inside(endpoint, container, script, pattern, MOST_PATHS).await?;
    Ok(String::from_utf8_lossy(&text)
        .lines()
        .filter(|line| line.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}

/// The last bytes of a file inside the container, asked of its `tail`.
///
/// # Errors
///
/// What the daemon says, and where there is no such file or no `tail`.
pub(crate) async fn last(endpoint: &DockerEndpoint, container: &ContainerId, path: &Path) -> io::Result<End> {
    // A byte at the end tells an empty file from none.
    let script = format!("[ -f \"$1\" ] && tail -c {LAST_BYTES} \"$1\" && printf .");
    // What was written meanwhile may come, too.
    let most = 2 * LAST_BYTES;
    let mut bytes = run_inside(endpoint, container, &script, &path.to_string_lossy(), most).await?;
    if bytes.pop() != Some(b'.') {
        let why = "the container has no such file now, or no `sh` with `tail`: let the executor see the host's files";
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    let from = u64::from(bytes.len() >= LAST_BYTES);
    let mut end = End { bytes, from };
    end.shorten();
    Ok(end)
}

/// What a script of a container's shell writes, `most` bytes at most. What it is about is an argument and not a part of the
/// script: nothing in it is run.
async fn run_inside(
    endpoint: &DockerEndpoint,
    container: &ContainerId,
    script: &str,
    about: &str,
    most: usize,
) -> io::Result<Vec<u8>> {
    let failed = |error: bollard::errors::Error| io::Error::other(error_chain(&error));
    let docker = endpoint.connect().await.map_err(failed)?.docker;
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        user: Some("0"),
        cmd: Some(vec!["sh", "-c", script, "logstash-mesos", about]),
        ..CreateExecOptions::default()
    };
    let exec = docker.create_exec(&container.0, options).await.map_err(failed)?;
    let StartExecResults::Attached { mut output, .. } =
        docker.start_exec(&exec.id, None).await.map_err(failed)?
    else {
        return Ok(Vec::new());
    };
    let mut text = Vec::new();
    while let Some(piece) = output.next().await {
        if let LogOutput::StdOut { message } | LogOutput::Console { message } = piece.map_err(failed)? {
            text.extend_from_slice(&message);
        }
        if text.len() > most {
            return Err(io::Error::other(format!("its shell writes more than {most} bytes")));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::Stop;
    use super::super::{Checkpoints, Decoder, Kept};
    use super::*;
    use crate::event::{Batch, BatchSender};
    use crate::event::{Event, Text, Timestamp};

    #[test]
    fn the_script_s_output_is_taken_apart_at_any_border() {
        let said = b"\nMARK H 7 0\n123abc\nMARK E 7 0\n\nMARK F 7 3\n\nMARK D 7 3\nabc\nMAR no\n\nMARK E 7 14\n\nMARK T 7 0\n\nMARK D 7 0\nx\n\nMARK E 7 2\n";
        for size in 1..said.len() {
            let mut parser = Parser::new("MARK");
            let (mut heads, mut files, mut data) = (Vec::new(), Vec::new(), Vec::new());
            for piece in said.chunks(size) {
                parser.push(piece);
                while let Some(found) = parser.next() {
                    match found {
                        Found::Head { ino, data } => heads.push((ino, data)),
                        Found::File { ino, offset, .. } => files.push((ino, offset, data.len())),
                        Found::Piece { offset, data: piece } => {
                            let base = if files.len() == 1 { 3 } else { 0 };
                            let before = if files.len() == 1 { data.len() } else { data.len() - 11 };
                            assert_eq!(offset, base + before as u64, "pieces of {size}");
                            data.extend(piece);
                        }
                    }
                }
            }
            assert_eq!(heads, [(7, b"123abc".to_vec())], "pieces of {size}");
            assert_eq!(files, [(7, 3, 0), (7, 0, 11)], "pieces of {size}");
            assert_eq!(data, b"abc\nMAR no\nx\n", "pieces of {size}");
        }
    }

    #[test]
    fn a_shell_that_writes_without_end_is_found_out() {
        let mut parser = Parser::new("MARK");
        let mut said = 0;
        while !parser.is_lost() {
            parser.push(&[b'y'; 8 << 10]);
            said += 8 << 10;
            assert_eq!(parser.next(), None);
        }
        assert!(said <= 2 * MOST_TALK, "{said}");
        // In the file it may be as long as it likes: nothing is held of it here.
        let mut parser = Parser::new("MARK");
        parser.push(b"\nMARK D 7 0\n");
        for _ in 0..100 {
            parser.push(&[b'y'; 8 << 10]);
            assert!(matches!(parser.next(), Some(Found::Piece { .. })));
            assert!(!parser.is_lost() && parser.buf.len() < 8 << 10);
        }
    }

    /// Makes an event of every line.
    struct Plain;

    impl Decoder for Plain {
        fn decode(&mut self, lines: Lines, batch: &mut Batch) -> Kept {
            for line in lines {
                let text = String::from_utf8_lossy(line.content.as_bytes()).into_owned();
                batch.events.push(Event::from_message(Text::from(text), Timestamp::EPOCH));
            }
            Kept::NOTHING
        }
    }

    #[derive(Default)]
    struct Received(Mutex<Vec<String>>);

    #[async_trait::async_trait]
    impl BatchSender for Received {
        async fn send(&self, mut batch: Batch) -> bool {
            let text = |event: &Event| event.fields().get("message")?.as_text().map(ToString::to_string);
            self.0.lock().unwrap().extend(batch.take_events().iter().filter_map(text));
            batch.ack.delivered();
            true
        }
    }

    #[tokio::test]
    async fn a_file_that_is_cut_and_regrown_between_two_looks_is_noticed() {
        use std::io::Read;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        std::fs::write(&path, "old 1\nold 2\nunfin").unwrap();
        let mut shell = std::process::Command::new("sh")
            .args(["-c", SCRIPT, "test", "MARK", path.to_str().unwrap(), "-", "0"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = shell.stdout.take().unwrap();
        let (pieces, mut coming) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = said.read(&mut buffer) {
                let _nobody_waits = pieces.send(buffer[..length].to_vec());
            }
        });
        let positions = Checkpoints::in_memory().stream("s");
        let (received, status) = (Arc::<Received>::default(), Arc::<StreamStatus>::default());
        let sender = Arc::clone(&received) as Arc<dyn BatchSender>;
        let mut outlet = Outlet::new(Box::new(Plain), sender, Arc::clone(&status), Stop::default().now);
        let mut reader = Reader::new(&positions, Path::new("/x"), Framing::default(), status);
        let mut parser = Parser::new("MARK");
        let mut rewritten = false;
        while !reader.written_anew {
            let piece = tokio::time::timeout(Duration::from_secs(10), coming.recv()).await.unwrap().unwrap();
            parser.push(&piece);
            // As `follow` does: what comes after it in the same breath is not looked at.
            while !reader.written_anew
                && let Some(found) = parser.next()
            {
                assert_eq!(reader.take(found, &mut outlet).await, None);
            }
            if !rewritten && reader.cursor.offset == 17 {
                rewritten = true;
                // Longer than before when it is looked at next.
                std::fs::write(&path, "new 1\nnew 2\nnew 3\nnew 4\n").unwrap();
            }
        }
        drop(shell.stdin.take());
        shell.wait().unwrap();
        // Nothing of the new content was taken for a part of the old one.
        assert_eq!(*received.0.lock().unwrap(), ["old 1", "old 2", "unfin"]);
        assert_eq!(reader.cursor, Cursor::default());
    }
}
