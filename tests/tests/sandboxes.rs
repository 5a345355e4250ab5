//! What Mesos tasks write into their sandboxes, on a real agent.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use logstash_mesos_tests::docker::{BUSYBOX, Docker};
use logstash_mesos_tests::executor::ship_recipe;
use logstash_mesos_tests::mesos::{Agent, AgentOptions, Master};
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::process::Process;
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions};
use logstash_mesos_tests::tasks::{Framework, Script};
use logstash_mesos_tests::wait::{PATIENCE, throughout, until};
use mesos_v1::proto::TaskState;
use serde_json::Value;

/// Lines of each of the three files of a task.
const COUNT: usize = 300;

/// Writes them, for some seconds: a standard output that is rotated, a standard error, and a file.
const WRITES: &str = r#"
mkdir -p logs
i=0
while [ $i -lt 300 ]; do
  echo "out $i"
  echo "err $i" >&2
  echo "log $i" >> logs/app.log
  [ $i -ne 150 ] || mv logs/app.log logs/app.log.1
  i=$((i + 1))
  sleep 0.02
done
"#;

/// A configuration for the sandboxes of tasks with a label, whose output is a file.
fn configuration(out: &Path) -> String {
    format!(
        r##"#: match.framework = scripts
#: match.label.app = web
input {{ sandbox {{ stdout => true stderr => true path => "logs/*.log" }} }}
output {{ file {{
  path => "{}"
  codec => line {{ format => "%{{message}} of %{{[mesos][task_id]}} on %{{[mesos][executor_id]}}, %{{[container][labels][app]}}" }}
}} }}
"##,
        out.display()
    )
}

fn configured(place: &Place, name: &str, files: &[(&str, String)]) -> PathBuf {
    let directory = place.directory(name);
    for (file, text) in files {
        let path = directory.join(file);
        fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it is writable");
        fs::write(path, text).expect("it is writable");
    }
    directory
}

fn lines(out: &Path) -> Vec<String> {
    fs::read_to_string(out).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Waits for every line of `tasks`, and checks that none came twice and none of anybody else.
#[track_caller]
fn arrived_once(what: &str, out: &Path, tasks: &[&str]) {
    let expected: BTreeSet<String> = tasks
        .iter()
        .flat_map(|task| ["out", "err", "log"].map(|file| (task, file)))
        .flat_map(|(task, file)| {
            (0..COUNT).map(move |number| format!("{file} {number} of {task} on {task}-executor, web"))
        })
        .collect();
    until(what, PATIENCE * 2, || {
        let arrived: BTreeSet<_> = lines(out).into_iter().collect();
        let missing: Vec<_> = expected.difference(&arrived).take(3).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{} came, not {missing:?}", arrived.len())) }
    });
    let arrived = lines(out);
    let unexpected: Vec<_> = arrived.iter().filter(|line| !expected.contains(*line)).take(3).collect();
    assert!(unexpected.is_empty(), "{what}: {unexpected:?}");
    assert_eq!(arrived.len(), expected.len(), "{what}: some came twice");
}

fn web(task: &str) -> Script {
    Script {
        task: task.to_owned(),
        script: WRITES.to_owned(),
        labels: vec![("app".to_owned(), "web".to_owned())],
        image: None,
    }
}

fn agent(place: &Place, master: &Master, docker_host: &str, flags: Vec<String>) -> Agent {
    let options = AgentOptions {
        host: "127.0.0.1".to_owned(),
        docker_host: docker_host.to_owned(),
        data_dir: place.directory("positions"),
        flags,
    };
    Agent::start(&place.directory("agent"), master, options)
}

fn ship(place: &Place, agent: &Agent, docker_host: &str, configs: &Path) -> Process {
    let work_dir = agent.directory().join("work");
    ship_recipe(place.path(), docker_host, configs, &place.directory("data"))
        .arg("--mesos-work-dir")
        .arg(work_dir)
        .start()
}

#[test]
fn tasks_are_shipped_once_by_the_agent_s_executor_and_by_ship_through_restart_and_collection() {
    let place = Place::new("sandboxes");
    let nobody = format!("unix://{}", place.join("docker.sock").display());
    let master = Master::start(&place.directory("mesos"));
    let mut agent = agent(&place, &master, &nobody, vec!["--gc_delay=15secs".to_owned()]);
    let [by_executor, by_ship, own] =
        ["by-executor.txt", "by-ship.txt", "own.txt"].map(|name| place.join(name));
    let everything = |out: &Path| {
        format!("input {{ sandbox {{ }} }} output {{ file {{ path => \"{}\" }} }}", out.display())
    };
    let configs = configured(
        &place,
        "of-scheduler",
        &[("host/tasks.conf", configuration(&by_executor)), ("host/everything.conf", everything(&own))],
    );
    let options = SchedulerOptions {
        master: master.address(),
        framework: "shipper".to_owned(),
        state: format!("file:{}", place.join("state").display()),
        config_dir: Some(configs),
        elasticsearch: None,
        flags: Vec::new(),
    };
    let scheduler = Scheduler::start(&place.directory("scheduler"), options);
    let configs = configured(&place, "of-ship", &[("host/tasks.conf", configuration(&by_ship))]);
    let mut shipper = ship(&place, &agent, &nobody, &configs);

    let framework = Framework::start(&master.address(), "scripts");
    framework.launch(web("web-1"));
    framework.launch(Script { labels: Vec::new(), ..web("other-1") });
    framework.wait("web-1", TaskState::TaskRunning);
    until("the first lines", PATIENCE, || {
        let (one, other) = (lines(&by_executor).len(), lines(&by_ship).len());
        if one > 30 && other > 30 { Ok(()) } else { Err(format!("{one} and {other}")) }
    });
    let _running = scheduler.running_executors(1);
    // The agent goes and comes back in the middle, and `ship` ends and goes on.
    agent.kill();
    assert_eq!(shipper.terminate(Duration::from_secs(20)).code(), Some(0), "{}", shipper.printed());
    agent.restart();
    let shipper = ship(&place, &agent, &nobody, &configs);
    framework.wait("web-1", TaskState::TaskFinished);
    arrived_once("the lines through the executor", &by_executor, &["web-1"]);
    arrived_once("the lines through ship", &by_ship, &["web-1"]);

    // The framework goes, its executors with it, and the agent collects what they left.
    let sandboxes =
        agent.directory().join("work/slaves").join(agent.id()).join("frameworks").join(framework.id());
    let executors = sandboxes.join("executors");
    assert!(executors.join("web-1-executor").is_dir());
    framework.end();
    until("the agent to collect the sandboxes", PATIENCE * 2, || {
        if executors.join("web-1-executor").exists() { Err("they are there".into()) } else { Ok(()) }
    });
    let framework = Framework::start(&master.address(), "scripts");
    framework.launch(web("web-2"));
    arrived_once("all lines through the executor", &by_executor, &["web-1", "web-2"]);
    arrived_once("all lines through ship", &by_ship, &["web-1", "web-2"]);
    until("positions of what is gone to be forgotten", PATIENCE, || {
        let positions =
            fs::read_to_string(place.join("data/positions.json")).map_err(|error| error.to_string())?;
        let lines = positions.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of: BTreeSet<_> =
            lines.filter_map(|line| Some(line[1]["file"]["stream"].as_str()?.to_owned())).collect();
        // The three files of the task that is there.
        if of.len() == 3 { Ok(()) } else { Err(format!("positions of {of:?}")) }
    });
    // Tasks of everybody, but not what the shipping executor itself says.
    let ours =
        scheduler.status().expect("it answers")["framework"]["id"].as_str().expect("it has one").to_owned();
    let own = lines(&own);
    assert!(own.iter().any(|line| line.contains("other-1")) && own.iter().all(|line| !line.contains(&ours)));
    drop(shipper);
}

#[test]
fn a_task_in_docker_comes_once_though_docker_and_its_sandbox_have_it() {
    let place = Place::new("sandbox-d");
    let docker = Docker::start_in_host_network(&place.directory("docker"));
    let socket = docker.host().trim_start_matches("unix://");
    let flags = vec!["--containerizers=mesos,docker".into(), format!("--docker_socket={socket}")];
    let master = Master::start(&place.directory("mesos"));
    let agent = agent(&place, &master, docker.host(), flags);
    let (both, sandbox) = (place.join("both.txt"), place.join("sandbox.txt"));
    let text = |inputs: &str, out: &Path| {
        let format = "%{message} of %{[container][image][name]}";
        let out = out.display();
        format!(
            "input {{ {inputs} }} output {{ file {{ path => \"{out}\" codec => line {{ format => \"{format}\" }} }} }}"
        )
    };
    let both_inputs = "docker { stdout => true } sandbox { stdout => true path => \"app.log\" }";
    let configs = configured(
        &place,
        "configs",
        &[
            ("docker/busybox*.conf", text(both_inputs, &both)),
            ("host/sandbox.conf", text("sandbox { stdout => true }", &sandbox)),
        ],
    );
    let _shipper = ship(&place, &agent, docker.host(), &configs);
    let framework = Framework::start(&master.address(), "scripts");
    let script = "echo out; echo log >> $MESOS_SANDBOX/app.log; sleep 100000";
    framework.launch(Script { script: script.into(), image: Some(BUSYBOX.into()), ..web("web-1") });
    let sorted = |out: &Path| {
        let mut lines = lines(out);
        lines.sort();
        lines
    };
    let expected =
        |words: &[&str]| words.iter().map(|word| format!("{word} of {BUSYBOX}")).collect::<Vec<_>>();
    let complete = || {
        let (both, sandbox) = (sorted(&both), sorted(&sandbox));
        if both == expected(&["log", "out"]) && sandbox == expected(&["out"]) {
            Ok(())
        } else {
            Err(format!("{both:?} and {sandbox:?}"))
        }
    };
    until("each line once", PATIENCE * 2, complete);
    throughout("each line once", Duration::from_secs(3), complete);
}
