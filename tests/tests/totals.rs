//! What was counted outlives what counted it: streams, pipelines, the program. With `ship`, `pipeline run` and an agent.

use std::fs;
use std::path::Path;

use logstash_mesos_tests::executor::{executor, ship_recipe};
use logstash_mesos_tests::place::{Place, free_port, keeps};
use logstash_mesos_tests::process::{Process, Recipe};
use logstash_mesos_tests::scheduler::{Api, local_scheduler};
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::Value;

/// Ten lines: seven arrive, two are dropped, and a condition has no answer for one.
const LINES: &str = "a\nb\ndrop\nc\nd\nodd\ne\ndrop\nf\ng\n";

fn configuration(place: &Place, input: &str) -> String {
    format!(
        "input {{ file {{ {input} }} }}
         filter {{
           if [message] == \"drop\" {{ drop {{ }} }}
           if [message] == \"odd\" and [message] > 5 {{ mutate {{ add_tag => \"never\" }} }}
         }}
         output {{ file {{ id => \"o\" path => \"{}\" }} }}",
        place.join("out.txt").display()
    )
}

/// What is on disk about one configuration: events taken in, dropped, dead, delivered.
fn kept(data: &Path, configuration: &str) -> [u64; 4] {
    let totals = fs::read(data.join("totals.json")).unwrap_or_default();
    let totals = serde_json::from_slice::<Value>(&totals).unwrap_or_default();
    let counted = &totals["pipelines"][configuration];
    let of = |count: &Value| count.as_u64().unwrap_or(0);
    let delivered = of(&counted["outputs"]["o"]["delivered"]);
    [of(&counted["events_in"]), of(&counted["dropped"]), of(&counted["dead"]), delivered]
}

/// A kill, another start, other files, an orderly end.
fn count_over_a_kill(place: &Place, recipe: &Recipe, configuration: &str) -> String {
    let (data, logs) = (place.directory("data"), place.directory("logs"));
    let wait = |running: &Process, expected: [u64; 4]| {
        until(&format!("counts of {configuration}"), PATIENCE, || {
            let seen = kept(&data, configuration);
            if seen == expected { Ok(()) } else { Err(format!("{seen:?}\n{}", running.printed())) }
        });
    };
    fs::write(logs.join("a.log"), LINES).expect("it is writable");
    let mut first = recipe.start();
    wait(&first, [10, 2, 1, 7]);
    // What has arrived is known to have: else the file that is removed would be counted.
    let offset = format!("\"offset\":{}", LINES.len());
    until("the position", PATIENCE, || {
        if keeps(&data, ".json", &["a.log", &offset]) { Ok(()) } else { Err(first.printed()) }
    });
    first.kill();
    fs::remove_file(logs.join("a.log")).expect("it is there");
    fs::write(logs.join("b.log"), LINES).expect("it is writable");
    let mut second = recipe.start();
    wait(&second, [20, 4, 2, 14]);
    // Its stream ends.
    fs::remove_file(logs.join("b.log")).expect("it is there");
    fs::write(logs.join("c.log"), LINES).expect("it is writable");
    wait(&second, [30, 6, 3, 21]);
    assert_eq!(second.terminate(PATIENCE).code(), Some(0), "{}", second.printed());
    let printed = second.printed();
    let last =
        printed.lines().find(|line| line.contains("Counted in all")).unwrap_or_else(|| panic!("{printed}"));
    for count in ["events=30", "delivered=21", "dropped=6", "dead_letters=3", "lost_bytes=0"] {
        assert!(last.split_whitespace().any(|word| word == count), "{count} is not in {last}");
    }
    last.to_owned()
}

#[test]
fn counts_of_ship_outlive_a_kill_and_their_streams() {
    let place = Place::new("totals-ship");
    let configs = place.directory("configs");
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    let input = format!("host-path => \"{}/*.log\"", place.directory("logs").display());
    fs::write(configs.join("host/a.conf"), configuration(&place, &input)).expect("it is writable");
    let none = format!("unix://{}", place.join("none.sock").display());
    let recipe = ship_recipe(place.path(), &none, &configs, &place.directory("data"));
    let last = count_over_a_kill(&place, &recipe, "host/a");
    let read = format!("read_bytes={}", 3 * LINES.len());
    assert!(last.contains(&read), "{read} is not in {last}");
}

#[test]
fn counts_of_a_pipeline_outlive_a_kill_and_are_its_last_line() {
    let place = Place::new("totals-run");
    let logs = place.directory("logs");
    let input = format!(
        "path => \"{}/*.log\" start_position => \"beginning\" discover_interval => 1",
        logs.display()
    );
    let recipe = executor(place.path(), "run")
        .args(["pipeline", "run", "-e", &configuration(&place, &input), "--setting", "pipeline.id=of-run"])
        .arg("--data-dir")
        .arg(place.directory("data"));
    count_over_a_kill(&place, &recipe, "of-run");
}

#[test]
fn counts_of_an_agent_are_in_the_status_and_in_the_metrics() {
    let place = Place::new("totals-agent");
    let (configs, logs, port) = (place.directory("configs"), place.directory("logs"), free_port());
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    let input = format!("host-path => \"{}/*.log\"", logs.display());
    fs::write(configs.join("host/a.conf"), configuration(&place, &input)).expect("it is writable");
    fs::write(logs.join("a.log"), LINES).expect("it is writable");
    let mut scheduler =
        local_scheduler(&place.directory("s"), port).arg("--config-dir").arg(&configs).start();
    let api = Api::on(port);
    until("what the agent has counted", PATIENCE, || {
        let status = api.status()?;
        let counted = &status["agents"][0]["executor"]["totals"]["pipelines"];
        let seen = [&counted["events_in"], &counted["dropped"], &counted["dead"], &counted["delivered"]];
        let stream = &status["streams"][0];
        let all = seen.iter().zip([10, 2, 1, 7]).all(|(seen, expected)| **seen == expected);
        let read = stream["total"]["events"] == 10 && stream["lag_seconds"] == 0;
        if all && read { Ok(()) } else { Err(format!("{status}\n{}", scheduler.printed())) }
    });
    let metrics = api.request("GET", "/metrics", None).expect("it answers").body;
    let bytes = LINES.len();
    for (name, at, count) in [
        ("events", "in", 10),
        ("events", "delivered", 7),
        ("events", "dropped", 2),
        ("events", "dead", 1),
        ("bytes", "read", bytes),
    ] {
        let has = |line: &str| {
            line.starts_with(&format!("logstash_mesos_executor_{name}_total{{agent="))
                && line.ends_with(&format!(",at=\"{at}\"}} {count}"))
        };
        assert!(metrics.lines().any(has), "{name} {at} is not {count} in\n{metrics}");
    }
    assert!(metrics.contains("logstash_mesos_executor_lag_seconds 0\n"), "{metrics}");
    assert_eq!(scheduler.terminate(PATIENCE).code(), Some(0), "{}", scheduler.printed());
}
