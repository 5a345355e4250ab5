//! The examples do what they say.

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
