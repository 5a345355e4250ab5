//! A whole scheduler on the cluster inside the process.

use super::*;
use crate::ids::FrameworkId;
use crate::local::{Cluster, LocalSettings};
use crate::protocol::control_client::ControlClient;
use crate::protocol::{ListConfigsRequest, PutConfigRequest, WatchStatusRequest};
use crate::scheduler::parts::Judge;
use crate::scheduler::records::Records;
use crate::scheduler::state::State;
use crate::scheduler::{Uninstall, uninstall};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

/// An executor that ends at once, so that there is something to go wrong.
fn settings(cluster: &Cluster, state: &Path) -> Settings {
    Settings::of([
        ("mesos.master", cluster.address().to_string().as_str()),
        ("state", &format!("file:{}", state.display())),
        ("http.bind", "127.0.0.1:0"),
        ("executor.command", "/bin/true"),
    ])
    .expect("can be right")
}

/// One life as the leader, until `done`.
async fn life(settings: &Settings, done: impl Fn(&State) -> bool) -> FrameworkId {
    let shutdown = CancellationToken::new();
    let state = settings.state.open().await.expect("opens");
    let (node, _listener) = Node::open(settings, state, Judge::default(), &shutdown).await.expect("opens");
    let leadership = node.lead_alone().await.expect("is alone");
    let scheduler = Lead::start(settings, &node, leadership, None).await.expect("starts");
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !done(&scheduler.shared.state()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("happens in time");
    let framework_id = scheduler.shared.framework_id().expect("is subscribed");
    shutdown.cancel();
    let (end, leadership) = scheduler.finish(&shutdown).await;
    assert!(matches!(end, End::Shutdown));
    leadership.resign().await;
    framework_id
}

/// A scheduler that leads and follows.
struct Process {
    node: Arc<Node>,
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), RunError>>,
}

impl Process {
    async fn start(settings: &Settings) -> Self {
        let shutdown = CancellationToken::new();
        let state = settings.state.open().await.expect("opens");
        let (node, listener) = Node::open(settings, state, Judge::default(), &shutdown).await.expect("opens");
        http::serve(&node, listener, shutdown.clone());
        let (settings, own, stop) = (settings.clone(), node.clone(), shutdown.clone());
        let ended = tokio::spawn(async move { lead_and_follow(&settings, &own, &stop).await });
        Self { node, shutdown, ended }
    }

    fn url(&self) -> &str {
        &self.node.me.url
    }

    async fn leads(&self) {
        in_time(async {
            while self.node.leading().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    async fn follows(&self, other: &Self) {
        let mut leader = self.node.leader();
        in_time(leader.wait_for(|l| l.as_ref().is_some_and(|l| l.id == other.node.me.id)))
            .await
            .expect("is open");
    }

    async fn client(&self) -> ControlClient<tonic::transport::Channel> {
        let endpoint = tonic::transport::Endpoint::from_shared(self.url().to_owned()).expect("a URL");
        ControlClient::new(endpoint.connect().await.expect("connects"))
    }

    async fn put(&self, name: &str) -> Result<(), tonic::Status> {
        let configuration = crate::protocol::Configuration {
            name: name.to_owned(),
            kind: crate::protocol::ConfigKind::Docker.into(),
            input: "filter { }".to_owned(),
            ..Default::default()
        };
        let request = PutConfigRequest { configuration: Some(configuration), ..Default::default() };
        self.client().await.put_config(request).await.map(|_| ())
    }

    async fn names(&self) -> Vec<String> {
        let answer = self.client().await.list_configs(ListConfigsRequest {}).await.expect("is answered");
        let configurations = answer.into_inner().configurations;
        configurations.into_iter().map(|c| c.configuration.unwrap_or_default().name).collect()
    }

    /// Sends a request as a client writes it, and returns the whole answer.
    async fn say(&self, request: &str, body: &[u8]) -> String {
        let address = self.url().trim_start_matches("http://");
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
        let length = body.len();
        let head =
            format!("{request}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("writes");
        stream.write_all(body).await.expect("writes");
        let mut answer = String::new();
        in_time(stream.read_to_string(&mut answer)).await.expect("reads");
        answer
    }

    async fn end(self) -> Result<(), RunError> {
        self.shutdown.cancel();
        in_time(self.ended).await.expect("does not panic")
    }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("happens in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn any_of_several_schedulers_answers_and_another_takes_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(LocalSettings::new(dir.path().join("agent"))).await.expect("starts");
    let state = dir.path().join("state");
    let settings = settings(&cluster, &state);
    let first = Process::start(&settings).await;
    first.leads().await;
    let second = Process::start(&settings).await;
    second.follows(&first).await;

    // gRPC: a call, and a stream that stays.
    second.put("a").await.expect("is passed on");
    assert_eq!(second.names().await, ["a"]);
    let watch = WatchStatusRequest::default();
    let mut watched = second.client().await.watch_status(watch).await.expect("is passed on").into_inner();
    let status = in_time(watched.message()).await.expect("is open").expect("says something");
    assert_eq!((status.leader, status.leader_url.as_str()), (true, first.url()));
    // REST: a write, a read from the store, and answers that say where they come from.
    let written = second.say("PUT /api/configs/b HTTP/1.1", br#"{"input":"filter { }"}"#).await;
    assert!(
        written.starts_with("HTTP/1.1 200")
            && written.contains(&format!("x-logstash-mesos-leader: {}", first.url())),
        "{written}"
    );
    let read = second.say("GET /api/configs/b HTTP/1.1", b"").await;
    assert!(read.contains("filter { }") && !read.contains("x-logstash-mesos-leader"), "{read}");
    let large = format!(r#"{{"input":"{}"}}"#, "#".repeat(300_000));
    let refused = second.say("PUT /api/configs/c HTTP/1.1", large.as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
    let status = second.say("GET /api/status HTTP/1.0", b"").await;
    assert!(status.contains(&format!("\"url\":\"{}\"", first.url())), "{status}");
    assert!(second.say("GET /ready HTTP/1.1", b"").await.contains("ready, following"));
    assert!(second.say("GET /metrics HTTP/1.1", b"").await.contains("logstash_mesos_leader 0\n"));
    assert!(first.say("GET /metrics HTTP/1.1", b"").await.contains("logstash_mesos_leader 1\n"));
    let circle = second.say("GET /api/status HTTP/1.1\r\nX-Logstash-Mesos-Forwarded: loopback", b"").await;
    assert!(circle.starts_with("HTTP/1.1 503") && circle.contains("retry-after: 1"), "{circle}");

    // The lead is taken away: it is campaigned for again, and what was stored is there.
    let (_, before) = Records::last_claim(&*first.node.state.store).await.expect("reads").expect("is there");
    std::fs::remove_file(state.join("lock")).expect("is there");
    let raised = async {
        loop {
            let claim = Records::last_claim(&*first.node.state.store).await.expect("reads");
            let (claim, epoch) = claim.expect("is there");
            if epoch > before {
                break claim.leader.id;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let leader = in_time(raised).await;
    let (leading, following) = if leader == first.node.me.id { (first, second) } else { (second, first) };
    leading.leads().await;
    in_time(async { while watched.message().await.is_ok_and(|m| m.is_some()) {} }).await;
    following.follows(&leading).await;
    following.put("d").await.expect("is passed on");

    // One that ends hands over.
    leading.end().await.expect("ends well");
    following.leads().await;
    assert_eq!(following.names().await, ["a", "b", "d"]);
    following.end().await.expect("ends well");
}

#[tokio::test]
async fn a_framework_that_an_outsider_took_is_left_to_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(LocalSettings::new(dir.path().join("agent"))).await.expect("starts");
    let [one, other] = ["one", "other"].map(|name| dir.path().join(name));
    // Known is not yet stored.
    let stored = |id: &FrameworkId| {
        std::fs::read_to_string(one.join("framework.record")).is_ok_and(|record| record.contains(id.as_str()))
    };
    let framework_id = loop {
        let id = life(&settings(&cluster, &one), |state| state.framework_id().is_some()).await;
        if stored(&id) {
            break id;
        }
    };
    std::fs::create_dir(&other).expect("creates");
    std::fs::copy(one.join("framework.record"), other.join("framework.record")).expect("copies");
    let first = Process::start(&settings(&cluster, &one)).await;
    first.leads().await;
    let id = life(&settings(&cluster, &other), |state| state.reconciliation().is_complete()).await;
    assert_eq!(id, framework_id);
    let end = in_time(first.ended).await.expect("does not panic");
    assert!(matches!(end, Err(RunError::FailedOver { .. })), "{end:?}");
}

#[tokio::test]
async fn a_state_of_another_framework_is_not_followed() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(LocalSettings::new(dir.path().join("agent"))).await.expect("starts");
    let settings = settings(&cluster, &dir.path().join("state"));
    let first = Process::start(&settings).await;
    first.leads().await;
    let second = Process::start(&Settings { framework_name: "other".to_owned(), ..settings }).await;
    let end = in_time(second.ended).await.expect("does not panic");
    let Err(error) = end else { panic!("ended without an error") };
    assert!(error.to_string().contains("in use for framework `logstash`"), "{error}");
    first.end().await.expect("ends well");
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
async fn a_framework_with_a_scheduler_at_work_is_not_uninstalled() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(LocalSettings::new(dir.path().join("agent"))).await.expect("starts");
    let settings = settings(&cluster, &dir.path().join("state"));
    let first = Process::start(&settings).await;
    first.leads().await;
    let how = Uninstall { keep_positions: false, wait: Duration::ZERO };
    let error = uninstall(settings, how, CancellationToken::new()).await.expect_err("is in use");
    let text = error_chain(&error);
    assert!(
        text.contains("in use by scheduler of framework `logstash`") && text.contains(first.url()),
        "{text}"
    );
    first.end().await.expect("ends well");
}

#[tokio::test]
async fn a_framework_that_is_being_uninstalled_is_not_begun_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::start(LocalSettings::new(dir.path().join("agent"))).await.expect("starts");
    let settings = settings(&cluster, &dir.path().join("state"));
    life(&settings, |state| state.framework_id().is_some()).await;
    let shutdown = CancellationToken::new();
    let how = Uninstall { keep_positions: false, wait: Duration::from_secs(20) };
    let uninstalling = tokio::spawn(uninstall(settings.clone(), how, shutdown.clone()));
    let state = settings.state.open().await.expect("opens");
    let claimed = async {
        let last = async || Records::last_claim(&*state.store).await.expect("reads");
        while last().await.is_none_or(|(claim, _)| !claim.uninstalling) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    in_time(claimed).await;
    let waiting = Process::start(&settings).await;
    let end = in_time(waiting.ended).await.expect("does not panic");
    assert!(matches!(end, Err(RunError::BeingUninstalled { .. })), "{end:?}");
    shutdown.cancel();
    let end = in_time(uninstalling).await.expect("does not panic");
    assert!(matches!(end, Err(RunError::Interrupted) | Ok(_)), "{end:?}");
}
