//! Executors that send to each other over the network, and pipelines of one executor that send to each other.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use logstash_mesos_tests::executor::{executor, ship_recipe};
use logstash_mesos_tests::place::{Place, free_port};
use logstash_mesos_tests::process::Process;
use logstash_mesos_tests::wait::{PATIENCE, until};

/// A certificate for this machine that signed itself: `server.pem`, `server.key`.
fn certificate(place: &Place) {
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
                     -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout server.key -out server.pem";
    let made = Command::new("openssl").args(arguments.split_whitespace()).current_dir(place.path()).output();
    let made = made.expect("openssl is installed; `tests/setup` installs it");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn run(place: &Place, name: &str, config: &str) -> Process {
    let file = place.join(&format!("{name}.conf"));
    fs::write(&file, config).expect("it is writable");
    executor(place.path(), name)
        .args(["pipeline", "run", "-f"])
        .arg(&file)
        .arg("--data-dir")
        .arg(place.directory(&format!("{name}-data")))
        .start()
}

/// Appends numbered lines at about a thousand a second.
fn writer(path: &Path, lines: std::ops::Range<u32>) -> thread::JoinHandle<()> {
    let path = path.to_owned();
    thread::spawn(move || {
        let mut file = OpenOptions::new().create(true).append(true).open(&path).expect("it is writable");
        for number in lines {
            writeln!(file, "line {number}").expect("it is writable");
            if number % 10 == 0 {
                thread::sleep(Duration::from_millis(10));
            }
        }
    })
}

/// How often each number has arrived.
fn arrived(path: &Path) -> HashMap<u32, u32> {
    let mut found = HashMap::new();
    for line in fs::read_to_string(path).unwrap_or_default().lines() {
        let number = line.strip_prefix("line ").and_then(|number| number.parse().ok());
        *found.entry(number.unwrap_or_else(|| panic!("`{line}` was never written"))).or_default() += 1;
    }
    found
}

fn wait_for(path: &Path, lines: u32) -> HashMap<u32, u32> {
    until(&format!("{lines} lines in {}", path.display()), PATIENCE, || {
        let found = arrived(path);
        let missing: Vec<u32> = (0..lines).filter(|number| !found.contains_key(number)).collect();
        match missing.as_slice() {
            [] => Ok(found),
            [first, ..] => Err(format!("{} lines are missing, the first is {first}", missing.len())),
        }
    })
}

fn output(path: &Path) -> String {
    format!(
        "output {{ file {{ path => '{}' codec => line {{ format => '%{{message}}' }} }} }}",
        path.display()
    )
}

fn follow(path: &Path) -> String {
    format!(
        "input {{ file {{ path => '{}' start_position => beginning stat_interval => 0.1 }} }}",
        path.display()
    )
}

#[test]
fn lumberjack_to_beats_over_tls_loses_nothing_when_either_is_killed() {
    let place = Place::new("lumberjack");
    certificate(&place);
    let (log, out, port) = (place.join("in.log"), place.join("out"), free_port());
    let [pem, key] = ["server.pem", "server.key"].map(|name| place.join(name).display().to_string());
    let receive = format!(
        "input {{ beats {{ host => '127.0.0.1' port => {port} ssl_enabled => true ssl_certificate => '{pem}' ssl_key => '{key}' }} }} {}",
        output(&out)
    );
    let send = format!(
        "{} output {{ lumberjack {{ hosts => ['127.0.0.1'] port => {port} ssl_certificate => '{pem}' flush_size => 50
           codec => plain {{ format => '%{{message}}' }} }} }}",
        follow(&log)
    );
    let writing = writer(&log, 0..5000);
    let mut sender = run(&place, "sender", &send);
    let mut receiver = run(&place, "receiver", &receive);
    wait_for(&out, 500);
    receiver.kill();
    thread::sleep(Duration::from_millis(500));
    receiver = run(&place, "receiver", &receive);
    wait_for(&out, 1500);
    sender.kill();
    sender = run(&place, "sender", &send);
    writing.join().expect("the writer does not panic");
    let found = wait_for(&out, 5000);
    let twice = found.values().filter(|times| **times > 1).count();
    println!("figure: 5000 lines through two executors, each killed once: 0 lost, {twice} twice");
    // What was on its way when one was killed, and no more.
    assert!(twice < 3000, "{twice} lines arrived twice");
    for process in [&mut sender, &mut receiver] {
        let status = process.terminate(Duration::from_secs(20));
        assert_eq!(status.code(), Some(0), "{}", process.printed());
    }
}

#[test]
fn http_to_http_over_tls_delivers_every_line_once_when_the_receiver_restarts() {
    let place = Place::new("http");
    certificate(&place);
    let (log, out, port) = (place.join("in.log"), place.join("out"), free_port());
    let [pem, key] = ["server.pem", "server.key"].map(|name| place.join(name).display().to_string());
    let receive = format!(
        "input {{ http {{ host => '127.0.0.1' port => {port} user => 'u' password => 'p' ssl_enabled => true ssl_certificate => '{pem}'
           ssl_key => '{key}' }} }} {}",
        output(&out)
    );
    let send = format!(
        "{} output {{ http {{ url => 'https://localhost:{port}/' http_method => post format => json_batch http_compression => true
           mapping => {{ 'message' => '%{{message}}' }} user => 'u' password => 'p' ssl_certificate_authorities => '{pem}' }} }}",
        follow(&log)
    );
    let writing = writer(&log, 0..3000);
    let mut sender = run(&place, "sender", &send);
    let mut receiver = run(&place, "receiver", &receive);
    wait_for(&out, 500);
    // In order: requests that have their answer are written, the others come again.
    let status = receiver.terminate(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0), "{}", receiver.printed());
    receiver = run(&place, "receiver", &receive);
    writing.join().expect("the writer does not panic");
    let found = wait_for(&out, 3000);
    let twice: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    for process in [&mut sender, &mut receiver] {
        process.terminate(Duration::from_secs(20));
    }
}

#[test]
fn pipelines_of_an_executor_send_to_each_other_and_are_replaced_under_load() {
    let place = Place::new("pipelines");
    let configs = place.directory("configs");
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    let (log, all, odd) = (place.join("in.log"), place.join("all"), place.join("odd"));
    let write = |name: &str, text: &str| {
        // Not half of it at a time.
        let aside: PathBuf = place.join(name);
        fs::write(&aside, text).expect("it is writable");
        fs::rename(&aside, configs.join("host").join(name)).expect("it is writable");
    };
    let down = |version: u32| {
        format!(
            "input {{ pipeline {{ address => all }} }} filter {{ mutate {{ add_field => {{ 'version' => '{version}' }} }} }} {}",
            output(&all)
        )
    };
    write(
        "up.conf",
        &format!(
            "input {{ file {{ host-path => '{}' }} }} output {{ pipeline {{ send_to => [all, odd] }} }}",
            log.display()
        ),
    );
    write("down.conf", &down(1));
    write(
        "odd.conf",
        &format!(
            "input {{ pipeline {{ address => odd }} }} filter {{ if [message] !~ /[13579]$/ {{ drop {{ }} }} }} {}",
            output(&odd)
        ),
    );
    let data = place.directory("data");
    let no_docker = format!("unix://{}", place.join("nobody.sock").display());
    let mut ship = ship_recipe(place.path(), &no_docker, &configs, &data).start();
    let writing = writer(&log, 0..4000);
    for (version, lines) in [(2, 500), (3, 1500)] {
        wait_for(&all, lines);
        write("down.conf", &down(version));
    }
    writing.join().expect("the writer does not panic");
    let found = wait_for(&all, 4000);
    assert!(found.values().all(|times| *times == 1), "some arrived twice: {found:?}");
    until("every odd line", PATIENCE, || {
        let found = arrived(&odd);
        let all_odd =
            found.len() == 2000 && found.iter().all(|(number, times)| number % 2 == 1 && *times == 1);
        if all_odd { Ok(()) } else { Err(format!("{} of 2000", found.len())) }
    });
    let status = ship.terminate(Duration::from_secs(30));
    assert_eq!(status.code(), Some(0), "{}", ship.printed());
}
