//! The executor under test where no scheduler starts it: `ship` and `pipeline`.

use std::path::Path;
use std::time::Duration;

use crate::place::programs;
use crate::process::{Finished, Process, Recipe};

/// Returns how to start the executor with any arguments.
#[must_use]
pub fn executor(directory: &Path, name: &str) -> Recipe {
    Recipe::new(programs().join("logstash-mesos-executor"), directory, name)
}

/// Starts `ship` for one Docker host.
#[must_use]
pub fn ship(directory: &Path, docker_host: &str, config_dir: &Path, data_dir: &Path) -> Process {
    ship_recipe(directory, docker_host, config_dir, data_dir).start()
}

/// Returns how to start `ship` for one Docker host.
#[must_use]
pub fn ship_recipe(directory: &Path, docker_host: &str, config_dir: &Path, data_dir: &Path) -> Recipe {
    executor(directory, "ship")
        .env("DOCKER_HOST", docker_host)
        .arg("ship")
        .arg("--config-dir")
        .arg(config_dir)
        .arg("--data-dir")
        .arg(data_dir)
}

/// Runs `pipeline` with arguments and standard input to its end.
#[must_use]
#[track_caller]
pub fn pipeline(directory: &Path, arguments: &[&str], input: &[u8]) -> Finished {
    executor(directory, "pipeline").arg("pipeline").args(arguments).run(input, Duration::from_secs(60))
}
