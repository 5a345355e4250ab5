//! Outputs that take nothing for a while, beside others that do.

use std::collections::BTreeMap;

use super::*;

/// One event after the other, in the order of their numbers.
pub(super) fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("message {number}")).collect()
}

pub(super) fn settings(spools: &Spools, persisted: bool, most_bytes: u64) -> RunSettings {
    RunSettings {
        workers: 1,
        memory: Memory::new(8192),
        spools: spools.clone(),
        output_queue: OutputQueue { persisted, most_bytes },
        ..RunSettings::default()
    }
}

pub(super) fn spools(dir: &tempfile::TempDir) -> Spools {
    Spools::new(&dir.path().join("queue"), u64::MAX)
}

pub(super) async fn send(pipeline: &RunningPipeline, names: &[String], outcomes: &Outcomes) {
    let sender = pipeline.sender();
    for name in names {
        assert!(sender.send(batch(&[name], outcomes)).await);
    }
}

pub(super) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}

pub(super) fn lines(name: &str) -> Vec<String> {
    sink(name).lines.lock().unwrap().clone()
}

fn open(name: &str) {
    sink(name).open.store(true, Ordering::SeqCst);
}

pub(super) fn delivered(outcomes: &Outcomes) -> usize {
    let outcomes = outcomes.lock().unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Delivered));
    outcomes.len()
}

const TWO: &str = "output { probe { name => 'gate-NAME' } probe { name => 'ordered-NAME' } }";
const ONE: &str = "output { probe { name => 'gate-NAME' } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_output_stops_neither_its_neighbour_nor_the_sources_and_gets_all_in_order() {
    let (dir, outcomes, names) = (tempfile::tempdir().unwrap(), Outcomes::default(), names(300));
    let pipeline = start_with(&TWO.replace("NAME", "q1"), settings(&spools(&dir), false, 1 << 20));
    send(&pipeline, &names, &outcomes).await;
    until("the neighbour has all", || lines("ordered-q1") == names).await;
    until("what waits on disk is told delivered", || delivered(&outcomes) >= 200).await;
    assert!(pipeline.outputs()[0].on_disk >= 200, "{:?}", pipeline.outputs());
    assert_eq!(lines("gate-q1"), Vec::<String>::new());
    open("gate-q1");
    until("it has all", || lines("gate-q1").len() >= names.len()).await;
    until("nothing waits on disk", || pipeline.outputs()[0].on_disk == 0).await;
    // In memory again.
    let more: Vec<String> = names.iter().map(|name| format!("later {name}")).collect();
    send(&pipeline, &more, &outcomes).await;
    assert_eq!(pipeline.finish().await, Shutdown::Drained);
    assert_eq!(lines("gate-q1"), [names, more].concat());
    assert_eq!(delivered(&outcomes), 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_on_disk_is_sent_by_the_next_run() {
    for (name, config, persisted) in [("q2", TWO, false), ("q3", ONE, true), ("q4", TWO, true)] {
        let (dir, outcomes, names) = (tempfile::tempdir().unwrap(), Outcomes::default(), names(200));
        let (config, gate) = (config.replace("NAME", name), format!("gate-{name}"));
        let pipeline = start_with(&config, settings(&spools(&dir), persisted, 1 << 20));
        send(&pipeline, &names, &outcomes).await;
        // The last ones may have room in memory.
        let least = if persisted { 200 } else { 150 };
        until("what is on disk is told delivered", || delivered(&outcomes) >= least).await;
        // Nobody waits for what is on disk.
        assert_eq!(pipeline.shutdown(Duration::from_secs(3600)).await, Shutdown::OnDisk);
        assert_eq!(lines(&gate), Vec::<String>::new());
        let told = outcomes.lock().unwrap().iter().filter(|outcome| **outcome == Outcome::Delivered).count();
        open(&gate);
        let pipeline = start_with(&config, settings(&spools(&dir), persisted, 1 << 20));
        until("all that was told delivered", || lines(&gate).len() >= told).await;
        assert_eq!(pipeline.finish().await, Shutdown::Drained);
        assert_eq!(lines(&gate), names[..lines(&gate).len()], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_full_queue_on_disk_makes_the_sources_wait() {
    const MOST: u64 = 4000;
    let (dir, outcomes, names) = (tempfile::tempdir().unwrap(), Outcomes::default(), names(1000));
    let pipeline = Arc::new(start_with(&TWO.replace("NAME", "q5"), settings(&spools(&dir), false, MOST)));
    let sending = tokio::spawn({
        let (pipeline, outcomes, names) = (Arc::clone(&pipeline), Arc::clone(&outcomes), names.clone());
        async move { send(&pipeline, &names, &outcomes).await }
    });
    until("the queue is full", || pipeline.outputs()[0].bytes_on_disk > MOST * 3 / 4).await;
    assert!(!sending.is_finished());
    assert!(lines("ordered-q5").len() < names.len());
    open("gate-q5");
    until("all arrive", || {
        assert!(pipeline.outputs()[0].bytes_on_disk <= MOST);
        lines("gate-q5").len() >= names.len() && lines("ordered-q5").len() >= names.len()
    })
    .await;
    sending.await.unwrap();
    assert_eq!((lines("gate-q5"), lines("ordered-q5")), (names.clone(), names));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_on_disk_outlives_what_a_sink_may_do() {
    let (dir, outcomes) = (tempfile::tempdir().unwrap(), Outcomes::default());
    let settings =
        RunSettings { data_dir: Some(dir.path().to_owned()), ..settings(&spools(&dir), true, 1 << 20) };
    let pipeline = start_with("output { probe { name => 'chaos-q6' } }", settings);
    let names = names(100);
    send(&pipeline, &names, &outcomes).await;
    send(&pipeline, &["bad apple".to_owned()], &outcomes).await;
    until("all is on disk", || delivered(&outcomes) == 101).await;
    let all = || names.iter().all(|name| lines("chaos-q6").contains(name));
    until("all arrive", || all() && pipeline.outputs()[0].on_disk == 0).await;
    assert!(!lines("chaos-q6").contains(&"bad apple".to_owned()));
    let letters = letters(dir.path());
    assert!(letters.iter().any(|letter| letter.reason == "bad"), "{letters:?}");
    assert_eq!(pipeline.finish().await, Shutdown::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_output_alone_waits_in_memory_until_others_read_the_same() {
    let (dir, outcomes, names) = (tempfile::tempdir().unwrap(), Outcomes::default(), names(1000));
    let pipeline = Arc::new(start_with(&ONE.replace("NAME", "q7"), settings(&spools(&dir), false, 1 << 20)));
    let sending = tokio::spawn({
        let (pipeline, outcomes, names) = (Arc::clone(&pipeline), Arc::clone(&outcomes), names.clone());
        async move { send(&pipeline, &names, &outcomes).await }
    });
    until("it waits", || pipeline.queued_bytes() >= 4096).await;
    assert!(!dir.path().join("queue").exists(), "nobody else waits");
    pipeline.let_others_go_on();
    until("nobody waits", || sending.is_finished()).await;
    open("gate-q7");
    until("all arrive", || lines("gate-q7").len() >= names.len()).await;
    assert_eq!(lines("gate-q7"), names);
    until("all is told delivered", || delivered(&outcomes) == names.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_gets_the_queue_of_the_pipeline_before_it() {
    let (dir, outcomes, names) = (tempfile::tempdir().unwrap(), Outcomes::default(), names(200));
    let (config, spools) = (ONE.replace("NAME", "q8"), spools(&dir));
    let before = start_with(&config, settings(&spools, true, 1 << 20));
    send(&before, &names[..100], &outcomes).await;
    until("all is on disk", || delivered(&outcomes) == 100).await;
    let pipeline = start_with(&config, settings(&spools, true, 1 << 20));
    assert_eq!(pipeline.outputs()[0].on_disk, 0, "it is the queue of the one before");
    assert_eq!(before.retire(Duration::from_secs(60)).await, Shutdown::GivenUp);
    until("the queue is taken over", || pipeline.outputs()[0].on_disk == 100).await;
    send(&pipeline, &names[100..], &outcomes).await;
    open("gate-q8");
    until("all arrive", || lines("gate-q8").len() >= names.len()).await;
    assert_eq!(pipeline.finish().await, Shutdown::Drained);
    assert_eq!(lines("gate-q8"), names);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_on_disk_is_lost_and_counted_in_bytes() {
    let (dir, outcomes, names) = (tempfile::tempdir().unwrap(), Outcomes::default(), names(100));
    let settings = settings(&spools(&dir), true, 1 << 20);
    let config = ONE.replace("NAME", "q9");
    let pipeline = start_with(&config, settings.clone());
    send(&pipeline, &names, &outcomes).await;
    until("all is on disk", || delivered(&outcomes) == 100).await;
    assert_eq!(pipeline.shutdown(Duration::from_secs(3600)).await, Shutdown::OnDisk);
    let files = files_below(&dir.path().join("queue"));
    let segment = files.iter().find(|path| path.extension().is_some_and(|end| end == "records")).unwrap();
    let mut bytes = std::fs::read(segment).unwrap();
    let each = bytes.len() / 100;
    bytes[each * 50] ^= 1;
    std::fs::write(segment, bytes).unwrap();
    let pipeline = start_with(&config, settings);
    open("gate-q9");
    until("the others arrive", || lines("gate-q9").len() == 99 && pipeline.outputs()[0].on_disk == 0).await;
    let counter = pipeline.counter();
    assert_eq!(pipeline.finish().await, Shutdown::Drained);
    let lost = counter.counted().lost;
    let about = (each as u64 - 2)..=(each as u64 + 2);
    assert!(about.contains(&lost["damaged_on_disk"]) && lost.len() == 1, "{lost:?}, of {each} each");
}

/// An input that nobody can ask again, as those of the network.
const GENERATED: &str = "input { generator { count => 100 message => 'one' } }";

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_again_goes_to_the_disk_when_its_pipeline_ends() {
    for (name, replaced) in [("q10", true), ("q11", false)] {
        let (dir, config) = (tempfile::tempdir().unwrap(), ONE.replace("NAME", name));
        let settings = settings(&spools(&dir), false, 1 << 20);
        let pipeline = start_with(&format!("{GENERATED} {config}"), settings.clone());
        pipeline.inputs_ended().await;
        until("the output is tried", || pipeline.outputs()[0].trouble.is_some()).await;
        let (counter, lost) = (pipeline.counter(), |counter: &Counter| counter.counted().lost);
        let ended = if replaced {
            pipeline.retire(Duration::from_secs(60)).await
        } else {
            pipeline.shutdown(Duration::from_secs(5)).await
        };
        assert_eq!((ended, lost(&counter)), (Shutdown::OnDisk, BTreeMap::new()), "{name}");
        let gate = format!("gate-{name}");
        open(&gate);
        let pipeline = start_with(&config, settings);
        until("all arrive", || lines(&gate).len() == 100).await;
        assert_eq!(pipeline.finish().await, Shutdown::Drained);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_that_are_replaced_one_after_the_other_leave_all_on_disk() {
    let (dir, config) = (tempfile::tempdir().unwrap(), ONE.replace("NAME", "q13"));
    let settings = settings(&spools(&dir), false, 1 << 20);
    let make = || {
        let settings = RunSettings { memory: Memory::new(8192), ..settings.clone() };
        start_with(&format!("{GENERATED} {config}"), settings)
    };
    // The second has no place on disk as long as the first is there.
    let (first, second) = (make(), make());
    for pipeline in [&first, &second] {
        pipeline.inputs_ended().await;
        until("the output is tried", || pipeline.outputs()[0].trouble.is_some()).await;
    }
    let counters = [first.counter(), second.counter()];
    let patience = Duration::from_secs(60);
    let ended = tokio::join!(second.retire(patience), first.retire(patience));
    assert_eq!(ended, (Shutdown::OnDisk, Shutdown::OnDisk));
    assert_eq!(counters.map(|counter| counter.counted().lost), [BTreeMap::new(), BTreeMap::new()]);
    open("gate-q13");
    let pipeline = start_with(&config, settings);
    until("all arrive", || lines("gate-q13").len() == 200).await;
    assert_eq!(pipeline.finish().await, Shutdown::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_again_and_has_no_place_on_disk_is_counted_when_it_is_given_up() {
    let config = format!("{GENERATED} output {{ probe {{ name => 'gate-q12' }} }}");
    let pipeline = start(&config, None, 1);
    until("the output is tried", || pipeline.outputs()[0].trouble.is_some()).await;
    let counter = pipeline.counter();
    assert_eq!(pipeline.shutdown(Duration::from_secs(1)).await, Shutdown::GivenUp);
    let events = counter.counted().events_in;
    let lost = counter.counted().lost;
    assert!(lost["given_up"] >= 3 * events && lost.len() == 1, "{lost:?} of {events}");
    // What has arrived is not lost.
    let pipeline = start(&config.replace("gate", "ok"), None, 1);
    pipeline.inputs_ended().await;
    let counter = pipeline.counter();
    assert_eq!(pipeline.finish().await, Shutdown::Drained);
    assert_eq!((lines("ok-q12").len(), counter.counted().lost), (100, BTreeMap::new()));
}

fn files_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
