//! One running program: started with its output in a file, ended by its process id.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use rustix::process::{Pid, Signal, kill_process};

use crate::place::MARK;
use crate::wait::attempt;

/// Returns where `cargo` has left another program of this package.
#[must_use]
pub fn built_beside(name: &str) -> PathBuf {
    let own = env::current_exe().expect("a running program has a path");
    let beside = own.ancestors().map(|directory| directory.join(name)).find(|path| path.is_file());
    beside.unwrap_or_else(|| panic!("cargo builds `{name}` together with this test"))
}

/// How to start a program, again and again.
#[derive(Debug, Clone)]
pub struct Recipe {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
    output: PathBuf,
}

impl Recipe {
    /// Runs `program` in `directory`, with what it prints appended to `NAME.log` there.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>, directory: &Path, name: &str) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: directory.to_owned(),
            output: directory.join(format!("{name}.log")),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments behind those that are there.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Has another program start this one: its name and first arguments, before the name of this one.
    #[must_use]
    pub fn within(mut self, around: &[&str]) -> Self {
        let (program, first) = around.split_first().expect("a program is named");
        let own = std::mem::replace(&mut self.program, program.into());
        let first = first.iter().map(Into::into).chain([own]);
        self.arguments = first.chain(std::mem::take(&mut self.arguments)).collect();
        self
    }

    /// Appends what is printed to `NAME.log` in the same directory.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.output = self.output.with_file_name(format!("{name}.log"));
        self
    }

    /// Starts the program.
    #[must_use]
    pub fn start(&self) -> Process {
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.output)
            .unwrap_or_else(|error| panic!("cannot open {}: {error}", self.output.display()));
        let errors = output.try_clone().expect("a file can be duplicated");
        let child = self
            .command()
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // A group of its own: an interrupted test run must end the parts in its own order.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start {}: {error}; `tests/setup` installs it", self.program.display())
            });
        Process { child, output: self.output.clone() }
    }

    /// Runs the program to its end, which must come within `deadline`, and returns what it printed.
    #[must_use]
    pub fn run(&self, input: &[u8], deadline: Duration) -> Finished {
        let scratch = |name: &str| self.output.with_extension(name);
        let file = |name: &str| File::create(scratch(name)).expect("the test's directory is writable");
        fs::write(scratch("in"), input).expect("the test's directory is writable");
        let child = self
            .command()
            .stdin(File::open(scratch("in")).expect("was written above"))
            .stdout(file("out"))
            .stderr(file("err"))
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.display()));
        let mut process = Process { child, output: scratch("err") };
        let status = process.ended_within(deadline);
        let read = |name| String::from_utf8_lossy(&fs::read(scratch(name)).unwrap_or_default()).into_owned();
        Finished { status, stdout: read("out"), stderr: read("err") }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(&self.directory).env(MARK, &self.directory);
        // Settings of the person who runs the tests must not reach the programs under test.
        for (name, _) in env::vars_os() {
            let foreign = name.as_bytes().starts_with(b"LOGSTASH_MESOS_") || name == "DOCKER_HOST";
            if foreign && name != MARK {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What a program left that ended by itself.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

/// A program that runs until this value is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Returns the process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns everything that the program has printed, over all of its starts.
    #[must_use]
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Returns the file with what the program has printed.
    #[must_use]
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.id(), signal);
    }

    /// Ends the program with SIGKILL.
    pub fn kill(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Returns how the program ended, if it has.
    #[must_use]
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Sends SIGTERM and returns how the program ended.
    #[track_caller]
    pub fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended_within(deadline)
    }

    /// Waits for the program to end by itself.
    #[track_caller]
    pub fn ended_within(&mut self, deadline: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.status() {
                return status;
            }
            if began.elapsed() > deadline {
                panic!(
                    "process {} runs on after {deadline:?}; it printed:\n{}",
                    self.id(),
                    tail(&self.printed())
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Says why the program is not there any more, for a probe that waits for it.
    ///
    /// # Panics
    ///
    /// If the program has ended: then waiting on is pointless.
    #[track_caller]
    pub fn assert_running(&mut self) {
        if let Some(status) = self.status() {
            panic!("{} ended early with {status}:\n{}", self.output.display(), tail(&self.printed()));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process by its id; one that has ended already is fine.
pub fn send(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Tells whether a process runs; one that only waits to be collected does not.
#[must_use]
pub fn runs(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

/// Returns the processes whose environment has `name` set to a value that starts with `prefix`.
#[must_use]
pub fn with_environment(name: &str, prefix: &str) -> Vec<u32> {
    let wanted = format!("{name}={prefix}");
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(wanted.as_bytes())) && runs(*id)
    })
    .collect()
}

/// Ends with SIGKILL, by their ids, the processes whose environment has `name` set to something below `directory`.
pub fn end_all(name: &str, directory: &Path) {
    let prefix = directory.display().to_string();
    let ended = attempt(Duration::from_secs(10), || {
        let left = with_environment(name, &prefix);
        left.iter().for_each(|id| send(*id, Signal::KILL));
        left.is_empty().then_some(()).ok_or_else(|| format!("processes {left:?} run on"))
    });
    if let Err(reason) = ended {
        eprintln!("cannot end what runs below {prefix}: {reason}");
    }
}

/// Returns the path of the program that a process runs.
#[must_use]
pub fn program(id: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{id}/exe")).ok()
}

/// Returns a process's resident memory in bytes.
#[must_use]
pub fn resident_bytes(id: u32) -> Option<u64> {
    status_bytes(id, "VmRSS:")
}

/// Returns the part of it that is not of files, in bytes: what the process has made itself.
#[must_use]
pub fn anonymous_bytes(id: u32) -> Option<u64> {
    status_bytes(id, "RssAnon:")
}

fn status_bytes(id: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Returns how many bytes a process has read, from files and from the network.
#[must_use]
pub fn bytes_read(id: u32) -> Option<u64> {
    let counts = fs::read_to_string(format!("/proc/{id}/io")).ok()?;
    counts.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse().ok()
}

/// Returns the processor time that a process has used.
#[must_use]
pub fn processor_time(id: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let ticks: u64 = rest.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    // A tick of these counters is a hundredth of a second on every Linux of this architecture.
    Some(Duration::from_millis(ticks * 10))
}

/// Returns the last lines of a long text.
#[must_use]
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
