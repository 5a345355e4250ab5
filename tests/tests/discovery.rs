//! Containers as the discovery sees them, on a real daemon.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use logstash_mesos_core::discovery::{ContainerDiscovery, DaemonState, Discovered, DockerDiscovery};
use logstash_mesos_core::testing::container_discovery::{World, conformance};
use logstash_mesos_tests::docker::{BUSYBOX, Client, Docker};
use logstash_mesos_tests::place::Place;

struct Daemon(Client);

#[async_trait]
impl World for Daemon {
    async fn start(&self, name: &str) {
        if self.0.try_command(&["start", name]).is_err() {
            let script = "trap 'exit 0' TERM; sleep 100000 & wait";
            self.0.command(&["run", "-d", "--network", "none", "--name", name, BUSYBOX, "sh", "-c", script]);
        }
    }

    async fn end(&self, name: &str) {
        self.0.command(&["stop", name]);
    }

    async fn remove(&self, name: &str) {
        self.0.command(&["rm", "-f", name]);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads")
}

#[test]
fn docker_conforms() {
    let place = Place::new("conformance");
    let docker = Docker::start(&place.directory("d"));
    let endpoint = docker.host().parse().expect("it is an address");
    let discovery = Arc::new(DockerDiscovery::new(endpoint, "/"));
    runtime().block_on(conformance(discovery, &Daemon(Client::clone(&docker))));
}

#[test]
fn a_daemon_that_is_killed_and_comes_back_is_followed_again() {
    let place = Place::new("comes-back");
    let mut docker = Docker::start(&place.directory("d"));
    let _before = docker.run_script(&[], "exec sleep 100000");
    let discovery = DockerDiscovery::new(docker.host().parse().expect("it is an address"), "/");
    let runtime = runtime();
    let (sender, mut picture) = tokio::sync::watch::channel(Arc::new(Discovered::default()));
    let _task = runtime.spawn(async move { discovery.run(sender, Default::default()).await });
    let mut when = |what: &str, holds: &dyn Fn(&Discovered) -> bool| {
        let found = runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(60), picture.wait_for(|picture| holds(picture))).await
        });
        Arc::clone(&*found.unwrap_or_else(|_| panic!("not in time: {what}")).expect("the discovery goes on"))
    };
    let connected = |picture: &Discovered| matches!(picture.daemon, DaemonState::Connected { .. });
    when("the first picture", &|picture| connected(picture) && picture.containers.len() == 1);
    docker.kill();
    let away = when(
        "the daemon to be missed",
        &|picture| matches!(&picture.daemon, DaemonState::Unreachable { reason } if reason.contains("docker.sock")),
    );
    assert_eq!(away.containers.len(), 1, "containers are not forgotten while their daemon is away");
    docker.restart();
    let _after = docker.run_script(&[], "exec sleep 100000");
    when("both containers", &|picture| connected(picture) && picture.containers.len() == 2);
}
