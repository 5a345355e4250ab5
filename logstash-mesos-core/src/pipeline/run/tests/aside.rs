//! Outputs that take some events and others not.

use std::collections::BTreeSet;

use super::queues::{delivered, lines, names, send, settings, spools, until};
use super::*;

fn blocks(name: &str, beginnings: &[&str]) {
    *sink(name).blocked.lock().unwrap() = beginnings.iter().map(|text| (*text).to_owned()).collect();
}

/// Every third begins with `a`, every third with `b`.
fn mixed(count: usize) -> Vec<String> {
    let mixed = names(count).into_iter().enumerate();
    mixed.map(|(at, name)| format!("{} {name}", ["a", "b", "c"][at % 3])).collect()
}

fn beginning_with(names: &[String], text: &str) -> BTreeSet<String> {
    names.iter().filter(|name| name.starts_with(text)).cloned().collect()
}

fn arrived(name: &str) -> BTreeSet<String> {
    lines(name).into_iter().collect()
}

fn start_choosy(name: &str, settings: RunSettings) -> RunningPipeline {
    start_with(&format!("output {{ probe {{ name => '{name}' }} }}"), settings)
}

fn aside(pipeline: &RunningPipeline) -> (u64, Option<String>) {
    let output = pipeline.outputs().remove(0);
    (output.aside, output.aside_reason)
}

const NOWHERE: fn() -> RunSettings = || settings(&Spools::default(), false, 1 << 20);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_waits_aside_in_memory_with_its_duty() {
    let outcomes = Outcomes::default();
    let pipeline = start_choosy("choosy-1", NOWHERE());
    blocks("choosy-1", &["b message 1 "]);
    let mut names = names(300);
    names.insert(150, "b message 1 is blocked".to_owned());
    send(&pipeline, &names, &outcomes).await;
    until("the others arrive", || lines("choosy-1").len() == 300).await;
    until("those of other batches are told", || delivered(&outcomes) > 290).await;
    assert_eq!(aside(&pipeline), (1, Some("is blocked".to_owned())));
    assert_eq!(pipeline.outputs()[0].trouble, None);
    blocks("choosy-1", &[]);
    until("it arrives too", || lines("choosy-1").len() == 301).await;
    until("it is told", || delivered(&outcomes) == 301).await;
    assert_eq!(aside(&pipeline), (0, None));
    assert_eq!(pipeline.finish().await, Shutdown::Drained);
    assert_eq!(arrived("choosy-1"), names.into_iter().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_aside_on_disk_is_told_and_is_sent_by_the_next_run() {
    for (name, persisted) in [("choosy-2", false), ("choosy-3", true)] {
        let (dir, outcomes, names) = (tempfile::tempdir().unwrap(), Outcomes::default(), mixed(300));
        let settings = settings(&spools(&dir), persisted, 1 << 20);
        let pipeline = start_choosy(name, settings.clone());
        blocks(name, &["a", "b"]);
        send(&pipeline, &names, &outcomes).await;
        until("all are told", || delivered(&outcomes) == 300).await;
        until("the others arrive", || arrived(name) == beginning_with(&names, "c")).await;
        until("all wait aside", || aside(&pipeline).0 == 200).await;
        assert_eq!(pipeline.shutdown(Duration::from_secs(3600)).await, Shutdown::OnDisk);
        let pipeline = start_choosy(name, settings);
        assert_eq!(aside(&pipeline).0, 200);
        blocks(name, &["a"]);
        until("those behind what is still blocked arrive", || {
            arrived(name).is_superset(&beginning_with(&names, "b"))
        })
        .await;
        assert!(arrived(name).is_disjoint(&beginning_with(&names, "a")));
        blocks(name, &[]);
        until("all arrive", || lines(name).len() >= 300 && aside(&pipeline).0 == 0).await;
        assert_eq!(pipeline.finish().await, Shutdown::Drained);
        assert_eq!(arrived(name), names.iter().cloned().collect());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_aside_takes_turns() {
    let outcomes = Outcomes::default();
    let pipeline = start_choosy("choosy-7", NOWHERE());
    blocks("choosy-7", &["a", "b"]);
    for (count, name) in [(1, "a first"), (2, "b second")] {
        send(&pipeline, &[name.to_owned()], &outcomes).await;
        until("it waits aside", || aside(&pipeline).0 == count).await;
    }
    blocks("choosy-7", &["a"]);
    until("the second arrives", || lines("choosy-7") == ["b second"]).await;
    until("the first waits", || aside(&pipeline).0 == 1).await;
    blocks("choosy-7", &[]);
    assert_eq!(pipeline.finish().await, Shutdown::Drained);
    assert_eq!(delivered(&outcomes), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_stumbles_over_is_found_and_waits_aside() {
    for (name, on_disk) in [("stumbling-1", false), ("stumbling-2", true)] {
        let (dir, outcomes, names) = (tempfile::tempdir().unwrap(), Outcomes::default(), names(300));
        let settings = if on_disk { settings(&spools(&dir), false, 1 << 20) } else { NOWHERE() };
        let pipeline = start_choosy(name, settings);
        // In memory there is room for two.
        let poison = if on_disk { &[107, 108, 150, 299][..] } else { &[150] };
        blocks(name, &poison.iter().map(|at| &*names[*at]).collect::<Vec<_>>());
        send(&pipeline, &names, &outcomes).await;
        until("the others arrive", || arrived(name).len() == 300 - poison.len()).await;
        until("these wait aside", || aside(&pipeline).0 == poison.len() as u64).await;
        until("nothing is wrong", || pipeline.outputs()[0].trouble.is_none()).await;
        assert!(aside(&pipeline).1.is_some());
        blocks(name, &[]);
        until("they arrive too", || arrived(name).len() == 300).await;
        until("all are told", || delivered(&outcomes) == 300).await;
        assert_eq!(pipeline.finish().await, Shutdown::Drained);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_room_aside_makes_the_sources_wait() {
    for (name, on_disk) in [("choosy-4", false), ("choosy-5", true)] {
        let (dir, outcomes, names) = (tempfile::tempdir().unwrap(), Outcomes::default(), mixed(900));
        let settings = if on_disk { settings(&spools(&dir), false, 4000) } else { NOWHERE() };
        let pipeline = Arc::new(start_choosy(name, settings));
        blocks(name, &["b"]);
        let sending = tokio::spawn({
            let (pipeline, outcomes, names) = (Arc::clone(&pipeline), Arc::clone(&outcomes), names.clone());
            async move { send(&pipeline, &names, &outcomes).await }
        });
        let no_room = || {
            pipeline.outputs()[0].trouble.as_ref().is_some_and(|trouble| trouble.contains("no room is left"))
        };
        until("it says so", no_room).await;
        until("they wait", || pipeline.queued_bytes() >= 4096).await;
        assert!(!sending.is_finished());
        blocks(name, &[]);
        until("all arrive", || arrived(name).len() == names.len()).await;
        sending.await.unwrap();
        until("all are told", || delivered(&outcomes) == names.len()).await;
        until("nothing is wrong", || pipeline.outputs()[0].trouble.is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_wait_a_little_for_what_a_busy_server_does_not_take() {
    let outcomes = Outcomes::default();
    let pipeline = start_choosy("choosy-6", NOWHERE());
    blocks("choosy-6", &["busy"]);
    send(&pipeline, &["busy".to_owned()], &outcomes).await;
    until("it has been tried", || sink("choosy-6").calls.load(Ordering::Relaxed) > 1).await;
    assert_eq!(aside(&pipeline).0, 0);
    until("it waits aside", || aside(&pipeline).0 == 1).await;
    assert!(pipeline.outputs()[0].retries >= 4);
    // The duty of what is given up says so.
    assert_eq!(pipeline.shutdown(Duration::from_millis(100)).await, Shutdown::GivenUp);
    assert_eq!(*outcomes.lock().unwrap(), [Outcome::NotDelivered]);
}
