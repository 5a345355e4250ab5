//! The scheduler as Marathon starts it: with an environment and nothing else.

mod app;
mod dcos;

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use logstash_mesos_core::scheduler::{SETTINGS, Settings, predecessor};
use logstash_mesos_core::settings::{Loaded, Sources};
use logstash_mesos_core::store::StateUrl;
use logstash_mesos_tests::docker::{BUSYBOX, Docker};
use logstash_mesos_tests::http::request_with;
use logstash_mesos_tests::lines::FUNCTIONS;
use logstash_mesos_tests::mesos::{Agent, AgentOptions, Master};
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::{Place, free_port, programs};
use logstash_mesos_tests::process::{Process, Recipe};
use logstash_mesos_tests::scheduler::{Api, GRACE};
use logstash_mesos_tests::wait::{PATIENCE, until};
use logstash_mesos_tests::zookeeper::ZooKeeper;
use serde_json::{Value, json};
use zookeeper_client::Client;

use self::app::App;

/// A master and an agent that find each other in ZooKeeper.
struct Site {
    agent: Agent,
    master: Master,
    zookeeper: ZooKeeper,
    docker: Docker,
    place: Place,
}

impl Site {
    fn start(name: &str, flags: Vec<String>) -> Self {
        let place = Place::new(name);
        let docker = Docker::start(&place.directory("docker"));
        let zookeeper = ZooKeeper::start(&place.directory("zookeeper"));
        let url = format!("zk://{}/mesos", zookeeper.address());
        let master = Master::in_zookeeper(&place.directory("mesos"), &url);
        let options = AgentOptions {
            host: "127.0.0.1".into(),
            docker_host: docker.host().to_owned(),
            data_dir: place.directory("positions"),
            flags,
        };
        let agent = Agent::start(&place.directory("agent"), &master, options);
        Self { agent, master, zookeeper, docker, place }
    }

    /// Starts the next task of an app.
    fn task(&self, number: u32, environment: BTreeMap<String, String>) -> Process {
        let directory = self.place.directory(&format!("task{number}"));
        let recipe = Recipe::new(programs().join("logstash-mesos-scheduler"), &directory, "scheduler");
        environment.iter().fold(recipe, |recipe, (name, value)| recipe.env(name, value)).start()
    }

    #[track_caller]
    fn executor(&self) -> u32 {
        match self.agent.executor_processes()[..] {
            [id] => id,
            ref other => panic!("not one executor: {other:?}"),
        }
    }
}

#[test]
fn the_app_of_the_predecessor_runs_with_its_image_changed_and_is_upgraded() {
    let site = Site::start("marathon", Vec::new());
    let mut app = App::read("predecessor");
    assert_eq!(app.env.keys().collect::<Vec<_>>(), ["JAVA_OPTS"]);
    let port = free_port();
    let options = app.env.get_mut("JAVA_OPTS").expect("is there");
    // Nobody answers at the first of two.
    *options = options
        .replace("zk1:2181", &format!("127.0.0.1:{}", free_port()))
        .replace("zk2:2181", &site.zookeeper.address())
        + &format!(" -Dmesos.logstash.web.port={port}");
    let mut running = site.task(1, app.environment("logstash.1"));
    let api = Api::on(port);
    until("the scheduler to answer", PATIENCE, || {
        running.assert_running();
        api.answers()
    });
    let framework_id = api.framework_id();
    assert_eq!(site.master.framework("logstash").expect("it is subscribed")["id"], framework_id.as_str());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let records = runtime.block_on(async {
        let client = Client::connect(&site.zookeeper.address()).await.expect("it serves");
        client.list_children("/logstash-mesos-v1/logstash/records").await.expect("the state is there")
    });
    assert!(records.contains(&"framework".to_owned()), "{records:?}");

    // Scripts and people use it as before, and are told what that means.
    let open = "Anybody who reaches the HTTP port can change configurations";
    assert!(
        running.printed().lines().any(|l| l.contains("WARN") && l.contains(open)),
        "{}",
        running.printed()
    );
    let page = api.request("GET", "/", None).expect("it answers").expect(200);
    assert!(page.body.contains("<html"), "{}", page.body);
    let out = site.place.join("out");
    let input = format!(
        "input {{ file {{ docker-path => \"/a.log\" }} }}\n\
         filter {{ grok {{ match => {{ message => \"%{{COMBINEDAPACHELOG}}\" }} }} }}\n\
         output {{ file {{ path => \"{}\" }} }}",
        out.display()
    );
    let body = json!({"name": BUSYBOX, "input": input});
    let stored = api.request("POST", "/api/configs", Some(&body)).expect("it answers").expect(200).json();
    assert_eq!(json!({"name": stored["name"], "input": stored["input"]}), body);
    let host = api.url() + "/api/host-config?input=filter%20%7B%20%7D";
    request_with("PUT", &host, &[], None).expect("it answers").expect(200);
    let listed = api.request("GET", "/api/configs", None).expect("it answers").expect(200).json();
    assert_eq!((&listed[0]["name"], &listed[0]["input"]), (&json!(BUSYBOX), &json!(input)));

    // What an agent ships has the fields of old.
    let _ = api.running_executors(1);
    let executor = site.executor();
    let writer = site.docker.run_script(&[], "exec sleep 100000");
    let line = |number: usize| writer.shell(&format!("{FUNCTIONS}\nline a {number} >> /a.log"));
    let events = |count: usize| -> Vec<Value> {
        until(&format!("{count} events"), PATIENCE, || {
            let text = fs::read_to_string(&out).unwrap_or_default();
            let events: Vec<_> =
                text.lines().map(serde_json::from_str).collect::<Result<_, _>>().unwrap_or_default();
            if events.len() == count { Ok(events) } else { Err(text) }
        })
    };
    line(0);
    let event = &events(1)[0];
    assert_eq!(
        (&event["clientip"], &event["verb"], &event["response"]),
        (&json!("10.1.2.3"), &json!("GET"), &json!("200"))
    );
    assert_eq!((&event["host"], &event["path"]), (&json!("127.0.0.1"), &json!("/a.log")));
    assert!(event.get("source").is_none() && event.get("http").is_none(), "{event}");

    // Marathon starts the next task beside this one, which then ends by SIGTERM, or has to be killed.
    for (number, signal) in [(2, "SIGTERM"), (3, "SIGKILL")] {
        let next = site.task(number, app.environment(&format!("logstash.{number}")));
        until("the next task to wait for the port", PATIENCE, || {
            let printed = next.printed();
            printed.contains("Port is in use, waiting until it is free").then_some(()).ok_or(printed)
        });
        api.leads().expect("the one before leads on");
        let began = Instant::now();
        if signal == "SIGTERM" {
            assert_eq!(running.terminate(GRACE).code(), Some(0));
        } else {
            running.kill();
        }
        until("the next task to lead", PATIENCE, || api.leads());
        println!("figure: Marathon's next task leads {:.1} s after {signal}", began.elapsed().as_secs_f64());
        running = next;
        assert_eq!(api.framework_id(), framework_id);
        line(number as usize);
        let _ = events(number as usize);
        until("the executor to have a session", PATIENCE, || {
            let status = api.status()?;
            let agents = &status["agents"];
            (agents[0]["executor"]["connected"] == true).then_some(()).ok_or_else(|| agents.to_string())
        });
        assert_eq!(site.executor(), executor, "another executor");
    }
}

#[test]
fn the_environment_of_the_last_generation_means_what_it_meant() {
    let [syslog, collectd, port] = [free_port(), free_port(), free_port()];
    let (first, last) = (syslog.min(collectd), syslog.max(collectd));
    let resources = format!("--resources=cpus:2;mem:1024;disk:2048;ports:[{first}-{last}]");
    let site = Site::start("generation", vec![resources]);
    let opensearch = OpenSearch::shared();
    let file = site.place.join("host.log");
    let mut app = App::read("predecessor");
    app.env = [
        ("MESOS_ZOOKEEPER_SERVER", site.zookeeper.address()),
        ("MESOS_MASTER", site.master.address()),
        ("MESOS_FRAMEWORK_NAME", "generation".into()),
        ("SERVER_PORT", port.to_string()),
        ("LOGSTASH_ELASTICSEARCH_HOST", opensearch.url().trim_start_matches("http://").into()),
        ("LOGSTASH_HEAP_SIZE", "64".into()),
        ("ENABLE_SYSLOG", "true".into()),
        ("LOGSTASH_SYSLOG_PORT", syslog.to_string()),
        ("ENABLE_COLLECTD", "true".into()),
        ("LOGSTASH_COLLECTD_PORT", collectd.to_string()),
        ("ENABLE_FILE", "true".into()),
        ("EXECUTOR_FILE_PATH", file.display().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let mut scheduler = site.task(1, app.environment("logstash.1"));
    let api = Api::on(port);
    until("the scheduler to answer", PATIENCE, || {
        scheduler.assert_running();
        api.answers()
    });
    let _ = api.framework_id();
    let framework = site.master.framework("generation").expect("it is subscribed");
    assert_eq!(framework["roles"], json!(["logstash"]), "{framework}");
    let _ = api.running_executors(1);

    // Nobody acknowledges a datagram, so it is sent until it arrives.
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let mark = format!("mark{}", std::process::id());
    let sent = |port: u16, packet: &[u8], query: &str| {
        until(&format!("{query} in OpenSearch"), PATIENCE, || {
            socket.send_to(packet, ("127.0.0.1", port)).map_err(|error| error.to_string())?;
            std::thread::sleep(Duration::from_millis(300));
            found(&opensearch, query)
        })
    };
    let line = format!("<13>Nov 28 23:10:00 web app: {mark}");
    let event = sent(syslog, line.as_bytes(), &format!("message:{mark}"));
    let agent = site.agent.id();
    let expected = json!(["web", "app", "user-level", agent]);
    assert_eq!(
        json!([event["logsource"], event["program"], event["facility_label"], event["mesos_agent_id"]]),
        expected
    );
    let event = sent(collectd, &gauge(&mark, 42.0), &format!("host:{mark}"));
    assert_eq!(
        json!([event["plugin"], event["collectd_type"], event["value"]]),
        json!(["load", "gauge", 42.0])
    );
    fs::write(&file, format!("host {mark}\n")).expect("it is writable");
    let event = until("the line of the host's file", PATIENCE, || {
        found(&opensearch, &format!("message:\"host {mark}\""))
    });
    assert_eq!((&event["mesos_agent_id"], &event["host"]), (&json!(agent), &json!("127.0.0.1")), "{event}");
}

/// The document that a query finds in the indices which Logstash's output has if nothing else is said.
fn found(opensearch: &OpenSearch, query: &str) -> Result<Value, String> {
    opensearch.request("POST", "logstash-*/_refresh", None)?;
    let query = json!({"query": {"query_string": {"query": query}}});
    let answer = opensearch.request("POST", "logstash-*/_search", Some(&query))?;
    let hit = answer.json()["hits"]["hits"][0]["_source"].clone();
    if hit.is_object() { Ok(hit) } else { Err(answer.body) }
}

/// A packet of collectd with one value (<https://collectd.org/wiki/index.php/Binary_protocol>).
fn gauge(host: &str, value: f64) -> Vec<u8> {
    let mut packet = Vec::new();
    let mut part = |kind: u16, content: &[u8]| {
        packet.extend(kind.to_be_bytes());
        packet.extend(u16::try_from(4 + content.len()).expect("it is short").to_be_bytes());
        packet.extend(content);
    };
    part(0, format!("{host}\0").as_bytes());
    part(1, &1_764_371_400_u64.to_be_bytes());
    part(2, b"load\0");
    part(4, b"gauge\0");
    // One value, a gauge, whose bytes alone begin with the lowest.
    part(6, &[&[0, 1, 1][..], &value.to_le_bytes()].concat());
    packet
}

#[test]
fn the_app_definitions_are_what_marathon_documents_and_say_what_they_should() {
    for name in ["predecessor", "one", "two"] {
        let app = App::read(name);
        assert_eq!(app.problems(), [""; 0], "{name}");
        let environment = app.environment("logstash.1");
        let foreign = environment.keys().filter(|name| name.starts_with("LOGSTASH_MESOS_"));
        let unknown: Vec<_> =
            foreign.filter(|name| !SETTINGS.iter().any(|setting| setting.variable() == **name)).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
        let variable = |name: &str| environment.get(name).cloned();
        let old = predecessor(&variable, &[]).expect("they are valid");
        let sources =
            Sources { flags: &BTreeMap::new(), variable: &variable, file: None, aliases: &old.aliases };
        let loaded = Loaded::load(SETTINGS, sources).expect("they are valid");
        let settings = Settings::check(&loaded, &programs()).expect("they are valid");
        assert_eq!(settings.framework_name, "logstash");
        let StateUrl::ZooKeeper(state) = &settings.state else { panic!("{name}: the state is lost") };
        assert_eq!(state.path(), "/logstash-mesos-v1/logstash");
        let port = app.port_definitions.map_or(9092, |ports| ports[0].port);
        assert_eq!(settings.http_bind.port(), port, "{name}");
    }
}

#[test]
fn an_app_definition_that_marathon_would_refuse_is_noticed() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/marathon/two.json"));
    let good: Value = serde_json::from_str(&text.expect("it is there")).expect("it is JSON");
    let with = |pointer: &str, value: Value| {
        let mut app = good.clone();
        *app.pointer_mut(pointer).expect("it is there") = value;
        serde_json::from_value::<App>(app).map(|app| app.problems())
    };
    for (pointer, value, problem) in [
        ("/healthChecks/0/portIndex", json!(1), "portIndex"),
        ("/readinessChecks/0/portName", json!("https"), "portName"),
        ("/constraints/0/1", json!("ALONE"), "operator"),
        ("/upgradeStrategy/minimumHealthCapacity", json!(1), "replaced"),
        ("/id", json!("/Logstash"), "id"),
        ("/container/docker", json!({"image": "x", "network": "HOST"}), "network"),
    ] {
        let problems = with(pointer, value).expect("it has the form");
        assert!(matches!(&problems[..], [only] if only.contains(problem)), "{pointer}: {problems:?}");
    }
    for (pointer, value) in [
        ("/healthChecks/0/protocol", json!("GRPC")),
        ("/networks/0/mode", json!("HOST")),
        ("/upgradeStrategy", json!({"minimumHealth": 1})),
        ("/instances", json!("2")),
    ] {
        assert!(with(pointer, value).is_err(), "{pointer}");
    }
}
