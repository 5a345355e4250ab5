//! The REST API keeps to its own document, whatever it is sent.

use std::time::Duration;

use logstash_mesos_tests::http::{get_json, request};
use logstash_mesos_tests::place::{Place, free_port, installed};
use logstash_mesos_tests::process::Recipe;
use logstash_mesos_tests::scheduler::{Api, local_scheduler};
use logstash_mesos_tests::wait::{PATIENCE, until};

/// What schemathesis holds the answers to: no 500, no status, header, content type or body that the document does not have.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,unsupported_method";

#[test]
fn no_answer_is_outside_the_document_and_none_is_500() {
    let place = Place::new("schema");
    let port = free_port();
    let mut scheduler = local_scheduler(&place.directory("s"), port).start();
    let api = Api::on(port);
    until("an executor that runs", PATIENCE, || {
        scheduler.assert_running();
        let status = api.status()?;
        let ready = request("GET", &format!("{}/ready", api.url()), None)?.status == 200;
        if ready && status["totals"]["connected"] == 1 { Ok(()) } else { Err(status.to_string()) }
    });
    let ran = Recipe::new("python3", place.path(), "schemathesis")
        .env("PYTHONPATH", installed("python").display().to_string())
        .args([
            "-m",
            "schemathesis.cli",
            "--config-file",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schema/schemathesis.toml"),
        ])
        .args(["run", &format!("{}/api/openapi.json", api.url()), "--checks", CHECKS])
        // It never ends.
        .args(["--exclude-path", "/api/events", "--exclude-path", "/api/live", "--no-color"])
        .args([
            "--phases",
            "coverage,fuzzing",
            "--max-examples",
            "15",
            "--seed",
            "1",
            "--generation-deterministic",
        ])
        .run(b"", Duration::from_secs(500));
    assert!(ran.status.success(), "{}\n{}", ran.stdout, ran.stderr);
    // Nothing that it sent has done harm.
    assert_eq!(get_json(&format!("{}/api/status", api.url())).expect("it answers")["totals"]["connected"], 1);
    assert_eq!(scheduler.terminate(PATIENCE).code(), Some(0), "{}", scheduler.printed());
}
