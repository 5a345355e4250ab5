//! Files that are compressed and cut in place: `gzip -c app.log > app.log.1.gz && : > app.log`.

use super::*;

/// Lines that do not compress to nothing.
fn lines(name: &str) -> Vec<String> {
    (0..3000_u64).map(|n| format!("{name} {n} {:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn cut(path: &Path) {
    File::options().write(true).open(path).unwrap().set_len(0).unwrap();
}

#[tokio::test]
async fn what_is_compressed_and_cut_comes_once() {
    for late in [false, true] {
        let bed = Bed::new();
        let (log, archive) = (bed.path("app.log"), bed.path("app.log.1.gz"));
        let mut all = lines("a");
        append(&log, &text(&all));
        let stream = bed.follow(&bed.positions(), quick());
        bed.expect_all(&all).await;
        let whole = packed(text(&all).as_bytes());
        for part in [0, 5, whole.len() / 2, whole.len()] {
            fs::write(&archive, &whole[..part]).unwrap();
            // Also by looks that find something new beside it.
            fs::write(bed.path("other"), "").unwrap();
            looks().await;
            fs::remove_file(bed.path("other")).unwrap();
            looks().await;
        }
        if late {
            // Not in the archive, and read before the file is cut.
            append(&log, "late\n");
            all.push("late".to_owned());
            bed.expect_all(&all).await;
        }
        cut(&log);
        looks().await;
        append(&log, "b\n");
        all.push("b".to_owned());
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        bed.expect(&all).await;
        looks().await;
        bed.expect(&all).await;
        assert!(stream.stop().await.lost.is_empty(), "late {late}");
    }
}

#[tokio::test]
async fn what_had_not_been_read_is_read_from_the_archive() {
    for stopped in [false, true] {
        let bed = Bed::new();
        let (log, positions) = (bed.path("app.log"), bed.positions());
        let mut all = lines("a");
        append(&log, &text(&all));
        let (stream, gate) = bed.follow_through_gate(&positions);
        bed.expect_all(&all).await;
        gate.open.send_replace(false);
        let mut stream = Some(stream);
        if stopped {
            assert!(stream.take().unwrap().stop().await.lost.is_empty());
        }
        append(&log, &text(&lines("more")));
        all.extend(lines("more"));
        looks().await;
        fs::write(bed.path("app.log.1.gz"), packed(text(&all).as_bytes())).unwrap();
        looks().await;
        cut(&log);
        append(&log, "b\n");
        looks().await;
        all.push("b".to_owned());
        gate.open.send_replace(true);
        let stream = stream.unwrap_or_else(|| bed.follow(&positions, quick()));
        bed.expect_all(&all).await;
        assert!(stream.stop().await.lost.is_empty(), "stopped {stopped}");
    }
}

#[tokio::test]
async fn an_archive_that_begins_in_the_same_way_is_not_taken_for_the_copy() {
    let header: Vec<String> = (0..100).map(|n| format!("the same header {n}")).collect();
    let bed = Bed::new();
    let log = bed.path("app.log");
    let older = text(&[&header[..], &lines("older")[..]].concat());
    fs::write(bed.path("app.log.1.gz"), packed(older.as_bytes())).unwrap();
    let mut all = [&header[..], &["a1".to_owned()]].concat();
    append(&log, &text(&all));
    let stream = bed.follow(&bed.positions(), quick());
    bed.expect_all(&all).await;
    stream.stop().await;
    append(&log, "a2\n");
    all.push("a2".to_owned());
    fs::rename(bed.path("app.log.1.gz"), bed.path("app.log.2.gz")).unwrap();
    fs::write(bed.path("app.log.1.gz"), packed(text(&all).as_bytes())).unwrap();
    cut(&log);
    append(&log, "b\n");
    all.push("b".to_owned());
    let stream = bed.follow(&bed.positions(), quick());
    bed.expect_all(&all).await;
    assert!(stream.stop().await.lost.is_empty());
}
