//! `uninstall` leaves nothing running and nothing stored.

use std::path::PathBuf;

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::docker::BUSYBOX;
use logstash_mesos_tests::lines::{arrived, filter, writer};
use logstash_mesos_tests::place::files_below;
use logstash_mesos_tests::wait::{PATIENCE, until};

const LOG: &str = "/var/log/access.log";

#[test]
fn uninstall_leaves_nothing_running_and_nothing_stored() {
    let cluster = Cluster::start("uninstall");
    let mut scheduler = cluster.scheduler();
    let input =
        format!("input {{ file {{ docker-path => \"{LOG}\" }} }}\n{}\n{}", filter(), cluster.output());
    scheduler.put(BUSYBOX, &input).expect(200);
    let _ = scheduler.running_executors(2);
    let writers: Vec<_> = cluster
        .dockers
        .iter()
        .zip(["left", "right"])
        .map(|(docker, name)| writer(docker, BUSYBOX, &format!("write {name} 0 200 {LOG}")))
        .collect();
    for name in ["left", "right"] {
        let _ = arrived(&cluster.opensearch, &cluster.index(), name, 0..200, |_, _| Ok(()));
    }
    for agent in &cluster.agents {
        until("positions on the agent's disk", PATIENCE, || {
            if files_below(agent.data_dir()).is_empty() { Err("there are none".into()) } else { Ok(()) }
        });
    }

    // Not while a scheduler runs.
    let refused = scheduler.uninstall(&[]);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(refused.stderr.contains("state") || refused.stderr.contains("scheduler"), "{}", refused.stderr);
    assert!(cluster.master.framework(&cluster.framework()).is_ok());

    assert_eq!(scheduler.terminate().code(), Some(0));
    let done = scheduler.uninstall(&[]);
    assert!(done.status.success(), "{done:?}");

    let gone = cluster.master.framework(&cluster.framework());
    assert!(gone.is_err(), "the framework is there: {gone:?}");
    // Once more there is nothing to do, and no framework is made for that.
    let again = scheduler.uninstall(&[]);
    assert!(again.status.success(), "{again:?}");
    let gone = cluster.master.framework(&cluster.framework());
    assert!(gone.is_err(), "there is another framework: {gone:?}");
    for agent in &cluster.agents {
        until("the executors to end", PATIENCE, || {
            let left = agent.executor_processes();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
        assert_eq!(
            files_below(agent.data_dir()),
            Vec::<PathBuf>::new(),
            "positions are left on {}",
            agent.host()
        );
    }
    assert_eq!(files_below(&cluster.place.join("state")), Vec::<PathBuf>::new(), "state is left");
    drop(writers);
}

#[test]
fn uninstall_can_keep_positions() {
    let cluster = Cluster::with_agents("keep", 1);
    let mut scheduler = cluster.scheduler();
    let input =
        format!("input {{ file {{ docker-path => \"{LOG}\" }} }}\n{}\n{}", filter(), cluster.output());
    scheduler.put(BUSYBOX, &input).expect(200);
    let _writer = writer(&cluster.dockers[0], BUSYBOX, &format!("write keep 0 200 {LOG}"));
    let _ = arrived(&cluster.opensearch, &cluster.index(), "keep", 0..200, |_, _| Ok(()));
    assert_eq!(scheduler.terminate().code(), Some(0));
    let done = scheduler.uninstall(&["--keep-positions"]);
    assert!(done.status.success(), "{done:?}");
    assert!(!files_below(cluster.agents[0].data_dir()).is_empty());

    // Installed again, it goes on where it was: nothing is read twice.
    cluster.opensearch.request("DELETE", &cluster.index(), None).expect("it answers").expect(200);
    scheduler.restart();
    scheduler.put(BUSYBOX, &input).expect(200);
    let _second = writer(&cluster.dockers[0], BUSYBOX, &format!("write second 0 200 {LOG}"));
    let _ = arrived(&cluster.opensearch, &cluster.index(), "second", 0..200, |_, _| Ok(()));
    assert_eq!(cluster.opensearch.count(&cluster.index()), Ok(200));
}
