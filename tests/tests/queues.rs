//! Outputs that are away for a while: the others go on, and what waits outlives a kill.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::executor::{executor, ship_recipe};
use logstash_mesos_tests::http::{get_json, request, request_with};
use logstash_mesos_tests::place::{Place, files_below, free_port};
use logstash_mesos_tests::process::{Process, Recipe, send};
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions, local_scheduler};
use logstash_mesos_tests::wait::{PATIENCE, until};
use rustix::process::Signal;
use serde_json::json;

/// Many times what waits in memory for the output `tcp`.
const LINES: usize = 40_000;

/// Takes lines over TCP, from whoever connects.
struct Receiver(Arc<Mutex<BTreeSet<String>>>);

impl Receiver {
    fn open(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let lines = Arc::<Mutex<BTreeSet<String>>>::default();
        let taken = Arc::clone(&lines);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let taken = Arc::clone(&taken);
                std::thread::spawn(move || {
                    for line in BufReader::new(connection).lines().map_while(Result::ok) {
                        taken.lock().expect("no panic").insert(line);
                    }
                });
            }
        });
        Self(lines)
    }

    fn expect(&self, what: &str, expected: &[String], printed: &dyn Fn() -> String) {
        until(what, PATIENCE, || {
            missing(expected, &self.0.lock().expect("no panic"))
                .map_err(|missing| format!("{missing}\n{}", printed()))
        });
    }
}

fn missing(expected: &[String], seen: &BTreeSet<String>) -> Result<(), String> {
    let missing: Vec<_> = expected.iter().filter(|line| !seen.contains(*line)).collect();
    match missing[..] {
        [] => Ok(()),
        [first, ..] => Err(format!("{} are missing, such as `{first}`", missing.len())),
    }
}

fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name} {number} {}", "x".repeat(80))).collect()
}

fn append(path: &Path, lines: &[String]) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).expect("it is writable");
    file.write_all((lines.join("\n") + "\n").as_bytes()).expect("it is writable");
}

fn expect_in_file(what: &str, path: &Path, expected: &[String], printed: &dyn Fn() -> String) {
    until(what, PATIENCE, || {
        let seen = fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect();
        missing(expected, &seen).map_err(|missing| format!("{missing}\n{}", printed()))
    });
}

fn to_tcp(port: u16) -> String {
    format!("tcp {{ host => \"127.0.0.1\" port => {port} codec => line {{ format => \"%{{message}}\" }} }}")
}

fn to_file(path: &Path) -> String {
    format!("file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }}", path.display())
}

fn run(place: &Place, text: &str) -> Recipe {
    executor(place.path(), "run")
        .args(["pipeline", "run", "-e", text, "--data-dir"])
        .arg(place.directory("run-data"))
}

/// `ship` with these configurations of the machine.
fn ship(place: &Place, texts: &[(&str, &str)]) -> Recipe {
    let configs = place.directory("configs");
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    for (name, text) in texts {
        fs::write(configs.join("host").join(name), text).expect("it is writable");
    }
    let none = format!("unix://{}", place.join("none.sock").display());
    ship_recipe(place.path(), &none, &configs, &place.directory("ship-data"))
}

#[test]
fn an_output_that_is_away_does_not_stop_its_neighbour_and_gets_all_after_a_kill() {
    let place = Place::new("neighbours");
    let logs = place.directory("logs");
    for name in ["run", "ship"] {
        let (log, out, port) = (logs.join(name), place.join(&format!("{name}.out")), free_port());
        let mut lines = numbered(name, LINES);
        append(&log, &lines);
        let key = if name == "run" { "path" } else { "host-path" };
        let text = format!(
            "input {{ file {{ {key} => \"{}\" start_position => \"beginning\" }} }} output {{ {} {} }}",
            log.display(),
            to_tcp(port),
            to_file(&out)
        );
        let program = if name == "run" { run(&place, &text) } else { ship(&place, &[("a.conf", &text)]) };
        let mut process = program.start();
        expect_in_file("the neighbour's lines", &out, &lines, &|| process.printed());
        process.kill();
        let queue = files_below(&place.join(&format!("{name}-data/queue")));
        let on_disk: u64 =
            queue.iter().filter_map(|path| fs::metadata(path).ok()).map(|file| file.len()).sum();
        assert!(on_disk > 1 << 20, "{on_disk} bytes wait on disk in {queue:?}");

        let receiver = Receiver::open(port);
        let mut process = program.start();
        receiver.expect("all lines", &lines, &|| process.printed());
        let later = numbered("later", 100);
        append(&log, &later);
        lines.extend(later);
        receiver.expect("later lines", &lines, &|| process.printed());
        expect_in_file("the neighbour's later lines", &out, &lines, &|| process.printed());
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
    }
}

#[test]
fn an_output_that_is_away_does_not_stop_other_configurations_of_the_same_file() {
    for name in ["ship", "agent"] {
        let place = Place::new(&format!("same-file-{name}"));
        let (log, out, port) = (place.directory("logs").join("log"), place.join("out"), free_port());
        let lines = numbered("shared", LINES);
        append(&log, &lines);
        let text = |output: &str| {
            let path = log.display();
            format!(
                "input {{ file {{ host-path => \"{path}\" start_position => \"beginning\" }} }} output {{ {output} }}"
            )
        };
        let (dead, alive) = (text(&to_tcp(port)), text(&to_file(&out)));
        let ship = ship(&place, &[("a.conf", &dead), ("b.conf", &alive)]);
        // Less memory than there are lines.
        let program = if name == "ship" {
            ship.args(["--setting", "queue_megabytes=1"])
        } else {
            local_scheduler(&place.directory("s"), free_port())
                .args(["--executor-setting", "queue_megabytes=1", "--config-dir"])
                .arg(place.join("configs"))
        };
        let mut process = program.start();
        expect_in_file("the lines of the other one", &out, &lines, &|| process.printed());
        let receiver = Receiver::open(port);
        receiver.expect("all lines", &lines, &|| process.printed());
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
    }
}

#[test]
fn what_a_sender_was_told_is_there_survives_a_kill_in_a_persisted_queue() {
    let place = Place::new("persisted");
    for name in ["run", "ship"] {
        let (http, port) = (free_port(), free_port());
        let lines = numbered(name, 100);
        let text = format!(
            "input {{ http {{ host => \"127.0.0.1\" port => {http} }} }} output {{ {} }}",
            to_tcp(port)
        );
        let program = if name == "run" { run(&place, &text) } else { ship(&place, &[("a.conf", &text)]) };
        let program = program.args(["--setting", "queue.type=persisted"]);
        let mut process = program.start();
        let url = format!("http://127.0.0.1:{http}/");
        for line in &lines {
            until("an answer", PATIENCE, || {
                let answer = request_with("POST", &url, &[("Content-Type", "text/plain")], Some(line))?;
                if answer.status == 200 { Ok(()) } else { Err(format!("status {}", answer.status)) }
            });
        }
        process.kill();
        let receiver = Receiver::open(port);
        let mut process = program.start();
        receiver.expect("all lines", &lines, &|| process.printed());
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
    }
}

#[test]
fn an_output_that_is_away_is_not_waited_for_at_the_end_when_all_is_on_disk() {
    let place = Place::new("at-once");
    for name in ["run", "ship"] {
        let (log, port) = (place.directory("logs").join(name), free_port());
        let lines = numbered(name, 1000);
        append(&log, &lines);
        let key = if name == "run" { "path" } else { "host-path" };
        let text = format!(
            "input {{ file {{ {key} => \"{}\" start_position => \"beginning\" }} }} output {{ {} }}",
            log.display(),
            to_tcp(port)
        );
        let program = if name == "run" { run(&place, &text) } else { ship(&place, &[("a.conf", &text)]) };
        let program = program.args(["--setting", "queue.type=persisted", "--shutdown-grace-secs", "3600"]);
        let mut process = program.start();
        let queue = place.join(&format!("{name}-data/queue"));
        until("all is on disk", PATIENCE, || {
            let files = files_below(&queue);
            let there = |line: &String| files.iter().any(|path| holds(path, line));
            if lines.last().is_some_and(there) { Ok(()) } else { Err(process.printed()) }
        });
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
        let receiver = Receiver::open(port);
        let mut process = program.start();
        receiver.expect("all lines", &lines, &|| process.printed());
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
    }
}

fn holds(path: &Path, text: &str) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn the_queue_of_a_renamed_configuration_is_named_until_it_is_taken_again() {
    let place = Place::new("renamed");
    let (log, port, http) = (place.directory("logs").join("log"), free_port(), free_port());
    let lines = numbered("kept", 1000);
    append(&log, &lines);
    let text = format!(
        "input {{ file {{ host-path => \"{}\" start_position => \"beginning\" }} }} output {{ {} }}",
        log.display(),
        to_tcp(port)
    );
    let _ = ship(&place, &[("a.conf", &text), ("other.conf", "input { heartbeat { } } output { null { } }")]);
    let mut process = local_scheduler(&place.directory("s"), http)
        .args(["--executor-setting", "queue.type=persisted", "--config-dir"])
        .arg(place.join("configs"))
        .start();
    let executor = || {
        get_json(&format!("http://127.0.0.1:{http}/api/status")).map(|s| s["agents"][0]["executor"].clone())
    };
    until("all is on disk", PATIENCE, || {
        let seen = executor()?;
        let outputs = seen["outputs"].as_array().cloned().unwrap_or_default();
        if outputs.iter().any(|output| output["pending"] == 1000) { Ok(()) } else { Err(seen.to_string()) }
    });
    let (kept, away) = (place.join("configs/host/a.conf"), place.join("a.conf"));
    fs::rename(&kept, &away).expect("it is there");
    until("it to be named", PATIENCE, || {
        let seen = executor()?;
        let left = &seen["left_queues"][0];
        let is = left["configuration"] == "host/a"
            && left["type"] == "tcp"
            && left["bytes"].as_u64() > Some(80_000);
        if is { Ok(()) } else { Err(format!("{seen}\n{}", process.printed())) }
    });
    let metrics = request("GET", &format!("http://127.0.0.1:{http}/metrics"), None).expect("it answers").body;
    assert!(metrics.contains("logstash_mesos_executor_left_queues 1\n"), "{metrics}");
    let explained =
        get_json(&format!("http://127.0.0.1:{http}/api/explain")).expect("it answers").to_string();
    assert!(explained.contains("left_queue"), "{explained}");
    let receiver = Receiver::open(port);
    fs::rename(&away, &kept).expect("it is there");
    receiver.expect("all lines", &lines, &|| process.printed());
    until("it is nobody's no longer", PATIENCE, || {
        let seen = executor()?;
        if seen["left_queues"] == json!([]) { Ok(()) } else { Err(seen.to_string()) }
    });
    assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
}

#[test]
fn a_persisted_queue_of_an_agent_outlives_its_executor_and_its_source() {
    let cluster = Cluster::with_agents("persisted", 1);
    let (log, port) = (cluster.place.join("a.log"), free_port());
    let lines = numbered("agent", 1000);
    append(&log, &lines);
    let flags = ["--executor-setting", "queue.type=persisted"].map(str::to_owned).to_vec();
    let options = SchedulerOptions { flags, ..cluster.options() };
    let scheduler = Scheduler::start(&cluster.place.directory("scheduler"), options);
    let _ = scheduler.running_executors(1);
    let text = format!(
        "input {{ file {{ host-path => \"{}\" start_position => \"beginning\" }} }} output {{ {} }}",
        log.display(),
        to_tcp(port)
    );
    let body = json!({"input": text});
    scheduler.request("PUT", "/api/host-config?name=a", Some(&body)).expect("it answers");
    let executor = || scheduler.status().map(|status| status["agents"][0]["executor"].clone());
    until("all is on disk", PATIENCE, || {
        let seen = executor()?;
        if seen["outputs"][0]["pending"] == 1000 { Ok(()) } else { Err(seen.to_string()) }
    });
    fs::remove_file(&log).expect("it is there");
    for process in cluster.agents[0].executor_processes() {
        send(process, Signal::KILL);
    }
    let receiver = Receiver::open(port);
    receiver.expect("all lines", &lines, &|| executor().map_or_else(|error| error, |seen| seen.to_string()));
    until("nothing waits", PATIENCE, || {
        let seen = executor()?;
        if seen["outputs"][0]["pending"] == 0 { Ok(()) } else { Err(seen.to_string()) }
    });
}

/// Sends lines to an input `tcp` that will listen on `port`.
fn send_lines(port: u16, lines: &[String], printed: &dyn Fn() -> String) {
    until("the input listens", PATIENCE, || {
        let sent = TcpStream::connect(("127.0.0.1", port))
            .and_then(|mut stream| stream.write_all((lines.join("\n") + "\n").as_bytes()));
        sent.map_err(|error| format!("{error}\n{}", printed()))
    });
}

fn from_tcp_to_tcp(from: u16, to: u16) -> String {
    format!("input {{ tcp {{ host => \"127.0.0.1\" port => {from} }} }} output {{ {} }}", to_tcp(to))
}

#[test]
fn what_nobody_can_send_again_outlives_the_end_of_its_pipeline_while_its_output_is_away() {
    let place = Place::new("once");
    for name in ["run", "ship", "changed"] {
        let (input, metrics, port) = (free_port(), free_port(), free_port());
        let lines = numbered(name, 100);
        let text = from_tcp_to_tcp(input, port);
        let program = if name == "run" {
            run(&place, &text)
        } else {
            ship(&place, &[(&format!("{name}.conf"), &text)])
        };
        let program = program.args(["--metrics-bind", &format!("127.0.0.1:{metrics}")]);
        let mut process = program.start();
        send_lines(input, &lines, &|| process.printed());
        let shows = |what: &str| {
            let answer = request("GET", &format!("http://127.0.0.1:{metrics}/metrics"), None)?;
            if answer.body.lines().any(|line| line.ends_with(what)) { Ok(()) } else { Err(process.printed()) }
        };
        until("the lines were taken", PATIENCE, || shows("at=\"in\"} 100"));
        if name == "changed" {
            let file = place.join("configs/host/changed.conf");
            fs::write(file, format!("# a comment\n{text}")).expect("it is writable");
            until("they are the successor's", PATIENCE, || shows(&format!("tcp 127.0.0.1:{port}\"}} 100")));
        }
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
        assert!(process.printed().contains("lost_bytes=0"), "{}", process.printed());
        let receiver = Receiver::open(port);
        let mut process = program.start();
        receiver.expect("all lines", &lines, &|| process.printed());
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
        if name != "run" {
            fs::remove_file(place.join(&format!("configs/host/{name}.conf"))).expect("it is there");
        }
    }
}

#[test]
fn what_nobody_can_send_again_outlives_a_change_of_an_agents_configuration() {
    let cluster = Cluster::with_agents("once", 1);
    let (input, port) = (free_port(), free_port());
    let (handed_on, behind) = (free_port(), free_port());
    let lines = numbered("agent", 100);
    let scheduler = Scheduler::start(&cluster.place.directory("scheduler"), cluster.options());
    let _ = scheduler.running_executors(1);
    let executor = || scheduler.status().map(|status| status["agents"][0]["executor"].clone());
    let printed = || executor().map_or_else(|error| error, |seen| seen.to_string());
    let configure = |comment: &str| {
        let (up, down) = chain(&format!("tcp {{ host => \"127.0.0.1\" port => {handed_on} }}"), behind);
        for (name, text) in [("direct", from_tcp_to_tcp(input, port)), ("up", up), ("down", down)] {
            let body = json!({"input": format!("{comment}{text}")});
            scheduler
                .request("PUT", &format!("/api/host-config?name={name}"), Some(&body))
                .expect("it answers");
        }
    };
    // Returns the version of the set that has them.
    let all_wait = |but: &str| {
        until("all lines to wait", PATIENCE, || {
            let seen = executor()?;
            let version = seen["applied"]["set_version"].as_str().unwrap_or_default();
            let outputs = seen["outputs"].as_array().into_iter().flatten();
            let wait = outputs.filter(|output| output["pending"] == 100).count() == 2 && version != but;
            if wait { Ok(version.to_owned()) } else { Err(seen.to_string()) }
        })
    };
    configure("");
    for to in [input, handed_on] {
        send_lines(to, &lines, &printed);
    }
    let before = all_wait("");
    configure("# a comment\n");
    all_wait(&before);
    for from in [port, behind] {
        Receiver::open(from).expect("all lines", &lines, &printed);
    }
}

/// A configuration with this input, and one behind it that sends to the port.
fn chain(input: &str, port: u16) -> (String, String) {
    let up = format!("input {{ {input} }} output {{ pipeline {{ send_to => \"behind\" }} }}");
    let down = format!("input {{ pipeline {{ address => \"behind\" }} }} output {{ {} }}", to_tcp(port));
    (up, down)
}

#[test]
fn what_is_handed_to_another_configuration_is_there_after_changes_and_a_kill_while_its_output_is_away() {
    let place = Place::new("chain");
    let (tcp, port, file) = (free_port(), free_port(), place.join("app.log"));
    let inputs = format!(
        "tcp {{ host => \"127.0.0.1\" port => {tcp} }} file {{ path => \"{}\" start_position => \"beginning\" }}",
        file.display()
    );
    let (up, down) = chain(&inputs, port);
    let metrics = free_port();
    let program = ship(&place, &[("up.conf", &up), ("down.conf", &down)])
        .args(["--metrics-bind", &format!("127.0.0.1:{metrics}")]);
    // Counted over all starts.
    let taken = || {
        let answer = request("GET", &format!("http://127.0.0.1:{metrics}/metrics"), None)?;
        let name = "logstash_mesos_pipeline_events_total{pipeline=\"host/down\",at=\"in\"} ";
        let count = answer.body.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok());
        count.ok_or_else(|| "it is not counted yet".to_owned())
    };
    let takes = |count: u64, process: &Process| {
        until("the lines are taken", PATIENCE, || match taken()? {
            seen if seen >= count => Ok(()),
            seen => Err(format!("{seen} of {count}\n{}", process.printed())),
        });
    };
    let mut process = program.start();
    let (sent, written) = (numbered("sent", 100), numbered("written", 100));
    append(&file, &written[..50]);
    send_lines(tcp, &sent, &|| process.printed());
    takes(150, &process);
    for change in 1..4 {
        for (name, text) in [("up.conf", &up), ("down.conf", &down)] {
            fs::write(place.join("configs/host").join(name), format!("# {change}\n{text}"))
                .expect("it is writable");
        }
        until("the change", PATIENCE, || {
            let started = process.printed().matches("Pipeline started").count();
            if started >= 2 * (change + 1) { Ok(()) } else { Err(process.printed()) }
        });
    }
    assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
    assert!(process.printed().contains("lost_bytes=0"), "{}", process.printed());
    let mut process = program.start();
    let before = until("what was counted before", PATIENCE, taken);
    append(&file, &written[50..]);
    takes(before + 50, &process);
    process.kill();
    let receiver = Receiver::open(port);
    let mut process = program.start();
    receiver.expect("all lines", &[sent, written].concat(), &|| process.printed());
    assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
}

fn write_to(mut peer: impl Write, number: usize) -> String {
    let line = format!("line {number}");
    peer.write_all(format!("{line}\n").as_bytes()).expect("it listens");
    line
}

#[test]
fn nothing_that_is_sent_while_a_configuration_changes_is_lost() {
    let place = Place::new("changes");
    let (udp, tcp, unix, out) = (free_port(), free_port(), place.join("log.sock"), place.join("out"));
    let text = format!(
        "input {{ udp {{ host => \"127.0.0.1\" port => {udp} }} tcp {{ host => \"127.0.0.1\" port => {tcp} }}
           unix {{ path => \"{}\" }} }} output {{ {} }}",
        unix.display(),
        to_file(&out)
    );
    let mut process = ship(&place, &[("a.conf", &text)]).start();
    send_lines(tcp, &["first".to_owned()], &|| process.printed());
    expect_in_file("the first line", &out, &["first".to_owned()], &|| process.printed());
    until("the socket", PATIENCE, || UnixStream::connect(&unix).map(drop).map_err(|_| process.printed()));
    let ends = Arc::new(AtomicBool::new(false));
    let sending = std::thread::spawn({
        let ends = Arc::clone(&ends);
        move || {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("there is a port");
            let mut lines = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                let line = format!("datagram {}", lines.len());
                socket.send_to(line.as_bytes(), ("127.0.0.1", udp)).expect("it listens");
                lines.push(line);
                // Each in a connection of its own, which nobody may refuse.
                let stream = TcpStream::connect(("127.0.0.1", tcp)).expect("it listens");
                lines.push(write_to(stream, lines.len()));
                let stream = UnixStream::connect(&unix).expect("it listens");
                lines.push(write_to(stream, lines.len()));
                std::thread::sleep(Duration::from_millis(5));
            }
            lines
        }
    });
    let file = place.join("configs/host/a.conf");
    for change in 1..4 {
        fs::write(&file, format!("# {change}\n{text}")).expect("it is writable");
        until("the change", PATIENCE, || {
            let started = process.printed().matches("Pipeline started").count();
            if started > change { Ok(()) } else { Err(process.printed()) }
        });
    }
    ends.store(true, Ordering::Relaxed);
    let lines = sending.join().expect("it sends");
    expect_in_file("all that was sent", &out, &lines, &|| process.printed());
    assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
}

#[test]
fn a_persisted_queue_needs_a_place() {
    let place = Place::new("nowhere");
    let text = "input { generator { count => 1 } } output { null { } }";
    let arguments = ["pipeline", "run", "-e", text, "--setting", "queue.type=persisted"];
    let ended = executor(place.path(), "run").args(arguments).run(b"", PATIENCE);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("give --data-dir"), "{}", ended.stderr);
}
