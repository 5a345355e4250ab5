//! Files that are put in the place of others, with the same content or what looks like it.

use std::process::Command;

use super::*;

fn shell(bed: &Bed, script: &str) {
    let ended = Command::new("sh").args(["-ec", script]).current_dir(bed.dir.path()).status().unwrap();
    assert!(ended.success(), "{script}");
}

/// The same at each start of the program.
fn banner(lines: usize) -> Vec<String> {
    (0..lines).map(|n| format!("line {n} of what is always written")).collect()
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// `times` the first lines, and `more`.
async fn expect(bed: &Bed, first: &[String], times: usize, more: &[&str]) {
    let mut all: Vec<String> = first.iter().cycle().take(first.len() * times).cloned().collect();
    all.extend(more.iter().map(ToString::to_string));
    let seen: Vec<&str> = all.iter().map(String::as_str).collect();
    bed.expect(&seen).await;
}

#[tokio::test]
async fn what_was_left_of_a_file_that_was_renamed_and_begun_anew_is_counted() {
    let bed = Bed::new();
    let settings = TailSettings { adopt: true, keep_finished: true, ..quick() };
    append(&bed.path("app.log"), "one\nunfinished");
    let stream = bed.follow(&bed.positions(), settings.clone());
    bed.expect(&["one"]).await;
    looks().await;
    stream.stop().await;
    shell(&bed, "mv app.log other.log; echo two > other.log");
    let stream = bed.follow_file("other.log", &bed.positions(), settings);
    bed.expect(&["one", "two"]).await;
    assert_eq!(stream.stop().await.lost, [(Lost::ReplacedWhileStopped, 10)].into());
}

const COPIED: &str = "cp app.log new; sleep 0.05; mv new app.log";

#[tokio::test]
async fn a_file_that_is_moved_over_its_like_is_not_read_again() {
    let edits = [
        COPIED,
        "cp -p app.log new; sleep 0.05; mv new app.log",
        "sed -i s/nothing/nowhere/ app.log",
        "sed -i.bak s/nothing/nowhere/ app.log",
    ];
    for (edit, runs) in edits.into_iter().flat_map(|edit| [(edit, true), (edit, false)]) {
        // Nothing but the file that was replaced, while it is held, tells of it.
        if edit.starts_with("sed") && !runs {
            continue;
        }
        let bed = Bed::new();
        // So many that it takes longer to write them than clocks of file systems take for a step.
        let (log, all) = (bed.path("app.log"), banner(30_000));
        append(&log, &text(&all));
        let mut writer = OpenOptions::new().append(true).open(&log).unwrap();
        let mut stream = bed.follow(&bed.positions(), quick());
        expect(&bed, &all, 1, &[]).await;
        looks().await;
        if runs {
            shell(&bed, edit);
            looks().await;
            writer.write_all(b"by the writer of the old one\n").unwrap();
            expect(&bed, &all, 1, &["by the writer of the old one"]).await;
        } else {
            stream.stop().await;
            shell(&bed, edit);
            writer.write_all(b"nobody could read this\n").unwrap();
            stream = bed.follow(&bed.positions(), quick());
            bed.received.lines.lock().unwrap().push("by the writer of the old one".to_owned());
        }
        looks().await;
        append(&log, "new\n");
        expect(&bed, &all, 1, &["by the writer of the old one", "new"]).await;
        looks().await;
        expect(&bed, &all, 1, &["by the writer of the old one", "new"]).await;
        let lost = stream.stop().await.lost;
        assert!(lost.is_empty(), "{edit} {runs}: {lost:?}");
        // A restart goes on in the new one.
        append(&log, "newer\n");
        let stream = bed.follow(&bed.positions(), quick());
        expect(&bed, &all, 1, &["by the writer of the old one", "new", "newer"]).await;
        assert!(stream.stop().await.lost.is_empty(), "{edit} {runs}");
    }
}

#[tokio::test]
async fn what_only_looks_like_it_is_read() {
    // A header alone; the same written anew under the name; changed in the middle; not whole.
    let cases = [
        (20, COPIED),
        (300, "cp app.log new; rm app.log; cat new > app.log"),
        (300, "cp app.log new; mv app.log old; cat new > app.log"),
        (300, "sed 's/line 5 /line five /' app.log > new; sleep 0.05; mv new app.log"),
        (300, "head -n 299 app.log > new; sleep 0.05; mv new app.log"),
    ];
    for ((lines, edit), runs) in cases.into_iter().flat_map(|case| [(case, true), (case, false)]) {
        // What is changed between what is known of its ends is seen while the file is held.
        if edit.starts_with("sed") && !runs {
            continue;
        }
        let bed = Bed::new();
        let (log, all) = (bed.path("app.log"), banner(lines));
        append(&log, &text(&all));
        let stream = bed.follow(&bed.positions(), quick());
        expect(&bed, &all, 1, &[]).await;
        looks().await;
        let stream = if runs {
            shell(&bed, edit);
            stream
        } else {
            stream.stop().await;
            shell(&bed, edit);
            bed.follow(&bed.positions(), quick())
        };
        let now = fs::read_to_string(&log).unwrap();
        let seen: Vec<&str> = all.iter().map(String::as_str).chain(now.lines()).collect();
        bed.expect(&seen).await;
        stream.stop().await;
    }
}

#[tokio::test]
async fn what_was_on_its_way_comes_again_from_the_new_file() {
    let bed = Bed::new();
    let (log, all) = (bed.path("app.log"), banner(300));
    *bed.received.held.lock().unwrap() = Some(Vec::new());
    append(&log, &text(&all));
    let positions = bed.positions();
    let stream = bed.follow(&positions, quick());
    expect(&bed, &all, 1, &[]).await;
    shell(&bed, COPIED);
    looks().await;
    expect(&bed, &all, 2, &[]).await;
    stream.stop().await;
    // It was given up: another process has it from the new file.
    drop(bed.received.held.lock().unwrap().take());
    drop(positions);
    let stream = bed.follow(&bed.positions(), quick());
    expect(&bed, &all, 3, &[]).await;
    assert!(stream.stop().await.lost.is_empty());
}
