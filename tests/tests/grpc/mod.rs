//! gRPC as a client sees it that is not ours: grpcio, which knows only what reflection says.

use std::path::Path;
use std::time::Duration;

use logstash_mesos_tests::place::{Place, free_port, installed};
use logstash_mesos_tests::process::Recipe;
use logstash_mesos_tests::scheduler::{Api, local_scheduler};
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::{Value, json};

#[test]
fn a_client_that_knows_only_reflection_steers_a_scheduler() {
    let place = Place::new("grpc");
    let port = free_port();
    let mut scheduler = local_scheduler(&place.directory("s"), port).start();
    let api = Api::on(port);
    until("an executor that reads", PATIENCE, || {
        scheduler.assert_running();
        let status = api.status()?;
        let lines = status["streams"][0]["events"].as_u64();
        if lines >= Some(2) { Ok(()) } else { Err(status.to_string()) }
    });
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grpc/client.py");
    let ran = Recipe::new("python3", place.path(), "client")
        .env("PYTHONPATH", installed("python").display().to_string())
        .arg(client)
        .arg(format!("127.0.0.1:{port}"))
        .run(b"", Duration::from_secs(120));
    let found: Value = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.stdout, ran.stderr));
    const CONTROL: &str = "logstash_mesos.control.v1.Control";
    let services = found["services"].as_array().expect("is a list");
    for service in [CONTROL, "grpc.health.v1.Health"] {
        assert!(services.contains(&json!(service)), "{found}");
    }
    assert_eq!(found["health"], json!({"": "SERVING", CONTROL: "SERVING", "nothing": "NOT_FOUND"}));
    assert_eq!(found["watch"], json!({CONTROL: "SERVING", "nothing": "SERVICE_UNKNOWN"}));
    let (first, second) = (&found["first"], &found["second"]);
    let versions = &found["versions"];
    assert_eq!(
        (&versions["current"]["version"], &versions["past"][0]["version"]),
        (second, first),
        "{found}"
    );
    assert!(versions["past"][0]["ended"]["at_ms"].is_string(), "{versions}");
    assert_eq!(found["one"]["configuration"]["input"], "filter { }", "{found}");
    assert_eq!(found["rolled_back"]["version"], *first, "{found}");
    assert_eq!(found["explained"]["subjects"][0]["kind"], "SUBJECT_KIND_AGENT", "{found}");
    for (what, code) in [
        ("none", "NOT_FOUND"),
        ("unknown", "NOT_FOUND"),
        ("too_late", "ABORTED"),
        ("late", "ABORTED"),
        ("not_new", "ALREADY_EXISTS"),
        ("kept", "ABORTED"),
        ("unsorted", "INVALID_ARGUMENT"),
        ("no_lines", "NOT_FOUND"),
        ("broken", "INVALID_ARGUMENT"),
        ("careless", "INVALID_ARGUMENT"),
    ] {
        assert_eq!(found[what]["code"], code, "{what}: {found}");
    }
    assert_eq!(found["deleted"], json!({}), "{found}");
    let complaint = &found["checked"]["errors"][0];
    assert_eq!((&complaint["code"], &complaint["line"]), (&json!("E201"), &json!(1)), "{found}");
    // The sample of a local cluster, tried on what it wrote last.
    assert_eq!(found["streams"]["streams"][0]["state"], "VERDICT_OK", "{found}");
    let tried: Value =
        serde_json::from_str(found["tried"]["events"][1].as_str().expect("an event")).expect("is JSON");
    assert_eq!(tried["message"], found["lines"]["lines"][1], "{found}");
    assert!(tried["source"]["ip"].as_str().is_some_and(|ip| ip.starts_with("192.0.2.")), "{tried}");
    assert_eq!(found["tried"]["lines"][0]["steps"][0]["after"], "grok", "{found}");
    // Nothing is dead: the executor was asked and said so.
    for what in ["letters", "letters_of_all", "replayed"] {
        assert_eq!(found[what], json!({}), "{what}: {found}");
    }
    assert_eq!(scheduler.terminate(PATIENCE).code(), Some(0), "{}", scheduler.printed());
}
