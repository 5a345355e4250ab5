use super::*;
use crate::source::{Fingerprint, Heads, HostFile, Mark};

#[test]
fn positions_are_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("a.log");
    fs::write(&log, "0123456789").unwrap();
    let opened = HostFile::open_once(&log).unwrap().unwrap();
    let fingerprint = Fingerprint::of(&opened.file).unwrap();

    let checkpoints = Checkpoints::open(&dir.path().join("data")).unwrap();
    let live = checkpoints.stream("k").begin(opened.identity, "host", 0, None);
    live.seen(10, 7, fingerprint, Heads::default(), Mark::default());
    live.changed(7);
    live.tracker().begin(4).delivered();
    checkpoints.stream("docker").cursor_tracker().begin("cursor 7".to_owned()).delivered();
    assert!(checkpoints.is_live(opened.identity));
    drop((live, checkpoints));

    let again = Checkpoints::open(&dir.path().join("data")).unwrap();
    let found = again.stream("k").unfinished();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].1.offset, found[0].1.size), (4, 10));
    assert_eq!(found[0].1.fingerprint, fingerprint);
    assert_eq!(again.stream("docker").cursor().as_deref(), Some("cursor 7"));
    assert!(!again.is_live(opened.identity));
}

#[test]
fn a_finished_file_is_forgotten_with_its_last_acknowledgement() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("a.log");
    fs::write(&log, "0123456789").unwrap();
    let opened = HostFile::open_once(&log).unwrap().unwrap();
    let checkpoints = Checkpoints::in_memory();
    let live = checkpoints.stream("k").begin(opened.identity, "host", 0, None);
    let ack = live.tracker().begin(10);
    live.finish(10);
    drop(live);
    assert_eq!(checkpoints.stream("k").unfinished().len(), 1);
    ack.delivered();
    assert_eq!(checkpoints.stream("k").unfinished().len(), 0);
}

#[test]
fn what_nobody_has_used_for_long_is_forgotten_and_what_was_left_of_it_told() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::in_memory();
    let mut open = Vec::new();
    for (name, stays_open) in [("a", false), ("b", false), ("read", true)] {
        let log = dir.path().join(name);
        fs::write(&log, "0123456789").unwrap();
        let opened = HostFile::open_once(&log).unwrap().unwrap();
        let live = checkpoints.stream(name).begin(opened.identity, "host", 0, None);
        live.seen(10, 7, Fingerprint::of(&opened.file).unwrap(), Heads::default(), Mark::default());
        live.tracker().begin(4).delivered();
        open.extend(stays_open.then_some(live));
    }
    let forgotten = |checkpoints: &Checkpoints| checkpoints.forget_unmoved(FORTNIGHT, |key| key != "b");
    assert!(forgotten(&checkpoints).is_empty() && checkpoints.keys().len() == 3);
    for key in ["a", "b"] {
        let stream = checkpoints.stream(key);
        stream.amend(stream.unfinished()[0].0, |position| position.at -= FORTNIGHT.as_secs() + 1);
    }
    assert_eq!(forgotten(&checkpoints), [(Arc::from("a"), 6)].into());
    assert_eq!(checkpoints.keys(), [Arc::from("b"), Arc::from("read")]);
}

const FORTNIGHT: Duration = Duration::from_secs(14 * 86_400);

/// A stream for each of `keys`, with a position of its own.
fn with_cursors(dir: &Path, keys: &[&str]) -> Checkpoints {
    let checkpoints = Checkpoints::open(dir).unwrap();
    for key in keys {
        checkpoints.stream(key).cursor_tracker().begin(format!("of {key}")).delivered();
    }
    checkpoints.save().unwrap();
    checkpoints
}

#[test]
fn only_what_has_changed_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("positions.json");
    let checkpoints = with_cursors(dir.path(), &["a", "b", "c"]);
    let before = fs::read_to_string(&file).unwrap();
    checkpoints.stream("b").cursor_tracker().begin("moved".to_owned()).delivered();
    checkpoints.save().unwrap();
    let after = fs::read_to_string(&file).unwrap();
    let added = after.strip_prefix(&before).unwrap();
    assert!(added.lines().count() == 1 && added.contains("moved"), "{added}");
    // What is gone does not stay in it.
    checkpoints.forget("b");
    checkpoints.save().unwrap();
    let after = fs::read_to_string(&file).unwrap();
    assert!(after.contains("of a") && !after.contains("of b") && !after.contains("moved"), "{after}");
    // Somebody removes it.
    fs::remove_file(&file).unwrap();
    checkpoints.stream("a").cursor_tracker().begin("moved".to_owned()).delivered();
    checkpoints.save().unwrap();
    let after = fs::read_to_string(&file).unwrap();
    assert!(after.contains("moved") && after.contains("of c"), "{after}");
}

#[test]
fn a_file_that_is_written_again_and_again_stays_small() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = with_cursors(dir.path(), &["a", "b"]);
    for round in 0..1000 {
        checkpoints.stream("a").cursor_tracker().begin("x".repeat(300) + &round.to_string()).delivered();
        checkpoints.shared.save(false).unwrap();
    }
    let len = fs::metadata(dir.path().join("positions.json")).unwrap().len();
    assert!(len < 100 << 10, "{len}");
    drop(checkpoints);
    let again = Checkpoints::open(dir.path()).unwrap();
    assert!(again.stream("a").cursor().unwrap().ends_with("x999"));
    assert_eq!(again.stream("b").cursor().as_deref(), Some("of b"));
}

#[test]
fn a_damaged_line_costs_one_position() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("positions.json");
    drop(with_cursors(dir.path(), &["a", "b", "c"]));
    let text = fs::read_to_string(&file).unwrap().replace("of b", "ov b");
    fs::write(&file, text).unwrap();
    let again = Checkpoints::open(dir.path()).unwrap();
    assert_eq!(again.stream("a").cursor().as_deref(), Some("of a"));
    assert_eq!(again.stream("b").cursor(), None);
    assert_eq!(again.stream("c").cursor().as_deref(), Some("of c"));
}

#[test]
fn what_cannot_be_read_is_left_alone_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("positions.json");
    for content in ["{\"version\":1,", "{\"version\":99}", "nonsense"] {
        fs::write(&file, content).unwrap();
        let error = Checkpoints::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("positions.json") && error.contains("remove it"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
}
