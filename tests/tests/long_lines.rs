//! Many lines of megabytes at a time: what is held of them stays below what was granted, and each arrives whole.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use logstash_mesos_tests::docker::{BUSYBOX, Docker};
use logstash_mesos_tests::executor::{program, ship_recipe};
use logstash_mesos_tests::place::{Place, free_port};
use logstash_mesos_tests::process::{Process, anonymous_bytes, bytes_read};
use logstash_mesos_tests::wait::{PATIENCE, until};

const MIB: u64 = 1 << 20;
/// What an executor is granted where nothing is said, without what the released program has resident of its own file.
const MOST: u64 = (64 - 14) * MIB;
const LONG: usize = 9_000_000;

/// The lines that have arrived: the number in front of each, and whether the rest is as it was written.
#[derive(Clone, Default)]
struct Arrived(Arc<Mutex<Vec<String>>>);

impl Arrived {
    /// Takes lines on a port.
    fn listen() -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let port = listener.local_addr().expect("it is bound").port();
        let arrived = Self::default();
        let all = arrived.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let all = all.clone();
                thread::spawn(move || {
                    for line in BufReader::new(connection).split(b'\n').map_while(Result::ok) {
                        let number = String::from_utf8_lossy(&line[..4.min(line.len())]).into_owned();
                        let is_whole = line.len() == LONG && line[4..].iter().all(|byte| *byte == b'x');
                        let told = if is_whole { number } else { format!("{number} is {} long", line.len()) };
                        all.0.lock().expect("nobody panics").push(told);
                    }
                });
            }
        });
        (arrived, port)
    }

    /// Waits for `count` whole lines, each once, while `process` holds less than it may. Returns the most that it held.
    #[track_caller]
    fn expect(&self, count: usize, process: &Process) -> u64 {
        let expected: Vec<String> = (0..count).map(|number| format!("{number:04}")).collect();
        let mut most = 0;
        until("every line, whole and once", PATIENCE, || {
            most = most.max(holds_little(process));
            let mut seen = self.0.lock().expect("nobody panics").clone();
            seen.sort_unstable();
            if seen == expected { Ok(()) } else { Err(format!("{seen:?}: {}", process.printed())) }
        });
        most
    }
}

/// Fails when `process` holds more than it may. Returns how much it does.
#[track_caller]
fn holds_little(process: &Process) -> u64 {
    let held = anonymous_bytes(process.id()).unwrap_or(0);
    assert!(held < MOST, "{} MiB: {}", held / MIB, process.printed());
    held
}

fn line(number: usize) -> Vec<u8> {
    let mut line = format!("{number:04}").into_bytes();
    line.resize(LONG, b'x');
    line
}

/// Sends the lines to `port`.
fn output(port: u16) -> String {
    format!(
        "output {{ tcp {{ host => \"127.0.0.1\" port => {port} codec => line {{ format => \"%{{message}}\" }} }} }}"
    )
}

#[test]
fn unfinished_lines_of_many_files_are_not_held_and_arrive_when_they_end() {
    const FILES: usize = 40;
    const SLOW: usize = 20;
    for who in ["ship", "run"] {
        let place = Place::new(&format!("unfinished-{who}"));
        let logs = place.directory("logs");
        let path = |number: usize| logs.join(format!("{number}.log"));
        (0..FILES).for_each(|number| {
            fs::write(path(number), &line(number)[..LONG - SLOW]).expect("it is writable")
        });
        let (arrived, port) = Arrived::listen();
        let setting = if who == "ship" { "host-path" } else { "path" };
        let input = format!("{setting} => \"{}/*.log\" start_position => \"beginning\"", logs.display());
        let text = format!("input {{ file {{ {input} }} }} {}", output(port));
        let mut process = program(who, &place, &text).start();
        // Each has been looked through.
        let all = (FILES * (LONG - SLOW)) as u64;
        until("all files to be read", PATIENCE, || {
            holds_little(&process);
            match bytes_read(process.id()).unwrap_or(0) {
                read if read >= all => Ok(()),
                read => Err(format!("{read} of {all}: {}", process.printed())),
            }
        });
        // Writers that go on slowly do not have it read again.
        let before = bytes_read(process.id()).unwrap_or(0);
        for _ in 0..SLOW {
            (0..FILES).for_each(|number| append(&path(number), b"x"));
            thread::sleep(Duration::from_millis(20));
        }
        let read = bytes_read(process.id()).unwrap_or(0) - before;
        assert!(read < all / 10, "{read} bytes were read: {}", process.printed());
        (0..FILES).for_each(|number| append(&path(number), b"\n"));
        let most = arrived.expect(FILES, &process);
        println!(
            "figure: {FILES} files with an unfinished line of 9 MB, {who}: at most {} KiB held",
            most / 1024
        );
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
    }
}

fn append(path: &Path, what: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).expect("it is there");
    file.write_all(what).expect("it is writable");
}

#[test]
fn unfinished_lines_of_many_containers_are_not_held_and_arrive_when_they_end() {
    const CONTAINERS: usize = 12;
    let place = Place::new("unfinished-out");
    let docker = Docker::start(&place.directory("d"));
    let (configs, volume) = (place.directory("configs"), place.directory("volume"));
    fs::create_dir_all(configs.join("docker")).expect("it is writable");
    let (arrived, port) = Arrived::listen();
    let text = format!("input {{ docker {{ }} }} {}", output(port));
    fs::write(configs.join(format!("docker/{}.conf", BUSYBOX.replace(':', "%3A"))), text)
        .expect("it is writable");
    let mut shipper = ship_recipe(place.path(), docker.host(), &configs, &place.directory("data")).start();
    let mount = format!("{}:/volume", volume.display());
    let _running: Vec<_> = (0..CONTAINERS)
        .map(|number| {
            let driver = if number.is_multiple_of(2) { "json-file" } else { "local" };
            let script = format!(
                "printf {number:04}; head -c {} /dev/zero | tr '\\0' x;
                 while [ ! -e /volume/go ]; do usleep 100000; done; echo; sleep 100000",
                LONG - 4
            );
            docker.run_script(
                &[
                    "-v",
                    &mount,
                    "--log-driver",
                    driver,
                    "--log-opt",
                    "max-size=5m",
                    "--log-opt",
                    "max-file=10",
                ],
                &script,
            )
        })
        .collect();
    let all = (CONTAINERS * LONG) as u64;
    until("all logs to be read", PATIENCE, || {
        holds_little(&shipper);
        match bytes_read(shipper.id()).unwrap_or(0) {
            read if read >= all => Ok(()),
            read => Err(format!("{read} of {all}: {}", shipper.printed())),
        }
    });
    fs::write(volume.join("go"), "").expect("it is writable");
    let most = arrived.expect(CONTAINERS, &shipper);
    println!(
        "figure: {CONTAINERS} containers with an unfinished line of 9 MB: at most {} KiB held",
        most / 1024
    );
    assert_eq!(shipper.terminate(PATIENCE).code(), Some(0), "{}", shipper.printed());
}

#[test]
fn long_lines_of_many_peers_are_not_held_all_at_once() {
    const PEERS: usize = 20;
    const LINES: usize = 5;
    let place = Place::new("long-peers");
    let (arrived, port) = Arrived::listen();
    let to = free_port();
    let input = format!("tcp {{ host => \"127.0.0.1\" port => {to} dns_reverse_lookup_enabled => false }}");
    let mut process = program("ship", &place, &format!("input {{ {input} }} {}", output(port))).start();
    let connect =
        || until("the input", PATIENCE, || TcpStream::connect(("127.0.0.1", to)).map_err(|e| e.to_string()));
    let peers: Vec<_> = (0..PEERS)
        .map(|peer| {
            let mut stream = connect();
            thread::spawn(move || {
                for nth in 0..LINES {
                    stream.write_all(&line(peer * LINES + nth)).expect("it is taken");
                    stream.write_all(b"\n").expect("it is taken");
                }
            })
        })
        .collect();
    let most = arrived.expect(PEERS * LINES, &process);
    peers.into_iter().for_each(|peer| peer.join().expect("all is taken"));
    println!("figure: {PEERS} peers with {LINES} lines of 9 MB each: at most {} KiB held", most / 1024);
    assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
}
