//! What versions of the predecessor left in ZooKeeper, written there by its own classes, is taken over once.

use std::collections::BTreeMap;
use std::path::Path;

use logstash_mesos_tests::mesos::Master;
use logstash_mesos_tests::place::{Place, files_below, installed};
use logstash_mesos_tests::process::Recipe;
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions};
use logstash_mesos_tests::wait::PATIENCE;
use logstash_mesos_tests::zookeeper::ZooKeeper;
use zookeeper_client::{Acl, Acls, AuthId, Client, CreateMode, Permission, Stat};

#[test]
fn the_state_of_every_version_of_the_predecessor_is_taken_over_once_and_stays_as_it_was() {
    let place = Place::new("import");
    let zookeeper = ZooKeeper::start(&place.directory("zookeeper"));
    let files = place.directory("nodes");
    written_by_java(&files);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let before = runtime.block_on(create(&zookeeper, &files));
    let url = format!("zk://{}/mesos", zookeeper.address());
    let master = Master::in_zookeeper(&place.directory("mesos"), &url);
    let start = |framework: &str| {
        let options = SchedulerOptions {
            master: url.clone(),
            framework: framework.to_owned(),
            // Where the master is found, as for somebody who comes from the predecessor.
            state: String::new(),
            config_dir: None,
            elasticsearch: None,
            flags: vec!["--no-auth".to_owned()],
        };
        Scheduler::start(&place.directory(framework), options)
    };

    // The real master takes the scheduler for the framework that it was.
    let mut first = start("first");
    let id = "20150805-094500-16842879-5050-1-0001";
    registered(&first, &master, "first", id);
    assert_eq!(names(&first), ["busybox:1"]);
    let host = first.request("GET", "/api/host-config", None).expect("it answers").expect(200).json();
    assert_eq!(host["input"], "output { stdout { } }");
    let said = imports(&mut first);
    let has = |lines: &[String], words: &[&str]| {
        let found = lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "nothing says {words:?}: {lines:#?}");
    };
    has(&said, &["framework id", id, "version 0.0.2", "/logstash-mesos/first/frameworkId"]);
    has(&said, &["3 configurations of version 0.0.2", "/logstash-mesos/first/latestConfig"]);
    has(&said, &["WARN", "configuration not taken over, it stays where it was", "broken:1"]);

    let mut second = start("second");
    let id = "20150814-094500-16842879-5050-1-0002";
    registered(&second, &master, "second", id);
    assert_eq!(names(&second), ["busybox:1"]);
    has(&imports(&mut second), &["2 tasks", &format!("/second/{id}/stateList"), "not taken over"]);

    let mut third = start("third");
    registered(&third, &master, "third", "20160331-094500-16842879-5050-1-0003");
    has(&imports(&mut third), &["1 tasks", "/third/tasks", "not taken over"]);

    // What cannot be read is named, and keeps nobody from starting.
    let mut fourth = start("fourth");
    let new = fourth.framework_id();
    assert!(!new.contains("-0004"), "{new}");
    let said = imports(&mut fourth);
    has(&said, &["WARN", "/fourth/latestConfig is not taken over", "a Java object of another class"]);
    has(&said, &["WARN", "/fourth/frameworkId is not taken over", "no entry of Mesos's state library"]);
    has(&said, &["WARN", "/fourth/frameworkid is not taken over", "give --state the credentials"]);

    // What is removed afterwards stays removed.
    for scheduler in [&mut first, &mut fourth] {
        let id = scheduler.framework_id();
        let said = imports(scheduler).len();
        let _ =
            scheduler.request("DELETE", "/api/configs?name=busybox:1", None).expect("it answers").expect(200);
        assert_eq!(scheduler.terminate().code(), Some(0));
        scheduler.restart();
        assert_eq!(scheduler.framework_id(), id);
        assert_eq!(names(scheduler), [""; 0]);
        assert_eq!(imports(scheduler).len(), said, "{:#?}", imports(scheduler));
    }
    assert_eq!(runtime.block_on(read(&zookeeper, before.keys())), before);
}

/// Waits until the master has the framework under its old id.
#[track_caller]
fn registered(scheduler: &Scheduler, master: &Master, name: &str, id: &str) {
    assert_eq!(scheduler.framework_id(), id);
    assert_eq!(master.framework(name).expect("it is subscribed")["id"], id);
}

fn names(scheduler: &Scheduler) -> Vec<String> {
    let listed = scheduler.request("GET", "/api/configs", None).expect("it answers").expect(200).json();
    let listed = listed.as_array().cloned().unwrap_or_default();
    listed.iter().filter_map(|configuration| Some(configuration["name"].as_str()?.to_owned())).collect()
}

fn imports(scheduler: &mut Scheduler) -> Vec<String> {
    let printed = scheduler.process().printed();
    printed.lines().filter(|line| line.contains("From mesos/logstash")).map(str::to_owned).collect()
}

fn written_by_java(directory: &Path) {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/predecessor/State.java");
    let done = Recipe::new("java", directory.parent().expect("it has one"), "java")
        .arg("-cp")
        .arg(installed("predecessor").join("*"))
        .arg(program)
        .arg(directory)
        .run(b"", PATIENCE);
    assert!(done.status.success(), "{}", done.stderr);
}

type Nodes = BTreeMap<String, (Vec<u8>, Stat)>;

async fn connect(zookeeper: &ZooKeeper, credentials: &[u8]) -> Client {
    let connector = Client::connector().with_auth("digest", credentials);
    connector.connect(&zookeeper.address()).await.expect("it serves")
}

/// Makes a node of each file, and returns what is there.
async fn create(zookeeper: &ZooKeeper, files: &Path) -> Nodes {
    let client = connect(zookeeper, OWNER).await;
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let closed = [Acl::new(Permission::ALL, AuthId::authed())];
    let closed = CreateMode::Persistent.with_acls(Acls::new(&closed));
    let mut paths = Vec::new();
    for file in files_below(files) {
        let path = format!("/{}", file.strip_prefix(files).expect("is below it").display());
        let (parent, name) = path.rsplit_once('/').expect("it begins with one");
        client.mkdir(parent, &open).await.expect("it can be made");
        // One that not everybody may read.
        let options = if path == "/fourth/frameworkid" { &closed } else { &open };
        let content = std::fs::read(&file).expect("was just written");
        client.create(&path, &content, options).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        paths.push(path);
    }
    assert_eq!(paths.len(), 10, "{paths:?}");
    read(zookeeper, paths.iter()).await
}

/// What is in nodes, and when which were changed.
async fn read(zookeeper: &ZooKeeper, paths: impl Iterator<Item = &String>) -> Nodes {
    let client = connect(zookeeper, OWNER).await;
    let mut nodes = Nodes::new();
    for path in paths {
        nodes.insert(path.clone(), client.get_data(path).await.expect("it is there"));
    }
    nodes
}

const OWNER: &[u8] = b"owner:secret";
