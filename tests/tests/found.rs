//! What is found by its name: the search engine by SRV records, and what executors listen at.

use std::fs;

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::dns::NameServer;
use logstash_mesos_tests::docker::{BUSYBOX, Docker};
use logstash_mesos_tests::executor::{executor, ship_recipe};
use logstash_mesos_tests::http::request;
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::{Place, free_port, programs};
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions};
use logstash_mesos_tests::wait::{PATIENCE, until};

const SERVICE: &str = "_http._search._tcp.marathon.mesos";
const ENDPOINT: &str = "srv+http://_http._search._tcp.marathon.mesos";
const LOG: &str = "/var/log/access.log";

fn port_of(opensearch: &OpenSearch) -> u16 {
    opensearch
        .url()
        .rsplit_once(':')
        .and_then(|(_, port)| port.trim_matches('/').parse().ok())
        .expect("it has a port")
}

#[test]
fn a_pipeline_finds_a_search_engine_that_has_moved() {
    let place = Place::new("srv-pipeline");
    let opensearch = OpenSearch::shared();
    let names = NameServer::start(place.path());
    let index = format!("test-srv-pipeline-{}", std::process::id());
    let log = place.join("in.log");
    let config = place.join("srv.conf");
    let text = format!(
        "input {{ file {{ path => \"{}\" start_position => beginning }} }}\n\
         output {{ elasticsearch {{ hosts => [\"{ENDPOINT}\"] index => \"{index}\" retry_initial_interval => 1 }} }}",
        log.display()
    );
    fs::write(&config, text).expect("it is writable");
    fs::write(&log, "one\n").expect("it is writable");
    // It is to be where nobody answers.
    names.set(SERVICE, free_port());
    let running = executor(place.path(), "pipeline")
        .args(["pipeline", "run", "-f"])
        .arg(&config)
        .arg("--path.data")
        .arg(place.directory("data"))
        .within(&names.within())
        .start();
    until("a node that does not answer", PATIENCE, || {
        let printed = running.printed();
        printed.contains("a.node.test").then_some(()).ok_or(printed)
    });
    names.set(SERVICE, port_of(&opensearch));
    until("the line", PATIENCE, || match opensearch.count(&index) {
        Ok(1) => Ok(()),
        other => Err(format!("{other:?} {}", running.printed())),
    });
}

#[test]
fn ship_finds_the_search_engine() {
    let place = Place::new("srv-ship");
    let opensearch = OpenSearch::shared();
    let docker = Docker::start(&place.directory("d"));
    let names = NameServer::start(place.path());
    names.set(SERVICE, port_of(&opensearch));
    let configs = place.directory("configs");
    fs::create_dir_all(configs.join("docker")).expect("it is writable");
    // Without an output; the index is one of the day.
    let mark = format!("srv{}", std::process::id());
    fs::write(configs.join("docker/*.conf"), "input { docker { } }").expect("it is writable");
    let _shipper = ship_recipe(place.path(), docker.host(), &configs, &place.directory("data"))
        .args(["--elasticsearch-endpoint", ENDPOINT])
        .within(&names.within())
        .start();
    let _writer = docker.run_script(&[], &format!("echo {mark}; exec sleep 100000"));
    until("the line", PATIENCE, || found(&opensearch, &mark));
}

#[test]
fn an_agent_s_executor_finds_the_search_engine() {
    let cluster = Cluster::with_agents("srv-agent", 1);
    let names = NameServer::start(cluster.place.path());
    names.set(SERVICE, port_of(&cluster.opensearch));
    let script = names.script(&programs().join("logstash-mesos-executor"));
    let options = SchedulerOptions {
        master: cluster.master.address(),
        framework: "srv".into(),
        state: "memory".into(),
        config_dir: None,
        elasticsearch: Some(ENDPOINT.into()),
        flags: vec!["--executor-command".into(), script.display().to_string()],
    };
    let scheduler = Scheduler::start(&cluster.place.directory("srv"), options);
    let mark = format!("srvagent{}", std::process::id());
    scheduler.put(BUSYBOX, &format!("input {{ file {{ docker-path => \"{LOG}\" }} }}")).expect(200);
    let _ = scheduler.running_executors(1);
    let _writer = cluster.dockers[0]
        .run_script(&[], &format!("mkdir -p /var/log; echo {mark} > {LOG}; exec sleep 100000"));
    until("the line", PATIENCE, || found(&cluster.opensearch, &mark));
}

#[test]
fn what_listens_is_found_as_mesos_dns_and_marathon_lb_look_for_it() {
    let cluster = Cluster::with_agents("listens", 1);
    let [beats, syslog, http] = [free_port(), free_port(), free_port()];
    let configs = cluster.place.directory("configs");
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    let text = format!(
        "input {{ beats {{ port => {beats} }} syslog {{ port => {syslog} }} http {{ port => {http} }} }}\noutput {{ null {{ }} }}"
    );
    fs::write(configs.join("host/listen.conf"), text).expect("it is writable");
    let options =
        SchedulerOptions { framework: "logstash".into(), config_dir: Some(configs), ..cluster.options() };
    let scheduler = Scheduler::start(&cluster.place.directory("scheduler"), options);
    let _ = scheduler.running_executors(1);
    let task = &cluster.master.framework("logstash").expect("it is subscribed")["tasks"][0];
    let discovery = &task["discovery"];
    assert_eq!(discovery["visibility"], "CLUSTER", "{task}");
    let ports = discovery["ports"]["ports"].as_array().expect("ports are published");
    // The names that Mesos-DNS makes of it (records/generator.go): `_PORT._TASK._PROTOCOL.FRAMEWORK.mesos`, in which letters,
    // digits and dashes stay.
    let label = |value: &serde_json::Value| value.as_str().unwrap_or_default().replace(['.', '_'], "-");
    let task = label(&discovery["name"]);
    let mut names: Vec<_> = ports
        .iter()
        .map(|port| {
            let name =
                format!("_{}._{task}._{}.logstash.mesos", label(&port["name"]), label(&port["protocol"]));
            (name, port["number"].as_u64().expect("a number"))
        })
        .collect();
    names.sort();
    let expected = [
        ("_beats._logstash-task._tcp.logstash.mesos", beats),
        ("_http._logstash-task._tcp.logstash.mesos", http),
        ("_syslog._logstash-task._tcp.logstash.mesos", syslog),
        ("_syslog._logstash-task._udp.logstash.mesos", syslog),
    ];
    assert_eq!(names, expected.map(|(name, port)| (name.to_owned(), u64::from(port))));
    // And somebody is there.
    until("the input http", PATIENCE, || {
        let answer =
            request("POST", &format!("http://127.0.0.1:{http}"), Some(&serde_json::json!({"message": "x"})))?;
        if answer.status == 200 { Ok(()) } else { Err(answer.body) }
    });
}

/// Looks for an event in the indices which Logstash's output has if nothing else is said.
fn found(opensearch: &OpenSearch, mark: &str) -> Result<(), String> {
    let answer = opensearch.request("GET", &format!("*/_search?q=message:{mark}"), None)?;
    if answer.json()["hits"]["total"]["value"] == 1 { Ok(()) } else { Err(answer.body) }
}
