//! A whole scheduler on the cluster inside the process.

use super::*;
use crate::config::{Loaded, Sources};
use crate::ids::FrameworkId;
use crate::local::{Cluster, LocalSettings};
use crate::scheduler::{SETTINGS, Uninstall, uninstall};
use std::collections::BTreeMap;

/// An executor that ends at once, so that there is something to go wrong.
fn settings(cluster: &Cluster, state: &Path) -> Settings {
    let flags: BTreeMap<_, _> = [
        ("mesos.master", cluster.address().to_string()),
        ("state", format!("file:{}", state.display())),
        ("http.bind", "127.0.0.1:0".to_owned()),
        ("executor.command", "/bin/true".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), vec![value]))
    .into();
    let sources = Sources { flags: &flags, variable: &|_| None, file: None, aliases: &[] };
    Settings::check(&Loaded::load(SETTINGS, sources).expect("loads"), Path::new("/")).expect("can be right")
}

/// One life, until `done`.
async fn life(settings: &Settings, done: impl Fn(&State) -> bool) -> FrameworkId {
    let shutdown = CancellationToken::new();
    let scheduler = Scheduler::start(settings, None, &shutdown).await.expect("starts");
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !done(&scheduler.shared.state()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("happens in time");
    let framework_id = scheduler.shared.framework_id().expect("is subscribed");
    shutdown.cancel();
    let (end, leadership) = scheduler.finish().await;
    assert!(matches!(end, End::Shutdown));
    leadership.resign().await;
    framework_id
}

#[tokio::test]
async fn a_restart_finds_its_framework_again_and_an_uninstall_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(LocalSettings::new(dir.path().join("agent"))).await.expect("starts");
    let state = dir.path().join("state");
    let settings = settings(&cluster, &state);
    let failed = |state: &State| {
        state.agents().values().any(|a| a.failures.count > 0 && a.failures.reason.contains("TASK_FAILED"))
    };
    let first = life(&settings, failed).await;
    let second = life(&settings, |state| state.reconciliation().is_complete()).await;
    assert_eq!(first, second);

    let how = Uninstall { keep_positions: false, wait: Duration::from_secs(1) };
    let done = uninstall(settings.clone(), how, CancellationToken::new()).await.expect("works");
    assert!(done.was_there);
    let left: Vec<_> =
        std::fs::read_dir(&state).expect("is there").flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().ends_with("lock")), "{left:?}");
    let again = uninstall(settings.clone(), how, CancellationToken::new()).await.expect("works");
    assert!(!again.was_there);
    let third = life(&settings, |state| state.framework_id().is_some()).await;
    assert_ne!(third, first);
}

#[tokio::test]
async fn a_second_scheduler_on_the_same_state_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(LocalSettings::new(dir.path().join("agent"))).await.expect("starts");
    let settings = settings(&cluster, &dir.path().join("state"));
    let shutdown = CancellationToken::new();
    let first = Scheduler::start(&settings, None, &shutdown).await.expect("starts");
    let how = Uninstall { keep_positions: false, wait: Duration::ZERO };
    let error = uninstall(settings, how, CancellationToken::new()).await.expect_err("is in use");
    let text = chain(&error);
    assert!(text.contains("in use by scheduler of framework `logstash`"), "{text}");
    shutdown.cancel();
    first.finish().await.1.resign().await;
}
