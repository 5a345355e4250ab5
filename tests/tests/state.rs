//! State and election in the real ZooKeeper and etcd, which are killed and stopped.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logstash_mesos_core::store::{
    Expect, SharedState, StateKey, StateStore, StateUrl, StoreError, Version, Versioned,
};
use logstash_mesos_core::testing::election::{self, PATIENCE, campaign, candidate, lead, sees, won};
use logstash_mesos_core::testing::state_store;
use logstash_mesos_tests::etcd::Etcd;
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::wait::until;
use logstash_mesos_tests::zookeeper::ZooKeeper;
use tokio::time::{sleep, timeout};

/// Short, to have sessions end within a test.
const SESSION: Duration = Duration::from_secs(3);

#[test]
fn zookeeper_keeps_the_contracts() {
    let place = Place::new("zk");
    let server = ZooKeeper::start(place.path());
    // With credentials, and below paths that are not there.
    in_runtime(contracts(|number| format!("zk://user:p@ss@{}/deep/path/{number}", server.address())));
}

#[test]
fn etcd_keeps_the_contracts() {
    let place = Place::new("etcd");
    let server = Etcd::start(place.path());
    in_runtime(contracts(|number| format!("etcd://{}/prefix/{number}", server.address())));
}

#[test]
fn nothing_is_left_in_zookeeper_where_a_framework_was() {
    let place = Place::new("zktidy");
    let server = ZooKeeper::start(place.path());
    in_runtime(async {
        let url = |name: &str| format!("zk://{}/logstash-mesos-v1/{name}", server.address());
        let (one, other) = (open(&url("one")).await, open(&url("other")).await);
        for state in [&one, &other] {
            state.store.put(&key("a"), b"1".to_vec(), Expect::Absent).await.expect("writes");
            lead(&state.election, "a").await.resign().await;
        }
        one.store.tidy().await.expect("leaves what is kept");
        assert!(one.store.get(&key("a")).await.expect("reads").is_some());
        let client = zookeeper_client::Client::connect(&server.address()).await.expect("connects");
        for (state, node, left) in [(&one, "/logstash-mesos-v1", "other"), (&other, "/", "zookeeper")] {
            state.store.delete(&key("a"), Expect::Any).await.expect("removes");
            state.store.tidy().await.expect("removes what is empty");
            client.sync("/").await.expect("catches up");
            assert_eq!(client.list_children(node).await.expect("is there"), [left]);
        }
        // Whoever begins again finds a place.
        one.store.put(&key("a"), b"2".to_vec(), Expect::Absent).await.expect("writes");
        lead(&one.election, "a").await.resign().await;
    });
}

/// The suites of every store and election, each clause at a place of its own.
async fn contracts(url: impl Fn(usize) -> String) {
    let count = Cell::new(0);
    let next = || {
        count.set(count.get() + 1);
        url(count.get())
    };
    state_store::conformance(async || Opened(open(&next()).await)).await;
    what_others_removed_is_noticed(&next()).await;
    let place = async || {
        let url = next();
        async move || open(&url).await.election
    };
    election::conformance(place).await;
    election::candidates_lead_in_the_order_in_which_they_came(&place().await).await;
}

/// One opening remembers what it saw; another removes records meanwhile.
async fn what_others_removed_is_noticed(url: &str) {
    let (one, other) = (open(url).await.store, open(url).await.store);
    other.put(&key("b"), b"1".to_vec(), Expect::Absent).await.expect("writes");
    let first = one.put(&key("a"), b"1".to_vec(), Expect::Absent).await.expect("writes");
    let second = one.put(&key("a"), b"2".to_vec(), Expect::Version(first)).await.expect("writes");
    // The end of another record is none of this one.
    other.delete(&key("b"), Expect::Any).await.expect("removes");
    let third = one.put(&key("a"), b"3".to_vec(), Expect::Version(second)).await.expect("writes");
    // A record that was made anew, and written as often, is another one.
    other.delete(&key("a"), Expect::Version(third.clone())).await.expect("removes");
    for value in [b"x", b"y", b"z"] {
        other.put(&key("a"), value.to_vec(), Expect::Any).await.expect("writes");
    }
    for error in [
        one.put(&key("a"), b"4".to_vec(), Expect::Version(third.clone())).await.expect_err("is gone"),
        one.delete(&key("a"), Expect::Version(third)).await.expect_err("is gone"),
    ] {
        assert!(error.is_conflict(), "{error}");
    }
    assert_eq!(one.get(&key("a")).await.expect("reads").expect("is there").value, b"z");
}

#[test]
fn a_zookeeper_that_is_killed_has_what_it_acknowledged() {
    let place = Place::new("zkkill");
    let mut server = ZooKeeper::start(place.path());
    let url = format!("zk://{}/kept", server.address());
    let written = in_runtime(written_while(url, || {
        server.kill();
        server.restart();
    }));
    println!("figure: ZooKeeper killed twice while two wrote: {written}");
}

#[test]
fn an_etcd_that_is_killed_has_what_it_acknowledged() {
    let place = Place::new("etcdkill");
    let mut server = Etcd::start(place.path());
    let url = format!("etcd://{}/kept", server.address());
    let written = in_runtime(written_while(url, || {
        server.kill();
        server.restart();
    }));
    println!("figure: etcd killed twice while two wrote: {written}");
}

#[test]
fn a_zookeeper_ensemble_that_loses_its_leader_keeps_what_it_acknowledged() {
    let place = Place::new("zk3");
    let mut servers = ZooKeeper::ensemble(place.path(), 3);
    let addresses: Vec<_> = servers.iter().map(ZooKeeper::address).collect();
    let url = format!("zk://{}/kept", addresses.join(","));
    let (written, kept) = in_runtime(async {
        let state = open(&url).await;
        let leadership = lead(&state.election, "a").await;
        let written = written_while(url, || {
            let leading = until("one of three to lead", PATIENCE, || {
                let modes: Vec<_> = servers.iter().map(ZooKeeper::mode).collect();
                let leading = modes.iter().position(|mode| mode.as_deref() == Ok("leader"));
                leading.ok_or_else(|| format!("{modes:?}"))
            });
            servers[leading].kill();
            std::thread::sleep(Duration::from_secs(3));
            servers[leading].restart();
        })
        .await;
        // Sessions outlive the servers that they are with, if another is found in time.
        let kept = !leadership.lost().is_cancelled();
        drop(leadership);
        lead(&state.election, "b").await;
        (written, kept)
    });
    println!(
        "figure: the leading ZooKeeper of three killed twice while two wrote: {written}; lead kept: {kept}"
    );
}

/// Two writers append to one record, each by compare-and-set, while `disturb` is called twice. Every entry that was
/// acknowledged is there at the end, once: had two writes expected the same version and both been done, one of the
/// entries would be missing.
async fn written_while(url: String, mut disturb: impl FnMut()) -> String {
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = ["a", "b"]
        .map(|name| {
            let (url, stop) = (url.clone(), stop.clone());
            tokio::spawn(async move {
                let state = open(&url).await;
                let (mut acknowledged, mut interruptions) = (Vec::new(), 0);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let entry = format!("{name}{}", acknowledged.len() + interruptions);
                    match append(&*state.store, &entry).await {
                        Ok(()) => acknowledged.push(entry),
                        Err(error) if error.is_transient() => interruptions += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                (acknowledged, interruptions)
            })
        })
        .into();
    for _ in 0..2 {
        sleep(Duration::from_secs(1)).await;
        tokio::task::block_in_place(&mut disturb);
    }
    // Long enough to see that writing goes on.
    let state = open(&url).await;
    let before = entries(&*state.store).await.len();
    let began = Instant::now();
    while entries(&*state.store).await.len() < before + 10 {
        assert!(began.elapsed() < PATIENCE, "nothing is written any more");
        sleep(Duration::from_millis(100)).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut summary = String::new();
    let mut written = Vec::new();
    for writer in writers {
        let (acknowledged, interruptions) = writer.await.expect("writes");
        summary.push_str(&format!("{} acknowledged, {interruptions} unknown; ", acknowledged.len()));
        written.extend(acknowledged);
    }
    let found = entries(&*state.store).await;
    for entry in &written {
        let times = found.iter().filter(|found| *found == entry).count();
        assert_eq!(times, 1, "{entry} was acknowledged and is there {times} times");
    }
    format!("{summary}{} there", found.len())
}

/// Appends by compare-and-set. When an answer is lost, the entry may be there or not.
async fn append(store: &dyn StateStore, entry: &str) -> Result<(), StoreError> {
    loop {
        let (text, expect) = match store.get(&key("entries")).await? {
            Some(Versioned { value, version }) => {
                (String::from_utf8(value).expect("is text"), Expect::Version(version))
            }
            None => (String::new(), Expect::Absent),
        };
        let value = format!("{text} {entry}").into_bytes();
        match store.put(&key("entries"), value, expect).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
    }
}

async fn entries(store: &dyn StateStore) -> Vec<String> {
    let began = Instant::now();
    loop {
        match store.get(&key("entries")).await {
            Ok(None) => return vec![],
            Ok(Some(record)) => {
                let text = String::from_utf8(record.value).expect("is text");
                return text.split_whitespace().map(str::to_owned).collect();
            }
            Err(error) => assert!(error.is_transient() && began.elapsed() < PATIENCE, "{error}"),
        }
    }
}

#[test]
fn who_leads_in_zookeeper_gives_up_before_another_leads() {
    let place = Place::new("zkpause");
    let server = ZooKeeper::start(place.path());
    in_runtime(gives_up_first(
        &format!("zk://{}/paused", server.address()),
        || server.pause(),
        || server.resume(),
    ));
}

#[test]
fn who_leads_in_etcd_gives_up_before_another_leads() {
    let place = Place::new("etcdpause");
    let server = Etcd::start(place.path());
    in_runtime(gives_up_first(
        &format!("etcd://{}/paused", server.address()),
        || server.pause(),
        || server.resume(),
    ));
}

/// The service is silent for longer than a session lasts.
async fn gives_up_first(url: &str, pause: impl Fn(), resume: impl Fn()) {
    let (one, other, onlooker) = (open(url).await, open(url).await, open(url).await);
    let first = lead(&one.election, "a").await;
    let second = campaign(&other.election, "b");
    sees(&onlooker.election, Some("a")).await;
    // A pause that is short compared with the session changes nothing.
    pause();
    sleep(SESSION / 5).await;
    resume();
    sleep(SESSION).await;
    assert!(!first.lost().is_cancelled(), "a short silence cost the lead");
    assert!(!second.is_finished(), "two lead");

    pause();
    let began = Instant::now();
    timeout(PATIENCE, first.lost().cancelled()).await.expect("is in doubt");
    let doubted = began.elapsed();
    assert!(doubted < SESSION, "gave up only after {doubted:?}, when the session could have ended");
    assert!(!second.is_finished(), "another led while the service was silent");
    sleep(SESSION).await;
    resume();
    let second = won(second).await;
    sees(&onlooker.election, Some("b")).await;
    // The first comes back as a candidate like others.
    drop(first);
    let third = campaign(&one.election, "c");
    sleep(Duration::from_secs(1)).await;
    second.resign().await;
    won(third).await;
    println!(
        "figure: the lead was given up {} ms into the silence, session {SESSION:?}",
        doubted.as_millis()
    );
}

#[test]
fn zookeeper_nodes_are_for_the_holder_of_the_credentials() {
    let place = Place::new("zkacl");
    let server = ZooKeeper::start(place.path());
    in_runtime(async {
        let url = |credentials: &str| format!("zk://{credentials}{}/a/b", server.address());
        owned_by(&url("owner:secret@"), &[&url(""), &url("owner:wrong@")]).await;
        // What is not ours and closed is named, and left.
        let inside = format!("zk://{}/a/b/c", server.address());
        refused(open(&inside).await.store.put(&key("k"), b"x".to_vec(), Expect::Any).await, &inside);
    });
}

#[test]
fn etcd_keys_are_for_those_with_the_password() {
    let place = Place::new("etcdauth");
    let mut server = Etcd::start(place.path());
    server.want_password("secret");
    let url = |credentials: &str| format!("etcd://{credentials}{}/a/b", server.address());
    let (owner, others) = (url("root:secret@"), [url(""), url("root:wrong@")]);
    in_runtime(async {
        let state = owned_by(&owner, &[&others[0], &others[1]]).await;
        // A server that starts again has forgotten its tokens.
        tokio::task::block_in_place(|| {
            server.kill();
            server.restart();
        });
        assert_eq!(state.store.get(&key("k")).await.expect("has a new token").expect("is there").value, b"1");
    });
}

/// One reads, writes and leads; for the others the same is refused for good, and said without secrets.
async fn owned_by(owner: &str, others: &[&str]) -> SharedState {
    let state = open(owner).await;
    state.store.put(&key("k"), b"1".to_vec(), Expect::Absent).await.expect("writes");
    lead(&state.election, "owner").await.resign().await;
    for url in others {
        let other = open(url).await;
        refused(other.store.get(&key("k")).await, url);
        refused(other.store.put(&key("k"), b"2".to_vec(), Expect::Any).await, url);
        refused(other.store.put(&key("new"), b"2".to_vec(), Expect::Absent).await, url);
        refused(other.store.delete(&key("k"), Expect::Any).await, url);
        refused(other.store.list(None).await, url);
        let candidate = candidate("other");
        let campaign = timeout(PATIENCE, other.election.campaign(&candidate));
        refused(campaign.await.expect("is refused in time"), url);
    }
    assert_eq!(state.store.get(&key("k")).await.expect("reads").expect("is there").value, b"1");
    assert_eq!(state.store.list(None).await.expect("lists"), [key("k")]);
    state
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>, url: &str) {
    let error = result.expect_err(url);
    assert!(matches!(error, StoreError::Refused { .. }) && !error.is_transient(), "{url}: {error}");
    let text = error.to_string();
    assert!(text.contains("--state") && !text.contains("wrong"), "{text}");
}

#[test]
fn etcd_is_reached_over_tls_with_a_certificate() {
    let place = Place::new("etcdtls");
    let path = |name: &str| place.join(name);
    make_certificates(place.path());
    let server = Etcd::with_tls(place.path(), &path("ca.pem"), &path("server.pem"), &path("server.key"));
    let url = |query: String| {
        format!("etcd://localhost:{}/x?{query}", server.address().rsplit_once(':').expect("has a port").1)
    };
    let file = |name: &str| path(name).display().to_string();
    in_runtime(async {
        let full =
            url(format!("ca={}&cert={}&key={}", file("ca.pem"), file("server.pem"), file("server.key")));
        let state = open(&full).await;
        state.store.put(&key("k"), b"1".to_vec(), Expect::Absent).await.expect("writes");
        lead(&state.election, "a").await.resign().await;
        // Without a certificate of ours, and without trust in theirs, nothing comes about.
        for query in [format!("ca={}", file("ca.pem")), "tls=true".to_owned()] {
            let error = open(&url(query)).await.store.get(&key("k")).await.expect_err("has no access");
            assert!(error.is_transient(), "{error}");
        }
        let missing = url("ca=/no/such/file".to_owned()).parse::<StateUrl>().expect("can be right");
        let error = missing.open().await.expect_err("there is no such file").to_string();
        assert!(error.contains("/no/such/file"), "{error}");
    });
}

/// An authority, and a certificate of it for `localhost`, which serves and shows itself.
fn make_certificates(directory: &Path) {
    let run = |arguments: &str| {
        let done = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output();
        let done = done.expect("openssl is installed by tests/setup");
        assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    };
    run("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem");
    run("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr");
    std::fs::write(directory.join("san"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        .expect("is writable");
    run(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem",
    );
}

#[test]
fn a_service_that_is_away_is_waited_for_and_not_believed_to_be_empty() {
    let place = Place::new("away");
    let mut zookeeper = ZooKeeper::start(&place.directory("zk"));
    let mut etcd = Etcd::start(&place.directory("etcd"));
    zookeeper.kill();
    etcd.kill();
    in_runtime(async {
        let urls = [format!("zk://{}/away", zookeeper.address()), format!("etcd://{}/away", etcd.address())];
        let [one, other] = [open(&urls[0]).await, open(&urls[1]).await];
        let key = key("k");
        let (first, second) = tokio::join!(one.store.get(&key), other.store.list(None));
        for error in [first.expect_err("is away"), second.expect_err("is away")] {
            assert!(error.is_transient(), "{error}");
        }
        let campaigns = [&one, &other].map(|state| campaign(&state.election, "a"));
        tokio::task::block_in_place(|| {
            zookeeper.restart();
            etcd.restart();
        });
        for campaign in campaigns {
            won(campaign).await;
        }
        for state in [one, other] {
            assert_eq!(state.store.get(&key).await.expect("answers"), None);
        }
    });
}

/// A store with the session that it needs.
#[derive(Debug)]
struct Opened(SharedState);

#[async_trait::async_trait]
impl StateStore for Opened {
    fn name(&self) -> String {
        self.0.store.name()
    }

    async fn get(&self, key: &StateKey) -> Result<Option<Versioned>, StoreError> {
        self.0.store.get(key).await
    }

    async fn put(&self, key: &StateKey, value: Vec<u8>, expect: Expect) -> Result<Version, StoreError> {
        self.0.store.put(key, value, expect).await
    }

    async fn delete(&self, key: &StateKey, expect: Expect) -> Result<(), StoreError> {
        self.0.store.delete(key, expect).await
    }

    async fn list(&self, prefix: Option<&StateKey>) -> Result<Vec<StateKey>, StoreError> {
        self.0.store.list(prefix).await
    }
}

async fn open(url: &str) -> SharedState {
    let url: StateUrl = url.parse().unwrap_or_else(|error| panic!("{url} {error}"));
    url.open_with(SESSION).await.expect("opens")
}

fn key(name: &str) -> StateKey {
    StateKey::new(name).expect("a plain name")
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(work)
}
