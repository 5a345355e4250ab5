//! A Podman of the test's own, which speaks Docker's API.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::docker::Client;
use crate::place::unmount_below;
use crate::process::{Process, Recipe, end_all};
use crate::wait::{PATIENCE, until};

/// The service of a Podman, with its images and containers. Docker's own client speaks with it.
#[derive(Debug)]
pub struct Podman {
    client: Client,
    process: Process,
    directory: PathBuf,
}

impl Podman {
    /// Starts a service that keeps its files in `directory`, and imports the images.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        let path = |name: &str| directory.join(name).display().to_string();
        // By default a container may have more than a test in a container of its own can give, and `crun` knows no machine
        // with both kinds of control groups.
        let settings = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
                        [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
        fs::write(path("containers.conf"), settings).expect("the test's directory is writable");
        let process = Recipe::new("podman", directory, "podman")
            .env("CONTAINERS_CONF", path("containers.conf"))
            .args(["--root".to_owned(), path("root")])
            .args(["--runroot".to_owned(), path("run")])
            .args(["--tmpdir".to_owned(), path("tmp")])
            .args(["--storage-driver", "overlay", "system", "service", "--time", "0"])
            .arg(format!("unix://{}", path("podman.sock")))
            .start();
        let client = Client::at(format!("unix://{}", path("podman.sock")));
        let podman = Self { client, process, directory: directory.to_owned() };
        until("a Podman to answer", PATIENCE, || podman.try_command(&["version"]));
        podman.client.import_images(directory);
        podman
    }
}

impl Deref for Podman {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.client.end(&mut self.process, &self.directory, PATIENCE / 4);
        // What watches over commands in containers waits for minutes, and has another environment.
        end_all("CONTAINERS_CONF", &self.directory);
        unmount_below(&self.directory);
    }
}
