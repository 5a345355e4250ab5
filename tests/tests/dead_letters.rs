//! What a server refuses for good: kept, shown, mended, sent again. With `ship`, `pipeline run` and an agent.

use std::fs;
use std::path::Path;

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::executor::{executor, ship_recipe};
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::process::Finished;
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::{Value, json};

/// An index that takes only fields it knows, and 23 lines of which three have another one.
struct Strict<'a> {
    opensearch: &'a OpenSearch,
    index: String,
}

impl<'a> Strict<'a> {
    fn new(opensearch: &'a OpenSearch, name: &str) -> Self {
        let index = format!("test-letters-{name}-{}", std::process::id());
        let mapping = json!({"mappings": {"dynamic": "strict", "properties": {
            "@timestamp": {"type": "date"}, "number": {"type": "integer"},
            "host": {"type": "object", "dynamic": true}, "log": {"type": "object", "dynamic": true},
            "mesos": {"type": "object", "dynamic": true},
        }}});
        opensearch.request("PUT", &index, Some(&mapping)).expect("it answers").expect(200);
        Self { opensearch, index }
    }

    fn lines() -> String {
        let good = (0..20).map(|number| format!("{{\"number\":{number}}}\n"));
        let bad = (20..23).map(|number| format!("{{\"number\":{number},\"colour\":\"blue\"}}\n"));
        good.chain(bad).collect()
    }

    fn configuration(&self, log: &Path) -> String {
        format!(
            "input {{ file {{ host-path => \"{}\" codec => json }} }}
             filter {{ mutate {{ remove_field => [\"@version\", \"event\"] }} }}
             output {{ elasticsearch {{ id => \"es\" hosts => [\"{}\"] index => \"{}\" }} }}",
            log.display(),
            self.opensearch.url(),
            self.index
        )
    }

    fn wait(&self, count: u64, printed: impl Fn() -> String) {
        until(&format!("{count} documents"), PATIENCE, || match self.opensearch.count(&self.index)? {
            found if found == count => Ok(()),
            found => Err(format!("there are {found}\n{}", printed())),
        });
    }

    fn mend(&self) {
        let mapping = json!({"properties": {"colour": {"type": "keyword"}}});
        let path = format!("{}/_mapping", self.index);
        self.opensearch.request("PUT", &path, Some(&mapping)).expect("it answers").expect(200);
    }
}

/// Runs the program's command `dead-letters` and waits for its end.
fn letters(place: &Place, data: &Path, arguments: &[&str]) -> Finished {
    executor(place.path(), "letters")
        .arg("dead-letters")
        .args(arguments)
        .arg("--data-dir")
        .arg(data)
        .run(b"", PATIENCE)
}

fn listed(place: &Place, data: &Path) -> Value {
    let done = letters(place, data, &["list", "--format", "json"]);
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    serde_json::from_str(&done.stdout).expect("it is JSON")
}

fn wait_for_letters(place: &Place, data: &Path, count: usize, printed: impl Fn() -> String) -> Vec<Value> {
    until(&format!("{count} dead letters"), PATIENCE, || {
        let listed = listed(place, data);
        let found = listed["letters"].as_array().cloned().unwrap_or_default();
        if found.len() == count { Ok(found) } else { Err(format!("{listed}\n{}", printed())) }
    })
}

fn assert_is_refused(letter: &Value, log: &Path) {
    let text = letter.to_string();
    for part in ["strict_dynamic_mapping_exception", "blue", &*log.display().to_string(), "\"es\""] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn what_was_refused_is_shown_mended_and_sent_again_while_ship_runs() {
    let place = Place::new("letters");
    let opensearch = OpenSearch::shared();
    let strict = Strict::new(&opensearch, "ship");
    let (configs, data, log) = (place.directory("configs"), place.directory("data"), place.join("a.log"));
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    fs::write(configs.join("host/a.conf"), strict.configuration(&log)).expect("it is writable");
    fs::write(&log, Strict::lines()).expect("it is writable");
    let none = format!("unix://{}", place.join("none.sock").display());
    let ship = ship_recipe(place.path(), &none, &configs, &data);
    let mut shipper = ship.start();
    strict.wait(20, || shipper.printed());
    let found = wait_for_letters(&place, &data, 3, || shipper.printed());
    for letter in &found {
        assert_eq!(letter["configuration"], "host/a");
        assert_is_refused(letter, &log);
    }
    let table = letters(&place, &data, &["list"]).stdout;
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.starts_with("ID") && table.contains("a.log @"), "{table}");
    let before = &found[1]["id"];
    let id = before.to_string();
    let whole = letters(&place, &data, &["show", &id]).stdout;
    assert!(whole.contains("blue") && whole.contains(&id), "{whole}");

    // Nothing is mended yet: it comes back. Which ones has to be said.
    assert_eq!(letters(&place, &data, &["replay"]).status.code(), Some(2));
    assert_eq!(letters(&place, &data, &["replay", &id]).stdout, "1 on their way back to their outputs\n");
    until("it to come back", PATIENCE, || {
        let now = wait_for_letters(&place, &data, 3, || shipper.printed());
        let others = now.iter().all(|letter| letter["id"] != *before);
        if others { Ok(()) } else { Err("it is still there".to_owned()) }
    });
    let last = listed(&place, &data)["letters"][2]["id"].to_string();
    assert_eq!(letters(&place, &data, &["discard", &last]).stdout, "1 discarded\n");
    assert_eq!(letters(&place, &data, &["discard", &last]).status.code(), Some(1));

    strict.mend();
    let done = letters(&place, &data, &["replay", "--all", "--format", "json"]);
    assert_eq!(done.stdout, "{\"replayed\":2}\n");
    strict.wait(22, || shipper.printed());
    wait_for_letters(&place, &data, 0, || shipper.printed());
    until("all to be back", PATIENCE, || match &listed(&place, &data)["on_their_way"] {
        none if *none == 0 => Ok(()),
        some => Err(some.to_string()),
    });
    assert_eq!(shipper.terminate(PATIENCE).code(), Some(0), "{}", shipper.printed());
}

#[test]
fn letters_are_sent_again_at_the_next_start_of_a_pipeline() {
    let place = Place::new("letters-run");
    let opensearch = OpenSearch::shared();
    let strict = Strict::new(&opensearch, "run");
    let (data, log) = (place.directory("data"), place.join("a.log"));
    fs::write(&log, Strict::lines()).expect("it is writable");
    let text = strict.configuration(&log).replace(
        "host-path",
        "mode => \"read\" exit_after_read => true file_completed_action => \"log\" file_completed_log_path => \"/dev/null\" path",
    );
    let run = || {
        let program = executor(place.path(), "run").args(["pipeline", "run", "-e", &text]);
        let done =
            program.args(["--setting", "pipeline.id=of-run"]).arg("--data-dir").arg(&data).run(b"", PATIENCE);
        assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
        done.stderr
    };
    let printed = run();
    let found = wait_for_letters(&place, &data, 3, || printed.clone());
    assert_eq!(found[0]["configuration"], "of-run");
    assert_is_refused(&found[0], &log);
    strict.mend();
    assert_eq!(letters(&place, &data, &["replay", "--output", "es"]).status.code(), Some(0));
    assert_eq!(listed(&place, &data)["on_their_way"], 3);
    let printed = run();
    strict.wait(23, || printed.clone());
    assert_eq!(listed(&place, &data)["on_their_way"], 0);

    // What there is room for.
    fs::write(place.join("b.log"), Strict::lines().replace("blue", &"blue".repeat(10_000)))
        .expect("it is writable");
    let wrong = executor(place.path(), "run").args(["pipeline", "run", "-e", &text]);
    let done = wrong.args(["--setting", "dead_letter_queue.max_bytes=much"]).run(b"", PATIENCE);
    assert!(done.status.code() == Some(2) && done.stderr.contains("64kb"), "{}", done.stderr);
}

#[test]
fn letters_of_an_agent_are_seen_and_sent_again_over_rest() {
    let cluster = Cluster::with_agents("letters", 1);
    let strict = Strict::new(&cluster.opensearch, "agent");
    let log = cluster.place.join("a.log");
    fs::write(&log, Strict::lines()).expect("it is writable");
    let scheduler = cluster.scheduler();
    let _ = scheduler.running_executors(1);
    let body = json!({"input": strict.configuration(&log)});
    scheduler.request("PUT", "/api/host-config?name=a", Some(&body)).expect("it answers");
    let printed = || scheduler.status().map_or_else(|error| error, |status| status.to_string());
    strict.wait(20, printed);
    let agent = scheduler.status().expect("it answers")["agents"][0]["agent_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let ask = |method: &str, path: &str, rest: &str| {
        let path = format!("/api/dead-letters{path}?agent={agent}{rest}");
        scheduler.request(method, &path, None).expect("it answers")
    };
    let wait = |count: usize| {
        until(&format!("{count} dead letters"), PATIENCE, || {
            let found =
                ask("GET", "", "").expect(200).json()["letters"].as_array().cloned().unwrap_or_default();
            if found.len() == count { Ok(found) } else { Err(format!("{found:?}\n{}", printed())) }
        })
    };
    let found = wait(3);
    assert_is_refused(&found[0], &log);
    until("the count of each configuration", PATIENCE, || {
        let counts = scheduler.request("GET", "/api/dead-letters", None)?.json();
        let one = &counts["configurations"][0];
        let is = one["waiting"] == 3 && one["configuration"] == "a" && one["agent_id"] == *agent;
        if is { Ok(()) } else { Err(counts.to_string()) }
    });
    let metrics = scheduler.request("GET", "/metrics", None).expect("it answers").body;
    assert!(metrics.contains("logstash_mesos_executor_dead_letters{state=\"waiting\"} 3"), "{metrics}");

    assert!(ask("DELETE", "", "").expect(400).body.contains("say which ones"));
    let first = format!("&ids={}", found[0]["id"]);
    assert_eq!(ask("DELETE", "", &first).expect(200).json()["discarded"], 1);
    strict.mend();
    assert_eq!(ask("POST", "/replay", "&configuration=a").expect(200).json()["replayed"], 2);
    strict.wait(22, printed);
    wait(0);
    scheduler.request("GET", "/api/dead-letters?agent=nobody", None).expect("it answers").expect(404);
}
