//! A mount whose server is away: who waits for its answer holds up nobody else, and is named.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use logstash_mesos_tests::docker::{BUSYBOX, Docker};
use logstash_mesos_tests::door::Door;
use logstash_mesos_tests::executor::{program, ship_recipe};
use logstash_mesos_tests::http::request;
use logstash_mesos_tests::place::{Place, free_port};
use logstash_mesos_tests::process::{Process, Recipe};
use logstash_mesos_tests::wait::{PATIENCE, until};
use rustix::process::Signal;

/// A mount through a program that can be stopped, as a server that is away.
struct Mount {
    server: Process,
    behind: PathBuf,
    front: PathBuf,
}

impl Mount {
    fn new(place: &Place) -> Self {
        Self::of(place, place.directory("behind"), place.directory("front"))
    }

    /// What is in `behind` is seen through the program at `front`, which may be the same.
    fn of(place: &Place, behind: PathBuf, front: PathBuf) -> Self {
        let server = Recipe::new("bindfs", place.path(), "bindfs").arg("-f").arg(&behind).arg(&front).start();
        until("the mount", PATIENCE, || {
            let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
            let is_there = mounts.contains(&*front.to_string_lossy());
            is_there.then_some(()).ok_or_else(|| server.printed())
        });
        Self { server, behind, front }
    }

    /// It does not answer until what is returned is dropped, which is to be before those are that ask there.
    fn is_away(&self) -> Away<'_> {
        self.server.signal(Signal::STOP);
        Away(&self.server)
    }

    fn append(&self, number: u32, line: &str) {
        append(&self.behind.join(format!("{number}.log")), line);
    }
}

struct Away<'m>(&'m Process);

impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::CONT);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // It takes its mount with it.
        self.server.signal(Signal::TERM);
        let _its_status = self.server.ended_within(PATIENCE);
    }
}

fn append(path: &Path, line: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("it is writable");
    writeln!(file, "{line}").expect("the disk has room");
}

/// Fails unless what came are `lines`, each once.
fn expect(out: &Path, lines: &[String], process: &Process) {
    until("the lines", PATIENCE, || {
        let seen = fs::read_to_string(out).unwrap_or_default();
        let mut seen: Vec<&str> = seen.lines().collect();
        seen.sort_unstable();
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        lines.sort_unstable();
        if seen == lines { Ok(()) } else { Err(format!("{seen:?}: {}", process.printed())) }
    });
}

/// More than there are threads to read with.
const FILES: u32 = 6;

#[test]
fn a_mount_that_does_not_answer_holds_up_nobody_else() {
    let place = Place::new("hanging");
    let docker = Docker::start(&place.directory("docker"));
    let mount = Mount::new(&place);
    let (configs, out) = (place.directory("configs"), place.join("out.txt"));
    let good = place.directory("good");
    fs::create_dir_all(configs.join("docker")).expect("it is writable");
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    let output = format!(
        "output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }} }}",
        out.display()
    );
    let name = format!("docker/{}.conf", BUSYBOX.replace(':', "%3A"));
    let text = format!(
        "input {{ docker {{ }} file {{ docker-path => \"/logs/*.log\" }} \
         file {{ docker-path => \"/logs/0.old\" ignore_older => 3600 }} }} {output}"
    );
    fs::write(configs.join(name), text).expect("it is writable");
    // One that asks for both, and more than there are threads of those that ask only for what does not answer.
    let paths = |paths: &[&Path]| {
        let paths: Vec<_> = paths.iter().map(|path| format!("\"{}/*.log\"", path.display())).collect();
        format!("input {{ file {{ path => [{}] start_position => beginning }} }}", paths.join(", "))
    };
    fs::write(configs.join("host/both.conf"), format!("{} {output}", paths(&[&mount.front, &good])))
        .expect("it is writable");
    for number in 0..4 {
        let text = format!("{} output {{ null {{}} }}", paths(&[&mount.front]));
        fs::write(configs.join(format!("host/hanging{number}.conf")), text).expect("it is writable");
    }
    append(&mount.behind.join("plain.txt"), "of this there is a position");
    // What is too old to be read is looked at again and again.
    append(&mount.behind.join("0.old"), "old");
    let old = OpenOptions::new().append(true).open(mount.behind.join("0.old")).expect("it is there");
    old.set_modified(SystemTime::now() - Duration::from_secs(7200)).expect("it is ours");
    let text = format!(
        "input {{ file {{ host-path => \"{}/plain.txt\" }} }} output {{ null {{}} }}",
        mount.front.display()
    );
    fs::write(configs.join("host/shipped.conf"), text).expect("it is writable");
    // Each line twice: by the container's configuration, and by the machine's.
    let mut expected = Vec::new();
    let of_mount = |round: u32, expected: &mut Vec<String>| {
        for number in 0..FILES {
            mount.append(number, &format!("mount {number} {round}"));
            expected.extend([format!("mount {number} {round}"), format!("mount {number} {round}")]);
        }
    };
    of_mount(1, &mut expected);
    append(&good.join("app.log"), "machine 1");
    let _hanging =
        docker.run_script(&["-v", &format!("{}:/logs", mount.front.display())], "exec sleep 100000");
    let healthy =
        docker.run_script(&[], "mkdir -p /logs; echo container 1 > /logs/app.log; exec sleep 100000");
    expected.extend(["machine 1", "container 1"].map(str::to_owned));
    // The log that the daemon keeps of this one does not answer either: nobody but the daemon has the file itself.
    let say = place.directory("say");
    append(&say.join("lines"), "output 1");
    let output =
        docker.run_script(&["-v", &format!("{}:/say", say.display())], "exec tail -n +1 -f /say/lines");
    let log = place.join("docker/data/containers").join(output.id());
    let log_mount = Mount::of(&place, log.clone(), log.clone());
    expected.push("output 1".to_owned());

    let mut ship = ship_recipe(place.path(), docker.host(), &configs, &place.directory("data")).start();
    expect(&out, &expected, &ship);

    let away = [mount.is_away(), log_mount.is_away()];
    let mut later = vec!["output 2".to_owned()];
    of_mount(2, &mut later);
    append(&say.join("lines"), "output 2");
    for what in ["a call for a file", "which files match", "what was found"] {
        until(what, PATIENCE, || {
            let printed = ship.printed();
            if printed.contains(what) { Ok(()) } else { Err(printed) }
        });
    }
    append(&good.join("app.log"), "machine 2");
    append(&good.join("new.log"), "machine 3");
    healthy.shell("echo container 2 >> /logs/app.log; echo container 3 > /logs/new.log");
    expected.extend(["machine 2", "machine 3", "container 2", "container 3"].map(str::to_owned));
    expect(&out, &expected, &ship);

    drop(away);
    expected.append(&mut later);
    expect(&out, &expected, &ship);

    // Nor does its end wait.
    let away = mount.is_away();
    of_mount(3, &mut later);
    let before = ship.printed().matches("No answer from").count();
    until("calls that hang", PATIENCE, || {
        if ship.printed().matches("No answer from").count() > before { Ok(()) } else { Err(ship.printed()) }
    });
    ship.signal(Signal::TERM);
    until("the end", PATIENCE, || {
        if ship.printed().contains("Shut down") { Ok(()) } else { Err(ship.printed()) }
    });
    // The system closes what was open there, for which it waits.
    drop(away);
    assert_eq!(ship.ended_within(PATIENCE).code(), Some(0), "{}", ship.printed());

    // Nor does its beginning, with positions of what is there.
    let away = [mount.is_away(), log_mount.is_away()];
    append(&good.join("app.log"), "machine 4");
    healthy.shell("echo container 4 >> /logs/app.log");
    expected.extend(["machine 4", "container 4"].map(str::to_owned));
    let mut ship = ship_recipe(place.path(), docker.host(), &configs, &place.directory("data")).start();
    expect(&out, &expected, &ship);
    until("the log to be named", PATIENCE, || {
        let (log, printed) = (log.display().to_string(), ship.printed());
        let is_named = |line: &str| line.contains("what was found") && line.contains(&log);
        if printed.lines().any(is_named) { Ok(()) } else { Err(printed) }
    });
    // Nor do others that are begun later.
    append(&good.join("newer.log"), "machine 5");
    expected.push("machine 5".to_owned());
    expect(&out, &expected, &ship);
    drop(away);
    expected.append(&mut later);
    expect(&out, &expected, &ship);
    ship.signal(Signal::TERM);
    assert_eq!(ship.ended_within(PATIENCE).code(), Some(0), "{}", ship.printed());
}

#[test]
fn a_mount_that_does_not_answer_holds_up_no_other_file_of_its_input() {
    let place = Place::new("files");
    let mount = Mount::new(&place);
    let (good, door, metrics) = (place.directory("good"), Door::shut(), free_port());
    let both = |name: &str| format!("[\"{}/{name}\", \"{}/{name}\"]", mount.front.display(), good.display());
    let text = format!(
        "input {{ file {{ mode => \"read\" path => {} }} file {{ mode => \"read\" path => {} discover_interval => 1 }}
                 file {{ path => {} start_position => \"beginning\" discover_interval => 1 }} }}
         output {{ http {{ url => \"{}\" http_method => \"post\" format => \"message\" message => \"%{{message}}\" }} }}",
        both("*.gz"),
        both("*.once"),
        both("*.log"),
        door.url()
    );
    let mut lines = Vec::new();
    let mut write = |directory: &Path, name: &str| {
        let line = format!("{} {name}", directory.display());
        append(&directory.join(name), &line);
        lines.push(line);
        lines.clone()
    };
    for number in 0..FILES {
        for kind in ["log", "once", "zip"] {
            write(&mount.behind, &format!("{number}.{kind}"));
        }
        let packed =
            Command::new("gzip").args(["-S", ".gz"]).arg(mount.behind.join(format!("{number}.zip"))).status();
        assert!(packed.expect("there is gzip").success());
    }
    write(&good, "0.log");
    let taken = write(&good, "0.once");

    let mut run =
        program("run", &place, &text).args(["--metrics-bind", &format!("127.0.0.1:{metrics}")]).start();
    until("all lines to be taken", PATIENCE, || {
        let answer = request("GET", &format!("http://127.0.0.1:{metrics}/metrics"), None)?;
        let taken = format!("at=\"in\"}} {}", taken.len());
        if answer.body.lines().any(|line| line.ends_with(&taken)) { Ok(()) } else { Err(run.printed()) }
    });
    // They have arrived while it is away: it is to be seen there whether that is all of them.
    let away = mount.is_away();
    door.open();
    door.expect(&taken, || run.printed());
    until("what hangs to be named", PATIENCE, || {
        let printed = run.printed();
        if printed.contains("a call for a file that is read") { Ok(()) } else { Err(printed) }
    });
    write(&good, "1.log");
    let later = write(&good, "1.once");
    door.expect(&later, || run.printed());
    let is_left = |directory: &Path, kind: &str| {
        let names = fs::read_dir(directory).expect("it is there").flatten().map(|entry| entry.file_name());
        names.into_iter().any(|name| Path::new(&name).extension().is_some_and(|extension| extension == kind))
    };
    until("what was read elsewhere to be removed", PATIENCE, || {
        if is_left(&good, "once") { Err(run.printed()) } else { Ok(()) }
    });
    drop(away);
    until("what was read to be removed", PATIENCE, || {
        let is_left = ["once", "gz"].into_iter().any(|kind| is_left(&mount.behind, kind));
        if is_left { Err(run.printed()) } else { Ok(()) }
    });

    // Nor does its end wait.
    let named = || run.printed().matches("No answer from").count();
    let before = named();
    let away = mount.is_away();
    until("calls that hang", PATIENCE, || if named() > before { Ok(()) } else { Err(run.printed()) });
    run.signal(Signal::TERM);
    until("the end", PATIENCE, || {
        if run.printed().contains("lost_bytes=0") { Ok(()) } else { Err(run.printed()) }
    });
    drop(away);
    assert_eq!(run.ended_within(PATIENCE).code(), Some(0), "{}", run.printed());
    assert!(!run.printed().contains("Not everything was delivered"), "{}", run.printed());
}
