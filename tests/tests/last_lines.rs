//! The last lines of streams, by way of the scheduler, as the executor that ships them reads them: to try a configuration on.

use std::fs;
use std::path::Path;

use logstash_mesos_tests::docker::{BUSYBOX, Docker};
use logstash_mesos_tests::http::{Answer, get_json, request};
use logstash_mesos_tests::place::{Place, free_port};
use logstash_mesos_tests::process::Process;
use logstash_mesos_tests::scheduler::{encode, local_scheduler};
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::{Value, json};

/// A stream that is read, as the scheduler lists it, once `is` holds for it.
fn stream(url: &str, scheduler: &Process, is: impl Fn(&Value) -> bool) -> Value {
    until("the stream to be read", PATIENCE, || {
        let streams = get_json(&format!("{url}/api/streams"))?;
        let found = streams["streams"].as_array().into_iter().flatten().find(|one| is(one));
        found.cloned().ok_or_else(|| format!("{streams}\n{}", scheduler.printed()))
    })
}

fn last(url: &str, stream: &Value, more: &str) -> Answer {
    let [agent, id] = ["agent_id", "id"].map(|name| encode(stream[name].as_str().expect("is there")));
    request("GET", &format!("{url}/api/last-lines?agent={agent}&stream={id}{more}"), None)
        .expect("it answers")
}

#[test]
fn a_configuration_is_tried_on_what_a_stream_has_written_last() {
    let place = Place::new("lastlines");
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let (configs, log) = (place.directory("configs"), place.join("a.log"));
    fs::create_dir(configs.join("host")).expect("it is new");
    let text = format!("input {{ file {{ host-path => \"{}\" }} }} output {{ null {{ }} }}", log.display());
    fs::write(configs.join("host/words.conf"), text).expect("it is writable");
    fs::write(&log, (1..=30).map(|n| format!("word {n}\n")).collect::<String>()).expect("it is writable");
    let scheduler = local_scheduler(place.path(), port).arg("--config-dir").arg(&configs).start();
    let found = stream(&url, &scheduler, |one| one["configurations"] == json!(["words"]));

    let lines = last(&url, &found, "").expect(200).json()["lines"].clone();
    assert_eq!(lines, json!((11..=30).map(|n| format!("word {n}")).collect::<Vec<_>>()), "twenty of them");
    let lines = last(&url, &found, "&limit=2").expect(200).json()["lines"].clone();
    assert_eq!(lines, json!(["word 29", "word 30"]));
    let filter = "filter { dissect { mapping => { message => \"%{word} %{number}\" } } }";
    let tried = request("POST", &format!("{url}/api/try"), Some(&json!({"input": filter, "lines": lines})));
    let tried = tried.expect("it answers").expect(200).json();
    assert_eq!(tried["events"][1]["number"], "30", "{tried}");

    // Nobody reads a file for who names it.
    let other = json!({"agent_id": found["agent_id"], "id": "host:file:/etc/passwd"});
    let refused = last(&url, &other, "").expect(404).json();
    assert!(refused["error"].as_str().is_some_and(|text| text.contains("GET /api/streams")), "{refused}");
    for limit in ["0", "1001", "x"] {
        last(&url, &found, &format!("&limit={limit}")).expect(400);
    }
    // What has no file now is said by the executor.
    fs::remove_file(&log).expect("it was there");
    let refused = last(&url, &found, "").expect(502).json();
    assert!(refused["error"].as_str().is_some_and(|text| text.contains("no file")), "{refused}");
}

#[test]
fn whichever_way_a_container_is_read() {
    let place = Place::new("lastrungs");
    let docker = Docker::start(&place.directory("d"));
    let configs = place.directory("configs");
    fs::create_dir(configs.join("docker")).expect("it is new");
    let text = "input { file { docker-path => \"/var/log/app.log\" } docker { } } output { null { } }";
    fs::write(configs.join(format!("docker/{}.conf", encode(BUSYBOX))), text).expect("it is writable");
    let script =
        "for i in 1 2 3; do echo \"file $i\" >> /var/log/app.log; echo \"out $i\"; done; exec sleep 100000";
    let _writer = docker.run_script(&[], script);
    // Of the machine only the daemon is to be seen.
    let nothing = place.directory("nothing");
    let socket = Path::new(docker.host().trim_start_matches("unix://"));
    let seen = nothing.join(socket.strip_prefix("/").expect("is absolute"));
    fs::create_dir_all(seen.parent().expect("has one")).expect("it is writable");
    std::os::unix::fs::symlink(socket, &seen).expect("it is new");
    for (root, of_file, of_output) in
        [(Path::new("/"), "proc-root", "json-file"), (&nothing, "exec-tail", "logs-api")]
    {
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let scheduler = local_scheduler(&place.directory(of_file), port)
            .arg("--config-dir")
            .arg(&configs)
            .arg("--executor-env")
            .arg(format!("LOGSTASH_MESOS_HOST_ROOT={}", root.display()))
            .env("DOCKER_HOST", docker.host())
            .start();
        for (method, word) in [(of_file, "file"), (of_output, "out")] {
            let found = stream(&url, &scheduler, |one| one["method"] == method && one["image"] == BUSYBOX);
            let lines = last(&url, &found, "&limit=2").expect(200).json();
            assert_eq!(lines, json!({"lines": [format!("{word} 2"), format!("{word} 3")]}), "{method}");
        }
    }
}
