//! The scheduler under test, and its REST API.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Answer, get_json, request};
use crate::place::{free_port, programs};
use crate::process::{Finished, Process, Recipe};
use crate::wait::{PATIENCE, until};

/// How long the scheduler may take for its own end.
pub const GRACE: Duration = Duration::from_secs(20);

/// What a scheduler is started with.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    /// What is given with `--mesos-master`.
    pub master: String,
    /// What is given with `--framework-name`.
    pub framework: String,
    /// `--state`; empty to leave it out.
    pub state: String,
    /// `--config-dir`, if there is one.
    pub config_dir: Option<PathBuf>,
    /// `--elasticsearch-endpoint`, if there is one.
    pub elasticsearch: Option<String>,
    /// Flags beside those that every test gives.
    pub flags: Vec<String>,
}

/// A scheduler that runs.
#[derive(Debug)]
pub struct Scheduler {
    recipe: Recipe,
    process: Process,
    options: SchedulerOptions,
    directory: PathBuf,
    api: Api,
}

/// Returns how a scheduler is started that is master and agent too, on this port, with `directory` to work in. It finds no
/// Docker daemon, unless `DOCKER_HOST` is given another value.
#[must_use]
pub fn local_scheduler(directory: &Path, port: u16) -> Recipe {
    Recipe::new(programs().join("logstash-mesos-scheduler"), directory, "local")
        .args(["--mesos-master", "local", "--http-bind", &format!("127.0.0.1:{port}")])
        .env("DOCKER_HOST", format!("unix://{}", directory.join("none.sock").display()))
}

/// The REST API of a scheduler.
#[derive(Debug)]
pub struct Api {
    port: u16,
}

impl Scheduler {
    /// Starts a scheduler with its working directory in `directory`, and waits until it answers.
    #[must_use]
    pub fn start(directory: &Path, options: SchedulerOptions) -> Self {
        let port = free_port();
        let mut recipe = Recipe::new(programs().join("logstash-mesos-scheduler"), directory, "scheduler")
            .args(["run", "--mesos-master", &options.master, "--framework-name", &options.framework])
            .args(["--http-bind", &format!("127.0.0.1:{port}")])
            .args(["--http-advertise-url", &format!("http://127.0.0.1:{port}")])
            .args(&options.flags);
        if !options.state.is_empty() {
            recipe = recipe.args(["--state", &options.state]);
        }
        if let Some(directory) = &options.config_dir {
            recipe = recipe.arg("--config-dir").arg(directory);
        }
        if let Some(endpoint) = &options.elasticsearch {
            recipe = recipe.args(["--elasticsearch-endpoint", endpoint]);
        }
        let process = recipe.start();
        let api = Api::on(port);
        let mut scheduler = Self { recipe, process, options, directory: directory.to_owned(), api };
        scheduler.wait();
        scheduler
    }

    /// Returns what the scheduler was started with.
    #[must_use]
    pub fn options(&self) -> &SchedulerOptions {
        &self.options
    }

    /// Returns the running process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends the scheduler with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends the scheduler with SIGTERM and returns how it ended.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.process.terminate(GRACE)
    }

    /// Starts the scheduler again with the same flags and waits until it answers.
    pub fn restart(&mut self) {
        self.process = self.recipe.start();
        self.wait();
    }

    /// Runs `uninstall` for this framework.
    #[must_use]
    #[track_caller]
    pub fn uninstall(&self, flags: &[&str]) -> Finished {
        Recipe::new(programs().join("logstash-mesos-scheduler"), &self.directory, "uninstall")
            .args(["uninstall", "--mesos-master", &self.options.master])
            .args(["--framework-name", &self.options.framework])
            .args(["--state", &self.options.state].into_iter().filter(|_| !self.options.state.is_empty()))
            .args(flags)
            .run(b"", Duration::from_secs(90))
    }

    /// Runs `explain`, `status` and their like for this scheduler.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> Finished {
        Recipe::new(programs().join("logstash-mesos-scheduler"), &self.directory, "ask")
            .args(arguments)
            .args(["--scheduler", &self.url()])
            .run(b"", Duration::from_secs(30))
    }

    fn wait(&mut self) {
        let Self { process, api, .. } = self;
        until("the scheduler to answer", PATIENCE, || {
            process.assert_running();
            api.answers()
        });
    }
}

impl Deref for Scheduler {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Api {
    /// The API of whoever serves on a loopback port.
    #[must_use]
    pub fn on(port: u16) -> Self {
        Self { port }
    }

    /// Returns the address of the API, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Tells whether anybody answers.
    ///
    /// # Errors
    ///
    /// Says why nobody does.
    pub fn answers(&self) -> Result<(), String> {
        let answer = self.request("GET", "/health", None)?;
        if answer.status == 200 { Ok(()) } else { Err(answer.body) }
    }

    /// Tells whether this scheduler leads and is subscribed.
    ///
    /// # Errors
    ///
    /// Says why it is not, or does not say.
    pub fn leads(&self) -> Result<(), String> {
        let is_one = |name: &str| self.metric(name).map(|value| value == 1.0);
        match (is_one("leader")?, is_one("connected").unwrap_or_default()) {
            (true, true) => Ok(()),
            (true, false) => Err("it leads without a subscription".into()),
            (false, _) => Err("it does not lead".into()),
        }
    }

    /// Returns a number of `GET /metrics` that has no labels, by its name without `logstash_mesos_`.
    ///
    /// # Errors
    ///
    /// Says why there is none.
    pub fn metric(&self, name: &str) -> Result<f64, String> {
        let metrics = self.request("GET", "/metrics", None)?.body;
        let value = |line: &str| line.strip_prefix(&format!("logstash_mesos_{name} "))?.parse().ok();
        metrics.lines().find_map(value).ok_or_else(|| format!("there is no {name} in {metrics}"))
    }

    /// Sends a request to the API.
    ///
    /// # Errors
    ///
    /// Says why no answer came.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        request(method, &format!("{}{path}", self.url()), body)
    }

    /// Returns `GET /api/status`.
    ///
    /// # Errors
    ///
    /// Says why no answer came.
    pub fn status(&self) -> Result<Value, String> {
        get_json(&format!("{}/api/status", self.url()))
    }

    /// Stores a configuration through the API and returns the answer.
    #[track_caller]
    pub fn put(&self, name: &str, input: &str) -> Answer {
        let body = json!({"name": name, "input": input});
        self.request("PUT", &format!("/api/configs/{}", encode(name)), Some(&body))
            .unwrap_or_else(|error| panic!("cannot store configuration {name}: {error}"))
    }

    /// Waits until Mesos has the framework, and returns its id.
    #[must_use]
    #[track_caller]
    pub fn framework_id(&self) -> String {
        until("the scheduler to be subscribed", PATIENCE, || {
            let status = self.status()?;
            let framework = &status["framework"];
            match (framework["connected"].as_bool(), framework["id"].as_str()) {
                (Some(true), Some(id)) => Ok(id.to_owned()),
                _ => Err(format!("its status is {framework}")),
            }
        })
    }

    /// Waits until `count` agents have a running executor, and returns their entries in the status.
    #[must_use]
    #[track_caller]
    pub fn running_executors(&self, count: usize) -> Vec<Value> {
        until(&format!("{count} running executors"), PATIENCE * 2, || {
            let status = self.status()?;
            let agents = status["agents"].as_array().cloned().unwrap_or_default();
            let running: Vec<_> = agents.into_iter().filter(|agent| is_running(&agent["executor"])).collect();
            if running.len() == count { Ok(running) } else { Err(status["agents"].to_string()) }
        })
    }

    /// Returns the streams of the status that match `wanted`.
    ///
    /// # Errors
    ///
    /// Says why no answer came.
    pub fn streams(&self, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>, String> {
        let status = self.status()?;
        let streams = status["streams"].as_array().cloned().unwrap_or_default();
        Ok(streams.into_iter().filter(wanted).collect())
    }
}

/// Tells whether the status shows a running executor.
#[must_use]
pub fn is_running(executor: &Value) -> bool {
    executor["state"]
        .as_str()
        .is_some_and(|state| state.trim_start_matches("TASK_").eq_ignore_ascii_case("running"))
}

/// Percent-encodes everything that is not plain in a path segment.
#[must_use]
pub fn encode(name: &str) -> String {
    name.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
        path
    })
}
