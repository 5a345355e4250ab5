//! etcd: one server.

use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::http::{get_json, request};
use crate::place::free_port;
use crate::process::{Process, Recipe};
use crate::wait::{PATIENCE, until};

/// A server of etcd.
#[derive(Debug)]
pub struct Etcd {
    recipe: Recipe,
    process: Process,
    port: u16,
}

impl Etcd {
    /// Starts a server that keeps its files in `directory`, and waits until it serves.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        let mut server = Self::prepare(directory, "http", &[]);
        server.serves();
        server
    }

    /// Starts a server that speaks TLS with those who show a certificate of its authority, and waits until it listens.
    #[must_use]
    pub fn with_tls(directory: &Path, ca: &Path, certificate: &Path, key: &Path) -> Self {
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let flags = [
            flag("trusted-ca-file", ca),
            flag("cert-file", certificate),
            flag("key-file", key),
            "--client-cert-auth".to_owned(),
        ];
        let mut server = Self::prepare(directory, "https", &flags);
        until("etcd to listen", PATIENCE, || {
            server.process.assert_running();
            std::net::TcpStream::connect(server.address()).map_err(|error| error.to_string())
        });
        server
    }

    /// Returns `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on wants user `root` with `password`.
    #[track_caller]
    pub fn want_password(&self, password: &str) {
        for (path, body) in [
            ("user/add", json!({"name": "root", "password": password})),
            ("user/grant", json!({"user": "root", "role": "root"})),
            ("enable", json!({})),
        ] {
            self.post(&format!("auth/{path}"), &body);
        }
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

    #[track_caller]
    fn post(&self, path: &str, body: &Value) {
        let url = format!("http://{}/v3/{path}", self.address());
        let answer = request("POST", &url, Some(body)).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(answer.status, 200, "{url}: {}", answer.body);
    }

    fn prepare(directory: &Path, scheme: &str, flags: &[String]) -> Self {
        std::fs::create_dir_all(directory).expect("the test's directory is writable");
        let (port, peer) = (free_port(), free_port());
        let (client, peer) = (format!("{scheme}://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
        let recipe = Recipe::new("etcd", directory, "etcd")
            .arg("--data-dir")
            .arg(directory.join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .arg(format!("--initial-cluster=default={peer}"))
            .args(flags);
        Self { process: recipe.start(), recipe, port }
    }

    fn serves(&mut self) {
        let url = format!("http://{}/health", self.address());
        until("etcd to serve", PATIENCE, || {
            self.process.assert_running();
            let health = get_json(&url)?;
            if health["health"] == "true" { Ok(()) } else { Err(health.to_string()) }
        });
    }
}
