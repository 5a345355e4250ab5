//! Streams that never end a line, and peers that hold on: what the executor holds of them stays bounded.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use logstash_mesos_tests::executor::{executor, ship_recipe};
use logstash_mesos_tests::place::{Place, free_port};
use logstash_mesos_tests::process::{Process, anonymous_bytes, bytes_read, resident_bytes};
use logstash_mesos_tests::wait::{PATIENCE, until};

const MIB: u64 = 1 << 20;
/// A debug build at work, with three times the longest line in its hands.
const MOST: u64 = 120 * MIB;

/// Fails when `process` holds more than it may.
#[track_caller]
fn assert_small(process: &Process) {
    let resident = resident_bytes(process.id()).unwrap_or(0);
    assert!(resident < MOST, "{} MiB: {}", resident / MIB, process.printed());
}

/// Waits for the event of a line that was cut, and the one behind it.
#[track_caller]
fn expect_cut(out: &Path, process: &Process) {
    until("the line that was cut and the next one", PATIENCE, || {
        assert_small(process);
        let seen = fs::read_to_string(out).unwrap_or_default();
        let lines: Vec<&str> = seen.lines().collect();
        match lines[..] {
            [cut, next] if cut.ends_with(" _linetoolong") && next.starts_with("next ") => {
                assert_eq!(cut.len(), "xxxx _linetoolong".len());
                Ok(())
            }
            _ => Err(format!("{seen:.200}: {}", process.printed())),
        }
    });
}

/// The first characters of a message, and the tags.
fn short(out: &Path) -> String {
    format!(
        "filter {{ mutate {{ remove_field => [\"event\"] }} truncate {{ fields => \"message\" length_bytes => 4 }} }}
         output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{message}} %{{tags}}\" }} }} }}",
        out.display()
    )
}

/// 200 MB without an end of line, then a line.
fn write_long(into: &mut impl Write, process: &Process) {
    let block = vec![b'x'; 1 << 20];
    for _ in 0..200 {
        into.write_all(&block).expect("it takes them");
        assert_small(process);
    }
    into.write_all(b"\nnext\n").expect("it takes them");
}

#[test]
fn a_line_without_an_end_is_cut_and_not_held() {
    let place = Place::new("long-line");
    // Over TCP.
    let (out, port) = (place.join("tcp.txt"), free_port());
    let text = format!(
        "input {{ tcp {{ host => \"127.0.0.1\" port => {port} dns_reverse_lookup_enabled => false }} }} {}",
        short(&out)
    );
    let mut tcp = executor(place.path(), "tcp").args(["pipeline", "run", "-w", "1", "-e", &text]).start();
    let mut stream =
        until("the input", PATIENCE, || TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string()));
    write_long(&mut stream, &tcp);
    expect_cut(&out, &tcp);
    assert_eq!(tcp.terminate(PATIENCE).code(), Some(0), "{}", tcp.printed());
    assert!(tcp.printed().contains("Lines were too long"), "{}", tcp.printed());

    // In a file of the machine.
    let (out, log, configs) = (place.join("ship.txt"), place.join("app.log"), place.directory("configs"));
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    let text = format!("input {{ file {{ host-path => \"{}\" }} }} {}", log.display(), short(&out));
    fs::write(configs.join("host/a.conf"), text).expect("it is writable");
    let none = format!("unix://{}", place.join("none.sock").display());
    let mut shipper = ship_recipe(place.path(), &none, &configs, &place.directory("data")).start();
    write_long(&mut fs::File::create(&log).expect("it is writable"), &shipper);
    expect_cut(&out, &shipper);
    until("the loss to be told", PATIENCE, || {
        let printed = shipper.printed();
        if printed.contains("line_too_long") { Ok(()) } else { Err(printed) }
    });
    assert_eq!(shipper.terminate(PATIENCE).code(), Some(0), "{}", shipper.printed());
}

/// A window of lumberjack with the same event many times over.
fn window(events: u32) -> Vec<u8> {
    let event = format!("{{\"message\":\"{}\"}}", "x".repeat(4000));
    let mut bytes = b"2W".to_vec();
    bytes.extend_from_slice(&events.to_be_bytes());
    for number in 1..=events {
        bytes.extend_from_slice(b"2J");
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&(event.len() as u32).to_be_bytes());
        bytes.extend_from_slice(event.as_bytes());
    }
    bytes
}

#[test]
fn a_beat_that_connects_again_and_again_is_held_once() {
    let place = Place::new("beats-again");
    // Nobody answers there.
    let deaf = free_port();
    let port = free_port();
    let text = format!(
        "input {{ beats {{ host => \"127.0.0.1\" port => {port} }} }}
         output {{ tcp {{ host => \"127.0.0.1\" port => {deaf} codec => json_lines }} }}"
    );
    let mut beats = executor(place.path(), "beats").args(["pipeline", "run", "-w", "1", "-e", &text]).start();
    let connect = || {
        until("the input", PATIENCE, || TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string()))
    };
    let whole = window(2000);
    for _ in 0..60 {
        let mut stream = connect();
        stream.set_write_timeout(Some(Duration::from_millis(50))).expect("a socket has it");
        // It may well not be read to its end.
        let _not_all_of_it = stream.write_all(&whole);
        assert_small(&beats);
    }
    // One that stays is told that it is not forgotten.
    let mut last = connect();
    last.set_read_timeout(Some(PATIENCE)).expect("a socket has it");
    last.write_all(&window(1)).expect("it is small");
    let mut answer = [1; 6];
    last.read_exact(&mut answer).expect("it is told that its events are on their way");
    assert_eq!(answer, *b"2A\0\0\0\0");
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", beats.id())).map_or(0, Iterator::count);
    until("those that have gone are let go", PATIENCE, || match descriptors() {
        few @ 0..40 => Ok(few),
        many => Err(format!("{many} descriptors: {}", beats.printed())),
    });
    assert_small(&beats);
    beats.kill();
}

/// As many files as two usual limits of descriptors.
const FILES: usize = 2000;

/// Appends `what` and its number to every file.
fn append_to_all(logs: &Path, what: &str) {
    for number in 0..FILES {
        let path = logs.join(format!("{number}.log"));
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).expect("it is writable");
        writeln!(file, "{what} {number}").expect("it is writable");
    }
}

/// Waits until every line of `whats` has arrived, and fails if one has twice.
#[track_caller]
fn expect_of_all(out: &Path, whats: &[&str], process: &Process) {
    let all = whats.iter().flat_map(|what| (0..FILES).map(move |number| format!("{what} {number}")));
    let mut all: Vec<String> = all.collect();
    all.sort_unstable();
    until("the lines of all files", PATIENCE, || {
        let seen = fs::read_to_string(out).unwrap_or_default();
        let mut seen: Vec<&str> = seen.lines().collect();
        seen.sort_unstable();
        if seen == all { Ok(()) } else { Err(format!("{}: {}", seen.len(), process.printed())) }
    });
}

#[test]
fn more_files_than_descriptors_are_all_read_and_read_on() {
    let place = Place::new("many-files");
    for hard in ["1024", ""] {
        let limit = format!("--nofile=1024:{hard}");
        for as_shipper in [false, true] {
            let here = place.directory(&format!("{as_shipper}{hard}"));
            let (logs, configs, out) = (here.join("logs"), here.join("configs"), here.join("out.txt"));
            fs::create_dir_all(&logs).expect("it is writable");
            append_to_all(&logs, "first");
            let output = format!(
                "output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }} }}",
                out.display()
            );
            let recipe = if as_shipper {
                fs::create_dir_all(configs.join("host")).expect("it is writable");
                let text =
                    format!("input {{ file {{ host-path => \"{}/*.log\" }} }} {output}", logs.display());
                fs::write(configs.join("host/a.conf"), text).expect("it is writable");
                let none = format!("unix://{}", here.join("none.sock").display());
                ship_recipe(&here, &none, &configs, &here.join("data"))
            } else {
                let text = format!(
                    "input {{ file {{ path => \"{}/*.log\" start_position => beginning sincedb_path => \"{}\" }} }} {output}",
                    logs.display(),
                    here.join("positions").display()
                );
                executor(&here, "many").args(["pipeline", "run", "-w", "1", "-e", &text])
            };
            let mut process = recipe.within(&["prlimit", &limit]).start();
            expect_of_all(&out, &["first"], &process);
            append_to_all(&logs, "second");
            expect_of_all(&out, &["first", "second"], &process);
            for number in 0..FILES {
                let path = logs.join(format!("{number}.log"));
                fs::rename(&path, path.with_extension("log.1")).expect("it is there");
            }
            append_to_all(&logs, "third");
            expect_of_all(&out, &["first", "second", "third"], &process);
            assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
            assert_eq!(process.printed().contains("Files wait"), hard == "1024", "{}", process.printed());
        }
    }
}

#[test]
fn a_long_line_of_json_that_is_many_events_is_not_held_as_all_of_them() {
    const EVENTS: usize = 400_000;
    let place = Place::new("long-json");
    let (log, out) = (place.join("log"), place.join("out"));
    let items: Vec<String> = (0..EVENTS).map(|number| format!("{{\"n\":{number}}}")).collect();
    fs::write(&log, format!("[{}]\n", items.join(","))).expect("it is writable");
    let text = format!(
        "input {{ file {{ path => \"{}\" codec => json start_position => \"beginning\" }} }}
         output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{n}}\" }} }} }}",
        log.display(),
        out.display()
    );
    let mut run = executor(place.path(), "json").args(["pipeline", "run", "-w", "1", "-e", &text]).start();
    until("all events", PATIENCE, || {
        assert_small(&run);
        match fs::read_to_string(&out).unwrap_or_default().lines().count() {
            EVENTS => Ok(()),
            some => Err(format!("{some} events: {}", run.printed())),
        }
    });
    assert_eq!(run.terminate(PATIENCE).code(), Some(0), "{}", run.printed());
}

/// What an executor is granted where nothing is said.
const GRANTED: u64 = 64 * MIB;
/// What the released program has resident of its own file.
const PROGRAM: u64 = 14 * MIB;
const CONFIGURATIONS: usize = 40;
/// What they may hold when they have nothing to do.
const AT_REST: u64 = 40 * MIB;
const LINES: usize = 20_000;

/// Forty configurations, each with a file and a pattern of its own, and the output `output`: so soon after each other that all of
/// them are busy, and so late that the first ones have the memory of the others.
fn forty(place: &Place, output: &str) -> Process {
    let (configs, logs) = (place.directory("configs"), place.directory("logs"));
    let host = configs.join("host");
    fs::create_dir_all(&host).expect("it is writable");
    let text: String = (0..LINES)
        .map(|number| format!("10.0.0.1 - - [01/Jan/2026:00:00:00 +0000] \"GET /{number} HTTP/1.1\" 200 5\n"))
        .collect();
    let log = |number| logs.join(format!("{number}.log"));
    (0..CONFIGURATIONS).for_each(|number| fs::write(log(number), &text).expect("it is writable"));
    let none = format!("unix://{}", place.join("none.sock").display());
    let shipper = ship_recipe(place.path(), &none, &configs, &place.directory("data")).start();
    for number in 0..CONFIGURATIONS {
        let text = format!(
            "input {{ file {{ host-path => \"{}\" start_position => \"beginning\" }} }}
             filter {{ grok {{ match => {{ message => \"%{{COMMONAPACHELOG}}\" }} }} }} output {{ {output} }}",
            log(number).display()
        );
        fs::write(host.join(format!("{number}.conf")), text).expect("it is writable");
        thread::sleep(Duration::from_millis(50));
    }
    shipper
}

#[track_caller]
fn assert_holds_less_than(most: u64, process: &Process) {
    let held = anonymous_bytes(process.id()).unwrap_or(0);
    assert!(held < most, "{} MiB: {}", held / MIB, process.printed());
}

#[test]
fn forty_configurations_whose_output_is_away_stay_within_what_was_granted() {
    let place = Place::new("forty-dead");
    let mut shipper = forty(&place, &format!("elasticsearch {{ hosts => \"127.0.0.1:{}\" }}", free_port()));
    let (mut read, mut since) = (0, Instant::now());
    until("nothing more to be read", PATIENCE, || {
        assert_holds_less_than(GRANTED - PROGRAM, &shipper);
        let now = bytes_read(shipper.id()).unwrap_or(0);
        if now > read + MIB / 4 {
            (read, since) = (now, Instant::now());
        }
        // Each has read something, and then waits.
        match read > CONFIGURATIONS as u64 * 4096 && since.elapsed() > Duration::from_secs(2) {
            true => Ok(()),
            false => Err(format!("{now} bytes read: {}", shipper.printed())),
        }
    });
    let held = anonymous_bytes(shipper.id()).unwrap_or(0);
    println!(
        "figure: {CONFIGURATIONS} configurations, output away: {} KiB held, {read} bytes read",
        held / 1024
    );
    shipper.kill();
}

#[test]
fn forty_configurations_at_work_hold_no_more_than_was_granted() {
    let place = Place::new("forty-live");
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let port = listener.local_addr().expect("it is bound").port();
    let arrived = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&arrived);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            thread::spawn(move || {
                for _line in BufReader::new(connection).split(b'\n').map_while(Result::ok) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let output = format!("tcp {{ host => \"127.0.0.1\" port => {port} codec => json_lines }}");
    let mut shipper = forty(&place, &output);
    let mut most = 0;
    until("all lines", PATIENCE, || {
        assert_holds_less_than(GRANTED - PROGRAM, &shipper);
        most = most.max(anonymous_bytes(shipper.id()).unwrap_or(0));
        match arrived.load(Ordering::Relaxed) {
            all if all >= CONFIGURATIONS * LINES => Ok(()),
            some => Err(format!("{some} lines: {}", shipper.printed())),
        }
    });
    let rest = until("what nobody uses to be given back", PATIENCE, || {
        match anonymous_bytes(shipper.id()).unwrap_or(0) {
            rest if rest < AT_REST => Ok(rest),
            held => Err(format!("{} MiB: {}", held / MIB, shipper.printed())),
        }
    });
    println!(
        "figure: {CONFIGURATIONS} configurations at work: at most {} KiB held, {} when all is sent",
        most / 1024,
        rest / 1024
    );
    assert_eq!(shipper.terminate(PATIENCE).code(), Some(0), "{}", shipper.printed());
}

/// What the last line of a program says behind `name`.
#[track_caller]
fn counted_in_all(process: &Process, name: &str) -> String {
    let printed = process.printed();
    let line = printed.lines().find(|line| line.contains("Counted in all")).unwrap_or(&printed);
    let word = line.split_whitespace().find_map(|word| word.strip_prefix(name));
    word.unwrap_or_else(|| panic!("no {name} in {line}")).to_owned()
}

#[test]
fn what_a_filter_makes_of_one_event_is_not_held_as_all_of_it() {
    const PIECES: usize = 300_000;
    let place = Place::new("split");
    let (log, out) = (place.join("log"), place.join("out"));
    fs::write(&log, "x,".repeat(PIECES) + "\n").expect("it is writable");
    let text = format!(
        "input {{ file {{ path => \"{}\" start_position => \"beginning\" }} }}
         filter {{ split {{ terminator => \",\" }} clone {{ clones => [\"a\"] }} }}
         output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }} }}",
        log.display(),
        out.display()
    );
    let mut run = executor(place.path(), "split").args(["pipeline", "run", "-w", "1", "-e", &text]).start();
    until("all events", PATIENCE, || {
        assert_small(&run);
        match fs::read_to_string(&out).unwrap_or_default().lines().count() {
            all if all == 2 * PIECES => Ok(()),
            some => Err(format!("{some} events: {}", run.printed())),
        }
    });
    assert_eq!(run.terminate(PATIENCE).code(), Some(0), "{}", run.printed());
}

#[test]
fn events_of_many_files_that_do_not_end_are_not_held_as_a_whole() {
    const FILES: usize = 40;
    const LINES: usize = 4000;
    let place = Place::new("many-unfinished");
    let (configs, logs, out) = (place.directory("configs"), place.directory("logs"), place.join("out"));
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    let line = format!(" {}\n", "x".repeat(998));
    let log = |number: usize| logs.join(format!("{number}.log"));
    for number in 0..FILES {
        fs::write(log(number), line.repeat(LINES)).expect("it is writable");
    }
    let text = format!(
        "input {{ file {{ host-path => \"{}/*.log\"
           codec => multiline {{ pattern => \"^ \" what => previous max_lines => 1000000 }} }} }}
         output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }} }}",
        logs.display(),
        out.display()
    );
    fs::write(configs.join("host/a.conf"), text).expect("it is writable");
    let none = format!("unix://{}", place.join("none.sock").display());
    let mut shipper = ship_recipe(place.path(), &none, &configs, &place.directory("data")).start();
    let all = (FILES * LINES * line.len()) as u64;
    let mut most = 0;
    let mut look = |shipper: &Process| {
        assert_small(shipper);
        most = most.max(anonymous_bytes(shipper.id()).unwrap_or(0));
    };
    until("all files to be read", PATIENCE, || {
        look(&shipper);
        match bytes_read(shipper.id()).unwrap_or(0) {
            read if read >= all => Ok(()),
            read => Err(format!("{read} of {all}: {}", shipper.printed())),
        }
    });
    for number in 0..FILES {
        let mut file = fs::OpenOptions::new().append(true).open(log(number)).expect("it is there");
        file.write_all(b"next\n").expect("it is writable");
    }
    until("every line, each once", PATIENCE, || {
        look(&shipper);
        match fs::metadata(&out).map_or(0, |out| out.len()) {
            come if come == all => Ok(()),
            come => Err(format!("{come} of {all}: {}", shipper.printed())),
        }
    });
    println!("figure: {FILES} files with unfinished events of 4 MB: at most {} KiB held", most / 1024);
    assert!(shipper.printed().contains("Unfinished events"), "{}", shipper.printed());
    assert_eq!(shipper.terminate(PATIENCE).code(), Some(0), "{}", shipper.printed());
    let counted = counted_in_all(&shipper, "ended_early=");
    assert!(counted.parse::<usize>().is_ok_and(|events| events > 0), "{counted}");
}

#[test]
fn lines_that_hold_very_many_values_are_left_as_they_are() {
    let place = Place::new("many-values");
    let (log, out) = (place.join("log"), place.join("out"));
    let many = |item: &str| {
        format!("{{\"a\":[{}{item}]}}\n", format!("{item},").repeat(9_000_000 / (item.len() + 1)))
    };
    fs::write(&log, many("1") + &many("[]") + &many("{}") + "{\"b\":2}\n").expect("it is writable");
    let text = format!(
        "input {{ file {{ path => \"{}\" start_position => \"beginning\" }} }}
         filter {{ json {{ source => \"message\" }} }} {}",
        log.display(),
        short(&out)
    );
    let mut run = executor(place.path(), "values").args(["pipeline", "run", "-w", "1", "-e", &text]).start();
    until("all events", PATIENCE, || {
        assert_small(&run);
        let seen = fs::read_to_string(&out).unwrap_or_default();
        let lines: Vec<&str> = seen.lines().collect();
        match lines[..] {
            [.., last] if lines.len() == 4 => {
                assert!(lines[..3].iter().all(|line| *line == "{\"a\" _jsonparsefailure"), "{lines:?}");
                assert!(last.starts_with("{\"b\" "), "{lines:?}");
                Ok(())
            }
            _ => Err(format!("{seen:.200}: {}", run.printed())),
        }
    });
    assert_eq!(run.terminate(PATIENCE).code(), Some(0), "{}", run.printed());
    assert!(run.printed().contains("Texts were not parsed"), "{}", run.printed());
    assert_eq!(counted_in_all(&run, "unparsed="), "3");
}
