//! Configurations over REST and from a directory; broken ones are refused with their line.

use std::fs;

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::docker::BUSYBOX;
use logstash_mesos_tests::http::request_with;
use logstash_mesos_tests::lines::{arrived, filter, writer};
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions};
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::{Value, json};

const GOOD: &str = "input { docker { } }\noutput { stdout { } }";
const BROKEN: &str =
    "input { docker { } }\nfilter {\n  grok { match => { \"message\" => \"%{NO_SUCH_PATTERN}\" } }\n}";

/// Orders of the command line, with what they print and how they end.
#[test]
fn a_shell_writes_compares_and_brings_back_configurations() {
    let place = Place::new("orders");
    let mut scheduler = scheduler(&place);
    let file = |name: &str, text: &str| {
        let path = place.join(name);
        fs::write(&path, text).expect("the test's directory is writable");
        path.display().to_string()
    };
    let (good, other, broken) =
        (file("good.conf", GOOD), file("other.conf", &format!("{GOOD}\n# new")), file("broken.conf", BROKEN));
    let order = |scheduler: &Scheduler, line: &[&str], code: i32, said: &str| {
        let ended = scheduler.ask(&[&["configs"], line].concat());
        let printed = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{line:?}: {printed}");
        assert!(printed.contains(said), "{line:?}: {printed}");
        printed
    };
    order(&scheduler, &["put", "web:1", &good, "--match", "label.app=web"], 0, "web:1 is created");
    order(&scheduler, &["put", "web:1", &broken], 1, "line 3");
    assert_eq!(order(&scheduler, &["get", "web:1"], 0, ""), GOOD);
    assert_eq!(order(&scheduler, &["diff", "web:1", &good], 0, ""), "");
    order(&scheduler, &["diff", "web:1", &other], 1, "+# new");
    order(&scheduler, &["put", "web:1", &other], 0, "web:1 is changed");
    order(&scheduler, &["list"], 0, "docker  web:1");
    order(&scheduler, &["put", "--host", "syslog", &good], 0, "syslog is created");
    order(&scheduler, &["delete", "--host", "syslog"], 0, "syslog is removed");
    order(&scheduler, &["delete", "--host", "syslog"], 2, "there is no configuration `syslog`");

    // Another scheduler on the same state knows what was before.
    scheduler.kill();
    scheduler.restart();
    let history = order(&scheduler, &["history", "web:1"], 0, "in force");
    let first = history.lines().find(|line| line.contains("replaced")).expect("there was one before");
    assert!(first.contains("anybody from 127.0.0.1"), "{history}");
    let version = first.split(' ').next().expect("it begins with it");
    order(&scheduler, &["diff", "web:1", "--version", version], 1, "+# new");
    order(&scheduler, &["rollback", "web:1", version], 0, version);
    assert_eq!(order(&scheduler, &["get", "web:1"], 0, ""), GOOD);
    let kept = scheduler.request("GET", "/api/configs/web:1", None).expect("it answers").expect(200).json();
    assert_eq!(kept["match"], json!({"label.app": "web"}));
    let log = scheduler.process().printed();
    assert!(log.contains("audit: Configuration changed") && log.contains("anybody"), "{log}");
    order(&scheduler, &["rollback", "web:1", "0000"], 2, "no version 0000");
}

/// Somebody who may look, somebody who may change, and somebody who guesses.
#[test]
fn people_and_programs_may_do_what_their_roles_say() {
    let place = Place::new("roles");
    let make = |name: &str, role: &str, token: &[&str]| {
        let program = logstash_mesos_tests::place::programs().join("logstash-mesos-scheduler");
        let recipe = logstash_mesos_tests::process::Recipe::new(program, place.path(), name);
        recipe.args(["credential", name, "--role", role]).args(token).run(b"s3cret\n", PATIENCE)
    };
    let (ann, bob, ci) =
        (make("ann", "read", &[]), make("bob", "write", &[]), make("ci", "write", &["--token"]));
    let file = place.join("accounts");
    fs::write(&file, [&*ann.stdout, &*bob.stdout, &*ci.stdout].concat()).expect("is writable");
    let token = ci.stderr.trim().rsplit(' ').next().expect("it is the last word").to_owned();
    assert!(!ann.stdout.contains("s3cret") && !ci.stdout.contains(&token));
    let scheduler = Scheduler::start(
        place.path(),
        SchedulerOptions {
            master: "127.0.0.1:9".into(),
            framework: "logstash-roles".into(),
            state: format!("file:{}", place.join("state").display()),
            config_dir: None,
            elasticsearch: None,
            flags: vec!["--auth-file".to_owned(), file.display().to_string()],
        },
    );
    let url = format!("{}/api/configs/web", scheduler.url());
    let ask = |method: &str, authorization: &str| {
        let headers = [("Content-Type", "application/json"), ("Authorization", authorization)];
        let body =
            json!({"input": "output { elasticsearch { password => 'hidden' user => 'u' hosts => 'h' } }"});
        let body = (method != "GET").then(|| body.to_string());
        request_with(method, &url, &headers, body.as_deref()).expect("it answers")
    };
    let basic = |pair: &str| {
        use base64::Engine;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    };
    let (ann, bob, ci) = (basic("ann:s3cret"), basic("bob:s3cret"), format!("Bearer {token}"));
    let refused = ask("PUT", &ann).expect(403);
    assert!(refused.body.contains("your role is `read`"), "{}", refused.body);
    ask("PUT", &ci).expect(200);
    ask("PUT", &bob).expect(200);
    assert!(!ask("GET", &ann).expect(200).body.contains("hidden"));
    assert!(ask("GET", &bob).expect(200).body.contains("hidden"));
    let resume = format!("{}/api/rollout/resume", scheduler.url());
    let resumed = request_with("POST", &resume, &[("Authorization", &bob)], None).expect("it answers");
    assert!(resumed.expect(403).body.contains("`admin`"));

    let guessed = (0..20).map(|n| ask("GET", &basic(&format!("ann:{n}"))).status).collect::<Vec<_>>();
    assert_eq!((guessed[0], guessed[19]), (401, 429), "{guessed:?}");
    // Who is known goes on.
    ask("GET", &ann).expect(200);
}

/// A scheduler alone: its API needs no Mesos.
fn scheduler(place: &Place) -> Scheduler {
    Scheduler::start(
        place.path(),
        SchedulerOptions {
            // A port that answers with nothing: the scheduler waits for it.
            master: "127.0.0.1:9".into(),
            framework: "logstash-configurations".into(),
            state: format!("file:{}", place.join("state").display()),
            config_dir: Some(place.directory("configs")),
            elasticsearch: None,
            flags: Vec::new(),
        },
    )
}

#[test]
fn configurations_are_created_replaced_listed_and_removed() {
    let place = Place::new("rest");
    let mut scheduler = scheduler(&place);
    let get = |scheduler: &Scheduler, path: &str| scheduler.request("GET", path, None).expect("it answers");
    assert_eq!(get(&scheduler, "/api/configs").expect(200).json(), json!([]));

    // POST and PUT create or replace.
    let body = json!({"name": "library/nginx:1.27", "input": GOOD});
    scheduler.request("POST", "/api/configs", Some(&body)).expect("it answers").expect(200);
    scheduler.put("library/nginx:1.27", GOOD).expect(200);
    scheduler.put("other", &format!("{GOOD}\n# a comment stays")).expect(200);
    let answer = get(&scheduler, "/api/configs/library%2Fnginx%3A1.27").expect(200).json();
    assert_eq!((&answer["name"], &answer["input"]), (&json!("library/nginx:1.27"), &json!(GOOD)));
    let names: Vec<_> = get(&scheduler, "/api/configs")
        .json()
        .as_array()
        .expect("an array")
        .iter()
        .map(|entry| entry["name"].clone())
        .collect();
    assert_eq!(names, ["library/nginx:1.27", "other"]);

    // Only create.
    let url = format!("{}/api/configs/other", scheduler.url());
    let headers = [("Content-Type", "application/json"), ("If-None-Match", "*")];
    let text = json!({"input": GOOD}).to_string();
    request_with("PUT", &url, &headers, Some(&text)).expect("it answers").expect(412);

    // They outlive the scheduler.
    scheduler.kill();
    scheduler.restart();
    let answer = get(&scheduler, "/api/configs/other").expect(200).json();
    assert_eq!(answer["input"], format!("{GOOD}\n# a comment stays"));

    // The old form answers 200 for what is not there, the new one 404.
    let delete = |path: &str| scheduler.request("DELETE", path, None).expect("it answers").status;
    assert!([200, 204].contains(&delete("/api/configs/other")));
    assert_eq!(delete("/api/configs/other"), 404);
    assert_eq!(delete("/api/configs?name=other"), 200);
    assert_eq!(get(&scheduler, "/api/configs/other").status, 404);
}

#[test]
fn a_broken_configuration_is_refused_with_its_line_and_a_remedy() {
    let place = Place::new("broken");
    let scheduler = scheduler(&place);
    scheduler.put("web", GOOD).expect(200);
    let answer = scheduler.put("web", BROKEN).expect(422);
    let diagnostic = diagnostic(&answer.json());
    assert_eq!(diagnostic["line"], 3, "{diagnostic}");
    assert!(diagnostic["column"].as_u64().is_some_and(|column| column > 1), "{diagnostic}");
    for key in ["code", "message", "remedy"] {
        assert!(diagnostic[key].as_str().is_some_and(|text| !text.is_empty()), "no {key} in {diagnostic}");
    }
    assert!(diagnostic.to_string().contains("NO_SUCH_PATTERN"), "{diagnostic}");

    let answer = scheduler.put("web", "input { docker { }\noutput { stdout { } }").expect(422);
    assert!(self::diagnostic(&answer.json())["line"].is_u64());
    let answer = scheduler.put("web", "input { docker { } }\nfilter { grokk { } }").expect(422);
    assert!(answer.body.contains("grok"), "a close name is offered: {}", answer.body);

    // What was there is still there.
    let stored = scheduler.request("GET", "/api/configs/web", None).expect("it answers").json();
    assert_eq!(stored["input"], GOOD);
}

#[test]
fn a_directory_of_configurations_is_followed() {
    let cluster = Cluster::with_agents("directory", 1);
    let directory = cluster.place.directory("configs");
    fs::create_dir(directory.join("docker")).expect("it is new");
    let mut options = cluster.options();
    options.config_dir = Some(directory.clone());
    let scheduler = Scheduler::start(&cluster.place.directory("scheduler"), options);
    let image = BUSYBOX.replace(':', "%3A");
    let file = directory.join(format!("docker/{image}.conf"));
    let text = |path: &str| {
        format!("input {{ file {{ docker-path => \"{path}\" }} }}\n{}\n{}", filter(), cluster.output())
    };
    let configuration = |wanted: &dyn Fn(&Value) -> bool| {
        until("the configuration in the status", PATIENCE, || {
            let status = scheduler.status()?;
            let all = status["configurations"].as_array().cloned().unwrap_or_default();
            let own = all.into_iter().find(|entry| entry["name"] == BUSYBOX && wanted(entry));
            own.ok_or_else(|| status["configurations"].to_string())
        })
    };

    // Created by rename, as editors do.
    fs::write(directory.join("docker/.new"), text("/var/log/one.log")).expect("it is writable");
    fs::rename(directory.join("docker/.new"), &file).expect("it is there");
    let first = configuration(&|entry| entry["source"] == "directory" && entry["error"].is_null());
    let docker = &cluster.dockers[0];
    let _one = writer(docker, BUSYBOX, "write one 0 100 /var/log/one.log");
    let tally = arrived(&cluster.opensearch, &cluster.index(), "one", 0..100, |_, _| Ok(()));
    tally.assert_exact("configuration from a directory");

    // It cannot be changed over REST.
    assert_eq!(scheduler.put(BUSYBOX, GOOD).status, 409);

    // A broken file is reported, and what was there goes on.
    fs::write(&file, BROKEN).expect("it is writable");
    let broken = configuration(&|entry| entry["error"].is_string());
    assert!(broken["error"].as_str().is_some_and(|error| error.contains('3')), "{broken}");
    assert_eq!(broken["version"], first["version"]);
    let _again = writer(docker, BUSYBOX, "write again 0 100 /var/log/one.log");
    let tally = arrived(&cluster.opensearch, &cluster.index(), "again", 0..100, |_, _| Ok(()));
    tally.assert_exact("broken file in the directory");

    // Changed, then removed.
    fs::write(&file, text("/var/log/two.log")).expect("it is writable");
    configuration(&|entry| entry["error"].is_null() && entry["version"] != first["version"]);
    let _two = writer(docker, BUSYBOX, "write two 0 100 /var/log/two.log");
    let tally = arrived(&cluster.opensearch, &cluster.index(), "two", 0..100, |_, _| Ok(()));
    tally.assert_exact("changed file in the directory");
    fs::remove_file(&file).expect("it is there");
    until("the configuration to go", PATIENCE, || {
        let all = scheduler.request("GET", "/api/configs", None)?.json();
        if all == json!([]) { Ok(()) } else { Err(all.to_string()) }
    });
}

/// Returns the first diagnostic of an answer.
fn diagnostic(answer: &Value) -> Value {
    let first = answer.pointer("/diagnostics/0").cloned();
    first.unwrap_or_else(|| panic!("no diagnostics in {answer}"))
}
