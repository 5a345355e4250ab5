//! What a shipper costs, and how long a line takes: `cost [CONTAINERS [SECONDS]]`. See `docs/sizing.md`.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use logstash_mesos_tests::docker::{BUSYBOX, Container, Docker};
use logstash_mesos_tests::executor::ship_recipe;
use logstash_mesos_tests::http::read_body;
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::process::{Process, processor_time, resident_bytes};
use logstash_mesos_tests::wait::until;

const PATIENCE: Duration = Duration::from_secs(600);
/// In front of the time of a line that is timed.
const TIMED: &str = "written at ";
/// The same in an event, which may have the line in another field as well.
const IN_EVENT: &str = "\"message\":\"written at ";

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let count = arguments.next().unwrap_or(200);
    let span = Duration::from_secs(arguments.next().unwrap_or(30));
    let place = Place::new("cost");
    let docker = Docker::start(&place.directory("d"));
    let containers = start_containers(&docker, count.try_into().expect("so many have room"));
    let receiver = Receiver::start();
    let configs = place.directory("configs/docker");
    let text = format!(
        "input {{ docker {{ }} file {{ docker-path => \"/var/log/app.log\" }} }}\n\
         output {{ elasticsearch {{ hosts => [\"{}\"] index => \"logs\" }} }}",
        receiver.url
    );
    fs::write(configs.join(format!("{}.conf", BUSYBOX.replace(':', "%3A"))), text).expect("it is writable");
    let ship =
        ship_recipe(place.path(), docker.host(), &place.join("configs"), &place.directory("data")).start();
    // Each as the machine sees it: a process for each container that writes would cost more than the shipper.
    let mut files: Vec<File> = containers.iter().map(log_of).collect();
    until("the first line of every container", PATIENCE, || {
        let lines = receiver.lines.load(Ordering::Relaxed);
        if lines >= 2 * count { Ok(()) } else { Err(format!("{lines} lines\n{}", ship.printed())) }
    });
    sleep(Duration::from_secs(20));

    let figure = |what: &str, value: String| println!("figure: {count} containers, {what}: {value}");
    let used_at_rest = used(&ship, || sleep(span));
    figure("at rest", format!("{used_at_rest:.1} % of a core, {} MiB", resident(&ship)));

    // A line now and then.
    receiver.taken();
    write(&mut files, span, |files| {
        for file in files.iter_mut() {
            timed(file);
        }
        Duration::from_secs(1)
    });
    sleep(Duration::from_secs(3));
    figure("a line a second each, from write to request", latencies(&receiver));

    let busy = files.len().min(50);
    receiver.taken();
    let used_busy = used(&ship, || {
        write(&mut files[..busy], span, |files| {
            for file in files {
                (0..10).for_each(|_| timed(file));
            }
            Duration::from_millis(10)
        });
    });
    sleep(Duration::from_secs(3));
    figure(
        &format!("{busy} of them write 1,000 lines a second, from write to request"),
        latencies(&receiver),
    );
    figure("meanwhile", format!("{used_busy:.1} % of a core, {} MiB", resident(&ship)));

    let (loud, quiet) = files.split_first_mut().expect("there are some");
    receiver.taken();
    let before = receiver.bytes.load(Ordering::Relaxed);
    let used_loud = used(&ship, || {
        thread::scope(|threads| {
            threads.spawn(|| {
                let block = format!("{}\n", "loud ".repeat(40)).repeat(1_000_000 / 201);
                write(std::slice::from_mut(loud), span, |loud| {
                    loud[0].write_all(block.as_bytes()).expect("the disk has room");
                    Duration::from_millis(10)
                });
            });
            write(quiet, span, |quiet| {
                quiet.iter_mut().for_each(timed);
                Duration::from_secs(1)
            });
        });
    });
    let megabytes = (receiver.bytes.load(Ordering::Relaxed) - before) as f64 / 1e6 / span.as_secs_f64();
    sleep(Duration::from_secs(5));
    figure("one writes 100 MB a second, lines of the others from write to request", latencies(&receiver));
    figure(
        "meanwhile",
        format!("{used_loud:.1} % of a core, {} MiB, {megabytes:.0} MB a second received", resident(&ship)),
    );
}

fn start_containers(docker: &Docker, count: usize) -> Vec<Container> {
    let script = "echo ready; echo ready > /var/log/app.log; exec sleep 1000000";
    let started = Mutex::new(Vec::new());
    let left = AtomicU64::new(count as u64);
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    let container = docker.run_script(&[], script);
                    started.lock().expect("no panic").push(container);
                }
            });
        }
    });
    started.into_inner().expect("no panic")
}

/// The file of a container that the shipper reads, as a process beside the container sees it.
fn log_of(container: &Container) -> File {
    let path = PathBuf::from(format!("/proc/{}/root/var/log/app.log", container.inspect("{{.State.Pid}}")));
    until("the file of a container", PATIENCE, || {
        OpenOptions::new().append(true).open(&path).map_err(|error| error.to_string())
    })
}

fn timed(file: &mut File) {
    let line = format!("{TIMED}{} GET /index.html HTTP/1.1 200 1234\n", now());
    // One call: a reader sees all of it, or nothing.
    file.write_all(line.as_bytes()).expect("the disk has room");
}

/// In microseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right");
    since.as_micros().try_into().expect("it is not the year 500,000")
}

/// Writes again and again, for a while; each time says how long after the last one the next is due.
fn write(files: &mut [File], span: Duration, mut once: impl FnMut(&mut [File]) -> Duration) {
    let began = Instant::now();
    let mut due = Duration::ZERO;
    loop {
        due += once(files);
        if due >= span {
            return;
        }
        sleep(due.saturating_sub(began.elapsed()));
    }
}

/// Percent of a core that the program uses meanwhile.
fn used(ship: &Process, meanwhile: impl FnOnce()) -> f64 {
    let (began, before) = (Instant::now(), processor_time(ship.id()).expect("it runs"));
    meanwhile();
    let used = processor_time(ship.id()).expect("it runs").saturating_sub(before);
    100.0 * used.as_secs_f64() / began.elapsed().as_secs_f64()
}

fn resident(ship: &Process) -> u64 {
    resident_bytes(ship.id()).expect("it runs") >> 20
}

fn latencies(receiver: &Receiver) -> String {
    let mut taken = receiver.taken();
    taken.sort_unstable();
    let at = |part: f64| match taken.len() {
        0 => f64::NAN,
        len => taken[((len - 1) as f64 * part) as usize] as f64 / 1e3,
    };
    format!("p50 {:.0} ms, p99 {:.0} ms, most {:.0} ms ({} lines)", at(0.5), at(0.99), at(1.0), taken.len())
}

/// Takes everything as Elasticsearch would, and notes how old timed lines are.
struct Receiver {
    url: String,
    lines: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    ages: Arc<Mutex<Vec<u64>>>,
}

impl Receiver {
    fn start() -> Self {
        let server = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let url = format!("http://{}", server.local_addr().expect("it is bound"));
        let receiver = Self { url, lines: Arc::default(), bytes: Arc::default(), ages: Arc::default() };
        let (lines, bytes, ages) =
            (Arc::clone(&receiver.lines), Arc::clone(&receiver.bytes), Arc::clone(&receiver.ages));
        thread::spawn(move || {
            for connection in server.incoming().flatten() {
                let (lines, bytes, ages) = (Arc::clone(&lines), Arc::clone(&bytes), Arc::clone(&ages));
                thread::spawn(move || serve(connection, &lines, &bytes, &ages));
            }
        });
        receiver
    }

    /// The ages of lines since the last call, in microseconds.
    fn taken(&self) -> Vec<u64> {
        std::mem::take(&mut *self.ages.lock().expect("no panic"))
    }
}

fn serve(connection: TcpStream, lines: &AtomicU64, bytes: &AtomicU64, ages: &Mutex<Vec<u64>>) -> Option<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let body = read_body(&mut connection)?;
        let arrived = now();
        let answer = "{\"errors\":false,\"items\":[]}";
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        connection.get_mut().write_all((head + answer).as_bytes()).ok()?;
        bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        // An action and a document each.
        lines.fetch_add(memchr::memchr_iter(b'\n', &body).count() as u64 / 2, Ordering::Relaxed);
        let times = memchr::memmem::find_iter(&body, IN_EVENT.as_bytes()).filter_map(|at| {
            let time = body[at + IN_EVENT.len()..].split(|byte| *byte == b' ').next()?;
            std::str::from_utf8(time).ok()?.parse::<u64>().ok()
        });
        ages.lock().expect("no panic").extend(times.map(|time| arrived.saturating_sub(time)));
    }
}
