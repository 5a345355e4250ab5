//! Files that are gone when the program starts again, and nothing has come under their names.

use super::*;

/// Reads ten bytes less than there are, and ends.
async fn left_behind(bed: &Bed, settings: TailSettings) {
    append(&bed.path("app.log"), "one\nunfinished");
    let stream = bed.follow(&bed.positions(), settings);
    bed.expect(&["one"]).await;
    looks().await;
    assert!(stream.stop().await.lost.is_empty());
}

/// What is counted by a process that finds nothing to read.
async fn counted(bed: &Bed, settings: TailSettings) -> Option<u64> {
    let stream = bed.follow(&bed.positions(), settings);
    looks().await;
    let lost = stream.stop().await.lost;
    assert!(lost.keys().all(|reason| *reason == Lost::GoneWhileStopped), "{lost:?}");
    lost.get(&Lost::GoneWhileStopped).copied()
}

#[tokio::test]
async fn what_was_removed_moved_away_or_compressed_unreadably_is_counted_once() {
    type Happens = fn(&Bed, &Path);
    let ways: [Happens; 3] = [
        |_, log| fs::remove_file(log).unwrap(),
        |bed, log| {
            fs::create_dir(bed.path("olddir")).unwrap();
            fs::rename(log, bed.path("olddir/app.log.1")).unwrap();
        },
        |bed, log| {
            fs::write(bed.path("app.log.1.xz"), "nobody can read this").unwrap();
            fs::remove_file(log).unwrap();
        },
    ];
    // Named, and found by a pattern.
    for settings in [quick(), TailSettings { adopt: true, keep_finished: true, ..quick() }] {
        for happens in ways {
            let bed = Bed::new();
            left_behind(&bed, settings.clone()).await;
            happens(&bed, &bed.path("app.log"));
            assert_eq!(counted(&bed, settings.clone()).await, Some(10));
            assert_eq!(counted(&bed, settings.clone()).await, None, "once");
            append(&bed.path("app.log"), "quite another first line\n");
            let stream = bed.follow(&bed.positions(), settings.clone());
            bed.expect(&["one", "quite another first line"]).await;
            assert!(stream.stop().await.lost.is_empty());
        }
    }
}

#[tokio::test]
async fn a_file_that_comes_back_is_read_on() {
    let bed = Bed::new();
    left_behind(&bed, quick()).await;
    fs::create_dir(bed.path("away")).unwrap();
    fs::rename(bed.path("app.log"), bed.path("away/app.log")).unwrap();
    assert_eq!(counted(&bed, quick()).await, Some(10));
    fs::rename(bed.path("away/app.log"), bed.path("app.log")).unwrap();
    append(&bed.path("app.log"), " line\n");
    let stream = bed.follow(&bed.positions(), quick());
    bed.expect(&["one", "unfinished line"]).await;
    assert!(stream.stop().await.lost.is_empty());
}

/// On a device that is not there.
struct NotMounted(HostFile);

impl FileOpener for NotMounted {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn open(&self, _: Option<&OsStr>) -> io::Result<Option<Opened>> {
        Ok(None)
    }

    fn stat(&self, _: Option<&OsStr>) -> io::Result<Option<Stat>> {
        Ok(None)
    }

    fn names(&self, _: bool) -> io::Result<Names> {
        Ok(Names::default())
    }

    fn device(&self) -> Option<u64> {
        self.0.device().map(|device| device + 1)
    }
}

#[tokio::test]
async fn what_is_on_a_device_that_is_not_there_yet_is_not_gone() {
    let bed = Bed::new();
    left_behind(&bed, quick()).await;
    let file = NotMounted(HostFile::new(bed.path("app.log"), &Directories::default()));
    let stream = bed.follow_by(Arc::new(file), bed.positions().stream("app.log"), quick());
    looks().await;
    assert!(stream.stop().await.lost.is_empty());
    append(&bed.path("app.log"), " line\n");
    let stream = bed.follow(&bed.positions(), quick());
    bed.expect(&["one", "unfinished line"]).await;
    stream.stop().await;
}
