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

#[path = "../../examples/ship.rs"]
#[expect(dead_code, reason = "what it does by itself needs a Docker daemon")]
mod ship;

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_replaced_while_its_shipper_runs() {
    use logstash_mesos_core::discovery::FixedDiscovery;
    use logstash_mesos_core::{Configuration, Shipper};

    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("out");
    let output = format!(
        "output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }} }}",
        out.display()
    );
    let says = |word: &str| {
        let text = format!("input {{ generator {{ count => 1 message => \"{word}\" }} }}");
        Configuration::host("app", text)
    };
    let arrives = async |lines: &str| {
        let arrived = async {
            while std::fs::read_to_string(&out).unwrap_or_default() != lines {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), arrived).await.expect("arrives");
    };
    let builder = Shipper::builder(dir.path().join("data")).configuration(says("one"));
    let builder = builder.containers(std::sync::Arc::new(FixedDiscovery::default()));
    let shipper = builder.default_output(&output).start().await.expect("starts");
    arrives("one\n").await;
    let applied = ship::replace(&shipper, says("two"), &output).await.expect("is told");
    assert!(applied.results[0].error.is_none(), "{applied:?}");
    arrives("one\ntwo\n").await;
    let refused = ship::replace(&shipper, Configuration::host("app", "input {"), &output).await;
    assert!(refused.expect("is told").results[0].error.is_some());
    shipper.stop(std::time::Duration::from_secs(10)).await;
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
