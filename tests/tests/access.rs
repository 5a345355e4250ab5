//! Who reaches the scheduler's port, and what of it: TLS, people, programs, and what they may see.

use std::fs;
use std::time::Duration;

use logstash_mesos_core::scheduler::SchedulerClient;
use logstash_mesos_core::tls::ClientTls;
use logstash_mesos_tests::http::request;
use logstash_mesos_tests::mesos::{Agent, AgentOptions, Master};
use logstash_mesos_tests::place::{Place, free_port, programs};
use logstash_mesos_tests::process::{Process, Recipe};
use logstash_mesos_tests::tls::Certificates;
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::{Value, json};

/// A scheduler whose port speaks TLS.
struct Secured {
    port: u16,
    process: Process,
    runtime: tokio::runtime::Runtime,
    authority: String,
}

impl Secured {
    fn start(place: &Place, name: &str, master: &Master, made: &Certificates) -> Self {
        let port = free_port();
        let process = Recipe::new(programs().join("logstash-mesos-scheduler"), &place.directory(name), name)
            .args(["--mesos-master", &master.address(), "--framework-name", "secured"])
            .args(["--state", &format!("file:{}", place.join("state").display())])
            .args(["--http-bind", &format!("127.0.0.1:{port}")])
            .args(["--http-cert-file", &made.path("server.pem"), "--http-key-file", &made.path("server.key")])
            .args(["--http-ca-file", &made.path("ca.pem")])
            // The agent's fetcher believes no authority of ours.
            .arg("--executor-command")
            .arg(programs().join("logstash-mesos-executor"))
            .start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("is made");
        Self { port, process, runtime, authority: made.path("ca.pem") }
    }

    /// Over connections that are made anew, with the authority as it is now.
    fn client(&self) -> SchedulerClient {
        let tls = ClientTls { authorities: vec![self.authority.clone().into()], ..ClientTls::default() };
        SchedulerClient::new(&format!("https://127.0.0.1:{}", self.port), None, tls).expect("is fine")
    }

    fn status(&self) -> Result<Value, String> {
        let answer = self.runtime.block_on(self.client().get("/api/status")).map_err(|error| format!("{error:?}"))?;
        serde_json::from_slice(&answer).map_err(|error| error.to_string())
    }

    /// Waits until this one shows an executor that is connected to whoever leads.
    fn executor_connects(&self) -> Value {
        until("the executor to be connected", PATIENCE * 2, || {
            let status = self.status()?;
            if status["totals"]["connected"] == 1 { Ok(status) } else { Err(status.to_string()) }
        })
    }

    fn has_led(&self) -> bool {
        self.process.printed().contains("This scheduler leads")
    }
}

#[test]
fn everything_goes_over_tls_and_certificates_change_while_it_runs() {
    let place = Place::new("port-tls");
    let made = Certificates::new(place.directory("certificates"));
    made.signed("server", "IP:127.0.0.1");
    let master = Master::start(&place.directory("mesos"));
    let options = AgentOptions {
        host: "127.0.0.1".to_owned(),
        // Nothing listens there: this test ships nothing.
        docker_host: format!("unix://{}", place.join("docker.sock").display()),
        data_dir: place.directory("positions"),
        flags: Vec::new(),
    };
    let _agent = Agent::start(&place.directory("agent"), &master, options);

    let first = Secured::start(&place, "first", &master, &made);
    let status = first.executor_connects();
    assert_eq!(status["url"], format!("https://127.0.0.1:{}", first.port), "{status}");
    let plain = request("GET", &format!("http://127.0.0.1:{}/health", first.port), None);
    assert!(plain.expect("is answered").expect(400).body.contains("https://"));

    // A follower asks the leader over TLS.
    let second = Secured::start(&place, "second", &master, &made);
    assert_eq!(second.executor_connects()["url"], status["url"]);
    let body = json!({"input": "input { generator { count => 1 } } output { null { } }"});
    let stored = second.runtime.block_on(second.client().put("/api/configs/a", &body));
    stored.expect("is passed on");

    // Another authority, with a certificate for the same address.
    let before = fs::read(made.path("ca.pem")).expect("is there");
    made.authority("ca");
    made.signed("server", "IP:127.0.0.1");
    assert_ne!(before, fs::read(made.path("ca.pem")).expect("is there"));
    first.executor_connects();
    // Executors go to the next leader with it, as its message brings it.
    drop(first);
    until("the other to lead", PATIENCE, || second.has_led().then_some(()).ok_or("not yet".to_owned()));
    let status = second.executor_connects();
    assert_eq!(status["url"], format!("https://127.0.0.1:{}", second.port), "{status}");
    assert!(second.process.printed().contains("Certificates changed"));

    let health = Recipe::new(programs().join("logstash-mesos-scheduler"), place.path(), "health")
        .args(["health", "--scheduler", &format!("https://127.0.0.1:{}", second.port)])
        .args(["--scheduler-ca", &made.path("ca.pem")])
        .run(b"", Duration::from_secs(30));
    assert!(health.status.success(), "{}", health.stderr);
}
