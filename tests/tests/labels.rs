//! Containers and tasks that describe their logs themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use logstash_mesos_tests::docker::Docker;
use logstash_mesos_tests::executor::ship_recipe;
use logstash_mesos_tests::guide::blocks;
use logstash_mesos_tests::mesos::{Agent, AgentOptions, Master};
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions};
use logstash_mesos_tests::tasks::{Framework, Script};
use logstash_mesos_tests::wait::{PATIENCE, throughout, until};

use crate::explain::says;

/// What everybody may say, and tasks of one framework beyond that.
const RULES: &str = "labels.allow=paths stdout codec fields filter=mark output=mark; framework=scripts: lines; role=nobody: exclude";

/// A directory with one configuration, which is offered and reads nothing by itself.
fn offering(place: &Place, name: &str, out: &Path) -> PathBuf {
    let directory = place.directory(name);
    fs::create_dir_all(directory.join("host")).expect("it is writable");
    let format = "%{message} %{marked} %{[fields][team]} of %{[container][name]}";
    let text = format!(
        "filter {{ mutate {{ add_field => {{ marked => yes }} }} }}\n\
         output {{ file {{ path => \"{}\" codec => line {{ format => \"{format}\" }} }} }}\n",
        out.display()
    );
    fs::write(directory.join("host/mark.conf"), text).expect("it is writable");
    directory
}

fn lines(out: &Path) -> Vec<String> {
    let mut lines: Vec<_> = fs::read_to_string(out).unwrap_or_default().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn containers_and_tasks_are_shipped_as_they_say_by_ship_and_by_the_agent_s_executor() {
    let place = Place::new("labels");
    let docker = Docker::start(&place.directory("docker"));
    let master = Master::start(&place.directory("mesos"));
    let options = AgentOptions {
        host: "127.0.0.1".to_owned(),
        docker_host: docker.host().to_owned(),
        data_dir: place.directory("positions"),
        flags: Vec::new(),
    };
    let agent = Agent::start(&place.directory("agent"), &master, options);
    let [by_ship, by_executor] = ["by-ship.txt", "by-executor.txt"].map(|name| place.join(name));
    let options = SchedulerOptions {
        master: master.address(),
        framework: "shipper".to_owned(),
        state: format!("file:{}", place.join("state").display()),
        config_dir: Some(offering(&place, "of-scheduler", &by_executor)),
        elasticsearch: None,
        flags: vec!["--executor-setting".to_owned(), RULES.to_owned()],
    };
    let scheduler = Scheduler::start(&place.directory("scheduler"), options);
    let configs = offering(&place, "of-ship", &by_ship);
    let shipper = ship_recipe(place.path(), docker.host(), &configs, &place.directory("data"))
        .args(["--setting", RULES, "--mesos-work-dir"])
        .arg(agent.directory().join("work"))
        .start();

    // Of each of the two a standard output, a file, and something that it may not say.
    let say = |name: &str, value: &str| format!("logstash.mesos/{name}={value}");
    let guide = blocks("labels.md", &[]);
    let [run, explain] = &guide[..] else { panic!("{guide:?}") };
    // The labels of the page, and more.
    let commands = run.commands();
    let Some([_docker, _run, labels @ .., _image]) =
        commands.iter().map(Vec::as_slice).find(|command| command.len() > 3)
    else {
        panic!("{commands:?}")
    };
    let more = [say("filter", "mark"), say("output", "mark"), say("codc", "json"), say("exclude_lines", ".")];
    let more = more.iter().flat_map(|label| ["--label", label]).chain(["--name", "web"]);
    let flags: Vec<&str> = labels.iter().map(String::as_str).chain(more).collect();
    let script = |file: &str| {
        format!(
            r#"echo '{{"message":"out"}}'; echo '{{"message":"left out"}}' >&2; echo '{{"message":"log"}}' >> {file}; sleep 100000"#
        )
    };
    let _web = docker.run_script(&flags, &script("/var/log/app.log"));
    let _silent = docker.run_script(&["--name", "silent"], &script("/var/log/app.log"));
    let framework = Framework::start(&master.address(), "scripts");
    let label = |name: &str, value: &str| (format!("logstash.mesos/{name}"), value.to_owned());
    let labels = vec![
        label("paths", "*.log"),
        label("stdout", "true"),
        label("codec", "json"),
        label("fields.team", "green"),
        label("filter", "mark"),
        label("output", "mark"),
        label("exclude_lines", "^log$"),
        label("exclude", "*.gz"),
    ];
    framework.launch(Script { task: "orders".to_owned(), script: script("app.log"), labels, image: None });

    let expected = ["log yes blue of web", "out yes blue of web", "out yes green of orders"];
    let complete = || {
        let (ship, executor) = (lines(&by_ship), lines(&by_executor));
        if ship == expected && executor == expected {
            Ok(())
        } else {
            Err(format!("{ship:?} and {executor:?}"))
        }
    };
    until("what they say", PATIENCE * 2, complete);
    says(
        &scheduler,
        "web",
        "problem",
        "labels",
        "`logstash.mesos/codc` means nothing: there is no such label",
    );
    says(
        &scheduler,
        "web",
        "problem",
        "labels",
        "`logstash.mesos/exclude_lines` means nothing: it is not allowed",
    );
    says(
        &scheduler,
        "orders",
        "problem",
        "labels",
        "`logstash.mesos/exclude` means nothing: it is not allowed",
    );
    explain.follow(&explain.recipe(place.path()).env("LOGSTASH_MESOS_SCHEDULER", scheduler.url()));
    let printed = shipper.printed();
    assert!(printed.contains("logstash.mesos/codc") && printed.contains("did you mean"), "{printed}");
    throughout("each line once", Duration::from_secs(3), complete);
}
