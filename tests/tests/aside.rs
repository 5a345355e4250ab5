//! An index that takes nothing for a while, as on a full disk: the documents of others arrive, and its own later.

use std::fs;
use std::path::Path;

use logstash_mesos_tests::executor::{executor, ship_recipe};
use logstash_mesos_tests::http::{get_json, request};
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::{Place, free_port};
use logstash_mesos_tests::process::{send, with_environment};
use logstash_mesos_tests::scheduler::local_scheduler;
use logstash_mesos_tests::wait::{PATIENCE, until};
use rustix::process::Signal;
use serde_json::json;

/// 300 lines, every third of which belongs into an index that is blocked.
struct Blocked<'a> {
    opensearch: &'a OpenSearch,
    prefix: String,
}

impl<'a> Blocked<'a> {
    fn new(opensearch: &'a OpenSearch, name: &str) -> Self {
        let blocked = Self { opensearch, prefix: format!("test-aside-{name}-{}", std::process::id()) };
        opensearch.request("PUT", &blocked.index("blocked"), None).expect("it answers").expect(200);
        blocked.block(true);
        blocked
    }

    fn index(&self, kind: &str) -> String {
        format!("{}-{kind}", self.prefix)
    }

    fn block(&self, blocked: bool) {
        let path = format!("{}/_settings", self.index("blocked"));
        let settings = json!({"index.blocks.write": blocked});
        self.opensearch.request("PUT", &path, Some(&settings)).expect("it answers").expect(200);
    }

    fn configuration(&self, path: &str, log: &Path) -> String {
        let lines = (0..300).map(|number| {
            let kind = if number % 3 == 2 { "blocked" } else { "free" };
            format!("{{\"kind\":\"{kind}\",\"number\":{number}}}\n")
        });
        fs::write(log, lines.collect::<String>()).expect("it is writable");
        format!(
            "input {{ file {{ {path} => \"{}\" codec => json start_position => \"beginning\" }} }}
             output {{ elasticsearch {{ id => \"es\" hosts => [\"{}\"] index => \"{}-%{{kind}}\" retry_initial_interval => 1 }} }}",
            log.display(),
            self.opensearch.url(),
            self.prefix
        )
    }

    fn wait(&self, kind: &str, count: u64, printed: &dyn Fn() -> String) {
        until(&format!("{count} documents"), PATIENCE, || {
            match self.opensearch.count(&self.index(kind))? {
                found if found == count => Ok(()),
                found => Err(format!("there are {found}\n{}", printed())),
            }
        });
    }
}

#[test]
fn documents_that_wait_aside_survive_a_kill() {
    let opensearch = OpenSearch::shared();
    for name in ["run", "ship"] {
        let place = Place::new(&format!("aside-{name}"));
        let blocked = Blocked::new(&opensearch, name);
        let (log, data) = (place.join("a.log"), place.directory("data"));
        let program = if name == "run" {
            let text = blocked.configuration("path", &log);
            executor(place.path(), "run").args(["pipeline", "run", "-e", &text, "--data-dir"]).arg(&data)
        } else {
            let configs = place.directory("configs");
            fs::create_dir_all(configs.join("host")).expect("it is writable");
            fs::write(configs.join("host/a.conf"), blocked.configuration("host-path", &log))
                .expect("it is writable");
            let none = format!("unix://{}", place.join("none.sock").display());
            ship_recipe(place.path(), &none, &configs, &data)
        };
        let mut process = program.start();
        blocked.wait("free", 200, &|| process.printed());
        until("the reason to be said", PATIENCE, || {
            let printed = process.printed();
            if printed.contains("cluster_block_exception") { Ok(()) } else { Err(printed) }
        });
        process.kill();
        let times_said = |printed: &str| printed.matches("cluster_block_exception").count();
        let before = times_said(&process.printed());
        let mut process = program.start();
        // What had waited meets the block once more.
        until("the reason to be said again", PATIENCE, || {
            let printed = process.printed();
            if times_said(&printed) > before { Ok(()) } else { Err(printed) }
        });
        blocked.block(false);
        blocked.wait("blocked", 100, &|| process.printed());
        blocked.wait("free", 200, &|| process.printed());
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
    }
}

#[test]
fn how_much_waits_aside_on_an_agent_is_shown_with_the_reason_and_survives_a_kill() {
    let opensearch = OpenSearch::shared();
    let place = Place::new("aside-agent");
    let blocked = Blocked::new(&opensearch, "agent");
    let configs = place.directory("configs");
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    fs::write(configs.join("host/a.conf"), blocked.configuration("host-path", &place.join("a.log")))
        .expect("it is writable");
    let port = free_port();
    let mut process = local_scheduler(place.path(), port).arg("--config-dir").arg(&configs).start();
    blocked.wait("free", 200, &|| process.printed());
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    until("the count and the reason", PATIENCE, || {
        let status = get_json(&url("/api/status"))?;
        let output = &status["agents"][0]["executor"]["outputs"][0];
        let says =
            output["aside_reason"].as_str().is_some_and(|text| text.contains("cluster_block_exception"));
        if output["aside"] == 100 && says { Ok(()) } else { Err(format!("{status}\n{}", process.printed())) }
    });
    let metrics = request("GET", &url("/metrics"), None).expect("it answers").expect(200).body;
    assert!(metrics.contains("logstash_mesos_executor_waiting_events{where=\"aside\"} 100\n"), "{metrics}");
    let explained = get_json(&url("/api/explain")).expect("it answers").to_string();
    assert!(explained.contains("100 wait aside: status 403"), "{explained}");
    let executors = with_environment("MESOS_SANDBOX", &place.path().display().to_string());
    assert_eq!(executors.len(), 1);
    send(executors[0], Signal::KILL);
    blocked.block(false);
    blocked.wait("blocked", 100, &|| process.printed());
    until("nothing waits aside", PATIENCE, || {
        let status = get_json(&url("/api/status"))?;
        let output = &status["agents"][0]["executor"]["outputs"][0];
        if output["aside"] == 0 && output["aside_reason"].is_null() {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
    blocked.wait("free", 200, &|| process.printed());
    assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
}
