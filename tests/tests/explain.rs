//! "Why is there no shipper on X?", answered for every kind of X.

use std::fs;

use logstash_mesos_tests::http::get_json;
use logstash_mesos_tests::mesos::{Agent, AgentOptions, Master};
use logstash_mesos_tests::place::{Place, programs};
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions, encode};
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::{Value, json};

/// Agents on one machine, each with something else against it.
struct Agents {
    master: Master,
    started: Vec<Agent>,
    place: Place,
}

impl Agents {
    fn start(name: &str) -> Self {
        let place = Place::new(name);
        let master = Master::start(&place.directory("mesos"));
        Self { master, started: Vec::new(), place }
    }

    /// Starts the agent 127.0.0.`number`, whose executors keep their positions in `data_dir`.
    fn add(&mut self, number: u8, data_dir: &str, flags: &[&str]) {
        let options = AgentOptions {
            host: format!("127.0.0.{number}"),
            // Nothing asks for it, as no configuration is about containers.
            docker_host: "unix:///not/there.sock".into(),
            data_dir: self.place.join(data_dir),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        };
        let directory = self.place.directory(&format!("agent{number}"));
        self.started.push(Agent::start(&directory, &self.master, options));
    }

    fn scheduler(&self, name: &str, flags: &[&str]) -> Scheduler {
        let program = programs().join("logstash-mesos-executor").display().to_string();
        let flags = ["--executor-command", program.as_str()].into_iter().chain(flags.iter().copied());
        let options = SchedulerOptions {
            master: self.master.address(),
            framework: name.to_owned(),
            state: "memory".into(),
            config_dir: None,
            elasticsearch: None,
            flags: flags.map(str::to_owned).collect(),
        };
        Scheduler::start(&self.place.directory(name), options)
    }
}

/// Waits until the one agent called `host` has a step `code` that stands so and says `text`.
#[track_caller]
pub(crate) fn says(scheduler: &Scheduler, host: &str, state: &str, code: &str, text: &str) -> Value {
    until(&format!("{host} to be explained by {code}"), PATIENCE * 2, || {
        let answer = get_json(&format!("{}/api/explain?q={}", scheduler.url(), encode(host)))?;
        let subject = &answer["subjects"][0];
        let steps = subject["steps"].as_array().cloned().unwrap_or_default();
        let found = steps.iter().any(|step| {
            step["code"] == code
                && step["state"] == state
                && step["text"].as_str().is_some_and(|said| said.contains(text))
        });
        if found && subject["state"] == state { Ok(answer.clone()) } else { Err(answer.to_string()) }
    })
}

#[test]
fn every_agent_says_why_it_has_a_shipper_or_none() {
    let mut agents = Agents::start("explain");
    let here = "--attributes=rack:a";
    agents.add(1, "positions1", &[here]);
    agents.add(2, "positions2", &[here, "--resources=cpus:2;mem:32;disk:2048"]);
    agents.add(3, "positions3", &[here, "--resources=cpus:2;mem(db):480;mem:40;disk:2048"]);
    agents.add(4, "positions4", &[here]);
    agents.add(5, "positions5", &["--attributes=rack:b"]);
    agents.add(6, "positions6", &[here]);
    // A directory of positions that cannot be made.
    fs::write(agents.place.join("file"), "").expect("it is writable");
    agents.add(7, "file/positions", &[here]);
    // Somebody else has all of it.
    agents.add(8, "positions8", &[here, "--resources=cpus:2;mem:100;disk:2048"]);
    let other = agents
        .scheduler("other", &["--constraint", "hostname:IS:127.0.0.8", "--executor-mem-megabytes", "100"]);
    let _ = other.running_executors(1);

    let scheduler =
        agents.scheduler("logstash", &["--exclude-agent", "127.0.0.4", "--constraint", "rack:IS:a"]);
    says(&scheduler, "127.0.0.1", "ok", "shipping", "it reads 0 streams");
    let small = says(&scheduler, "127.0.0.2", "problem", "too_small", "needs 64 MB of mem");
    let step = &small["subjects"][0]["steps"][0];
    assert_eq!(step["figures"]["wanted_mem_megabytes"], 64.0, "{small}");
    assert_eq!(step["figures"]["offered_mem_megabytes"], 32.0, "{small}");
    assert!(step["next"].as_str().is_some_and(|next| next.contains("--executor-mem-megabytes")), "{small}");
    says(&scheduler, "127.0.0.3", "problem", "too_small", "480 MB of mem are reserved for role db");
    says(&scheduler, "127.0.0.4", "ok", "excluded", "--exclude-agent 127.0.0.4");
    says(&scheduler, "127.0.0.5", "ok", "constraint", "its value is b");
    says(&scheduler, "127.0.0.7", "problem", "failures", "--executor-env LOGSTASH_MESOS_DATA_DIR=");
    says(&scheduler, "127.0.0.8", "problem", "too_small", "0 MB of mem are free");
    says(&scheduler, "127.0.0.6", "ok", "shipping", "it reads");
    let id = agents.started[5].id();
    let drain = json!({"type": "DRAIN_AGENT", "drain_agent": {"agent_id": {"value": id}}});
    agents.master.operate(&drain);
    let drained = says(&scheduler, "127.0.0.6", "ok", "draining", "an operator drains the agent");
    assert_eq!(drained["subjects"][0]["id"], id);
    until("the drained agent's task to end", PATIENCE, || {
        let answer = get_json(&format!("{}/api/explain?q={id}", scheduler.url()))?;
        let steps = answer["subjects"][0]["steps"].as_array().map_or(0, Vec::len);
        if steps == 1 { Ok(()) } else { Err(answer.to_string()) }
    });

    // The same for people.
    let whole = scheduler.ask(&["explain"]);
    println!("{}", whole.stdout);
    assert_eq!(whole.status.code(), Some(1), "{}", whole.stderr);
    let first = whole.stdout.lines().next().unwrap_or_default();
    assert_eq!(first, "logstash  1 of 8 agents has a shipper, 4 with a problem");
    let order: Vec<_> =
        whole.stdout.lines().filter_map(|line| line.split("127.0.0.").nth(1)?.chars().next()).collect();
    assert_eq!(order[..4], ['2', '3', '7', '8'], "{}", whole.stdout);
    assert!(whole.stdout.contains("ok       127.0.0.5  no shipper is wanted: "), "{}", whole.stdout);
    assert!(!whole.stdout.contains('\u{1b}'), "there are colours in a pipe");
    let one = scheduler.ask(&["explain", "127.0.0.1"]);
    println!("{}", one.stdout);
    assert_eq!(one.status.code(), Some(0), "{}{}", one.stdout, one.stderr);
    let nobody = scheduler.ask(&["explain", "127.0.0.9"]);
    assert_eq!(nobody.status.code(), Some(2), "{}", nobody.stdout);
    assert!(nobody.stderr.contains("no agent is called `127.0.0.9`"), "{}", nobody.stderr);
    let json = scheduler.ask(&["explain", "--only", "problem", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).expect("it is JSON");
    assert_eq!((&json["totals"]["agents"], json["subjects"].as_array().map(Vec::len)), (&json!(8), Some(5)));
    let status = scheduler.ask(&["status"]);
    println!("{}", status.stdout);
    assert_eq!(status.status.code(), Some(0), "{}", status.stderr);
    assert!(status.stdout.contains("8: 1 with a shipper, 4 ok, 4 with a problem"), "{}", status.stdout);
}

#[test]
fn local_explains_itself_too() {
    let place = Place::new("explain-local");
    let options = |name: &str, flags: &[&str]| SchedulerOptions {
        master: "local".into(),
        framework: format!("logstash-{name}"),
        state: "memory".into(),
        config_dir: None,
        elasticsearch: None,
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
    };
    let failing = Scheduler::start(
        &place.directory("failing"),
        options("failing", &["--executor-command", "/not/there"]),
    );
    let id = until("the agent to be known", PATIENCE, || {
        let answer = get_json(&format!("{}/api/explain", failing.url()))?;
        answer["subjects"][1]["id"].as_str().map(str::to_owned).ok_or_else(|| answer.to_string())
    });
    let answer = says(&failing, &id, "problem", "failures", "/not/there");
    let next = &answer["subjects"][0]["steps"][0]["next"];
    assert!(next.as_str().is_some_and(|next| next.contains("--executor-command")), "{answer}");
    let asked = failing.ask(&["explain"]);
    assert_eq!(asked.status.code(), Some(1), "{}{}", asked.stdout, asked.stderr);
    drop(failing);
    let well = Scheduler::start(&place.directory("well"), options("well", &[]));
    until("all to be well", PATIENCE * 2, || {
        let asked = well.ask(&["explain"]);
        if asked.status.code() == Some(0) && asked.stdout.contains("ships") {
            Ok(())
        } else {
            Err(asked.stdout + &asked.stderr)
        }
    });
}
