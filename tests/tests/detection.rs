//! The leading master is found through ZooKeeper, and the state is kept there.

use logstash_mesos_core::store::StateUrl;
use logstash_mesos_tests::mesos::Master;
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions};
use logstash_mesos_tests::wait::{PATIENCE, until};
use logstash_mesos_tests::zookeeper::ZooKeeper;

#[test]
fn a_zk_url_alone_finds_the_master_and_keeps_the_state() {
    let place = Place::new("detect");
    let zookeeper = ZooKeeper::start(&place.directory("zk"));
    let masters = format!("zk://user:secret@{}/deep/mesos", zookeeper.address());
    let framework = "logstash-detect";
    let options = SchedulerOptions {
        master: masters.clone(),
        framework: framework.to_owned(),
        state: String::new(),
        config_dir: None,
        elasticsearch: None,
        flags: vec!["--executor-command=/bin/true".to_owned()],
    };
    // There is no master yet, and nothing at that path.
    let mut scheduler = Scheduler::start(&place.directory("scheduler"), options);
    let mut master = Master::in_zookeeper(&place.directory("mesos"), &masters);
    let id = scheduler.framework_id();
    assert!(master.framework(framework).is_ok());
    let shown = scheduler.status().expect("it answers")["framework"]["master"].to_string();
    assert!(shown.contains(&master.address()), "{shown}");

    // Another node leads after this.
    master.kill();
    until("the loss of the master to be noticed", PATIENCE, || {
        let connected = scheduler.status()?["framework"]["connected"].as_bool();
        if connected == Some(false) { Ok(()) } else { Err("it is connected".to_owned()) }
    });
    master.restart();
    assert_eq!(scheduler.framework_id(), id);

    let printed = scheduler.process().printed();
    assert!(!printed.contains("secret"), "{printed}");
    assert_eq!(scheduler.terminate().code(), Some(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let keys = runtime.block_on(async {
        let url = format!("zk://user:secret@{}/logstash-mesos-v1/{framework}", zookeeper.address());
        let state = url.parse::<StateUrl>().expect("can be right").open().await.expect("opens");
        state.store.list(None).await.expect("lists")
    });
    assert!(keys.iter().any(|key| key.as_str() == "framework"), "{keys:?}");

    scheduler.restart();
    assert_eq!(scheduler.framework_id(), id, "a restart finds its framework in ZooKeeper");
}
