//! Where a restart goes on, whatever has happened meanwhile.

use super::*;

#[tokio::test]
async fn a_restart_goes_on_behind_what_had_arrived() {
    let (bed, log, stream) = reading("one\n").await;
    // What is sent but never acknowledged comes again.
    *bed.received.held.lock().unwrap() = Some(Vec::new());
    append(&log, "two\n");
    bed.expect(&["one", "two"]).await;
    stream.stop().await;
    drop(bed.received.held.lock().unwrap().take());

    append(&log, "three\n");
    let positions = bed.positions();
    let stream = bed.follow(&positions, quick());
    bed.expect(&["one", "two", "two", "three"]).await;
    stream.stop().await;
}

#[tokio::test]
async fn a_rotation_while_nobody_reads_is_caught_up_with() {
    let (bed, log, stream) = reading("one\n").await;
    append(&log, "tw");
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.stop().await;

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
    let (bed, log, stream) = reading("one\nunfinished").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.stop().await;

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
async fn what_was_written_between_the_end_and_a_rotation_is_caught_up_with() {
    let (bed, log) = left_after("a\n").await;
    append(&log, "b\n");
    fs::rename(&log, bed.path("app.log.1")).unwrap();
    append(&log, "c\n");
    let stream = bed.follow(&bed.positions(), quick());
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

#[tokio::test]
async fn what_was_copied_and_cut_while_the_program_is_down_is_read_from_the_copy() {
    let (bed, log) = left_after("a1\n").await;
    append(&log, "a2\n");
    fs::copy(&log, bed.path("app.log.1")).unwrap();
    File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
    append(&log, "b1\n");
    let stream = bed.follow(&bed.positions(), quick());
    bed.expect(&["a1", "a2", "b1"]).await;
    assert!(stream.stop().await.lost.is_empty());
}

#[tokio::test]
async fn a_position_that_does_not_fit_is_not_used() {
    // Longer than what a fingerprint covers.
    let head = "the same beginning\n".repeat(60);
    for program_runs in [true, false] {
        let (bed, log, stream) = reading(&format!("{head}one\n")).await;
        let mut lines: Vec<&str> = head.lines().chain(["one"]).collect();
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
    let (bed, _, stream) = reading("one\n").await;
    // As after SIGKILL: what is on disk is all there is.
    let saved = fs::read_to_string(bed.path("data").join("positions.json")).unwrap();
    assert!(saved.contains("app.log") && saved.contains("begun"), "{saved}");
    stream.stop().await;
}
