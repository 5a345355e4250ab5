//! `tests/demo` shows what it says, and leaves nothing.

use logstash_mesos_tests::docker::Docker;
use logstash_mesos_tests::http::{get_json, request};
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::{MARK, Place};
use logstash_mesos_tests::process::{Recipe, end_all, with_environment};
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn the_demo_shows_each_application_and_leaves_nothing() {
    let place = Place::new("demo");
    let _ended = Ended(place.path().join("lm-"));
    let opensearch = OpenSearch::shared();
    // What a person has; an image with the name of the dashboards, which shows what it is told, as theirs is out of reach.
    let elsewhere = Place::new("demo-docker");
    let docker = Docker::start_in_host_network(&elsewhere.directory("docker"));
    let shows = "mkdir /w; echo \"$OPENSEARCH_HOSTS\" >/w/index.html; exec httpd -f -p $SERVER_HOST:$SERVER_PORT -h /w";
    let change = format!("CMD {}", serde_json::json!(["sh", "-c", shows]));
    let begun = docker.run_script(&[], "exec sleep 100000");
    docker.command(&["commit", "--change", &change, begun.id(), "example/opensearch-dashboards:2"]);
    drop(begun);
    let mut demo = Recipe::new(env!("CARGO_BIN_EXE_demo"), place.path(), "demo")
        .env("LOGSTASH_MESOS_TEST_DIR", place.path())
        .env("DOCKER_HOST", docker.host())
        .env("LOGSTASH_MESOS_TEST_OPENSEARCH", opensearch.url())
        .env("LOGSTASH_MESOS_TEST_PROGRAMS", logstash_mesos_tests::place::programs())
        .start();
    let printed = until("the walk", PATIENCE * 3, || {
        demo.assert_running();
        let printed = demo.printed();
        printed.contains("Ctrl-C").then_some(()).ok_or_else(|| printed.clone())?;
        Ok(printed)
    });
    // What it says to type, as it is.
    let typed = |with: &str| {
        let line =
            printed.lines().map(str::trim).find(|line| line.contains(with)).expect("it is in the walk");
        Command::new("sh").args(["-ec", line]).output().expect("a shell")
    };
    for word in ["q=nightly", "q=java.lang.IllegalStateException"] {
        until(word, PATIENCE, || {
            let output = typed(word);
            let answer: Value =
                serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {output:?}"))?;
            let hit = &answer["hits"]["hits"][0]["_source"]["message"];
            // One event of five lines.
            let whole = word != "q=java.lang.IllegalStateException"
                || hit.as_str().is_some_and(|text| text.lines().count() == 5);
            (hit.is_string() && whole).then_some(()).ok_or_else(|| answer.to_string())
        });
    }
    assert!(typed("add_field").status.success());
    let search =
        printed.lines().find_map(|line| line.trim().strip_prefix("the search")).expect("it is there").trim();
    for query in ["shop:berlin", "url.original:cart"] {
        until(query, PATIENCE, || {
            let answer = get_json(&format!("{search}/_search?q={query}"))?;
            (answer["hits"]["total"]["value"] != 0).then_some(()).ok_or_else(|| answer.to_string())
        });
    }
    for word in ["kill $(", "size=1&pretty", " explain ", " status "] {
        let done = typed(word);
        assert!(done.status.success(), "{done:?}");
    }
    let dashboards = printed.lines().find_map(|line| line.trim().strip_prefix("dashboards"));
    let dashboards = dashboards.expect("they are linked").trim();
    until("the dashboards", PATIENCE, || {
        let shown = request("GET", dashboards, None)?.body;
        if shown.contains(opensearch.url().trim_end_matches('/')) { Ok(()) } else { Err(shown) }
    });

    assert_eq!(demo.terminate(PATIENCE).code(), Some(0), "{}", demo.printed());
    assert_eq!(docker.command(&["ps", "--all", "--quiet"]), "");
    let below = place.path().join("lm-").display().to_string();
    assert_eq!(with_environment(MARK, &below), Vec::<u32>::new());
    let left: Vec<_> =
        fs::read_dir(place.path()).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["demo.log"]);
}

/// Ends what the demo has started, should it fail to.
struct Ended(PathBuf);

impl Drop for Ended {
    fn drop(&mut self) {
        end_all(MARK, &self.0);
    }
}
