//! The executor from an image with nothing else in it, which ships what ordinary containers of its agent write.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use logstash_mesos_tests::docker::{BUSYBOX, Client, Container, Docker};
use logstash_mesos_tests::lines::{FUNCTIONS, Tally, arrived, filter};
use logstash_mesos_tests::mesos::{Agent, AgentOptions, Master, image_flags, save_image};
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::{Place, free_port, programs};
use logstash_mesos_tests::process::runs;
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions};
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::json;

const LOG: &str = "/var/log/access.log";
/// Lines that have arrived before anything ends, and all of them.
const BEFORE: u64 = 800;
const COUNT: u64 = 6_000;
const ENDED: u64 = 200;
const IMAGE: &str = "logstash-mesos-executor";
const ENTRY_POINT: &str = "/logstash-mesos-executor";

#[test]
fn an_image_in_the_mesos_containerizer_ships_and_survives_its_agent() {
    let place = Place::new("image-m");
    let docker = Docker::start(&place.directory("docker"));
    let registry = place.directory("registry");
    save_image(&registry, IMAGE, &image_root(&place), ENTRY_POINT);
    let directory = place.directory("agent");
    let flags = image_flags(&directory, &registry);
    let mut shipping = Shipping::start(&place, &docker, "mesos", flags);

    let executor = shipping.executor();
    shipping.kill_agent_under_load();
    shipping.assert_nothing_lost("image, Mesos containerizer, agent killed");
    shipping.write_to_a_socket();
    assert!(runs(executor), "the executor ended with its agent");
    assert_eq!(shipping.executor(), executor);
}

#[test]
fn an_image_in_the_docker_containerizer_ships_and_goes_on_where_it_was() {
    let place = Place::new("image-d");
    let docker = Docker::start_in_host_network(&place.directory("docker"));
    docker.build("logstash-mesos-executor/Dockerfile", &image_root(&place), IMAGE);
    let socket = docker.host().trim_start_matches("unix://");
    let flags = vec!["--containerizers=mesos,docker".into(), format!("--docker_socket={socket}")];
    let mut shipping = Shipping::start(&place, &docker, "docker", flags);

    // Mesos ends an executor of the v1 API in Docker when its agent comes back.
    let before = shipping.executor();
    shipping.kill_agent_under_load();
    let after = until("another executor", PATIENCE * 2, || match shipping.agent.executor_processes()[..] {
        [id] if id != before => Ok(id),
        ref other => Err(format!("the processes are {other:?}")),
    });
    shipping.assert_nothing_lost("image, Docker containerizer, agent killed");
    shipping.write_to_a_socket();
    assert!(runs(after) && !runs(before));
    // What had arrived was not read again.
    let read = until("the status of the other executor", PATIENCE, || {
        let executor = shipping.scheduler.running_executors(1).remove(0)["executor"].clone();
        executor["events_in"].as_u64().filter(|events| *events > 0).ok_or_else(|| executor.to_string())
    });
    assert!(read <= 2 * (COUNT - BEFORE), "{read} events were read by the second of two executors");
}

#[test]
fn the_scheduler_s_image_says_that_it_is_healthy_and_ends_well() {
    let place = Place::new("image-s");
    let docker = Docker::start_in_host_network(&place.directory("docker"));
    let root = image_root(&place);
    docker.build("logstash-mesos-scheduler/Dockerfile", &root, "logstash-mesos-scheduler");
    let programs = ["logstash-mesos-executor", "logstash-mesos-scheduler"].map(|name| root.join(name));
    assert_holds_only(&docker, "logstash-mesos-scheduler", &programs, "65534:65534");
    let bind = format!("127.0.0.1:{}", free_port());
    let url = format!("LOGSTASH_MESOS_SCHEDULER=http://{bind}");
    let run =
        ["run", "-d", "--network", "host", "--health-interval", "1s", "-e", &url, "logstash-mesos-scheduler"];
    // Nobody is there, and it goes on asking.
    let arguments = ["--mesos-master", "127.0.0.1:1", "--state", "memory", "--http-bind", &bind];
    let scheduler = docker.command(&[&run[..], &arguments[..]].concat());
    wait_until_healthy(&docker, &scheduler);
    docker.command(&["stop", &scheduler]);
    let code = docker.command(&["inspect", "--format", "{{.State.ExitCode}}", &scheduler]);
    assert_eq!(code, "0");
}

#[test]
fn the_executor_s_image_ships_alone_and_says_that_it_is_healthy() {
    let place = Place::new("image-e");
    let docker = Docker::start_in_host_network(&place.directory("docker"));
    let root = image_root(&place);
    docker.build("logstash-mesos-executor/Dockerfile", &root, IMAGE);
    assert_holds_only(&docker, IMAGE, &[root.join("logstash-mesos-executor")], "");
    let (data, configs) = (place.directory("data"), place.directory("configs"));
    fs::create_dir_all(configs.join("docker")).expect("it is writable");
    let text = "input { docker { } }\noutput { file { path => \"/var/lib/logstash-mesos/out\" } }";
    fs::write(configs.join("docker/*.conf"), text).expect("it is writable");

    // As the comment in the file has it, for another place and another daemon, and impatiently.
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../logstash-mesos-executor/Dockerfile");
    let said = fs::read_to_string(file).expect("it is there").replace("\\\n#", "");
    let said = said.lines().find_map(|line| line.strip_prefix("#   docker run ")).expect("it says how");
    let said = said.replacen("-v /var/lib/logstash-mesos:", &format!("-v {}:", data.display()), 1);
    let said = said.replacen("-v /etc/logstash-mesos:", &format!("-v {}:", configs.display()), 1);
    let daemon = format!("DOCKER_HOST={}", docker.host());
    let run = ["run", "-d", "--health-interval", "1s", "-e", &daemon];
    let shipper = docker.command(&[&run[..], &said.split_whitespace().collect::<Vec<_>>()].concat());
    wait_until_healthy(&docker, &shipper);
    let _writer = docker.run_script(&[], "echo from afar; exec sleep 100000");
    until("the line", PATIENCE, || {
        let text = fs::read_to_string(data.join("out")).unwrap_or_default();
        if text.contains("from afar") { Ok(()) } else { Err(text) }
    });
    let elsewhere = "LOGSTASH_MESOS_METRICS_BIND=unix:/nobody.sock";
    let asked = docker.try_command(&["exec", "-e", elsewhere, &shipper, ENTRY_POINT, "health"]);
    assert!(asked.expect_err("nobody is there").contains("no shipper answers at unix:/nobody.sock"));
    // Its socket is still there after the end, and is no hindrance.
    docker.command(&["kill", &shipper]);
    docker.command(&["start", &shipper]);
    wait_until_healthy(&docker, &shipper);
    docker.command(&["stop", &shipper]);
    let code = docker.command(&["inspect", "--format", "{{.State.ExitCode}}", &shipper]);
    assert_eq!(code, "0");
}

#[track_caller]
fn wait_until_healthy(docker: &Client, container: &str) {
    until("a healthy container", PATIENCE, || {
        let state = docker.command(&["inspect", "--format", "{{json .State}}", container]);
        if state.contains("\"Status\":\"healthy\"") { Ok(()) } else { Err(state) }
    });
}

/// An image is as large as its programs, and says what it is.
#[track_caller]
fn assert_holds_only(docker: &Client, image: &str, programs: &[PathBuf], user: &str) {
    let about = |what: &str| docker.command(&["image", "inspect", "--format", what, image]);
    let sizes = programs.iter().map(|program| fs::metadata(program).expect("it is there").len());
    assert_eq!(about("{{.Size}}"), sizes.sum::<u64>().to_string());
    assert_eq!(about("{{.Config.User}}"), user);
    for label in ["title", "description", "licenses"] {
        let said = about(&format!("{{{{index .Config.Labels \"org.opencontainers.image.{label}\"}}}}"));
        assert!(!said.is_empty(), "{image} has no {label}");
    }
}

/// The root directory of an image: the programs, and nothing else.
fn image_root(place: &Place) -> PathBuf {
    let root = place.directory("root");
    for name in ["logstash-mesos-executor", "logstash-mesos-scheduler"] {
        let program = root.join(name);
        fs::copy(programs().join(name), &program).expect("it is writable");
        // Its symbols would be most of the image.
        let stripped = Command::new("strip").arg(&program).status().expect("binutils are installed");
        assert!(stripped.success());
    }
    root
}

/// One agent, whose executor comes from an image, and a container that writes into a file and to its output.
struct Shipping {
    writer: Container,
    _ended: Container,
    scheduler: Scheduler,
    agent: Agent,
    _master: Master,
    opensearch: std::sync::Arc<OpenSearch>,
    index: String,
}

impl Shipping {
    /// Starts all of it, and waits until lines arrive.
    fn start(place: &Place, docker: &Client, containerizer: &str, flags: Vec<String>) -> Self {
        let opensearch = OpenSearch::shared();
        let master = Master::start(&place.directory("mesos"));
        let positions = place.join("positions");
        let options = AgentOptions {
            host: "127.0.0.1".into(),
            docker_host: docker.host().to_owned(),
            data_dir: positions.clone(),
            flags,
        };
        let agent = Agent::start(&place.directory("agent"), &master, options);
        let options = SchedulerOptions {
            master: master.address(),
            framework: format!("logstash-image-{containerizer}"),
            state: format!("file:{}", place.join("state").display()),
            config_dir: None,
            elasticsearch: None,
            flags: [
                "--executor-image",
                IMAGE,
                "--executor-containerizer",
                containerizer,
                "--executor-mem-megabytes",
                "128",
                "--executor-env",
                &format!("LOGSTASH_MESOS_DATA_DIR={}", positions.display()),
            ]
            .map(str::to_owned)
            .to_vec(),
        };
        // One that has ended before anybody looks: its files are on the agent's disk alone.
        let script = format!("{FUNCTIONS}\nwrite ended 0 {ENDED} {LOG}");
        let ended = docker.run(BUSYBOX, &[], &["sh", "-c", &script]);
        ended.wait_for_exit(PATIENCE);
        let scheduler = Scheduler::start(&place.directory("scheduler"), options);
        let index = format!("test-image-{containerizer}-{}", std::process::id());
        let input = format!(
            "input {{ file {{ docker-path => \"{LOG}\" }} docker {{ stdout => true }} }}\n{}\n\
             output {{ elasticsearch {{ hosts => [\"{}\"] index => \"{index}\" }} }}",
            filter(),
            opensearch.url()
        );
        scheduler.put(BUSYBOX, &input).expect(200);
        let _ = scheduler.running_executors(1);
        let script = format!(
            "trap 'exit 0' TERM\n{FUNCTIONS}\n\
             both() {{ write out $1 $2 /dev/stdout & write file $1 $2 {LOG}; wait; }}\n\
             both 0 {BEFORE}; while [ ! -e /go ]; do usleep 50000; done; both {BEFORE} {COUNT}\n\
             while :; do sleep 3600 & wait $!; done"
        );
        let writer = docker.run(BUSYBOX, &[], &["sh", "-c", &script]);
        let shipping = Self { writer, _ended: ended, scheduler, agent, _master: master, opensearch, index };
        for (name, count) in [("file", BEFORE), ("out", BEFORE), ("ended", ENDED)] {
            let _ = arrived(&shipping.opensearch, &shipping.index, name, 0..count, |_, _| Ok(()));
        }
        // As from outside of a container, and not through commands in the containers.
        for method in ["proc-root", "json-file"] {
            until(&format!("a stream by way of {method}"), PATIENCE, || {
                let streams = shipping.scheduler.streams(|_| true)?;
                let found = streams.iter().any(|stream| stream.to_string().contains(method));
                if found { Ok(()) } else { Err(format!("{streams:?}")) }
            });
        }
        shipping
    }

    /// Positions are written a second after they move.
    fn kill_agent_under_load(&mut self) {
        std::thread::sleep(Duration::from_secs(2));
        self.writer.shell("touch /go");
        self.agent.kill();
        std::thread::sleep(Duration::from_secs(1));
        self.agent.restart();
    }

    fn executor(&self) -> u32 {
        match self.agent.executor_processes()[..] {
            [id] => id,
            ref other => panic!("not one executor: {other:?}"),
        }
    }

    /// Applications of the agent find a socket at the path of the configuration, though the executor has another root directory.
    fn write_to_a_socket(&self) {
        let index = format!("{}-socket", self.index);
        let socket = format!("/run/logstash-mesos/{index}.sock");
        let text = format!(
            "input {{ unix {{ path => \"{socket}\" }} }}\noutput {{ elasticsearch {{ hosts => [\"{}\"] index => \"{index}\" }} }}",
            self.opensearch.url()
        );
        let answer =
            self.scheduler.request("PUT", "/api/host-config?name=socket", Some(&json!({"input": text})));
        answer.expect("it answers").expect(200);
        until("a socket", PATIENCE, || {
            let written = UnixStream::connect(&socket).and_then(|mut stream| stream.write_all(b"hello\n"));
            written.map_err(|error| error.to_string())
        });
        until("the line", PATIENCE, || match self.opensearch.count(&index) {
            Ok(1) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        fs::remove_file(socket).expect("it is there");
    }

    fn assert_nothing_lost(&self, what: &str) {
        for name in ["file", "out"] {
            let _ = arrived(&self.opensearch, &self.index, name, 0..COUNT, |_, _| Ok(()));
            let documents = self.opensearch.documents(&self.index).expect("it answers");
            Tally::of(&documents, name, 0..COUNT, |_, _| Ok(())).assert_exact(&format!("{what}, {name}"));
        }
    }
}
