//! The real parts: how they are arranged, broken and mended.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::faults::{End, Fault, Part};
use super::receiver::{Behaviour, Receiver};
use super::{Ledger, Record, is_searched};
use crate::docker::{BUSYBOX, Container, Docker};
use crate::mesos::{Agent, AgentOptions, Master};
use crate::opensearch::OpenSearch;
use crate::place::{Place, unmount_below};
use crate::process::send;
use crate::scheduler::{Scheduler, SchedulerOptions};
use crate::wait::{PATIENCE, until};

/// One machine of a cluster, and what its container writes to. Dropped from the first to the last.
#[derive(Debug)]
pub(super) struct System {
    container: Container,
    scheduler: Scheduler,
    agent: Agent,
    master: Master,
    docker: Docker,
    search: OpenSearch,
    receiver: Receiver,
    volume: PathBuf,
    positions: PathBuf,
    cuts: Vec<(End, Cut)>,
    changes: u32,
}

impl System {
    /// Starts all of it, and waits until the container's files are looked for.
    pub(super) fn start(place: &Place, ledger: &Ledger) -> Self {
        let volume = place.directory("logs");
        let positions = place.directory("positions");
        // Small, so that it can be filled.
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=256m", "tmpfs"]).arg(&positions).status();
        assert!(mounted.is_ok_and(|status| status.success()), "tmpfs cannot be mounted: it takes root");
        let pipe = Command::new("mkfifo").arg(volume.join(PIPE)).status();
        assert!(pipe.is_ok_and(|status| status.success()), "a pipe cannot be made");

        let receiver = Receiver::start(ledger);
        let search = OpenSearch::start(&place.directory("search"));
        let docker = Docker::start(&place.directory("docker"));
        let master = Master::start(&place.directory("master"));
        let options = AgentOptions {
            host: "127.0.0.1".to_owned(),
            docker_host: docker.host().to_owned(),
            data_dir: positions.clone(),
            flags: Vec::new(),
        };
        let agent = Agent::start(&place.directory("agent"), &master, options);
        let options = SchedulerOptions {
            master: master.address(),
            framework: "chaos".to_owned(),
            state: format!("file:{}", place.join("state").display()),
            config_dir: None,
            elasticsearch: None,
            flags: Vec::new(),
        };
        let scheduler = Scheduler::start(&place.directory("scheduler"), options);
        configure(&scheduler, &search, &receiver, 0);
        let _ = scheduler.running_executors(1);
        let mount = format!("{}:/logs", volume.display());
        // Rotated, and nothing of it thrown away.
        let flags = ["-v", &mount, "--log-opt", "max-size=2m", "--log-opt", "max-file=1000"];
        // The first process stays when the pipe has come to its end.
        let script = format!("cat /logs/{PIPE}; while :; do sleep 1; done");
        let container = docker.run(BUSYBOX, &flags, &["sh", "-c", &script]);
        Self {
            container,
            scheduler,
            agent,
            master,
            docker,
            search,
            receiver,
            volume,
            positions,
            cuts: Vec::new(),
            changes: 0,
        }
    }

    /// The directory of the machine that the container has mounted.
    pub(super) fn volume(&self) -> PathBuf {
        self.volume.clone()
    }

    /// A directory in the container's own layer, as the machine sees it.
    pub(super) fn layer(&self) -> PathBuf {
        Path::new("/proc").join(self.container.inspect("{{.State.Pid}}")).join("root/var/log")
    }

    /// The pipe whose content is the container's standard output.
    pub(super) fn pipe(&self) -> PathBuf {
        self.volume.join(PIPE)
    }

    pub(super) fn begin(&mut self, fault: &Fault) {
        match fault {
            Fault::Changed => {
                self.changes += 1;
                configure(&self.scheduler, &self.search, &self.receiver, self.changes);
            }
            Fault::Cut(end) => {
                let url = match end {
                    End::Master => self.master.address(),
                    End::Search => self.search.url().to_owned(),
                    End::Receiver => self.receiver.url().to_owned(),
                };
                self.cuts.push((*end, Cut::of(&url)));
            }
            Fault::Killed(Part::Executor) => self.tell_executors(Signal::KILL),
            Fault::Killed(Part::Scheduler) => self.scheduler.kill(),
            Fault::Killed(Part::Agent) => self.agent.kill(),
            Fault::Killed(Part::Master) => self.master.kill(),
            Fault::Killed(Part::Search) => self.search.kill(),
            Fault::Killed(Part::Docker) => self.docker.kill(),
            Fault::Frozen(Part::Search) => self.search.signal(Signal::STOP),
            Fault::Frozen(_) => self.tell_executors(Signal::STOP),
            Fault::DiskFull => fill(&self.positions.join(FILLER)),
            Fault::Receiver(behaviour) => self.receiver.behave(*behaviour),
        }
    }

    pub(super) fn end(&mut self, fault: &Fault) {
        match fault {
            Fault::Cut(end) => self.cuts.retain(|(cut, _)| cut != end),
            // The scheduler starts it again.
            Fault::Changed | Fault::Killed(Part::Executor) => {}
            Fault::Killed(Part::Scheduler) => self.scheduler.restart(),
            Fault::Killed(Part::Agent) => self.agent.restart(),
            Fault::Killed(Part::Master) => self.master.restart(),
            Fault::Killed(Part::Search) => self.search.restart(),
            Fault::Killed(Part::Docker) => self.docker.restart(),
            Fault::Frozen(Part::Search) => self.search.signal(Signal::CONT),
            Fault::Frozen(_) => self.tell_executors(Signal::CONT),
            Fault::DiskFull => fs::remove_file(self.positions.join(FILLER)).expect("it was made"),
            Fault::Receiver(_) => self.receiver.behave(Behaviour::Well),
        }
    }

    fn tell_executors(&self, signal: Signal) {
        for process in self.agent.executor_processes() {
            send(process, signal);
        }
    }

    /// The numbers of the records in Docker's own files of the container's output, and what is torn there.
    pub(super) fn kept_output(&self) -> (Vec<u64>, Vec<String>) {
        // What `cat` has read comes to the daemon and from there into the file, a little later.
        until("the whole output in Docker's file", PATIENCE, || {
            let reads = self.docker.try_command(&["exec", self.container.id(), "pidof", "cat"]);
            if reads.is_err() { Ok(()) } else { Err("the pipe is not at its end".to_owned()) }
        });
        let path = self.container.inspect("{{.LogPath}}");
        let rotated = (1..).map(|number| File::open(format!("{path}.{number}"))).map_while(Result::ok);
        let files = rotated.chain([File::open(&path).expect("Docker has a file")]);
        let lines = files.flat_map(|file| BufReader::new(file).lines());
        let (mut numbers, mut torn) = (Vec::new(), Vec::new());
        for line in lines.map(|line| line.expect("the file is text")) {
            let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
            let text = entry["log"].as_str().unwrap_or_default().trim_end();
            match Record::read(text) {
                Some(record) => numbers.push(record.number),
                None => torn.push(text.to_owned()),
            }
        }
        (numbers, torn)
    }

    /// Waits until the files of these names are read.
    pub(super) fn await_streams<const N: usize>(&self, names: [&str; N]) {
        until("all streams", PATIENCE, || {
            let status = self.status();
            let is_read = |name: &&str| status.contains(&format!("/{name}.log\""));
            names.iter().all(is_read).then_some(()).ok_or(status)
        });
    }

    /// Waits until nothing is missing, or nothing more comes for a long time.
    pub(super) fn settle(&self, ledger: &Ledger) {
        let mut least = u64::MAX;
        let mut since = Instant::now();
        while since.elapsed() < QUIET {
            let there = self.search.count(INDEX).unwrap_or_default();
            let mut missing = ledger.expected(is_searched).saturating_sub(there);
            if missing == 0 {
                self.look(ledger);
                missing = ledger.missing(is_searched);
            }
            missing += ledger.missing(|stream| !is_searched(stream));
            if missing == 0 {
                return;
            }
            if missing < least {
                (least, since) = (missing, Instant::now());
            }
            thread::sleep(Duration::from_secs(1));
        }
        self.look(ledger);
    }

    /// Takes down what the search engine has.
    fn look(&self, ledger: &Ledger) {
        ledger.forget(is_searched);
        let looked = self.search.each_document(INDEX, |document| {
            ledger.arrived([document["_source"]["message"].as_str().unwrap_or_default()]);
        });
        looked.expect("the search engine answers");
    }

    /// What the scheduler says of it all.
    pub(super) fn status(&self) -> String {
        self.scheduler.status().map_or_else(|error| error, |status| status.to_string())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // A stopped process does not end by itself.
        self.tell_executors(Signal::CONT);
        unmount_below(&self.positions);
    }
}

/// What goes to the receiver goes through a second configuration.
fn configure(scheduler: &Scheduler, search: &OpenSearch, receiver: &Receiver, change: u32) {
    let behind = format!(
        r#"# {change}
input {{ pipeline {{ address => "behind" }} }}
output {{ elasticsearch {{ hosts => ["{}"] index => "{INDEX}" manage_template => false }} }}"#,
        receiver.url()
    );
    let body = json!({"input": behind});
    let stored = scheduler.request("PUT", "/api/host-config?name=behind", Some(&body));
    stored.expect("the scheduler answers").expect(200);
    let first = format!(
        r#"# {change}
input {{
  file {{ docker-path => ["/logs/*.log", "/var/log/*.log"] start_position => "beginning" }}
  docker {{ }}
}}
output {{
  if [message] =~ /^search/ {{
    elasticsearch {{ hosts => ["{}"] index => "{INDEX}" }}
  }} else {{
    pipeline {{ send_to => "behind" }}
  }}
}}"#,
        search.url()
    );
    scheduler.put(BUSYBOX, &first).expect(200);
}

/// Packets to a port of this machine get lost, until it is dropped.
#[derive(Debug)]
struct Cut {
    port: String,
}

impl Cut {
    fn of(url: &str) -> Self {
        let port = url.rsplit(':').next().unwrap_or_default().trim_end_matches('/').to_owned();
        let cut = Self { port };
        assert!(cut.tell("-I"), "iptables cannot keep packets from port {}: it takes root", cut.port);
        cut
    }

    fn tell(&self, what: &str) -> bool {
        let rule = ["INPUT", "-i", "lo", "-p", "tcp", "--dport", &self.port, "-j", "DROP"];
        Command::new("iptables").args(["-w", what]).args(rule).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if !self.tell("-D") {
            eprintln!("the rule of iptables that keeps packets from port {} is left", self.port);
        }
    }
}

/// Writes until there is no room.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("the file system is writable");
    let block = vec![0; 1 << 16];
    loop {
        match file.write(&block) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return,
            Err(error) => panic!("cannot write {}: {error}", path.display()),
        }
    }
}

const INDEX: &str = "chaos";
const PIPE: &str = "out.pipe";
const FILLER: &str = "filler";
/// Longer than any pause of the product: an executor that failed often is started again after a while.
const QUIET: Duration = Duration::from_secs(150);
