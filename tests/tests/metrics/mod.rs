//! What programs serve for Prometheus is what the table says, and `promtool` has nothing against it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use logstash_mesos_core::telemetry::ServedBy;
use logstash_mesos_core::telemetry::table::METRICS;
use logstash_mesos_tests::executor::{executor, ship_recipe};
use logstash_mesos_tests::http::request;
use logstash_mesos_tests::place::{Place, free_port, installed};
use logstash_mesos_tests::process::Recipe;
use logstash_mesos_tests::scheduler::local_scheduler;
use logstash_mesos_tests::wait::{PATIENCE, until};

const CONFIGURATION: &str = "input { generator { count => 3 } }
     filter { mutate { add_field => { \"a\" => \"b\" } } }
     output { null { } }";

fn promtool(place: &Place, arguments: &[&str], input: &[u8]) -> String {
    let recipe = Recipe::new(installed("prometheus/usr/bin/promtool"), place.path(), "promtool");
    let ran = recipe.args(arguments).run(input, Duration::from_secs(60));
    assert!(ran.status.success(), "promtool {arguments:?}: {}{}", ran.stdout, ran.stderr);
    format!("{}{}", ran.stdout, ran.stderr)
}

/// Waits for numbers that have `part`, and holds them to the table and to Prometheus' conventions.
fn assert_serves(place: &Place, port: u16, by: &[ServedBy], part: &str) {
    let mut text = String::new();
    until(&format!("{part} in /metrics"), PATIENCE, || {
        text = request("GET", &format!("http://127.0.0.1:{port}/metrics"), None)?.body;
        if text.contains(part) { Ok(()) } else { Err(text.clone()) }
    });
    let said = promtool(place, &["check", "metrics"], text.as_bytes());
    assert_eq!(said, "", "of {text}");
    let served: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')).collect();
    for (name, _) in &served {
        let known = METRICS.iter().any(|metric| metric.name == *name && by.contains(&metric.served_by));
        assert!(known, "{name} is not in the table for {by:?}");
    }
    for metric in METRICS.iter().filter(|metric| by.contains(&metric.served_by)) {
        // Some say themselves when they are not there.
        let there = served.iter().any(|(name, help)| *name == metric.name && *help == metric.help);
        assert!(there || metric.help.contains("absent"), "{} is not in {text}", metric.name);
    }
}

fn configurations(place: &Place) -> std::path::PathBuf {
    let configs = place.directory("configs");
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    fs::write(configs.join("host/a.conf"), CONFIGURATION).expect("it is writable");
    configs
}

fn no_docker(directory: &Path) -> String {
    format!("unix://{}", directory.join("none.sock").display())
}

#[test]
fn a_scheduler_and_its_executor_serve_what_the_table_says() {
    let place = Place::new("metrics");
    let (port, of_executor) = (free_port(), free_port());
    let mut scheduler = local_scheduler(&place.directory("s"), port)
        .args(["--executor-env", &format!("LOGSTASH_MESOS_METRICS_BIND=127.0.0.1:{of_executor}")])
        .arg("--config-dir")
        .arg(configurations(&place))
        .start();
    let pipeline = "logstash_mesos_pipeline_events_total{pipeline=\"host/a\",at=\"out\"} 3\n";
    assert_serves(&place, of_executor, &[ServedBy::Executors], pipeline);
    let by = [ServedBy::Leader, ServedBy::Schedulers];
    assert_serves(&place, port, &by, ",at=\"out\"} 3\n");
    assert_eq!(scheduler.terminate(PATIENCE).code(), Some(0), "{}", scheduler.printed());
}

#[test]
fn ship_serves_what_the_table_says_once_its_address_is_free() {
    let place = Place::new("metrics-ship");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port();
    let none = no_docker(place.path());
    let mut ship = ship_recipe(place.path(), &none, &configurations(&place), &place.directory("data"))
        .args(["--metrics-bind", &format!("127.0.0.1:{port}")])
        .start();
    until("word of the address that is taken", PATIENCE, || {
        let printed = ship.printed();
        if printed.contains("Metrics cannot be served there yet") { Ok(()) } else { Err(printed) }
    });
    drop(taken);
    let pipeline = "logstash_mesos_pipeline_events_total{pipeline=\"host/a\",at=\"in\"} 3\n";
    assert_serves(&place, port, &[ServedBy::Executors], pipeline);
    assert_eq!(ship.terminate(PATIENCE).code(), Some(0), "{}", ship.printed());
}

#[test]
fn a_pipeline_serves_what_the_table_says() {
    let place = Place::new("metrics-run");
    let port = free_port();
    let input = "input { generator { count => 3 } tcp { port => 0 } } output { null { } }";
    let input = input.replace("port => 0", &format!("host => \"127.0.0.1\" port => {}", free_port()));
    let mut run = executor(place.path(), "run")
        .args(["pipeline", "run", "-e", &input, "--setting", "pipeline.id=of-run"])
        .args(["--metrics-bind", &format!("127.0.0.1:{port}")])
        .start();
    let pipeline = "logstash_mesos_pipeline_events_total{pipeline=\"of-run\",at=\"in\"} 3\n";
    assert_serves(&place, port, &[ServedBy::Executors], pipeline);
    assert_eq!(run.terminate(PATIENCE).code(), Some(0), "{}", run.printed());
}

#[test]
fn alerts_are_rules_that_fire_when_they_should() {
    let place = Place::new("alerts");
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/prometheus/alerts.yml");
    promtool(&place, &["check", "rules", &rules.display().to_string()], b"");
    let cases = format!("rule_files: [\"{}\"]\n{}", rules.display(), include_str!("alerts.yml"));
    let path = place.join("cases.yml");
    fs::write(&path, cases).expect("it is writable");
    promtool(&place, &["test", "rules", &path.display().to_string()], b"");
}
