//! The real parts start, do their work, survive being killed, and end.

use std::time::Duration;

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::docker::{BARE, Docker};
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::{MARK, Place};
use logstash_mesos_tests::process::with_environment;
use serde_json::json;

#[test]
fn a_cluster_starts_with_all_its_parts_and_leaves_nothing_running() {
    let cluster = Cluster::start("parts");
    let place = cluster.place.path().display().to_string();
    assert_ne!(cluster.agents[0].id(), cluster.agents[1].id());
    assert_ne!(cluster.dockers[0].id(), cluster.dockers[1].id());
    let state = cluster.master.state().expect("the master answers");
    let hosts: Vec<_> =
        state["slaves"].as_array().expect("agents").iter().map(|a| a["hostname"].clone()).collect();
    assert!(hosts.contains(&json!("127.0.0.1")) && hosts.contains(&json!("127.0.0.2")), "{hosts:?}");
    assert!(!with_environment(MARK, &place).is_empty());
    drop(cluster);
    assert_eq!(with_environment(MARK, &place), [0; 0]);
}

#[test]
fn an_agent_and_a_master_come_back_after_being_killed() {
    let mut cluster = Cluster::with_agents("back", 1);
    let id = cluster.agents[0].id();
    cluster.agents[0].kill();
    cluster.agents[0].restart();
    assert_eq!(cluster.agents[0].id(), id);
    cluster.master.kill();
    cluster.master.restart();
    assert_eq!(cluster.agents[0].id(), id);
}

#[test]
fn a_docker_daemon_runs_containers_which_survive_its_end() {
    let place = Place::new("docker");
    let mut docker = Docker::start(&place.directory("d"));
    let id = {
        let container = docker.run_script(&[], "echo hello > /tmp/file; sleep 1000");
        container.wait_for_file("/tmp/file", Duration::from_secs(20));
        let id = container.id().to_owned();
        std::mem::forget(container);
        id
    };
    docker.kill();
    assert!(docker.try_command(&["version"]).is_err());
    docker.restart();
    assert_eq!(docker.command(&["exec", &id, "cat", "/tmp/file"]), "hello");

    let bare = docker.run(BARE, &[], &["/busybox", "sleep", "1000"]);
    assert_eq!(bare.inspect("{{.State.Status}}"), "running");
    assert!(docker.try_command(&["exec", bare.id(), "sh", "-c", "true"]).is_err());
    let ended = docker.run_script(&[], "exit 0");
    ended.wait_for_exit(Duration::from_secs(20));
}

#[test]
fn opensearch_keeps_documents_over_its_end() {
    let place = Place::new("search");
    let mut node = OpenSearch::start(&place.directory("o"));
    assert_eq!(node.count("letters"), Ok(0));
    assert_eq!(node.documents("letters"), Ok(vec![]));
    let answer = node.request("PUT", "letters/_doc/1", Some(&json!({"letter": "a"})));
    answer.expect("it answers").expect(201);
    node.kill();
    node.restart();
    assert_eq!(node.count("letters"), Ok(1));
    assert_eq!(node.documents("letters").expect("it answers")[0]["_source"], json!({"letter": "a"}));
}
