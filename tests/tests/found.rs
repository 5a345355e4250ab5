//! What is found by its name: the search engine by SRV records, and what executors listen at.

use std::fs;

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::dns::NameServer;
use logstash_mesos_tests::docker::{BUSYBOX, Docker};
use logstash_mesos_tests::executor::{executor, ship_recipe};
use logstash_mesos_tests::http::request;
use logstash_mesos_tests::mesos::{Agent, AgentOptions, Master};
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::{Place, free_port, programs};
use logstash_mesos_tests::process::send;
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions};
use logstash_mesos_tests::wait::{PATIENCE, until};
use rustix::process::Signal;
use serde_json::Value;

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

#[test]
fn a_port_that_mesos_chooses_is_listened_on_and_published() {
    let place = Place::new("chosen");
    let master = Master::start(&place.directory("mesos"));
    let mut ports = [free_port(), free_port(), free_port()];
    ports.sort();
    let [fixed, first, second] = ports;
    let offered = ports.map(|port| format!("{port}-{port}")).join(",");
    let options = AgentOptions {
        host: "127.0.0.1".into(),
        docker_host: format!("unix://{}", place.join("none.sock").display()),
        data_dir: place.directory("positions"),
        flags: vec![format!("--resources=cpus:2;mem:1024;disk:2048;ports:[{offered}]")],
    };
    let agent = Agent::start(&place.directory("agent"), &master, options);
    let configs = place.directory("configs");
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    let write = |name: &str, input: &str| {
        let text = format!("input {{ {input} }} output {{ null {{ }} }}");
        fs::write(configs.join(format!("host/{name}.conf")), text).expect("it is writable");
    };
    write("log", "syslog { port => \"${MESOS_PORT_LOG}\" }");
    write("web", &format!("http {{ port => \"${{MESOS_PORT_WEB:1}}\" }} tcp {{ port => {fixed} }}"));
    let options = SchedulerOptions {
        master: master.address(),
        framework: "logstash".into(),
        state: "memory".into(),
        config_dir: Some(configs.clone()),
        elasticsearch: None,
        flags: Vec::new(),
    };
    let scheduler = Scheduler::start(&place.directory("scheduler"), options);
    let process = || {
        let _ = scheduler.running_executors(1);
        until("one executor", PATIENCE, || match agent.executor_processes()[..] {
            [id] => Ok(id),
            ref other => Err(format!("{other:?}")),
        })
    };
    let published = || -> Result<Vec<(String, u64)>, String> {
        let framework = master.framework("logstash")?;
        let ports = framework["tasks"][0]["discovery"]["ports"]["ports"].as_array();
        let ports = ports.ok_or_else(|| framework.to_string())?.iter();
        let name = |port: &Value| format!("{}/{}", text(&port["name"]), text(&port["protocol"]));
        let mut ports: Vec<_> =
            ports.map(|port| (name(port), port["number"].as_u64().unwrap_or_default())).collect();
        ports.sort();
        Ok(ports)
    };
    let expected = [("http/tcp", second), ("syslog/tcp", first), ("syslog/udp", first), ("tcp/tcp", fixed)];
    let expected = expected.map(|(name, port)| (name.to_owned(), u64::from(port)));
    let answers = || {
        until("the input http", PATIENCE, || {
            let url = format!("http://127.0.0.1:{second}");
            let answer = request("POST", &url, Some(&serde_json::json!({"message": "x"})))?;
            if answer.status == 200 { Ok(()) } else { Err(answer.body) }
        });
    };
    let before = process();
    assert_eq!(published(), Ok(expected.to_vec()));
    answers();

    // With all ports in use the one that comes next has them again.
    send(before, Signal::KILL);
    until("another executor", PATIENCE, || match agent.executor_processes()[..] {
        [id] if id != before => Ok(()),
        ref other => Err(format!("{other:?}")),
    });
    let after = process();
    assert_eq!(published(), Ok(expected.to_vec()));
    answers();

    // For one more there is none: what runs goes on, and why is told.
    write("more", "udp { port => \"${MESOS_PORT_MORE}\" }");
    until("word of it", PATIENCE, || {
        let said = scheduler.ask(&["explain", "127.0.0.1"]).stdout;
        let told = [
            "3 ports that Mesos is to choose, and 2 are free",
            "the variable `MESOS_PORT_MORE` has no value",
        ];
        if told.iter().all(|words| said.contains(words)) { Ok(()) } else { Err(said) }
    });
    assert_eq!(process(), after);
    answers();
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Looks for an event in the indices which Logstash's output has if nothing else is said.
fn found(opensearch: &OpenSearch, mark: &str) -> Result<(), String> {
    let answer = opensearch.request("GET", &format!("*/_search?q=message:{mark}"), None)?;
    if answer.json()["hits"]["total"]["value"] == 1 { Ok(()) } else { Err(answer.body) }
}
