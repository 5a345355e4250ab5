//! A directory with a log, a stream that reads it, and what has arrived.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use crate::event::{Batch, BatchSender, Event, Text, Timestamp};
use crate::source::*;

/// Makes an event of every line.
pub(super) struct Plain;

impl Decoder for Plain {
    fn decode(&mut self, lines: Lines, batch: &mut Batch) -> Kept {
        batch.events.extend(lines.into_iter().map(|line| {
            let text = String::from_utf8_lossy(line.content.as_bytes()).into_owned();
            Event::from_message(Text::from(text), Timestamp::new(0, 0))
        }));
        Kept::NOTHING
    }
}

/// Keeps what was sent; acknowledges at once, or when told.
#[derive(Default)]
pub(super) struct Receiver {
    pub(super) lines: Mutex<Vec<String>>,
    pub(super) held: Mutex<Option<Vec<crate::event::Ack>>>,
}

#[async_trait]
impl BatchSender for Receiver {
    async fn send(&self, mut batch: Batch) -> bool {
        let mut lines = self.lines.lock().unwrap();
        for event in batch.take_events() {
            lines.push(event.fields().get("message").unwrap().as_text().unwrap().to_string());
        }
        match &mut *self.held.lock().unwrap() {
            Some(held) => held.push(batch.ack),
            None => batch.ack.delivered(),
        }
        true
    }
}

pub(super) struct Bed {
    pub(super) dir: tempfile::TempDir,
    pub(super) readers: Readers,
    pub(super) received: Arc<Receiver>,
}

pub(super) struct Stream {
    task: JoinHandle<Ended>,
    stop: Stop,
    pub(super) status: Arc<StreamStatus>,
}

impl Bed {
    pub(super) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            readers: Readers::new(1).unwrap(),
            received: Arc::default(),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn positions(&self) -> Checkpoints {
        Checkpoints::open(&self.path("data")).unwrap()
    }

    pub(super) fn follow(&self, checkpoints: &Checkpoints, settings: TailSettings) -> Stream {
        self.follow_file("app.log", checkpoints, settings)
    }

    pub(super) fn follow_file(
        &self,
        name: &str,
        checkpoints: &Checkpoints,
        settings: TailSettings,
    ) -> Stream {
        let file = HostFile::new(self.path(name), &Directories::default());
        self.follow_by(Arc::new(file), checkpoints.stream(name), settings)
    }

    pub(super) fn follow_by(
        &self,
        opener: Arc<dyn FileOpener>,
        positions: StreamPositions,
        settings: TailSettings,
    ) -> Stream {
        self.run(self.stream(opener, positions, settings))
    }

    /// A stream that is to be read: its lines are events that go to the receiver.
    pub(super) fn stream(
        &self,
        opener: Arc<dyn FileOpener>,
        positions: StreamPositions,
        settings: TailSettings,
    ) -> Follow {
        Follow {
            opener,
            settings,
            positions,
            decoder: Box::new(Plain),
            sender: Arc::clone(&self.received) as _,
            status: Arc::default(),
            stop: Stop::default(),
            close_after: None,
        }
    }

    pub(super) fn run(&self, follow: Follow) -> Stream {
        let (stop, status) = (follow.stop.clone(), Arc::clone(&follow.status));
        Stream { task: self.readers.follow(follow), stop, status }
    }

    /// Waits until exactly `lines` have been received since the beginning.
    pub(super) async fn expect(&self, lines: &[&str]) {
        for _ in 0..400 {
            if self.received.lines.lock().unwrap().len() >= lines.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(*self.received.lines.lock().unwrap(), lines);
    }

    /// The same in any order.
    pub(super) async fn expect_all(&self, lines: &[String]) {
        let sorted = |lines: &[String]| {
            let mut lines = lines.to_vec();
            lines.sort_unstable();
            lines
        };
        for _ in 0..2000 {
            if self.received.lines.lock().unwrap().len() >= lines.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(sorted(&self.received.lines.lock().unwrap()), sorted(lines));
    }
}

impl Stream {
    pub(super) async fn finish(self) -> StreamSnapshot {
        self.stop.at_end.cancel();
        assert_eq!(self.task.await.unwrap(), Ended::Finished);
        self.status.snapshot()
    }

    pub(super) async fn stop(self) -> StreamSnapshot {
        self.stop.now.cancel();
        assert_eq!(self.task.await.unwrap(), Ended::Stopped);
        self.status.snapshot()
    }
}

/// A bed, the log in it with what was `written`, and a stream that has read its whole lines.
pub(super) async fn reading(written: &str) -> (Bed, PathBuf, Stream) {
    let bed = Bed::new();
    let log = bed.path("app.log");
    append(&log, written);
    let stream = bed.follow(&bed.positions(), quick());
    bed.expect(&whole_lines(written)).await;
    (bed, log, stream)
}

/// The same, when the stream has been stopped.
pub(super) async fn left_after(written: &str) -> (Bed, PathBuf) {
    let (bed, log, stream) = reading(written).await;
    stream.stop().await;
    (bed, log)
}

/// The same, when the output has begun to take nothing.
pub(super) async fn stalled(written: &str) -> (Bed, PathBuf, Stream, Arc<Gate>) {
    let bed = Bed::new();
    let log = bed.path("app.log");
    append(&log, written);
    let (stream, gate) = bed.follow_through_gate(&bed.positions());
    bed.expect(&whole_lines(written)).await;
    gate.open.send_replace(false);
    (bed, log, stream, gate)
}

fn whole_lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).collect()
}

pub(super) fn quick() -> TailSettings {
    TailSettings { rotate_wait: Duration::from_millis(200), ..TailSettings::default() }
}

pub(super) fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// An output that takes nothing while it is shut.
pub(super) struct Gate {
    pub(super) open: tokio::sync::watch::Sender<bool>,
    to: Arc<Receiver>,
}

#[async_trait]
impl BatchSender for Gate {
    async fn send(&self, batch: Batch) -> bool {
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open).await.unwrap();
        self.to.send(batch).await
    }
}

impl Bed {
    pub(super) fn follow_through_gate(&self, checkpoints: &Checkpoints) -> (Stream, Arc<Gate>) {
        let gate =
            Arc::new(Gate { open: tokio::sync::watch::Sender::new(true), to: Arc::clone(&self.received) });
        let file = Arc::new(HostFile::new(self.path("app.log"), &Directories::default()));
        let sender = Arc::clone(&gate) as _;
        let follow = Follow { sender, ..self.stream(file, checkpoints.stream("app.log"), quick()) };
        (self.run(follow), gate)
    }

    pub(super) fn rotate(&self, generations: u32) {
        for n in (0..generations).rev() {
            let name = |n| if n == 0 { "app.log".to_owned() } else { format!("app.log.{n}") };
            let _not_there_yet = fs::rename(self.path(&name(n)), self.path(&name(n + 1)));
        }
    }
}

/// Long enough for several looks.
pub(super) async fn looks() {
    tokio::time::sleep(Duration::from_millis(350)).await;
}

/// As `gzip` does: with the time of the original, which is removed in the end.
pub(super) fn compress(path: &Path) {
    let compressed = format!("{}.gz", path.display());
    fs::write(&compressed, packed(&fs::read(path).unwrap())).unwrap();
    finish_compressing(path, Path::new(&compressed));
}

pub(in crate::source) fn finish_compressing(path: &Path, compressed: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    OpenOptions::new().append(true).open(compressed).unwrap().set_modified(modified).unwrap();
    fs::remove_file(path).unwrap();
}

pub(in crate::source) fn packed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}
