use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::testing::{Running, refused};
use super::*;
use crate::pipeline::plugin::EcsCompatibility;
use crate::source::Lost;

fn start(dir: &Path, pattern: &str, more: &str) -> Running {
    let path = dir.join(pattern).display().to_string();
    let settings =
        format!("{{\"path\": [\"{path}\"], \"mode\": \"read\", \"discover_interval\": 1, {more}}}");
    Running::start(&FILE, &settings, EcsCompatibility::V8)
}

async fn next(input: &mut Running) -> String {
    let received = input.next().await;
    let message = received.text("message");
    received.ack.delivered();
    message
}

fn gzip(lines: std::ops::Range<u32>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    for number in lines {
        writeln!(encoder, "line {number:06}").unwrap();
    }
    encoder.finish().unwrap()
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

async fn gone(path: &Path) {
    until(|| !path.exists()).await;
}

async fn until(condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to be");
}

#[tokio::test]
async fn a_compressed_file_that_is_still_copied_is_read_on_and_each_line_comes_once() {
    for check in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy.gz");
        let whole = gzip(0..20_000);
        let cut = whole.len() / 3;
        append(&path, &whole[..cut]);
        let mut input = start(dir.path(), "*.gz", &format!("\"check_archive_validity\": {check}"));
        if check {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            assert!(input.try_next().await.is_none(), "it is not whole yet");
        } else {
            assert_eq!(next(&mut input).await, "line 000000");
            // It has come to the end of what is there.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(path.exists());
        append(&path, &whole[cut..]);
        for number in u32::from(!check)..20_000 {
            assert_eq!(next(&mut input).await, format!("line {number:06}"));
        }
        gone(&path).await;
        assert!(input.try_next().await.is_none());
        input.stop().await;
    }
}

#[tokio::test]
async fn what_is_no_whole_compressed_file_is_kept_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let whole = gzip(0..100);
    append(&dir.path().join("a.gz"), &whole);
    append(&dir.path().join("cut.gz"), &whole[..whole.len() - 20]);
    append(&dir.path().join("empty.gz"), b"");
    append(&dir.path().join("text.gz"), b"plain text\n");
    let more = "\"check_archive_validity\": true, \"exit_after_read\": true";
    let mut input = start(dir.path(), "*.gz", more);
    for number in 0..100 {
        assert_eq!(next(&mut input).await, format!("line {number:06}"));
    }
    let error = input.ended().await.unwrap_err().to_string();
    assert!(["cut.gz", "empty.gz", "text.gz"].iter().all(|name| error.contains(name)), "{error}");
    let mut left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort_unstable();
    assert_eq!(left, ["cut.gz", "empty.gz", "text.gz"]);
}

#[tokio::test]
async fn what_comes_after_a_rest_has_all_that_what_came_before_had() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let settings = format!("{{\"path\": [\"{}\"], \"start_position\": \"beginning\"}}", path.display());
    append(&path, b"one\n");
    let mut input = Running::start(&FILE, &settings, EcsCompatibility::V8);
    for message in ["one", "two"] {
        let received = input.next().await;
        assert_eq!(received.text("message"), message);
        assert_eq!(received.text("[log][file][path]"), path.display().to_string());
        received.ack.delivered();
        // Until it rests.
        tokio::time::sleep(Duration::from_secs(1)).await;
        append(&path, b"two\n");
    }
    input.stop().await;
}

#[tokio::test]
async fn what_was_left_of_a_file_whose_position_is_too_old_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let positions = dir.path().join("positions.json");
    let position =
        r#"{"rung":"host","dev":1,"ino":1,"fingerprint":{"len":0,"hash":0},"offset":4,"size":10,"at":1}"#;
    std::fs::write(&positions, format!(r#"{{"version":1,"files":{{"/var/log/gone":[{position}]}}}}"#))
        .unwrap();
    append(&dir.path().join("app.log"), b"one\n");
    let mut input = start(dir.path(), "app.log", &format!("\"sincedb_path\": \"{}\"", positions.display()));
    assert_eq!(next(&mut input).await, "one");
    assert_eq!(input.tally.lost(), [(Lost::Forgotten, 6)].into());
    input.stop().await;
}

#[tokio::test]
async fn files_beyond_the_limit_have_their_turn_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..20 {
        append(&dir.path().join(format!("{number:02}.log")), format!("{number:02}\n").as_bytes());
    }
    let (positions, log) = (dir.path().join("positions"), dir.path().join("done"));
    let more = format!(
        "\"exit_after_read\": true, \"max_open_files\": 3, \"file_completed_action\": \"log\", \
         \"file_completed_log_path\": \"{}\", \"sincedb_path\": \"{}\"",
        log.display(),
        positions.display()
    );
    let mut input = start(dir.path(), "*.log", &more);
    let mut seen = Vec::new();
    for _ in 0..20 {
        seen.push(next(&mut input).await);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..20).map(|number| format!("{number:02}")).collect::<Vec<_>>());
    input.ended().await.unwrap();

    // Those that have been read take no places.
    append(&dir.path().join("20.log"), b"20\n");
    let mut input = start(dir.path(), "*.log", &more);
    assert_eq!(next(&mut input).await, "20");
    input.ended().await.unwrap();
}

#[tokio::test]
async fn another_file_under_the_name_of_one_that_was_read_is_read_too() {
    for action in ["delete", "log"] {
        let dir = tempfile::tempdir().unwrap();
        let (path, log) = (dir.path().join("a.log"), dir.path().join("done"));
        let more = format!(
            "\"file_completed_action\": \"{action}\", \"file_completed_log_path\": \"{}\"",
            log.display()
        );
        let mut input = start(dir.path(), "*.log", &more);
        for (moment, times) in ["one", "two", "three"].iter().zip(1..) {
            let new = dir.path().join("new");
            append(&new, format!("{moment}\n").as_bytes());
            std::fs::rename(&new, &path).unwrap();
            assert_eq!(next(&mut input).await, *moment);
            if action == "delete" {
                gone(&path).await;
            } else {
                until(|| std::fs::read_to_string(&log).is_ok_and(|names| names.lines().count() == times))
                    .await;
            }
        }
        input.stop().await;
    }
}

#[tokio::test]
async fn another_compressed_file_under_the_name_of_one_that_was_not_whole_is_read_from_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.1.gz");
    let cut = gzip(0..20_000);
    append(&path, &cut[..cut.len() / 2]);
    let mut input = start(dir.path(), "*.1.gz", "\"file_completed_action\": \"delete\"");
    assert_eq!(next(&mut input).await, "line 000000");
    let mut last = String::new();
    while let Ok(message) = tokio::time::timeout(Duration::from_secs(2), next(&mut input)).await {
        last = message;
    }
    assert!(*last > *"line 005000", "{last}");
    // As a rotation does it: the names move on.
    std::fs::rename(&path, dir.path().join("a.2.gz")).unwrap();
    let new = dir.path().join("new");
    append(&new, &gzip(500_000..500_010));
    std::fs::rename(&new, &path).unwrap();
    for number in 500_000..500_010 {
        assert_eq!(next(&mut input).await, format!("line {number:06}"));
    }
    gone(&path).await;
    input.stop().await;
}

#[tokio::test]
async fn a_compressed_file_that_has_another_name_now_is_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("a.1.gz"), dir.path().join("a.2.gz"));
    let log = dir.path().join("done");
    let more =
        format!("\"file_completed_action\": \"log\", \"file_completed_log_path\": \"{}\"", log.display());
    append(&first, &gzip(0..10));
    let mut input = start(dir.path(), "*.gz", &more);
    for number in 0..10 {
        assert_eq!(next(&mut input).await, format!("line {number:06}"));
    }
    until(|| log.exists()).await;
    std::fs::rename(&first, &second).unwrap();
    let new = dir.path().join("new");
    append(&new, &gzip(10..20));
    std::fs::rename(&new, &first).unwrap();
    for number in 10..20 {
        assert_eq!(next(&mut input).await, format!("line {number:06}"));
    }
    until(|| std::fs::read_to_string(&log).unwrap().lines().count() == 3).await;
    assert!(input.try_next().await.is_none());
    input.stop().await;
}

#[tokio::test]
async fn a_compressed_file_whose_lines_were_given_up_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gz");
    append(&path, &gzip(0..10));
    let mut input = start(dir.path(), "*.gz", "\"file_completed_action\": \"delete\"");
    for number in 0..10 {
        let received = input.next().await;
        assert_eq!(received.text("message"), format!("line {number:06}"));
        if number == 5 {
            drop(received.ack);
        } else {
            received.ack.delivered();
        }
    }
    for number in 0..10 {
        assert!(path.exists());
        assert_eq!(next(&mut input).await, format!("line {number:06}"));
    }
    gone(&path).await;
    input.stop().await;
}

#[tokio::test]
async fn a_file_that_grows_while_it_is_read_is_read_to_its_end_before_that_of_the_input() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, b"one\n");
    let mut input = start(dir.path(), "*.log", "\"exit_after_read\": true");
    let first = input.next().await;
    append(&path, b"two\n");
    first.ack.delivered();
    assert_eq!(next(&mut input).await, "two");
    input.ended().await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_was_put_aside_without_a_successor_is_read_on_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let settings = format!(
        r#"{{"path": ["{0}/*.log"], "start_position": "beginning", "sincedb_path": "{0}/positions"}}"#,
        dir.path().display()
    );
    append(&path, b"one\ntwo\n");
    let mut input = Running::start(&FILE, &settings, EcsCompatibility::V8);
    let received = input.next().await;
    assert_eq!(received.text("message"), "one");
    received.ack.delivered();
    assert_eq!(input.next().await.text("message"), "two");
    input.stop().await;
    append(&path, b"three\n");
    std::fs::rename(&path, dir.path().join("a.log.1")).unwrap();
    let mut input = Running::start(&FILE, &settings, EcsCompatibility::V8);
    let mut seen = vec![next(&mut input).await];
    while seen.last().unwrap() != "three" {
        seen.push(next(&mut input).await);
    }
    assert!(seen.contains(&"two".to_owned()), "{seen:?}");
    input.stop().await;
}

#[test]
fn lines_that_end_otherwise_are_refused_with_the_remedy() {
    for charset in ["UTF-16LE", "UTF-32BE"] {
        for codec in ["plain", "json", "multiline"] {
            let pattern = if codec == "multiline" { r#""pattern":"^ ","what":"previous","# } else { "" };
            let settings =
                format!(r#"{{"path":["/x"],"codec":{{"{codec}":{{{pattern}"charset":"{charset}"}}}}}}"#);
            let said = refused(&FILE, &settings);
            assert!(said.contains(&format!("`{charset}` cannot be cut into lines at `\\n`")), "{said}");
        }
    }
}

#[tokio::test]
async fn an_archive_that_a_pattern_finds_too_comes_with_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let (log, positions) = (dir.path().join("app.log"), dir.path().join("positions"));
    let settings = format!(
        r#"{{"path": ["{}"], "start_position": "beginning", "sincedb_path": "{}"}}"#,
        dir.path().join("app.lo*").display(),
        positions.display()
    );
    let started = || Running::start(&FILE, &settings, EcsCompatibility::V8);
    append(&log, b"one\n");
    let mut input = started();
    assert_eq!(next(&mut input).await, "one");
    input.stop().await;
    // Rotated and compressed twice while nobody reads; the second one holds nothing that anybody has seen.
    append(&log, b"two\n");
    let pack = |number: u32, text: &[u8]| {
        let archive = std::fs::File::create(dir.path().join(format!("app.log.{number}.gz"))).unwrap();
        let mut encoder = GzEncoder::new(archive, Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap();
    };
    pack(2, b"one\ntwo\n");
    std::fs::remove_file(&log).unwrap();
    pack(1, b"three\n");
    append(&log, b"four\n");
    let mut input = started();
    for expected in ["two", "three", "four"] {
        assert_eq!(next(&mut input).await, expected);
    }
    assert!(input.try_next().await.is_none());
    input.stop().await;
}
