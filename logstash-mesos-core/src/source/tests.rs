//! Streams followed from end to end: what arrives, and where a restart goes on.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::*;
use crate::event::{Batch, BatchSender};
use crate::event::{Event, Text, Timestamp};

/// Makes an event of every line.
struct Plain;

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
struct Receiver {
    lines: Mutex<Vec<String>>,
    held: Mutex<Option<Vec<crate::event::Ack>>>,
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

struct Bed {
    dir: tempfile::TempDir,
    readers: Readers,
    received: Arc<Receiver>,
}

struct Stream {
    task: JoinHandle<Ended>,
    stop: Stop,
    status: Arc<StreamStatus>,
}

impl Bed {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            readers: Readers::new(1).unwrap(),
            received: Arc::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn positions(&self) -> Checkpoints {
        Checkpoints::open(&self.path("data")).unwrap()
    }

    fn follow(&self, checkpoints: &Checkpoints, settings: TailSettings) -> Stream {
        let (stop, status) = (Stop::default(), Arc::<StreamStatus>::default());
        let task = self.readers.follow(Follow {
            opener: Arc::new(HostFile::new(self.path("app.log"))),
            settings,
            positions: checkpoints.stream("app.log"),
            decoder: Box::new(Plain),
            sender: Arc::clone(&self.received) as _,
            status: Arc::clone(&status),
            stop: stop.clone(),
            close_after: None,
        });
        Stream { task, stop, status }
    }

    /// Waits until exactly `lines` have been received since the beginning.
    async fn expect(&self, lines: &[&str]) {
        for _ in 0..400 {
            if self.received.lines.lock().unwrap().len() >= lines.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(*self.received.lines.lock().unwrap(), lines);
    }
}

impl Stream {
    async fn finish(self) -> StreamSnapshot {
        self.stop.at_end.cancel();
        assert_eq!(self.task.await.unwrap(), Ended::Finished);
        self.status.snapshot()
    }

    async fn stop(self) -> StreamSnapshot {
        self.stop.now.cancel();
        assert_eq!(self.task.await.unwrap(), Ended::Stopped);
        self.status.snapshot()
    }
}

fn quick() -> TailSettings {
    TailSettings {
        drain_timeout: Duration::from_millis(200),
        rotate_wait: Duration::from_millis(200),
        ..TailSettings::default()
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn growth_is_followed_and_an_unfinished_line_waits() {
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    let stream = bed.follow(&positions, quick());
    append(&log, "one\ntwo\nthr");
    bed.expect(&["one", "two"]).await;
    append(&log, "ee\n");
    bed.expect(&["one", "two", "three"]).await;
    append(&log, "rest");
    tokio::time::sleep(Duration::from_millis(100)).await;
    bed.expect(&["one", "two", "three"]).await;
    let seen = stream.finish().await;
    bed.expect(&["one", "two", "three", "rest"]).await;
    assert_eq!((seen.read_bytes, seen.events, seen.files), (18, 4, 1));
}

#[tokio::test]
async fn several_rotations_between_two_looks_lose_nothing() {
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    append(&log, "a1\n");
    let stream = bed.follow(&positions, quick());
    bed.expect(&["a1"]).await;
    append(&log, "a2\n");
    fs::rename(&log, bed.path("app.log.1")).unwrap();
    append(&bed.path("app.log.1"), "a3 late");
    append(&log, "b1\n");
    bed.expect(&["a1", "a2", "b1"]).await;
    append(&bed.path("app.log.1"), "r\n");
    bed.expect(&["a1", "a2", "b1", "a3 later"]).await;
    fs::rename(&log, bed.path("app.log.2")).unwrap();
    append(&log, "c1\n");
    bed.expect(&["a1", "a2", "b1", "a3 later", "c1"]).await;
    assert_eq!(stream.stop().await.files, 3);
}

#[tokio::test]
async fn a_truncated_file_starts_over_even_if_it_is_as_long_again() {
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    append(&log, "one\ntwo\n");
    let stream = bed.follow(&positions, quick());
    bed.expect(&["one", "two"]).await;
    File::create(&log).unwrap().write_all(b"eno\nowt\n").unwrap();
    bed.expect(&["one", "two", "eno", "owt"]).await;
    File::create(&log).unwrap();
    append(&log, "x\n");
    bed.expect(&["one", "two", "eno", "owt", "x"]).await;
    assert!(stream.stop().await.lost.is_empty());
}

#[tokio::test]
async fn a_removed_file_is_read_to_its_end() {
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    let mut file = File::create(&log).unwrap();
    file.write_all(b"one\n").unwrap();
    let stream = bed.follow(&positions, quick());
    bed.expect(&["one"]).await;
    fs::remove_file(&log).unwrap();
    file.write_all(b"two\nunfinished").unwrap();
    bed.expect(&["one", "two", "unfinished"]).await;
    append(&log, "new\n");
    bed.expect(&["one", "two", "unfinished", "new"]).await;
    stream.stop().await;
    drop(positions);
    assert_eq!(bed.positions().stream("app.log").unfinished().len(), 1);
}

#[tokio::test]
async fn a_restart_goes_on_behind_what_had_arrived() {
    let bed = Bed::new();
    let log = bed.path("app.log");
    append(&log, "one\n");
    let positions = bed.positions();
    let stream = bed.follow(&positions, quick());
    bed.expect(&["one"]).await;
    // What is sent but never acknowledged comes again.
    *bed.received.held.lock().unwrap() = Some(Vec::new());
    append(&log, "two\n");
    bed.expect(&["one", "two"]).await;
    stream.stop().await;
    drop(bed.received.held.lock().unwrap().take());
    drop(positions);

    append(&log, "three\n");
    let positions = bed.positions();
    let stream = bed.follow(&positions, quick());
    bed.expect(&["one", "two", "two", "three"]).await;
    stream.stop().await;
}

#[tokio::test]
async fn a_rotation_while_nobody_reads_is_caught_up_with() {
    let bed = Bed::new();
    let log = bed.path("app.log");
    append(&log, "one\n");
    let positions = bed.positions();
    let stream = bed.follow(&positions, quick());
    bed.expect(&["one"]).await;
    append(&log, "tw");
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.stop().await;
    drop(positions);

    append(&log, "o\n");
    fs::rename(&log, bed.path("app.log.1")).unwrap();
    append(&log, "three\n");
    let positions = bed.positions();
    let stream = bed.follow(&positions, quick());
    bed.expect(&["one", "two", "three"]).await;
    assert!(stream.stop().await.lost.is_empty());
}

#[tokio::test]
async fn bytes_that_vanish_while_nobody_reads_are_counted() {
    let bed = Bed::new();
    let log = bed.path("app.log");
    append(&log, "one\nunfinished");
    let positions = bed.positions();
    let stream = bed.follow(&positions, quick());
    bed.expect(&["one"]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.stop().await;
    drop(positions);

    fs::remove_file(&log).unwrap();
    append(&bed.path("other"), "keeps the inode from being taken at once\n");
    append(&log, "quite another first line\n");
    let positions = bed.positions();
    let stream = bed.follow(&positions, quick());
    bed.expect(&["one", "quite another first line"]).await;
    let lost: u64 = stream.stop().await.lost.values().sum();
    assert_eq!(lost, "unfinished".len() as u64);
}

#[tokio::test]
async fn another_way_to_the_same_file_goes_on_where_the_first_stopped() {
    struct Switching(HostFile, Arc<std::sync::atomic::AtomicBool>);
    impl FileOpener for Switching {
        fn open(&self) -> io::Result<Option<Opened>> {
            let second = self.1.load(std::sync::atomic::Ordering::Relaxed);
            Ok(self.0.open()?.map(|opened| Opened {
                identity: Identity {
                    dev: opened.identity.dev + u64::from(second),
                    ino: opened.identity.ino + 7 * u64::from(second),
                },
                rung: if second { "layers" } else { "proc" },
                notifies: !second,
                ..opened
            }))
        }
    }
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    append(&log, "one\n");
    let second = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = Stop::default();
    let status = Arc::<StreamStatus>::default();
    let task = bed.readers.follow(Follow {
        opener: Arc::new(Switching(HostFile::new(&log), Arc::clone(&second))),
        settings: quick(),
        positions: positions.stream("app.log"),
        decoder: Box::new(Plain),
        sender: Arc::clone(&bed.received) as _,
        status: Arc::clone(&status),
        stop: stop.clone(),
        close_after: None,
    });
    bed.expect(&["one"]).await;
    second.store(true, std::sync::atomic::Ordering::Relaxed);
    append(&log, "two\n");
    bed.expect(&["one", "two"]).await;
    append(&log, "three\n");
    bed.expect(&["one", "two", "three"]).await;
    assert_eq!(status.snapshot().rung, Some("layers"));
    stop.now.cancel();
    assert_eq!(task.await.unwrap(), Ended::Stopped);
}

#[tokio::test]
async fn a_line_of_ten_megabytes_passes_whole() {
    let bed = Bed::new();
    let log = bed.path("app.log");
    let line = "x".repeat(10 << 20);
    append(&log, &format!("{line}\nshort\n"));
    let stream = bed.follow(&Checkpoints::in_memory(), quick());
    bed.expect(&[&line, "short"]).await;
    stream.stop().await;
}

#[tokio::test]
async fn reading_can_begin_at_the_end() {
    let bed = Bed::new();
    let log = bed.path("app.log");
    append(&log, "old\n");
    let settings = TailSettings { start: StartPosition::End, ..quick() };
    let stream = bed.follow(&Checkpoints::in_memory(), settings);
    tokio::time::sleep(Duration::from_millis(100)).await;
    append(&log, "new\n");
    bed.expect(&["new"]).await;
    fs::rename(&log, bed.path("app.log.1")).unwrap();
    append(&log, "newer\n");
    bed.expect(&["new", "newer"]).await;
    stream.stop().await;
}

#[tokio::test]
async fn what_was_written_between_the_end_and_a_rotation_is_caught_up_with() {
    let bed = Bed::new();
    let log = bed.path("app.log");
    append(&log, "a\n");
    let stream = bed.follow(&bed.positions(), quick());
    bed.expect(&["a"]).await;
    stream.stop().await;
    append(&log, "b\n");
    fs::rename(&log, bed.path("app.log.1")).unwrap();
    append(&log, "c\n");
    let stream = bed.follow(&bed.positions(), quick());
    bed.expect(&["a", "b", "c"]).await;
    stream.stop().await;
}
