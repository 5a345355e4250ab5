//! What containers write to their standard output and error, through every log driver that can be read, from the
//! daemon's files and through its API.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use logstash_mesos_tests::docker::{BUSYBOX, Client, Container, Docker};
use logstash_mesos_tests::door::Door;
use logstash_mesos_tests::executor::ship_recipe;
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::process::{Process, Recipe};
use logstash_mesos_tests::wait::{PATIENCE, until};

/// `ship` with `output` for what every container writes, below a directory of its own.
fn shipper(place: &Place, name: &str, docker: &Client, output: &str) -> Recipe {
    let directory = place.directory(name);
    let configs = directory.join("configs");
    fs::create_dir_all(configs.join("docker")).expect("it is writable");
    let text = format!("input {{ docker {{ }} }}\noutput {{ {output} }}");
    fs::write(configs.join(format!("docker/{}.conf", BUSYBOX.replace(':', "%3A"))), text)
        .expect("it is writable");
    ship_recipe(&directory, docker.host(), &configs, &directory.join("data"))
}

/// The same that sees nothing of the machine, so that it has to ask the daemon for everything.
fn from_a_distance(place: &Place, name: &str, docker: &Client, output: &str) -> Recipe {
    shipper(place, name, docker, output).arg("--host-root").arg(place.directory("nothing"))
}

/// Writes the lines of each container to a file that is named after it.
fn to_files(out: &Path) -> String {
    let path = out.join("%{[container][name]}.txt");
    format!(
        "file {{ path => \"{}\" codec => line {{ format => \"%{{stream}} %{{message}}\" }} }}",
        path.display()
    )
}

/// [`shipper`] or [`from_a_distance`].
type Way = fn(&Place, &str, &Client, &str) -> Recipe;

fn lines(file: &Path) -> Vec<String> {
    // Not `lines`, which takes a carriage return for a part of the end.
    fs::read_to_string(file).unwrap_or_default().split_terminator('\n').map(str::to_owned).collect()
}

#[test]
fn every_driver_gives_the_same_lines_from_its_files_and_through_the_api() {
    let place = Place::new("drivers");
    let docker = Docker::start_with_journal(&place.directory("d"));
    let (files, api) = (place.directory("by-file"), place.directory("by-api"));
    let direct = shipper(&place, "direct", &docker, &to_files(&files)).start();
    let distant = from_a_distance(&place, "distant", &docker, &to_files(&api)).start();

    // A driver that only sends: the daemon keeps a copy of its own.
    let (server, socket) = (place.join("syslog"), UnixDatagram::bind(place.join("syslog")));
    let socket = socket.expect("it is writable");
    std::thread::spawn(move || while socket.recv(&mut [0; 1024]).is_ok() {});
    let address = format!("syslog-address=unixgram://{}", server.display());
    let drivers: [(&str, &[&str]); 4] =
        [("json-file", &[]), ("local", &[]), ("journald", &[]), ("syslog", &["--log-opt", &address])];
    // A long line that is split twice; what a terminal makes of ends of lines; no end at the end.
    let script = "echo first; printf 'a\\rb\\n\\n'; head -c 40000 /dev/zero | tr '\\0' x; echo; \
                  echo wrong >&2; printf last";
    let mut running: Vec<Container> = Vec::new();
    let mut wanted = BTreeMap::new();
    let long = "x".repeat(40_000);
    let expected = ["first", "a\rb", "", &long, "last"].map(|line| format!("stdout {line}"));
    for (driver, options) in drivers {
        for tty in [false, true] {
            let name = format!("{driver}-{tty}");
            let mut flags = vec!["--name", &name, "--log-driver", driver];
            flags.extend(options);
            if tty {
                flags.push("-t");
            }
            running.push(docker.run_script(&flags, script));
            let mut lines = expected.to_vec();
            // A terminal has one channel for both.
            if driver == "journald" && !tty {
                // The daemon writes no empty line to the journal.
                lines.remove(2);
            }
            lines.push(format!("{} wrong", if tty { "stdout" } else { "stderr" }));
            lines.sort();
            wanted.insert(name, lines);
        }
    }
    for (out, shipper) in [(&files, &direct), (&api, &distant)] {
        for (name, wanted) in &wanted {
            until(&format!("the lines of {name} in {}", out.display()), PATIENCE, || {
                let mut seen = lines(&out.join(format!("{name}.txt")));
                seen.sort();
                let short = |lines: &[String]| -> Vec<String> {
                    lines.iter().map(|line| format!("{:.20} {}", line.escape_debug(), line.len())).collect()
                };
                if seen == *wanted {
                    Ok(())
                } else {
                    Err(format!("{:?}\n{}", short(&seen), shipper.printed()))
                }
            });
        }
    }
    let (direct, distant) = (direct.printed(), distant.printed());
    for method in ["json-file", "local", "daemon-cache", "logs-api"] {
        assert!(direct.contains(&format!("method={method}")), "{method}: {direct}");
    }
    assert!(!distant.contains("method=json-file") && !distant.contains("method=local"), "{distant}");
}

/// The daemon's clock cannot be set back, so its file is written by hand: the API reads what is there.
#[test]
fn a_position_in_the_api_survives_a_clock_that_goes_back_and_stands_still() {
    let place = Place::new("clock");
    let docker = Docker::start(&place.directory("d"));
    let out = place.directory("out");
    let recipe = from_a_distance(&place, "ship", &docker, &to_files(&out));
    let script = "i=0; while [ $i -lt 300 ]; do echo start $i; i=$((i+1)); done; exec sleep 100000";
    let container = docker.run_script(&["--name", "clock"], script);
    let log = PathBuf::from(container.inspect("{{.LogPath}}"));
    let mut expected: Vec<String> = (0..300).map(|number| format!("stdout start {number}")).collect();
    let append_to = |stream: &str, entries: &[(&str, &str)]| {
        let entry = |(text, time): &(&str, &str)| {
            format!("{{\"log\":\"{text}\\n\",\"stream\":\"{stream}\",\"time\":\"{time}\"}}\n")
        };
        let entries: String = entries.iter().map(entry).collect();
        let mut file = fs::OpenOptions::new().append(true).open(&log).expect("the daemon has made it");
        file.write_all(entries.as_bytes()).expect("it is writable");
    };
    let append = |entries: &[(&str, &str)]| append_to("stdout", entries);
    let arrived = |expected: &[String], printed: &dyn Fn() -> String| {
        until("every line, once and in order", PATIENCE, || {
            let seen = lines(&out.join("clock.txt"));
            let tail = &seen[seen.len().saturating_sub(10)..];
            if seen == expected { Ok(()) } else { Err(format!("{}: {tail:?}\n{}", seen.len(), printed())) }
        });
    };
    let earlier = "2010-01-01T00:00:00Z";
    for round in 1..4 {
        let mut ship = recipe.start();
        arrived(&expected, &|| ship.printed());
        let (now, later) = (format!("now {round}"), format!("later {round}"));
        let one = format!("2020-01-01T00:00:0{round}.000000007Z");
        let other = format!("2020-01-01T00:00:0{round}.000000008Z");
        append(&[("alike", &one), ("alike", &one), (&now, earlier), ("alike", &other), ("alike", &other)]);
        expected.extend(["alike", "alike", &now, "alike", "alike"].map(|line| format!("stdout {line}")));
        arrived(&expected, &|| ship.printed());
        // It ends in the middle of records that look alike.
        assert_eq!(ship.terminate(PATIENCE).code(), Some(0), "{}", ship.printed());
        append(&[("alike", &other), ("alike", &other), (&later, earlier)]);
        expected.extend(["alike", "alike", &later].map(|line| format!("stdout {line}")));
    }
    // The first record of its channel is the last to arrive of a container that has ended.
    let mut ship = recipe.start();
    append_to("stderr", &[("wrong", earlier)]);
    expected.push("stderr wrong".to_owned());
    arrived(&expected, &|| ship.printed());
    assert_eq!(ship.terminate(PATIENCE).code(), Some(0), "{}", ship.printed());
    docker.command(&["kill", container.id()]);
    container.wait_for_exit(PATIENCE);
    append(&[("last", earlier)]);
    expected.push("stdout last".to_owned());
    let ship = recipe.start();
    arrived(&expected, &|| ship.printed());
    drop(ship);
    // What the daemon has removed meanwhile is told, and what it still has is read.
    fs::File::options().write(true).open(&log).expect("it is there").set_len(0).expect("it is writable");
    append(&[("after the gap", earlier)]);
    expected.push("stdout after the gap".to_owned());
    let mut ship = recipe.start();
    arrived(&expected, &|| ship.printed());
    assert_eq!(ship.terminate(PATIENCE).code(), Some(0), "{}", ship.printed());
    assert!(ship.printed().contains("removed_by_daemon"), "{}", ship.printed());
}

/// A container that writes when it is told to, and whose log is rotated every 20 KiB.
struct Bursts {
    container: Container,
    control: fs::File,
    log: PathBuf,
}

impl Bursts {
    fn start(place: &Place, docker: &Client, name: &str, driver: &str, options: &[&str]) -> Self {
        let control = place.directory("control").join(name);
        let made = Command::new("mkfifo").arg(&control).status();
        assert!(made.is_ok_and(|status| status.success()), "{} is no pipe", control.display());
        let script = "zeros=$(printf %080d 0); while read name count; do i=0; while [ $i -lt $count ]; do \
                      echo \"$name.$i $zeros\"; i=$((i+1)); done; done < /control; exec sleep 100000";
        let volume = format!("{}:/control", control.display());
        let flags = ["--name", name, "-v", &volume, "--log-driver", driver, "--log-opt", "max-size=20k"];
        let container = docker.run_script(&[&flags[..], options].concat(), script);
        let directory = PathBuf::from(container.inspect("{{.HostnamePath}}"));
        let log = match driver {
            "local" => directory.with_file_name("local-logs").join("container.log"),
            _ => PathBuf::from(container.inspect("{{.LogPath}}")),
        };
        let control = fs::OpenOptions::new().write(true).open(&control).expect("the container reads");
        Self { container, control, log }
    }

    /// Returns the lines, when the daemon has them.
    fn write(&mut self, name: &str, count: u32) -> Vec<String> {
        self.control.write_all(format!("{name} {count}\n").as_bytes()).expect("the container reads");
        let last = format!("{name}.{} ", count - 1);
        until("the daemon to have the lines", PATIENCE, || {
            let bytes = fs::read(&self.log).map_err(|error| error.to_string())?;
            let written = bytes.windows(last.len()).any(|window| window == last.as_bytes());
            if written { Ok(()) } else { Err(format!("{} of {}", bytes.len(), self.container.id())) }
        });
        (0..count).map(|number| format!("{name}.{number} {:080}", 0)).collect()
    }

    /// Returns a hundred lines, when `ship` holds the file that has the last of them.
    fn write_seen(&mut self, name: &str, ship: &Process) -> Vec<String> {
        let lines = self.write(name, 100);
        until("the newest file to be held", PATIENCE, || {
            if holds(ship.id(), &self.log) { Ok(()) } else { Err(ship.printed()) }
        });
        lines
    }
}

/// Writes the lines to a door.
fn to_door(door: &Door) -> String {
    format!(
        "http {{ url => \"{}\" http_method => \"post\" format => \"message\" message => \"%{{message}}\" \
         automatic_retries => 0 }}",
        door.url()
    )
}

/// Whether a process has this file open, whatever its name is.
fn holds(process: u32, file: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let wanted = identity(file);
    let open = fs::read_dir(format!("/proc/{process}/fd")).expect("it runs");
    wanted.is_some() && open.flatten().any(|entry| identity(&entry.path()) == wanted)
}

#[test]
fn what_the_daemon_rotates_while_the_output_is_down_arrives() {
    let place = Place::new("rotated");
    let docker = Docker::start(&place.directory("d"));
    for driver in ["json-file", "local"] {
        let door = Door::shut();
        let mut ship = shipper(&place, driver, &docker, &to_door(&door)).start();
        // Two files are kept, and several times as much is written.
        let mut bursts = Bursts::start(&place, &docker, driver, driver, &["--log-opt", "max-file=2"]);
        let mut expected = Vec::new();
        for burst in 0..12 {
            expected.extend(bursts.write_seen(&burst.to_string(), &ship));
        }
        door.open();
        door.expect(&expected, || ship.printed());
        assert_eq!(ship.terminate(PATIENCE).code(), Some(0), "{}", ship.printed());
        assert!(ship.printed().contains("lost_bytes=0 "), "{}", ship.printed());
    }
}

#[test]
fn what_a_container_has_left_arrives_though_others_take_all_the_room_when_it_is_removed() {
    let place = Place::new("left");
    let docker = Docker::start(&place.directory("d"));
    for driver in ["json-file", "local"] {
        let door = Door::shut();
        let limits = ["--queue-megabytes", "1", "--drain-timeout-secs", "0"];
        let mut ship = shipper(&place, driver, &docker, &to_door(&door)).args(limits).start();
        let start = |name: &str, files: &str| {
            let options = ["--log-opt", files];
            Bursts::start(&place, &docker, &format!("{driver}-{name}"), driver, &options)
        };
        let (mut busy, mut short_lived) = (start("busy", "max-file=9"), start("short", "max-file=2"));
        let mut expected = Vec::new();
        for burst in 0..40 {
            expected.extend(busy.write_seen(&format!("busy.{burst}"), &ship));
        }
        for burst in 0..12 {
            expected.extend(short_lived.write_seen(&format!("short.{burst}"), &ship));
        }
        drop(short_lived);
        // It has been looked at again since then, and its time was over.
        for later in 0..3 {
            let later = docker.run_script(&["--name", &format!("{driver}-{later}")], "exec sleep 100000");
            until("it is seen", PATIENCE, || {
                if ship.printed().contains(later.id()) { Ok(()) } else { Err(ship.printed()) }
            });
        }
        door.open();
        door.expect(&expected, || ship.printed());
        assert_eq!(ship.terminate(PATIENCE).code(), Some(0), "{}", ship.printed());
        assert!(ship.printed().contains("lost_bytes=0 "), "{}", ship.printed());
    }
}

#[test]
fn what_the_daemon_rotates_and_compresses_while_nobody_reads_arrives() {
    let place = Place::new("compressed");
    let docker = Docker::start(&place.directory("d"));
    let options = ["--log-opt", "max-file=9", "--log-opt", "compress=true"];
    let ways: [(&str, &str, Way); 3] = [
        ("json-file", "json-file", shipper),
        ("local", "local", shipper),
        ("by-api", "local", from_a_distance),
    ];
    for (name, driver, way) in ways {
        let out = place.directory("out");
        let recipe = way(&place, name, &docker, &to_files(&out));
        let mut bursts = Bursts::start(&place, &docker, name, driver, &options);
        let mut expected = Vec::new();
        for (round, count) in [20, 400, 20].into_iter().enumerate() {
            expected.extend(bursts.write(&format!("{name}.{round}"), count));
            let mut ship = recipe.start();
            until("every line, once and in order", PATIENCE, || {
                let seen = lines(&out.join(format!("{name}.txt")));
                let same = seen.iter().map(|line| line.trim_start_matches("stdout ")).eq(&expected);
                if same { Ok(()) } else { Err(format!("{} lines\n{}", seen.len(), ship.printed())) }
            });
            assert_eq!(ship.terminate(PATIENCE).code(), Some(0), "{}", ship.printed());
            assert!(ship.printed().contains("lost_bytes=0 "), "{}", ship.printed());
        }
        let rotated = fs::read_dir(bursts.log.parent().expect("it is in a directory")).expect("it is there");
        let names = rotated.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        assert!(names.filter(|name| name.ends_with(".gz")).count() > 0, "{name}: nothing was compressed");
    }
}

/// A daemon that is followed through its API leaves records out when it rotates.
#[test]
fn what_the_daemon_rotates_while_it_is_read_through_the_api_arrives_once() {
    let place = Place::new("turning");
    let docker = Docker::start(&place.directory("d"));
    let out = place.directory("out");
    let ship = from_a_distance(&place, "ship", &docker, &to_files(&out)).start();
    for driver in ["json-file", "local"] {
        // All files are kept: what is missing was there.
        let mut bursts = Bursts::start(&place, &docker, driver, driver, &["--log-opt", "max-file=1000"]);
        let mut expected = bursts.write("first", 1);
        let all_came = |expected: &[String]| {
            until("every line, once and in order", PATIENCE, || {
                let seen = lines(&out.join(format!("{driver}.txt")));
                let same = seen.iter().map(|line| line.trim_start_matches("stdout ")).eq(expected);
                if same { Ok(()) } else { Err(format!("{driver}: {} lines\n{}", seen.len(), ship.printed())) }
            });
        };
        all_came(&expected);
        for burst in ["second", "third"] {
            expected.extend(bursts.write(burst, 3000));
            all_came(&expected);
        }
    }
    assert!(!ship.printed().contains("removed_by_daemon"), "{}", ship.printed());
}

/// It is removed as soon as it has ended, so that the daemon cannot be asked for them any more.
#[test]
fn the_last_words_of_a_container_that_is_removed_arrive_through_the_api() {
    let place = Place::new("words");
    let docker = Docker::start(&place.directory("d"));
    let out = place.directory("out");
    let ship = from_a_distance(&place, "ship", &docker, &to_files(&out)).start();
    for round in 0..5 {
        let name = format!("c{round}");
        let control = place.directory("control").join(&name);
        let made = Command::new("mkfifo").arg(&control).status();
        assert!(made.is_ok_and(|status| status.success()), "{} is no pipe", control.display());
        let volume = format!("{}:/control", control.display());
        let script = "echo first; read name < /control; echo second; echo last";
        let _removed = docker.run_script(&["--rm", "--name", &name, "-v", &volume], script);
        let has = |wanted: &[&str]| {
            until("every line", PATIENCE, || {
                let seen = lines(&out.join(format!("{name}.txt")));
                if seen == wanted { Ok(()) } else { Err(format!("{seen:?}\n{}", ship.printed())) }
            });
        };
        has(&["stdout first"]);
        fs::write(&control, "go\n").expect("the container reads");
        has(&["stdout first", "stdout second", "stdout last"]);
    }
}

#[test]
fn forty_containers_that_are_removed_at_their_end_are_read() {
    let place = Place::new("forty");
    let docker = Docker::start(&place.directory("d"));
    let out = place.directory("out");
    let ship = shipper(&place, "ship", &docker, &to_files(&out)).start();
    until("the daemon to be seen", PATIENCE, || {
        let printed = ship.printed();
        if printed.contains("Docker daemon answers") { Ok(()) } else { Err(printed) }
    });
    let script = "i=0; while [ $i -lt 1000 ]; do echo $i; i=$((i+1)); done";
    std::thread::scope(|threads| {
        for eighth in 0..8 {
            let docker = &docker;
            threads.spawn(move || {
                for number in 0..5 {
                    let name = format!("c{eighth}{number}");
                    let arguments =
                        ["run", "--rm", "--network", "none", "--name", &name, BUSYBOX, "sh", "-c", script];
                    docker.command(&arguments);
                }
            });
        }
    });
    let expected: Vec<String> = (0..1000).map(|number| format!("stdout {number}")).collect();
    until("every line of forty containers", PATIENCE, || {
        let seen: Vec<usize> = (0..40)
            .map(|number| lines(&out.join(format!("c{}{}.txt", number / 5, number % 5))))
            .map(|lines| if lines == expected { 1000 } else { lines.len() })
            .collect();
        if seen.iter().all(|count| *count == 1000) {
            Ok(())
        } else {
            Err(format!("{seen:?}\n{}", ship.printed()))
        }
    });
}
