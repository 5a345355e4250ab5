//! ZooKeeper: one server, or several that agree.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::place::free_port;
use crate::process::{Process, Recipe};
use crate::wait::{PATIENCE, until};

/// A server of ZooKeeper with a tick of half a second, so that it grants sessions of one second and more.
#[derive(Debug)]
pub struct ZooKeeper {
    recipe: Recipe,
    process: Process,
    port: u16,
}

impl ZooKeeper {
    /// Starts a server alone that keeps its files in `directory`, and waits until it serves.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        let mut server = Self::prepare(directory, free_port(), "");
        server.serves();
        server
    }

    /// Starts servers that agree, and waits until they serve.
    #[must_use]
    pub fn ensemble(directory: &Path, count: usize) -> Vec<Self> {
        let ports: Vec<_> = (0..count).map(|_| [free_port(), free_port(), free_port()]).collect();
        let mut members = String::from("initLimit=10\nsyncLimit=4\n");
        for (number, [_, quorum, election]) in ports.iter().enumerate() {
            members.push_str(&format!("server.{number}=127.0.0.1:{quorum}:{election}\n"));
        }
        let mut servers: Vec<_> = ports
            .iter()
            .enumerate()
            .map(|(number, [client, ..])| {
                let directory = directory.join(number.to_string());
                fs::create_dir_all(directory.join("data")).expect("the test's directory is writable");
                fs::write(directory.join("data/myid"), number.to_string()).expect("it is writable");
                Self::prepare(&directory, *client, &members)
            })
            .collect();
        servers.iter_mut().for_each(Self::serves);
        servers
    }

    /// Returns `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns what the server says of itself: `leader`, `follower` or `standalone`.
    ///
    /// # Errors
    ///
    /// Says why it says nothing.
    pub fn mode(&self) -> Result<String, String> {
        let failed = |error: std::io::Error| error.to_string();
        let mut connection = TcpStream::connect(self.address()).map_err(failed)?;
        connection.set_read_timeout(Some(Duration::from_secs(2))).map_err(failed)?;
        connection.write_all(b"srvr").map_err(failed)?;
        let mut text = String::new();
        connection.read_to_string(&mut text).map_err(failed)?;
        let mode = text.lines().find_map(|line| line.strip_prefix("Mode: "));
        mode.map(str::to_owned).ok_or_else(|| format!("it says {text:?}"))
    }

    /// Ends the server with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the server again after [`kill`](Self::kill).
    pub fn restart(&mut self) {
        self.process = self.recipe.start();
        self.serves();
    }

    /// Stops the server where it is, with its connections open.
    pub fn pause(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    fn prepare(directory: &Path, port: u16, more: &str) -> Self {
        fs::create_dir_all(directory).expect("the test's directory is writable");
        let data = directory.join("data");
        let configuration = directory.join("zoo.cfg");
        let text = format!(
            "tickTime=500\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n{more}",
            data.display()
        );
        fs::write(&configuration, text).expect("the test's directory is writable");
        let main = if more.is_empty() { "ZooKeeperServerMain" } else { "quorum.QuorumPeerMain" };
        let recipe = Recipe::new("java", directory, "zookeeper")
            .args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args(["-cp", "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar"])
            .arg(format!("-Dzookeeper.log.dir={}", directory.display()))
            .arg(format!("org.apache.zookeeper.server.{main}"))
            .arg(&configuration);
        Self { process: recipe.start(), recipe, port }
    }

    fn serves(&mut self) {
        until("ZooKeeper to serve", PATIENCE, || {
            self.process.assert_running();
            self.mode()
        });
    }
}
