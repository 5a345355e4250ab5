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

mod archives;
mod fresh;
mod gone;
mod long_lines;
mod rewritten;
mod switched;

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
        self.follow_file("app.log", checkpoints, settings)
    }

    fn follow_file(&self, name: &str, checkpoints: &Checkpoints, settings: TailSettings) -> Stream {
        let file = HostFile::new(self.path(name), &Directories::default());
        self.follow_by(Arc::new(file), checkpoints.stream(name), settings)
    }

    fn follow_by(
        &self,
        opener: Arc<dyn FileOpener>,
        positions: StreamPositions,
        settings: TailSettings,
    ) -> Stream {
        let (stop, status) = (Stop::default(), Arc::<StreamStatus>::default());
        let task = self.readers.follow(Follow {
            opener,
            settings,
            positions,
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

    /// The same in any order.
    async fn expect_all(&self, lines: &[String]) {
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
    TailSettings { rotate_wait: Duration::from_millis(200), ..TailSettings::default() }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn a_line_that_is_too_long_arrives_once_and_the_position_is_behind_it() {
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    let framing = Framing { max_line_bytes: 8, block_bytes: 16, ..Framing::default() };
    let settings = TailSettings { framing, ..quick() };
    append(&log, &format!("one\n{}", "x".repeat(300)));
    let stream = bed.follow(&positions, settings.clone());
    bed.expect(&["one"]).await;
    // Its end is not there yet: nothing of it is passed on, and nothing of it has been read after a restart.
    stream.stop().await;
    let stream = bed.follow(&positions, settings.clone());
    append(&log, &format!("{}\ntwo\nthree\n", "x".repeat(100)));
    bed.expect(&["one", "xxxxxxxx", "two", "three"]).await;
    stream.stop().await;
    assert_eq!(positions.stream("app.log").arrived(), Some(4 + 401 + 10));
    let stream = bed.follow(&positions, settings);
    append(&log, "four\n");
    bed.expect(&["one", "xxxxxxxx", "two", "three", "four"]).await;
    // The last one has no end at all.
    append(&log, &"y".repeat(50));
    stream.finish().await;
    bed.expect(&["one", "xxxxxxxx", "two", "three", "four", "yyyyyyyy"]).await;
}

/// Has the source end while it is looked at.
struct Ending {
    file: HostFile,
    stop: Stop,
}

impl FileOpener for Ending {
    fn path(&self) -> &Path {
        self.file.path()
    }

    fn open(&self, at: Option<&OsStr>) -> io::Result<Option<Opened>> {
        self.file.open(at)
    }

    fn stat(&self, at: Option<&OsStr>) -> io::Result<Option<Stat>> {
        self.stop.at_end.cancel();
        self.file.stat(at)
    }

    fn names(&self, fresh: bool) -> io::Result<Names> {
        self.file.names(fresh)
    }
}

#[tokio::test]
async fn an_unfinished_line_is_passed_on_whenever_the_source_ends() {
    let bed = Bed::new();
    append(&bed.path("app.log"), "one\nhalf");
    let stop = Stop::default();
    let file = HostFile::new(bed.path("app.log"), &Directories::default());
    let ended = bed.readers.follow(Follow {
        opener: Arc::new(Ending { file, stop: stop.clone() }),
        settings: quick(),
        positions: bed.positions().stream("app.log"),
        decoder: Box::new(Plain),
        sender: Arc::clone(&bed.received) as _,
        status: Arc::default(),
        stop,
        close_after: None,
    });
    assert_eq!(ended.await.unwrap(), Ended::Finished);
    bed.expect(&["one", "half"]).await;
}

#[tokio::test]
async fn what_is_written_by_another_name_is_found_though_nobody_tells() {
    let (bed, elsewhere) = (Bed::new(), tempfile::tempdir().unwrap());
    let (log, link) = (bed.path("app.log"), elsewhere.path().join("link"));
    append(&log, "one\n");
    let stream = bed.follow(&Checkpoints::in_memory(), quick());
    bed.expect(&["one"]).await;
    // Until it rests, and only looks remain.
    tokio::time::sleep(Duration::from_secs(1)).await;
    fs::hard_link(&log, &link).unwrap();
    append(&link, "two\n");
    let arrived = async {
        while bed.received.lines.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), arrived).await.unwrap();
    bed.expect(&["one", "two"]).await;
    stream.stop().await;
}

#[tokio::test]
async fn more_files_than_may_be_open_are_all_read_and_also_what_happens_to_them_later() {
    let mut bed = Bed::new();
    bed.readers = Readers::with(1, "/proc".into(), HoldLimits { open: 2, ..HoldLimits::default() }).unwrap();
    let positions = bed.positions();
    let names: Vec<String> = (0..7).map(|number| format!("app{number}.log")).collect();
    let mut written = Vec::new();
    let mut write = |name: &String, what: &str| {
        let line = format!("{what} of {name}");
        append(&bed.path(name), &format!("{line}\n"));
        written.push(line);
        written.clone()
    };
    names.iter().for_each(|name| drop(write(name, "first")));
    let streams: Vec<Stream> = names.iter().map(|name| bed.follow_file(name, &positions, quick())).collect();
    let so_far = write(&names[0], "second");
    bed.expect_all(&so_far).await;
    // Most of them are closed by now. One grows, one is renamed, one is copied and cut; again and again.
    for round in 0..3 {
        write(&names[1], &format!("{round}"));
        write(&names[2], &format!("{round} before"));
        fs::rename(bed.path(&names[2]), bed.path(&names[2]).with_extension(format!("log.{}", 9 - round)))
            .unwrap();
        write(&names[2], &format!("{round} after"));
        write(&names[3], &format!("{round} before"));
        let copy = bed.path(&names[3]).with_extension(format!("log.{}", 9 - round));
        fs::copy(bed.path(&names[3]), copy).unwrap();
        File::create(bed.path(&names[3])).unwrap();
        let so_far = write(&names[3], &format!("{round} after"));
        bed.expect_all(&so_far).await;
    }
    for stream in streams {
        assert_eq!(stream.stop().await.lost, Default::default());
    }
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
    drop(file);
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
    impl Switching {
        fn second(&self) -> bool {
            self.1.load(std::sync::atomic::Ordering::Relaxed)
        }
        fn identity(&self, first: Identity) -> Identity {
            let by = u64::from(self.second());
            Identity { dev: first.dev + by, ino: first.ino + 7 * by, ..first }
        }
    }
    impl FileOpener for Switching {
        fn path(&self) -> &Path {
            self.0.path()
        }
        fn open(&self, at: Option<&OsStr>) -> io::Result<Option<Opened>> {
            let second = self.second();
            Ok(self.0.open(at)?.map(|opened| Opened {
                identity: self.identity(opened.identity),
                rung: if second { "layers" } else { "proc" },
                notifies: !second,
                ..opened
            }))
        }
        fn stat(&self, at: Option<&OsStr>) -> io::Result<Option<Stat>> {
            Ok(self.0.stat(at)?.map(|stat| Stat { identity: self.identity(stat.identity), ..stat }))
        }
        fn names(&self, fresh: bool) -> io::Result<Names> {
            self.0.names(fresh)
        }
    }
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    append(&log, "one\n");
    let second = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = Stop::default();
    let status = Arc::<StreamStatus>::default();
    let task = bed.readers.follow(Follow {
        opener: Arc::new(Switching(HostFile::new(&log, &Directories::default()), Arc::clone(&second))),
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

/// An output that takes nothing while it is shut.
struct Gate {
    open: tokio::sync::watch::Sender<bool>,
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
    fn follow_through_gate(&self, checkpoints: &Checkpoints) -> (Stream, Arc<Gate>) {
        let gate =
            Arc::new(Gate { open: tokio::sync::watch::Sender::new(true), to: Arc::clone(&self.received) });
        let (stop, status) = (Stop::default(), Arc::<StreamStatus>::default());
        let task = self.readers.follow(Follow {
            opener: Arc::new(HostFile::new(self.path("app.log"), &Directories::default())),
            settings: quick(),
            positions: checkpoints.stream("app.log"),
            decoder: Box::new(Plain),
            sender: Arc::clone(&gate) as _,
            status: Arc::clone(&status),
            stop: stop.clone(),
            close_after: None,
        });
        (Stream { task, stop, status }, gate)
    }

    fn rotate(&self, generations: u32) {
        for n in (0..generations).rev() {
            let name = |n| if n == 0 { "app.log".to_owned() } else { format!("app.log.{n}") };
            let _not_there_yet = fs::rename(self.path(&name(n)), self.path(&name(n + 1)));
        }
    }
}

/// Long enough for several looks.
async fn looks() {
    tokio::time::sleep(Duration::from_millis(350)).await;
}

#[tokio::test]
async fn files_that_rotate_while_the_output_is_down_all_arrive() {
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    append(&log, "a1\n");
    let (stream, gate) = bed.follow_through_gate(&positions);
    bed.expect(&["a1"]).await;
    gate.open.send_replace(false);
    append(&log, "a2\n");
    looks().await;
    for name in ["b", "c", "d"] {
        bed.rotate(3);
        append(&log, &format!("{name}1\n{name}2\n"));
    }
    looks().await;
    gate.open.send_replace(true);
    bed.expect(&["a1", "a2", "b1", "b2", "c1", "c2", "d1", "d2"]).await;
    assert!(stream.stop().await.lost.is_empty());
}

#[tokio::test]
async fn files_that_are_removed_while_the_output_is_down_arrive_from_their_descriptors() {
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    append(&log, "a1\n");
    let (stream, gate) = bed.follow_through_gate(&positions);
    bed.expect(&["a1"]).await;
    gate.open.send_replace(false);
    append(&log, "a2\n");
    looks().await;
    // As Docker does with `max-file=1`: removed, and begun anew.
    for name in ["b", "c", "d"] {
        fs::remove_file(&log).unwrap();
        append(&log, &format!("{name}1\n"));
        looks().await;
    }
    gate.open.send_replace(true);
    bed.expect(&["a1", "a2", "b1", "c1", "d1"]).await;
    assert!(stream.stop().await.lost.is_empty());
}

#[tokio::test]
async fn two_quick_rotations_at_rest_lose_nothing() {
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    append(&log, "a\n");
    fs::write(bed.path("app.log.1"), "older than the stream\n").unwrap();
    let stream = bed.follow(&positions, quick());
    bed.expect(&["a"]).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    for name in ["b", "c"] {
        bed.rotate(4);
        append(&log, &format!("{name}\n"));
    }
    bed.expect(&["a", "b", "c"]).await;
    stream.stop().await;
}

#[tokio::test]
async fn rotations_while_the_program_is_down_are_read_in_order() {
    for compresses in [false, true] {
        let bed = Bed::new();
        let log = bed.path("app.log");
        fs::write(bed.path("app.log.1"), "older than the stream\n").unwrap();
        append(&log, "a1\n");
        let stream = bed.follow(&bed.positions(), quick());
        bed.expect(&["a1"]).await;
        stream.stop().await;
        append(&log, "a2\n");
        for name in ["b", "c"] {
            bed.rotate(4);
            append(&log, &format!("{name}1\n"));
        }
        if compresses {
            compress(&bed.path("app.log.2"));
            compress(&bed.path("app.log.1"));
        }
        let stream = bed.follow(&bed.positions(), quick());
        bed.expect(&["a1", "a2", "b1", "c1"]).await;
        assert!(stream.stop().await.lost.is_empty());
        // Once more, with nothing new.
        let stream = bed.follow(&bed.positions(), quick());
        append(&log, "c2\n");
        bed.expect(&["a1", "a2", "b1", "c1", "c2"]).await;
        stream.stop().await;
    }
}

/// As `gzip` does: with the time of the original, which is removed in the end.
fn compress(path: &Path) {
    let compressed = format!("{}.gz", path.display());
    fs::write(&compressed, packed(&fs::read(path).unwrap())).unwrap();
    finish_compressing(path, Path::new(&compressed));
}

pub(super) fn finish_compressing(path: &Path, compressed: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    OpenOptions::new().append(true).open(compressed).unwrap().set_modified(modified).unwrap();
    fs::remove_file(path).unwrap();
}

pub(super) fn packed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn what_was_copied_and_cut_while_the_output_is_down_is_read_from_the_copy() {
    for compresses in [false, true] {
        let bed = Bed::new();
        let (log, positions) = (bed.path("app.log"), bed.positions());
        append(&log, "a1\n");
        let (stream, gate) = bed.follow_through_gate(&positions);
        bed.expect(&["a1"]).await;
        gate.open.send_replace(false);
        append(&log, "a2\n");
        looks().await;
        append(&log, "a3\nunfini");
        looks().await;
        append(&log, "shed\n");
        fs::copy(&log, bed.path("app.log.1")).unwrap();
        File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
        if compresses {
            compress(&bed.path("app.log.1"));
        }
        append(&log, "b1\n");
        looks().await;
        gate.open.send_replace(true);
        bed.expect(&["a1", "a2", "a3", "unfinished", "b1"]).await;
        assert!(stream.stop().await.lost.is_empty());
        drop(positions);
        // And no more of the copy after a restart.
        append(&log, "b2\n");
        let stream = bed.follow(&bed.positions(), quick());
        bed.expect(&["a1", "a2", "a3", "unfinished", "b1", "b2"]).await;
        stream.stop().await;
    }
}

#[tokio::test]
async fn what_was_copied_and_cut_while_the_program_is_down_is_read_from_the_copy() {
    let bed = Bed::new();
    let log = bed.path("app.log");
    append(&log, "a1\n");
    let stream = bed.follow(&bed.positions(), quick());
    bed.expect(&["a1"]).await;
    stream.stop().await;
    append(&log, "a2\n");
    fs::copy(&log, bed.path("app.log.1")).unwrap();
    File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
    append(&log, "b1\n");
    let stream = bed.follow(&bed.positions(), quick());
    bed.expect(&["a1", "a2", "b1"]).await;
    assert!(stream.stop().await.lost.is_empty());
}

#[tokio::test]
async fn a_pause_of_the_writer_does_not_end_a_file_that_was_renamed_or_removed() {
    for removes in [false, true] {
        let bed = Bed::new();
        let (log, positions) = (bed.path("app.log"), bed.positions());
        let mut writer = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        writer.write_all(b"a1\n").unwrap();
        let stream = bed.follow(&positions, quick());
        bed.expect(&["a1"]).await;
        if removes {
            fs::remove_file(&log).unwrap();
        } else {
            fs::rename(&log, bed.path("app.log.1")).unwrap();
        }
        append(&log, "b1\n");
        bed.expect(&["a1", "b1"]).await;
        // Several times `rotate_wait`.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        writer.write_all(b"a2\nlast words").unwrap();
        bed.expect(&["a1", "b1", "a2"]).await;
        drop(writer);
        bed.expect(&["a1", "b1", "a2", "last words"]).await;
        assert!(stream.stop().await.lost.is_empty());
    }
}

#[tokio::test]
async fn what_was_given_up_is_read_again_from_a_file_that_has_no_name_any_more() {
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    *bed.received.held.lock().unwrap() = Some(Vec::new());
    append(&log, "a1\na2\n");
    let stream = bed.follow(&positions, quick());
    bed.expect(&["a1", "a2"]).await;
    fs::remove_file(&log).unwrap();
    append(&log, "b1\n");
    bed.expect(&["a1", "a2", "b1"]).await;
    // The first file has long been read to its end.
    tokio::time::sleep(Duration::from_millis(800)).await;
    drop(bed.received.held.lock().unwrap().take());
    bed.expect(&["a1", "a2", "b1", "a1", "a2", "b1"]).await;
    assert!(stream.stop().await.lost.is_empty());
}

#[tokio::test]
async fn a_position_that_does_not_fit_is_not_used() {
    // Longer than what a fingerprint covers.
    let head = "the same beginning\n".repeat(60);
    for program_runs in [true, false] {
        let bed = Bed::new();
        let log = bed.path("app.log");
        append(&log, &format!("{head}one\n"));
        let stream = bed.follow(&bed.positions(), quick());
        let mut lines: Vec<&str> = head.lines().chain(["one"]).collect();
        bed.expect(&lines).await;
        let stream = if program_runs {
            Some(stream)
        } else {
            stream.stop().await;
            None
        };
        // Cut, and grown beyond where it was.
        File::create(&log).unwrap().write_all(format!("{head}two\nthree\n").as_bytes()).unwrap();
        let stream = stream.unwrap_or_else(|| bed.follow(&bed.positions(), quick()));
        lines.extend(head.lines().chain(["two", "three"]));
        bed.expect(&lines).await;
        stream.stop().await;
    }
}

#[tokio::test]
async fn the_name_of_a_line_is_on_disk_before_it_is_sent() {
    let bed = Bed::new();
    append(&bed.path("app.log"), "one\n");
    let stream = bed.follow(&bed.positions(), quick());
    bed.expect(&["one"]).await;
    // As after SIGKILL: what is on disk is all there is.
    let saved = fs::read_to_string(bed.path("data").join("positions.json")).unwrap();
    assert!(saved.contains("app.log") && saved.contains("begun"), "{saved}");
    stream.stop().await;
}

#[tokio::test]
async fn what_there_is_no_room_for_is_given_up_oldest_first_and_counted() {
    // Two files, whatever they hold; 11 bytes without a name. What is in the output's hands already arrives.
    for (limits, removes, lost) in
        [(HoldLimits::new(2, 1 << 20), false, 6), (HoldLimits::new(100, 11), true, 12)]
    {
        let mut bed = Bed::new();
        bed.readers = Readers::with(1, "/proc".into(), limits).unwrap();
        let (log, positions) = (bed.path("app.log"), bed.positions());
        let (stream, gate) = bed.follow_through_gate(&positions);
        gate.open.send_replace(false);
        append(&log, "a\n");
        looks().await;
        for name in ["b", "c", "d", "e"] {
            if removes {
                fs::remove_file(&log).unwrap();
            } else {
                bed.rotate(4);
            }
            append(&log, &format!("{name}----\n"));
            looks().await;
        }
        gate.open.send_replace(true);
        let expected: &[&str] =
            if removes { &["a", "d----", "e----"] } else { &["a", "c----", "d----", "e----"] };
        bed.expect(expected).await;
        let seen = stream.stop().await;
        assert_eq!(seen.lost.get(&Lost::NoRoom), Some(&lost), "{:?}", seen.lost);
    }
}
