//! The examples do what they say.

#[path = "../../examples/own_parts.rs"]
mod own_parts;

#[tokio::test(flavor = "multi_thread")]
async fn a_discovery_and_an_output_of_an_embedder_ship_a_container_s_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let machines = dir.path().join("machines");
    std::fs::create_dir_all(machines.join("web/var/log")).expect("makes");
    std::fs::write(machines.join("web/var/log/app.log"), "one\ntwo\n").expect("writes");
    let data = dir.path().join("data");
    let arrived = own_parts::ship(&machines, &data, 2);
    let arrived = tokio::time::timeout(std::time::Duration::from_secs(60), arrived).await.expect("arrives");
    assert_eq!(arrived.expect("ships"), ["one", "two"]);
}

#[cfg(feature = "scheduler")]
#[path = "../../examples/own_scheduler.rs"]
mod own_scheduler;

#[cfg(feature = "scheduler")]
#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_inside_a_program_keeps_its_configurations_in_the_program_s_store() {
    use logstash_mesos_core::local::{Cluster, LocalSettings};

    let dir = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(LocalSettings::new(dir.path())).await.expect("starts");
    let master = cluster.address().to_string();
    let settings =
        [("mesos.master", master.as_str()), ("http.bind", "127.0.0.1:0"), ("executor.command", "/bin/true")];
    assert_eq!(own_scheduler::schedule(&settings).await.expect("works"), 1);
}
