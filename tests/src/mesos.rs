//! Mesos masters and agents, from the test bed in `tests/mesos-testbed`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{get_json, request};
use crate::place::{MARK, free_port, installed, pack, unmount_below};
use crate::process::{Process, Recipe, end_all, with_environment};
use crate::wait::{PATIENCE, attempt, until};

/// A Mesos master.
#[derive(Debug)]
pub struct Master {
    recipe: Recipe,
    process: Process,
    port: u16,
}

impl Master {
    /// Starts a master that keeps its files in `directory`, and waits until it leads.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        Self::with_flags(directory, &[])
    }

    /// Starts a master that is found through ZooKeeper, at a URL such as `zk://127.0.0.1:2181/mesos`, and waits until it
    /// leads.
    #[must_use]
    pub fn in_zookeeper(directory: &Path, url: &str) -> Self {
        let zookeeper = format!("--zk={url}");
        Self::with_flags(directory, &[&zookeeper, "--quorum=1", "--zk_session_timeout=4secs"])
    }

    /// Starts masters that agree on a leader and on what they know, and waits until one leads.
    #[must_use]
    pub fn ensemble(directory: &Path, url: &str, count: usize) -> Vec<Self> {
        let quorum = format!("--quorum={}", count / 2 + 1);
        let zookeeper = format!("--zk={url}");
        let mut masters: Vec<_> = (0..count)
            .map(|number| {
                let directory = directory.join(number.to_string());
                fs::create_dir_all(&directory).expect("the test's directory is writable");
                Self::prepare(&directory, &[&zookeeper, &quorum, "--zk_session_timeout=10secs"])
            })
            .collect();
        until("one of the masters to lead", PATIENCE, || leading(&mut masters).map(|_| ()));
        masters
    }

    /// Starts a master with more flags, and waits until it leads.
    #[must_use]
    pub fn with_flags(directory: &Path, flags: &[&str]) -> Self {
        let mut master = Self::prepare(directory, flags);
        master.wait();
        master
    }

    fn prepare(directory: &Path, flags: &[&str]) -> Self {
        let port = free_port();
        let recipe = Recipe::new(installed("mesos/bin/mesos-master"), directory, "master")
            .args(["--ip=127.0.0.1", "--hostname=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--work_dir={}", directory.join("master").display()))
            // An agent without ZooKeeper notices a new master only by the pings that it misses.
            .args(["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=10"])
            .args(["--allocation_interval=200ms", "--agent_reregister_timeout=10mins"])
            .args(flags);
        Self { process: recipe.start(), recipe, port }
    }

    /// Returns `host:port`, as `--mesos-master` takes it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the master's state.
    ///
    /// # Errors
    ///
    /// Says why there is none.
    pub fn state(&self) -> Result<Value, String> {
        get_json(&format!("http://{}/master/state", self.address()))
    }

    /// Returns the active framework named `name`, if there is one.
    ///
    /// # Errors
    ///
    /// Says what is there instead.
    pub fn framework(&self, name: &str) -> Result<Value, String> {
        let state = self.state()?;
        let frameworks = state["frameworks"].as_array().cloned().unwrap_or_default();
        let named = frameworks.iter().find(|framework| framework["name"] == name);
        named.cloned().ok_or_else(|| format!("no framework {name} among {}", names(&frameworks)))
    }

    /// Sends a call of the operator API.
    ///
    /// # Panics
    ///
    /// If the master refuses it.
    #[track_caller]
    pub fn operate(&self, call: &Value) {
        let url = format!("http://{}/api/v1", self.address());
        let answer = request("POST", &url, Some(call)).unwrap_or_else(|error| panic!("{call}: {error}"));
        assert!((200..300).contains(&answer.status), "{call}: {} {}", answer.status, answer.body);
    }

    /// Ends the master with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the master again after [`kill`](Self::kill), on the same port and directory.
    pub fn restart(&mut self) {
        self.process = self.recipe.start();
        self.wait();
    }

    /// Starts the master again if it has ended, as one does that leads and loses ZooKeeper.
    pub fn revive(&mut self) {
        if self.process.status().is_some() {
            self.process = self.recipe.start();
        }
    }

    fn leads(&self) -> Result<(), String> {
        let metrics = get_json(&format!("http://{}/metrics/snapshot", self.address()))?;
        (metrics["master/elected"] == 1.0).then_some(()).ok_or_else(|| "it does not lead yet".into())
    }

    fn wait(&mut self) {
        until("the Mesos master to lead", PATIENCE, || {
            self.process.assert_running();
            self.leads()
        });
        // The registry is recovered a moment later.
        until("the Mesos master to know its registry", PATIENCE, || self.state());
    }
}

/// Returns which of several masters leads and knows its registry.
///
/// # Errors
///
/// Says why none does.
pub fn leading(masters: &mut [Master]) -> Result<usize, String> {
    let leads = |master: &Master| master.leads().and_then(|()| master.state()).is_ok();
    masters.iter().position(leads).ok_or_else(|| "no master leads".into())
}

/// What distinguishes one agent from another.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// The address on the loopback network, and also the host name.
    pub host: String,
    /// Where executors on the agent find Docker.
    pub docker_host: String,
    /// Where executors on the agent keep their positions.
    pub data_dir: PathBuf,
    /// More flags for the agent.
    pub flags: Vec<String>,
}

/// A Mesos agent, with the Mesos containerizer unless its flags say otherwise.
#[derive(Debug)]
pub struct Agent {
    recipe: Recipe,
    process: Process,
    directory: PathBuf,
    options: AgentOptions,
    port: u16,
    announced: u16,
    masters: Vec<String>,
}

impl Agent {
    /// Starts an agent that keeps its files in `directory`, and waits until `master` has it.
    #[must_use]
    pub fn start(directory: &Path, master: &Master, options: AgentOptions) -> Self {
        Self::of(directory, &master.address(), vec![master.address()], options)
    }

    /// Starts an agent that finds the leading one of `masters` in ZooKeeper, and waits until that has it.
    #[must_use]
    pub fn in_zookeeper(directory: &Path, url: &str, masters: &[Master], options: AgentOptions) -> Self {
        Self::of(directory, url, masters.iter().map(Master::address).collect(), options)
    }

    fn of(directory: &Path, master: &str, masters: Vec<String>, options: AgentOptions) -> Self {
        let port = free_port();
        Self::behind(directory, (master, masters), options, port, port)
    }

    /// Starts an agent that listens on `port` and lets itself be reached through `announced`, where something
    /// stands in front of it.
    #[must_use]
    pub fn start_behind(
        directory: &Path,
        master: &Master,
        options: AgentOptions,
        port: u16,
        announced: u16,
    ) -> Self {
        Self::behind(directory, (&master.address(), vec![master.address()]), options, port, announced)
    }

    fn behind(
        directory: &Path,
        (master, masters): (&str, Vec<String>),
        mut options: AgentOptions,
        port: u16,
        announced: u16,
    ) -> Self {
        if announced != port {
            let host = &options.host;
            let advertise = [format!("--advertise_ip={host}"), format!("--advertise_port={announced}")];
            options.flags.extend(advertise);
        }
        let path = |name: &str| directory.join(name).display().to_string();
        // Mesos takes no flag twice.
        let own = options.flags.iter().any(|flag| flag.starts_with("--resources="));
        let resources = (!own).then_some("--resources=cpus:2;mem:1024;disk:2048;ports:[31000-31099]");
        let environment = json!({
            "DOCKER_HOST": options.docker_host,
            "LOGSTASH_MESOS_DATA_DIR": options.data_dir,
            MARK: directory,
        });
        let recipe = Recipe::new(installed("mesos/bin/mesos-agent"), directory, "agent")
            .arg(format!("--master={master}"))
            .arg(format!("--ip={}", options.host))
            .arg(format!("--hostname={}", options.host))
            .arg(format!("--port={port}"))
            .arg(format!("--work_dir={}", path("work")))
            .arg(format!("--runtime_dir={}", path("run")))
            .arg(format!("--fetcher_cache_dir={}", path("fetch")))
            .arg("--no-systemd_enable_support")
            .args(resources)
            .arg(format!("--executor_environment_variables={environment}"))
            .args(["--executor_registration_timeout=2mins", "--registration_backoff_factor=100ms"])
            .args(&options.flags);
        let own_launcher = options.flags.iter().any(|flag| flag.starts_with("--launcher="));
        let recipe = if own_launcher { recipe } else { recipe.arg("--launcher=posix") };
        let process = recipe.start();
        let mut agent =
            Self { recipe, process, directory: directory.to_owned(), options, port, announced, masters };
        agent.wait();
        agent
    }

    /// Returns the agent's host name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.options.host
    }

    /// Returns where executors on this agent keep their positions.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    /// Returns the agent's entry in the state of its master.
    ///
    /// # Errors
    ///
    /// Says why there is none.
    pub fn registered(&self) -> Result<Value, String> {
        // Only the one that leads says it.
        let states = self.masters.iter().map(|master| get_json(&format!("http://{master}/master/state")));
        let state = states.reduce(Result::or).expect("there is one")?;
        let agents = state["slaves"].as_array().cloned().unwrap_or_default();
        let own = agents.into_iter().find(|agent| agent["port"] == self.announced && agent["active"] == true);
        own.ok_or_else(|| format!("the agent on port {} is not registered", self.announced))
    }

    /// Returns the id that the master gave the agent.
    #[must_use]
    #[track_caller]
    pub fn id(&self) -> String {
        let own = until("an agent to be registered", PATIENCE, || self.registered());
        own["id"].as_str().expect("an agent has an id").to_owned()
    }

    /// Returns the executors that the agent says it runs.
    ///
    /// # Errors
    ///
    /// Says why the agent did not answer.
    pub fn executors(&self) -> Result<Vec<Value>, String> {
        let state = get_json(&format!("http://{}:{}/state", self.options.host, self.port))?;
        let frameworks = state["frameworks"].as_array().cloned().unwrap_or_default();
        Ok(frameworks
            .iter()
            .flat_map(|framework| framework["executors"].as_array().cloned().unwrap_or_default())
            .collect())
    }

    /// Returns the process ids of our executors on this agent.
    #[must_use]
    pub fn executor_processes(&self) -> Vec<u32> {
        let sandboxes = self.directory.join("work").display().to_string();
        with_environment("MESOS_DIRECTORY", &sandboxes)
            .into_iter()
            .filter(|id| {
                let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
                // The kernel keeps fifteen characters of a name. Shells that only wait for it are not it.
                name.starts_with("logstash-mesos-")
            })
            .collect()
    }

    /// Returns the process id of the agent itself.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Ends the agent with SIGKILL; its executors run on.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the agent again after [`kill`](Self::kill), with the same flags, and waits for its registration.
    pub fn restart(&mut self) {
        self.process = self.recipe.start();
        let url = format!("http://{}:{}/state", self.options.host, self.port);
        until("a restarted agent to answer", PATIENCE, || get_json(&url));
        self.wait();
    }

    /// Returns the directory with the agent's work directory, and below it the sandboxes.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn wait(&mut self) {
        until("a Mesos agent to register", PATIENCE, || {
            self.process.assert_running();
            self.registered()
        });
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill();
        // Executors outlive their agent, that is what checkpointing is for.
        end_all(MARK, &self.directory);
        unmount_below(&self.directory);
        remove_cgroups(&cgroups_root(&self.directory));
    }
}

/// Returns the flags of an agent in `directory` that runs images from `registry`, a directory, by itself.
///
/// Needs root and cgroups of version 1.
#[must_use]
pub fn image_flags(directory: &Path, registry: &Path) -> Vec<String> {
    vec![
        "--launcher=linux".into(),
        format!("--cgroups_root={}", cgroups_root(directory)),
        "--isolation=filesystem/linux,docker/runtime,cgroups/cpu,cgroups/mem".into(),
        "--image_providers=docker".into(),
        format!("--docker_registry={}", registry.display()),
        format!("--docker_store_dir={}", directory.join("images").display()),
    ]
}

/// Writes an image of the files below `root` into `registry`, as `docker save` of old wrote it and the agent reads it.
pub fn save_image(registry: &Path, name: &str, root: &Path, entry_point: &str) {
    let layer = format!("{:064}", 1);
    let layout = registry.join(format!("{name}.layout"));
    fs::create_dir_all(layout.join(&layer)).expect("the test's directory is writable");
    pack(root, &layout.join(&layer).join("layer.tar"));
    let json = json!({
        "id": layer, "created": "2020-01-01T00:00:00Z", "architecture": "amd64", "os": "linux",
        "container_config": {}, "config": {"Entrypoint": [entry_point]},
    });
    for (path, content) in [
        (format!("{layer}/VERSION"), "1.0".to_owned()),
        (format!("{layer}/json"), json.to_string()),
        ("repositories".to_owned(), json!({name: {"latest": layer}}).to_string()),
    ] {
        fs::write(layout.join(path), content).expect("the test's directory is writable");
    }
    pack(&layout, &registry.join(format!("{name}.tar")));
}

fn cgroups_root(directory: &Path) -> String {
    directory.display().to_string().trim_matches('/').replace('/', "-")
}

/// Removes what the linux launcher leaves, as soon as its processes are collected.
fn remove_cgroups(root: &str) {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    for top in hierarchies.map(|entry| entry.path().join(root)).filter(|path| path.exists()) {
        let removed = attempt(Duration::from_secs(10), || remove_directories(&top));
        if let Err(reason) = removed {
            eprintln!("cannot remove {}: {reason}", top.display());
        }
    }
}

fn remove_directories(top: &Path) -> Result<(), String> {
    for entry in fs::read_dir(top).map_err(|error| error.to_string())?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_directories(&entry.path())?;
        }
    }
    fs::remove_dir(top).map_err(|error| error.to_string())
}

fn names(entries: &[Value]) -> String {
    let names: Vec<_> = entries.iter().map(|entry| entry["name"].to_string()).collect();
    format!("[{}]", names.join(", "))
}
