//! The guides for people who come from somewhere else, or with a symptom: what they say to type does what they say.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;

use logstash_mesos_tests::docker::Docker;
use logstash_mesos_tests::guide::blocks;
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::wait::{PATIENCE, until};

#[test]
fn what_other_shippers_did_is_done_here() {
    let place = Place::new("moving");
    let opensearch = OpenSearch::shared();
    let docker = Docker::start(&place.directory("d"));
    let collector = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = format!("port => {}", collector.local_addr().expect("it is bound").port());
    let index = format!("test-moving-{}", std::process::id());
    let nginx = place.directory("nginx").display().to_string();
    let line = "192.0.2.7 - - [28/Nov/2026:21:30:00 +0000] \"GET /cart HTTP/1.1\" 200 512 \"-\" \"curl/8\"\n";
    fs::write(place.join("nginx/access.log"), line).expect("it is writable");
    let mut guide = blocks(
        "moving.md",
        &[
            ("http://elasticsearch:9200", opensearch.url()),
            ("\"collector\"", "\"127.0.0.1\""),
            ("port => 5000", &port),
            ("shop-%", &format!("{index}-%")),
            ("/var/log/nginx", &nginx),
            ("/var/lib/logstash-mesos/ship", &place.directory("data").display().to_string()),
        ],
    );
    let start = guide.pop().expect("it says how to start");
    for block in &guide {
        block.follow(&block.recipe(place.path()));
    }
    let shipper = start.recipe(place.path()).env("DOCKER_HOST", docker.host()).start();

    let script = "printf 'ERROR it broke\\n  at cart\\nINFO GET /health\\nINFO done\\nINFO next\\n'; exec sleep 100000";
    let _shop = docker.run(&docker.tag("shop:1"), &[], &["sh", "-c", script]);
    let _db = docker.run_script(&["--name", "main_db"], "echo quiet; echo oops >&2; exec sleep 100000");
    let _web = docker.run_script(&["--name", "web"], "echo other >&2; exec sleep 100000");

    // Filebeat's part. The line after the last one has not come, so the last one waits.
    until("the events of the shop", PATIENCE, || {
        let documents = opensearch.documents(&format!("{index}-*"))?;
        let mut events: Vec<_> = documents
            .iter()
            .map(|one| (one["_source"]["level"].as_str(), one["_source"]["text"].as_str()))
            .collect();
        events.sort();
        let expected = [(Some("ERROR"), Some("it broke\n  at cart")), (Some("INFO"), Some("done"))];
        if events == expected { Ok(()) } else { Err(format!("{events:?} {}", shipper.printed())) }
    });
    // Logspout's part.
    collector.set_nonblocking(true).expect("it is a socket");
    let (connection, _) =
        until("the collector's line", PATIENCE, || collector.accept().map_err(|error| error.to_string()));
    connection.set_nonblocking(false).expect("it is a socket");
    connection.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
    let mut arrived = String::new();
    BufReader::new(connection).read_line(&mut arrived).expect("a line comes");
    assert_eq!(arrived, "oops\n");
}
