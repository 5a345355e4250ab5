//! Files that are read once and removed then: only those of which everything was read, whatever is in the way.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use logstash_mesos_tests::executor::{executor, program};
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::process::Recipe;
use logstash_mesos_tests::wait::{PATIENCE, until};

/// Several times as many as may be open.
const FILES: usize = 400;
/// A program that cannot get more, and that may not open what its permissions do not allow, not even as root.
const LIMITS: [&str; 4] =
    ["prlimit", "--nofile=200:200", "setpriv", "--bounding-set=-dac_override,-dac_read_search"];

/// A directory with files to read, and some that cannot be read yet.
struct Files {
    directory: PathBuf,
    out: PathBuf,
    rest_of_archive: Vec<u8>,
}

impl Files {
    fn new(place: &Place) -> Self {
        let directory = place.directory("logs");
        for number in 0..FILES {
            fs::write(directory.join(format!("{number}.log")), lines(&number.to_string()))
                .expect("it is writable");
        }
        let locked = directory.join("locked.log");
        fs::write(&locked, lines("locked")).expect("it is writable");
        fs::set_permissions(&locked, Permissions::from_mode(0o000)).expect("it is our own");
        // Neither is a file, and nothing may wait for somebody who writes into the pipe.
        fs::create_dir(directory.join("directory.log")).expect("it is writable");
        let pipe = Command::new("mkfifo").arg(directory.join("pipe.log")).status();
        assert!(pipe.expect("coreutils are installed").success());
        let whole = place.join("half");
        fs::write(&whole, lines("half")).expect("it is writable");
        let packed = Command::new("gzip").arg("-c").arg(&whole).output().expect("gzip is installed").stdout;
        let (half, rest) = packed.split_at(packed.len() / 2);
        fs::write(directory.join("half.gz"), half).expect("it is writable");
        Self { directory, out: place.join("out"), rest_of_archive: rest.to_vec() }
    }

    /// What was in the way goes: now everything can be read.
    fn mend(&self) {
        let locked = self.directory.join("locked.log");
        fs::set_permissions(locked, Permissions::from_mode(0o600)).expect("it is our own");
        let archive = fs::OpenOptions::new().append(true).open(self.directory.join("half.gz"));
        archive.expect("it is there").write_all(&self.rest_of_archive).expect("it is writable");
    }

    fn configuration(&self, more: &str) -> String {
        format!(
            "input {{ file {{ path => [\"{0}/*.log\", \"{0}/*.gz\"] mode => \"read\" discover_interval => 1
                              sincedb_path => \"{1}.positions\" file_completed_log_path => \"{1}.done\" {more} }} }}
             output {{ file {{ path => \"{1}\" codec => line {{ format => \"%{{message}}\" }} }} }}",
            self.directory.display(),
            self.out.display()
        )
    }

    /// The names of what is there, sorted.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).expect("it is there").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }

    /// Fails unless each of these has arrived once, and nothing else; and if one is gone that has not arrived.
    fn arrived(&self, expected: &[String]) -> Result<(), String> {
        let left = self.left();
        let text = fs::read_to_string(&self.out).unwrap_or_default();
        // Of half an archive some may have been read.
        let is_of_half = |line: &&str| line.ends_with(" half");
        let whole = expected.iter().any(|name| name == "half");
        let mut seen: Vec<&str> = text.lines().filter(|line| whole || !is_of_half(line)).collect();
        let all = everything();
        let gone = all.iter().filter(|name| !left.contains(&file_of(name)));
        let unread: Vec<_> = gone.filter(|name| !text.contains(&lines(name))).collect();
        assert!(unread.is_empty(), "removed and not read: {unread:?}");
        let mut expected: Vec<_> =
            expected.iter().flat_map(|name| [format!("first {name}"), format!("last {name}")]).collect();
        seen.sort_unstable();
        expected.sort_unstable();
        if seen == expected { Ok(()) } else { Err(format!("{} lines of {}", seen.len(), expected.len())) }
    }
}

fn lines(name: &str) -> String {
    format!("first {name}\nlast {name}\n")
}

fn file_of(name: &str) -> String {
    format!("{name}.{}", if name == "half" { "gz" } else { "log" })
}

fn readable() -> Vec<String> {
    (0..FILES).map(|number| number.to_string()).collect()
}

fn everything() -> Vec<String> {
    readable().into_iter().chain(["half".to_owned(), "locked".to_owned()]).collect()
}

fn run(directory: &Path, text: &str) -> Recipe {
    executor(directory, "run").args(["pipeline", "run", "-w", "1", "-e", text])
}

#[test]
fn a_file_is_removed_when_all_of_it_was_read_and_not_before() {
    for (who, action) in [("run", "delete"), ("ship", "log_and_delete"), ("agent", "log")] {
        let place = Place::new(&format!("read-{who}"));
        let files = Files::new(&place);
        let text = files.configuration(&format!("file_completed_action => \"{action}\""));
        let mut process = program(who, &place, &text).within(&LIMITS).start();
        until("all that can be read", PATIENCE, || {
            files.arrived(&readable()).map_err(|error| format!("{error}\n{}", process.printed()))
        });
        files.mend();
        until("the others", PATIENCE, || {
            files.arrived(&everything()).map_err(|error| format!("{error}\n{}", process.printed()))
        });
        let mut in_the_end = vec!["directory.log".to_owned(), "pipe.log".to_owned()];
        if action == "log" {
            in_the_end.extend(everything().iter().map(|name| file_of(name)));
            in_the_end.sort_unstable();
        }
        let mut named: Vec<_> = everything()
            .iter()
            .map(|name| files.directory.join(file_of(name)).display().to_string())
            .filter(|_| action != "delete")
            .collect();
        named.sort_unstable();
        until("what is done with files that were read", PATIENCE, || {
            let done = fs::read_to_string(place.join("out.done")).unwrap_or_default();
            let mut done: Vec<_> = done.lines().map(str::to_owned).collect();
            done.sort_unstable();
            let left = files.left();
            if left == in_the_end && done == named { Ok(()) } else { Err(format!("{left:?} {done:?}")) }
        });
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
    }
}

#[test]
fn who_reads_once_and_ends_names_what_could_not_be_read() {
    let place = Place::new("read-and-end");
    let files = Files::new(&place);
    let text = files.configuration("exit_after_read => true check_archive_validity => true");
    let program = run(place.path(), &text).within(&LIMITS);
    let first = program.run(b"", PATIENCE);
    assert_eq!(first.status.code(), Some(1), "{}", first.stderr);
    files.arrived(&readable()).expect(&first.stderr);
    assert_eq!(files.left(), ["directory.log", "half.gz", "locked.log", "pipe.log"]);
    let error = first.stderr.lines().find(|line| line.contains("Input cannot work")).unwrap_or_default();
    assert!(error.contains("half.gz") && error.contains("locked.log"), "{}", first.stderr);
    files.mend();
    let second = program.run(b"", PATIENCE);
    assert_eq!(second.status.code(), Some(0), "{}", second.stderr);
    files.arrived(&everything()).expect(&second.stderr);
    assert_eq!(files.left(), ["directory.log", "pipe.log"]);
}
