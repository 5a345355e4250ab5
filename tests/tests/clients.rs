//! Applications write to a shipper with what the registries of their languages have for Logstash: over ports that Mesos publishes,
//! and at the places that are the same on every machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::executor::{executor, ship_recipe};
use logstash_mesos_tests::guide::{blocks, examples};
use logstash_mesos_tests::place::{Place, free_port, installed};
use logstash_mesos_tests::process::Recipe;
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions};
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::Value;

/// The page that tells how it is done.
const GUIDE: &str = "network.md";
/// Where its configuration listens.
const SOCKET: &str = "/run/logstash-mesos/log.sock";
const TCP: &str = "31510";
const SYSLOG: &str = "31514";

/// The configuration of the guide, with places of a test's own.
struct Places {
    socket: PathBuf,
    tcp: u16,
    syslog: u16,
    out: PathBuf,
}

impl Places {
    fn new(place: &Path) -> Self {
        let socket = place.join("run/log.sock");
        Self { socket, tcp: free_port(), syslog: free_port(), out: place.join("out") }
    }

    fn output(&self) -> String {
        format!("output {{ file {{ path => \"{}\" codec => json_lines }} }}\n", self.out.display())
    }

    fn configuration(&self) -> String {
        let text = examples(GUIDE, "conf").remove(0);
        assert!([SOCKET, TCP, SYSLOG].iter().all(|place| text.contains(place)), "{text}");
        let text = text.replace(SOCKET, &self.socket.display().to_string());
        text.replace(TCP, &self.tcp.to_string()).replace(SYSLOG, &self.syslog.to_string()) + &self.output()
    }

    /// Every event that has arrived.
    fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.out).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for `count` events for which `pointer` is `value`, and for no more.
    #[track_caller]
    fn wait(&self, pointer: &str, value: &str, count: usize) -> Vec<Value> {
        until(&format!("{count} events with {value} at {pointer}"), PATIENCE, || {
            let all = self.events();
            let found: Vec<_> = all
                .iter()
                .filter(|event| event.pointer(pointer).is_some_and(|v| v == value))
                .cloned()
                .collect();
            if found.len() == count { Ok(found) } else { Err(format!("{all:#?}")) }
        })
    }

    /// An application in Python writes to the socket.
    fn python(&self, place: &Path) {
        python(place, 0, "LOGSTASH_SOCKET", &self.socket.display().to_string());
    }

    /// `logger` writes over TCP, and over UDP.
    fn syslog(&self, place: &Path) {
        logger(place, self.syslog);
    }

    #[track_caller]
    fn wait_for_all(&self, rounds: usize) {
        for event in self.wait("/log/logger", "cart", rounds) {
            is_from_python(&event);
            assert_eq!(event["file"]["path"], self.socket.display().to_string().as_str(), "{event}");
        }
        is_from_logger(&self.wait("/process/name", "cart", 2 * rounds));
    }
}

fn finished(recipe: &Recipe) {
    let done = recipe.run(b"", PATIENCE);
    assert!(done.status.success(), "{}{}", done.stdout, done.stderr);
}

fn java(place: &Path, address: &str) {
    let configuration = place.join("logback.xml");
    fs::write(&configuration, examples(GUIDE, "xml").remove(0)).expect("it is writable");
    let jars = installed("clients/java").join("*");
    finished(
        &Recipe::new("java", place, "java")
            .arg("-cp")
            .arg(jars)
            .arg(format!("-Dlogback.configurationFile={}", configuration.display()))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/Client.java"))
            .env("LOGSTASH_ADDRESS", address),
    );
}

/// With the `example`th of the guide's ways, whose environment says where.
fn python(place: &Path, example: usize, variable: &str, value: &str) {
    let program = place.join("client.py");
    let application =
        "logging.getLogger('cart').warning('sold out', extra={'article': 7})\nlogging.shutdown()\n";
    fs::write(&program, examples(GUIDE, "python").remove(example) + application).expect("it is writable");
    finished(
        &Recipe::new("python3", place, "python")
            .arg(&program)
            .env("PYTHONPATH", installed("clients/python"))
            .env(variable, value),
    );
}

fn logger(place: &Path, port: u16) {
    let port = format!("port {port}");
    for block in blocks(GUIDE, &[(&format!("port {SYSLOG}"), &port)]) {
        block.follow(&block.recipe(place));
    }
}

fn is_from_java(events: &[Value]) {
    let [sold, broke] = events else { panic!("two events: {events:#?}") };
    assert_eq!(sold["message"], "sold 2 chairs");
    assert_eq!(sold["level"], "INFO");
    assert_eq!(sold["order"], "4711");
    assert_eq!(sold["thread_name"], "main");
    assert_eq!(broke["level"], "ERROR");
    let trace = broke["stack_trace"].as_str().expect("it has one");
    assert!(trace.contains("IllegalStateException: no chair is left\n\tat Client.main"), "{trace}");
    assert!(events.iter().all(|event| event.get("tags").is_none()), "{events:#?}");
}

#[track_caller]
fn is_from_python(event: &Value) {
    assert_eq!(event["message"], "sold out", "{event}");
    assert_eq!(event["log"]["level"], "WARNING", "{event}");
    assert_eq!(event["extra"]["article"], 7, "{event}");
    assert!(event["host"]["hostname"].is_string() && event["process"]["pid"].is_u64(), "{event}");
}

#[track_caller]
fn is_from_logger(events: &[Value]) {
    for event in events {
        assert_eq!(event["message"].as_str().map(str::trim_end), Some("it is full"), "{event}");
        assert_eq!(event["log"]["syslog"]["priority"], 13, "{event}");
        assert_eq!(event["log"]["syslog"]["severity"]["name"], "Notice", "{event}");
        assert!(event.get("tags").is_none(), "{event}");
    }
}

/// Whether all of them listen: the last connection that may be made.
fn listening(places: &Places) {
    until("the inputs to listen", PATIENCE, || {
        let connected = std::os::unix::net::UnixStream::connect(&places.socket).map(drop);
        let connected =
            connected.and_then(|()| std::net::TcpStream::connect(("127.0.0.1", places.tcp)).map(drop));
        let connected =
            connected.and_then(|()| std::net::TcpStream::connect(("127.0.0.1", places.syslog)).map(drop));
        connected.map_err(|error| error.to_string())
    });
}

#[test]
fn clients_find_an_agent_s_shipper_by_what_mesos_publishes_and_at_its_fixed_places() {
    let cluster = Cluster::with_agents("clients", 1);
    let place = cluster.place.path();
    let (local, remote) = (Places::new(place), Places { out: place.join("remote"), ..Places::new(place) });
    let beats = free_port();
    let configs = cluster.place.directory("configs");
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    let text = format!(
        "input {{ tcp {{ port => {} codec => json_lines }} beats {{ port => {beats} }} syslog {{ port => {} }} }}\n{}",
        remote.tcp,
        remote.syslog,
        remote.output()
    );
    fs::write(configs.join("host/remote.conf"), text).expect("it is writable");
    fs::write(configs.join("host/local.conf"), local.configuration()).expect("it is writable");
    let options =
        SchedulerOptions { framework: "logstash".into(), config_dir: Some(configs), ..cluster.options() };
    let scheduler = Scheduler::start(&cluster.place.directory("scheduler"), options);
    let _ = scheduler.running_executors(1);
    listening(&local);

    // What Mesos-DNS makes its SRV records of. What nobody else comes to is not there.
    let framework = cluster.master.framework("logstash").expect("it is subscribed");
    let published =
        framework["tasks"][0]["discovery"]["ports"]["ports"].as_array().expect("ports are published");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let published: BTreeMap<_, _> = published
        .iter()
        .map(|port| {
            ((text(&port["name"]), text(&port["protocol"])), port["number"].as_u64().unwrap_or_default())
        })
        .collect();
    assert_eq!(published.len(), 4, "{published:?}");
    let address = |name: &str, protocol: &str| {
        format!("127.0.0.1:{}", published[&(name.to_owned(), protocol.to_owned())])
    };

    java(place, &address("tcp", "tcp"));
    is_from_java(&remote.wait("/logger_name", "cart", 2));
    python(place, 1, "LOGSTASH_BEATS", &address("beats", "tcp"));
    is_from_python(&remote.wait("/log/logger", "cart", 1)[0]);
    assert_eq!(address("syslog", "tcp"), address("syslog", "udp"));
    logger(place, remote.syslog);
    is_from_logger(&remote.wait("/process/name", "cart", 2));

    java(place, &format!("127.0.0.1:{}", local.tcp));
    is_from_java(&local.wait("/logger_name", "cart", 2));
    local.python(place);
    local.syslog(place);
    local.wait_for_all(1);
}

#[test]
fn clients_find_ship_at_its_fixed_places_again_after_a_kill() {
    let place = Place::new("clients-ship");
    let places = Places::new(place.path());
    let configs = place.directory("configs");
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    fs::write(configs.join("host/local.conf"), places.configuration()).expect("it is writable");
    let none = format!("unix://{}", place.join("none.sock").display());
    stays_the_same(
        &places,
        place.path(),
        &ship_recipe(place.path(), &none, &configs, &place.directory("data")),
    );
}

#[test]
fn clients_find_pipeline_run_at_its_fixed_places_again_after_a_kill() {
    let place = Place::new("clients-run");
    let places = Places::new(place.path());
    let file = place.join("local.conf");
    fs::write(&file, places.configuration()).expect("it is writable");
    stays_the_same(
        &places,
        place.path(),
        &executor(place.path(), "run").args(["pipeline", "run", "-f"]).arg(file),
    );
}

fn stays_the_same(places: &Places, place: &Path, shipper: &Recipe) {
    let mut first = shipper.start();
    listening(places);
    places.python(place);
    places.syslog(place);
    places.wait_for_all(1);
    first.kill();
    assert!(places.socket.exists(), "what is killed leaves it");
    let mut second = shipper.start();
    listening(places);
    places.python(place);
    places.syslog(place);
    places.wait_for_all(2);
    assert_eq!(second.terminate(PATIENCE).code(), Some(0), "{}", second.printed());
    assert!(!places.socket.exists(), "what ends in order takes it away");
}
