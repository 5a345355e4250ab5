//! The simulated master of `src/bin/simulated-master`: a cluster of any size, as far as a scheduler sees it.

use std::env;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::http::{get_json, request};
use crate::place::free_port;
use crate::process::{Process, Recipe, built_beside};
use crate::wait::{PATIENCE, until};

/// A simulated master that runs.
#[derive(Debug)]
pub struct Simulation {
    _process: Process,
    port: u16,
}

impl Simulation {
    /// Starts a master with `agents` agents, which confirm a task 20 ms after its launch, and waits until it answers. Their
    /// executors tell the scheduler of `streams` streams each; without any they never connect.
    #[must_use]
    pub fn start(directory: &Path, agents: usize, streams: usize) -> Self {
        let port = free_port();
        let numbers = [("--port", usize::from(port)), ("--agents", agents), ("--streams", streams)];
        let process = Recipe::new(simulated_master(), directory, "simulated-master")
            .args(numbers.iter().flat_map(|(name, number)| [(*name).to_owned(), number.to_string()]))
            .start();
        let simulation = Self { _process: process, port };
        until("the simulated master to answer", PATIENCE, || simulation.report());
        simulation
    }

    /// Returns `host:port`, as `--mesos-master` takes it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns what it holds and what it counted.
    ///
    /// # Errors
    ///
    /// Says why no answer came.
    pub fn report(&self) -> Result<Value, String> {
        get_json(&format!("http://{}/simulation", self.address()))
    }

    /// Has something happen, such as `leave?count=10`, and returns what it holds then.
    #[track_caller]
    pub fn happen(&self, what: &str) -> Value {
        let url = format!("http://{}/simulation/{what}", self.address());
        request("POST", &url, None).unwrap_or_else(|error| panic!("{what}: {error}")).expect(200).json()
    }

    /// Succeeds once every agent has one task and each is confirmed.
    ///
    /// # Errors
    ///
    /// Says what is missing.
    ///
    /// # Panics
    ///
    /// If an agent ever had two.
    pub fn is_whole(&self) -> Result<Value, String> {
        let report = self.report()?;
        assert_eq!(report["doubled"], 0, "a second task on an agent: {report}");
        let whole = report["lacking"] == 0 && report["confirmed"] == report["agents"];
        if whole && report["tasks"] == report["agents"] { Ok(report) } else { Err(report.to_string()) }
    }
}

/// `LOGSTASH_MESOS_TEST_SIMULATED_MASTER`, or the one that was built with this test.
fn simulated_master() -> PathBuf {
    env::var_os("LOGSTASH_MESOS_TEST_SIMULATED_MASTER")
        .map_or_else(|| built_beside("simulated-master"), PathBuf::from)
}
