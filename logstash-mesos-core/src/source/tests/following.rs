//! A stream that is read while its files grow and rotate.

use super::*;

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
    let opener = Arc::new(Ending { file, stop: stop.clone() });
    let follow = Follow { stop, ..bed.stream(opener, bed.positions().stream("app.log"), quick()) };
    bed.run(follow).finish().await;
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
    let (bed, log, stream) = reading("a1\n").await;
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
    let (bed, log, stream) = reading("one\ntwo\n").await;
    File::create(&log).unwrap().write_all(b"eno\nowt\n").unwrap();
    bed.expect(&["one", "two", "eno", "owt"]).await;
    File::create(&log).unwrap();
    append(&log, "x\n");
    bed.expect(&["one", "two", "eno", "owt", "x"]).await;
    assert!(stream.stop().await.lost.is_empty());
}

#[tokio::test]
async fn a_removed_file_is_read_to_its_end() {
    let (bed, log, stream) = reading("one\n").await;
    let mut file = OpenOptions::new().append(true).open(&log).unwrap();
    fs::remove_file(&log).unwrap();
    file.write_all(b"two\nunfinished").unwrap();
    drop(file);
    bed.expect(&["one", "two", "unfinished"]).await;
    append(&log, "new\n");
    bed.expect(&["one", "two", "unfinished", "new"]).await;
    stream.stop().await;
    assert_eq!(bed.positions().stream("app.log").unfinished().len(), 1);
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
    let file = HostFile::new(&log, &Directories::default());
    let switching = Arc::new(Switching(file, Arc::clone(&second)));
    let stream = bed.follow_by(switching, positions.stream("app.log"), quick());
    bed.expect(&["one"]).await;
    second.store(true, std::sync::atomic::Ordering::Relaxed);
    append(&log, "two\n");
    bed.expect(&["one", "two"]).await;
    append(&log, "three\n");
    bed.expect(&["one", "two", "three"]).await;
    assert_eq!(stream.stop().await.rung, Some("layers"));
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
async fn a_pause_of_the_writer_does_not_end_a_file_that_was_renamed_or_removed() {
    for removes in [false, true] {
        let (bed, log, stream) = reading("a1\n").await;
        let mut writer = OpenOptions::new().append(true).open(&log).unwrap();
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
