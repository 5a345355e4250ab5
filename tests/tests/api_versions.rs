//! Every version of Docker's API that the real daemon has.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use logstash_mesos_tests::docker::{BUSYBOX, Docker};
use logstash_mesos_tests::executor::ship_recipe;
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::wait::{PATIENCE, until};

/// The newest version of Docker 20.10.
const NEWEST: u32 = 41;
const OLDEST: u32 = 24;

/// Passes everything on to a daemon, but says itself which version of the API that has, and changes its answers by `also`.
fn daemon_of_version(socket: &Path, daemon: PathBuf, minor: u32, also: fn(&mut [u8])) {
    let listener = UnixListener::bind(socket).expect("the test's directory is writable");
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, daemon) = (client.expect("somebody connects"), daemon.clone());
            thread::spawn(move || pass_on(client, &daemon, minor, also));
        }
    });
}

fn pass_on(mut client: UnixStream, daemon: &Path, minor: u32, also: fn(&mut [u8])) -> Option<()> {
    let mut first = [0; 4096];
    let len = client.read(&mut first).ok()?;
    if first.starts_with(b"GET /version ") {
        let body = format!("{{\"ApiVersion\":\"1.{minor}\",\"MinAPIVersion\":\"1.12\"}}");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        return client.write_all(answer.as_bytes()).ok();
    }
    let asked = format!(" /v1.{minor}/");
    let line = first[..len].split(|byte| *byte == b'\r').next()?;
    assert!(line.windows(asked.len()).any(|part| part == asked.as_bytes()), "{}", line.escape_ascii());
    let mut daemon = UnixStream::connect(daemon).ok()?;
    daemon.write_all(&first[..len]).ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, daemon.try_clone().ok()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    // What comes together is changed together: the daemon writes an answer in pieces.
    daemon.set_read_timeout(Some(Duration::from_millis(20))).ok()?;
    let (mut part, mut answer) = (vec![0; 1 << 16], Vec::new());
    loop {
        let read = daemon.read(&mut part);
        if let Ok(len) = read {
            answer.extend_from_slice(&part[..len]);
        }
        if !matches!(read, Ok(1..)) || answer.len() > 1 << 20 {
            also(&mut answer);
            client.write_all(&answer).ok()?;
            answer.clear();
        }
        match read {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(1..) => {}
            _ => break,
        }
    }
    client.shutdown(std::net::Shutdown::Both).ok()
}

/// List, events, inspect, logs, and commands in containers.
#[test]
fn containers_are_read_by_every_version() {
    let place = Place::new("api");
    let docker = Docker::start(&place.directory("d"));
    let daemon = PathBuf::from(docker.host().trim_start_matches("unix://"));
    let script = |name: &str| {
        format!("echo \"out {name}\"; echo \"file {name}\" > /var/log/app.log; exec sleep 100000")
    };
    let _before = docker.run_script(&["--name", "before"], &script("before"));
    let nothing = place.directory("nothing");
    let ships: Vec<_> = (OLDEST..=NEWEST)
        .map(|minor| {
            let directory = place.directory(&format!("v{minor}"));
            let (configs, out) = (directory.join("configs/docker"), directory.join("out.txt"));
            fs::create_dir_all(&configs).expect("it is writable");
            let text = format!(
                "input {{ docker {{ }} file {{ docker-path => \"/var/log/app*.log\" }} }}\n\
                 output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }} }}",
                out.display()
            );
            fs::write(configs.join(format!("{}.conf", BUSYBOX.replace(':', "%3A"))), text)
                .expect("it is writable");
            let socket = directory.join("d.sock");
            daemon_of_version(&socket, daemon.clone(), minor, |_| ());
            let host = format!("unix://{}", socket.display());
            let ship = ship_recipe(&directory, &host, &directory.join("configs"), &directory.join("data"));
            (minor, out, ship.arg("--host-root").arg(&nothing).start())
        })
        .collect();
    let all_have = |wanted: &[&str]| {
        let mut wanted: Vec<String> =
            wanted.iter().flat_map(|name| [format!("out {name}"), format!("file {name}")]).collect();
        wanted.sort();
        for (minor, out, ship) in &ships {
            until(&format!("the lines of {wanted:?} by API 1.{minor}"), PATIENCE, || {
                let text = fs::read_to_string(out).unwrap_or_default();
                let mut seen: Vec<_> = text.lines().map(str::to_owned).collect();
                seen.sort();
                if seen == wanted { Ok(()) } else { Err(format!("{seen:?}\n{}", ship.printed())) }
            });
        }
    };
    all_have(&["before"]);
    let after = docker.run_script(&["--name", "after"], &script("after"));
    all_have(&["before", "after"]);
    drop(after);
    for (minor, _, ship) in &ships {
        let printed = ship.printed();
        assert!(
            printed.contains("method=exec-tail") && printed.contains("method=logs-api"),
            "1.{minor}: {printed}"
        );
        assert!(!printed.contains("does not answer"), "1.{minor}: {printed}");
    }
}

/// How often layers were left out.
static LEFT_OUT: AtomicU32 = AtomicU32::new(0);

/// As where containerd keeps the images.
fn without_layers(answer: &mut [u8]) {
    let name = b"\"GraphDriver\"";
    let found: Vec<usize> =
        answer.windows(name.len()).enumerate().filter(|(_, part)| part == name).map(|(at, _)| at).collect();
    for at in found {
        answer[at + 1] = b'g';
        LEFT_OUT.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn files_of_a_container_that_has_ended_are_read_where_the_daemon_names_no_layers() {
    let place = Place::new("layers");
    let docker = Docker::start(&place.directory("d"));
    let (configs, out) = (place.directory("configs/docker"), place.join("out.txt"));
    let text = format!(
        "input {{ file {{ docker-path => \"/var/log/app*.log\" }} }}\n\
         output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }} }}",
        out.display()
    );
    fs::write(configs.join(format!("{}.conf", BUSYBOX.replace(':', "%3A"))), text).expect("it is writable");
    let socket = place.join("d.sock");
    daemon_of_version(&socket, docker.host().trim_start_matches("unix://").into(), NEWEST, without_layers);
    let host = format!("unix://{}", socket.display());
    let ship = ship_recipe(place.path(), &host, &place.join("configs"), &place.directory("data")).start();
    let has = |lines: &str| {
        until("the lines of a file", PATIENCE, || {
            let seen = fs::read_to_string(&out).unwrap_or_default();
            if seen == lines { Ok(()) } else { Err(format!("{seen}\n{}", ship.printed())) }
        });
    };
    let container = docker.run_script(&[], "echo one > /var/log/app.log; exec sleep 100000");
    has("one\n");
    docker.command(&["kill", container.id()]);
    container.wait_for_exit(PATIENCE);
    let upper = container.inspect("{{.GraphDriver.Data.UpperDir}}");
    fs::write(Path::new(&upper).join("var/log/app.2.log"), "two\n").expect("it is there");
    has("one\ntwo\n");
    assert!(ship.printed().contains("method=host-layers"), "{}", ship.printed());
    assert!(LEFT_OUT.load(Ordering::Relaxed) > 0);
}
