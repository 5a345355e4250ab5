//! The executor under test where no scheduler starts it: `ship` and `pipeline`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::place::{Place, free_port, programs};
use crate::process::{Finished, Process, Recipe};
use crate::scheduler::local_scheduler;

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

/// Returns how to run the configuration `text`, by `pipeline run`, by `ship` or by an agent: `who` is `run`, `ship` or `agent`.
#[must_use]
pub fn program(who: &str, place: &Place, text: &str) -> Recipe {
    if who == "run" {
        return executor(place.path(), "run").args(["pipeline", "run", "-w", "1", "-e", text]);
    }
    let configs = place.directory("configs");
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    fs::write(configs.join("host/a.conf"), text).expect("it is writable");
    if who == "ship" {
        let none = format!("unix://{}", place.join("none.sock").display());
        return ship_recipe(place.path(), &none, &configs, &place.directory("data"));
    }
    local_scheduler(&place.directory("s"), free_port()).arg("--config-dir").arg(&configs)
}

/// Runs `pipeline` with arguments and standard input to its end.
#[must_use]
#[track_caller]
pub fn pipeline(directory: &Path, arguments: &[&str], input: &[u8]) -> Finished {
    executor(directory, "pipeline").arg("pipeline").args(arguments).run(input, Duration::from_secs(60))
}
