//! What cannot be right is refused at once and named; what does not answer is waited for, and said.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use logstash_mesos_tests::executor::{executor, pipeline, ship_recipe};
use logstash_mesos_tests::http::request;
use logstash_mesos_tests::place::{Place, files_below, free_port, programs};
use logstash_mesos_tests::process::{Finished, Recipe};
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

/// Runs the scheduler, which is to end at once.
fn scheduler(directory: &Path, arguments: &[&str]) -> Finished {
    recipe(directory, arguments).run(b"", SOON)
}

fn recipe(directory: &Path, arguments: &[&str]) -> Recipe {
    let recipe = Recipe::new(programs().join("logstash-mesos-scheduler"), directory, "scheduler");
    let recipe = if arguments.contains(&"--http-bind") {
        recipe
    } else {
        recipe.args(["--http-bind", &format!("127.0.0.1:{}", free_port())])
    };
    recipe.args(arguments)
}

#[track_caller]
fn assert_refused(done: &Finished, named: &[&str]) {
    assert!(done.status.code().is_some_and(|code| code > 0), "{done:?}");
    for name in named {
        assert!(done.stderr.contains(name), "`{name}` is not in: {}", done.stderr);
    }
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
}

#[test]
fn flags_that_cannot_be_right_are_refused_by_name() {
    let place = Place::new("flags");
    let refused =
        |arguments: &[&str], named: &[&str]| assert_refused(&scheduler(place.path(), arguments), named);
    refused(&["--no-such-flag"], &["--no-such-flag"]);
    refused(&["--mesos-master", "zk:/nowhere"], &["mesos-master"]);
    refused(&["--mesos-master", "ftp://127.0.0.1:5050"], &["mesos-master", "ftp"]);
    let master = ["--mesos-master", "127.0.0.1:9"];
    let with = |arguments: &[&'static str]| [master.as_slice(), arguments].concat();
    refused(&with(&["--state", "redis://127.0.0.1"]), &["state", "redis"]);
    refused(&with(&["--state", "memory", "--executor-cpus", "many"]), &["executor-cpus", "many"]);
    refused(&with(&["--state", "memory", "--executor-mem-megabytes", "-5"]), &["executor-mem-megabytes"]);
    refused(&with(&["--state", "memory", "--config-dir", "/no/such/dir"]), &["config-dir", "/no/such/dir"]);
    refused(
        &with(&["--state", "memory", "--elasticsearch-endpoint", "ftp://127.0.0.1"]),
        &["elasticsearch-endpoint"],
    );
    refused(&with(&["--state", "memory", "--http-bind", "nowhere"]), &["http-bind", "nowhere"]);

    let done = executor(place.path(), "executor").args(["ship", "--no-such-flag"]).run(b"", SOON);
    assert_refused(&done, &["--no-such-flag"]);
    // Outside Mesos there is nothing that an executor could do.
    let done = executor(place.path(), "executor").run(b"", SOON);
    assert_refused(&done, &["MESOS_"]);
}

#[test]
fn a_state_that_cannot_be_read_is_named_and_not_overwritten() {
    let place = Place::new("state");
    let state = place.join("state");
    let url = format!("file:{}", state.display());
    let arguments = ["--mesos-master", "127.0.0.1:9", "--state", url.as_str()];
    {
        let bind = format!("127.0.0.1:{}", free_port());
        let mut process =
            recipe(place.path(), &[&arguments[..], &["--http-bind", bind.as_str()]].concat()).start();
        let body = json!({"input": "input { stdin { } }\noutput { stdout { } }"});
        until("a configuration to be stored", PATIENCE, || {
            process.assert_running();
            let answer = request("PUT", &format!("http://{bind}/api/configs/web"), Some(&body))?;
            if answer.status == 200 { Ok(()) } else { Err(answer.body) }
        });
        assert!(!files_below(&state).is_empty());
        process.terminate(Duration::from_secs(20));
    }
    for record in files_below(&state) {
        fs::write(&record, b"\x00 this is not a record").expect("it is writable");
    }
    let before: Vec<_> =
        files_below(&state).iter().map(|path| fs::read(path).expect("it is there")).collect();
    let done = scheduler(place.path(), &arguments);
    assert_refused(&done, &[&state.display().to_string()]);
    let after: Vec<_> = files_below(&state).iter().map(|path| fs::read(path).expect("it is there")).collect();
    assert_eq!(before, after, "the state was overwritten");
}

#[test]
fn a_master_that_does_not_answer_is_waited_for_and_said() {
    let place = Place::new("waiting");
    let mut process = recipe(place.path(), &["--mesos-master", "127.0.0.1:9", "--state", "memory"]).start();
    until("a word about the master", Duration::from_secs(40), || {
        process.assert_running();
        let printed = process.printed();
        if printed.contains("127.0.0.1:9") { Ok(()) } else { Err(printed) }
    });
    assert_eq!(process.terminate(Duration::from_secs(20)).code(), Some(0), "{}", process.printed());
}

#[test]
fn a_docker_daemon_that_does_not_answer_is_waited_for_and_said() {
    let place = Place::new("nodocker");
    let configs = place.directory("configs");
    fs::create_dir(configs.join("docker")).expect("it is new");
    fs::write(configs.join("docker/web.conf"), "input { docker { } }\noutput { stdout { } }")
        .expect("it is writable");
    let socket = place.join("none.sock");
    let host = format!("unix://{}", socket.display());
    let mut process = ship_recipe(place.path(), &host, &configs, &place.join("data")).start();
    until("a word about Docker", Duration::from_secs(40), || {
        process.assert_running();
        let printed = process.printed();
        if printed.contains("none.sock") { Ok(()) } else { Err(printed) }
    });
    assert_eq!(process.terminate(Duration::from_secs(20)).code(), Some(0), "{}", process.printed());
}

#[test]
fn a_configuration_file_that_cannot_be_read_is_named() {
    let place = Place::new("unreadable");
    let configs = place.directory("configs");
    fs::create_dir(configs.join("docker")).expect("it is new");
    // A link to nowhere cannot be read, not even by root.
    symlink("/no/such/file", configs.join("docker/web.conf")).expect("it is new");
    let path = configs.display().to_string();
    let arguments = ["--mesos-master", "127.0.0.1:9", "--state", "memory", "--config-dir", path.as_str()];
    let mut process = recipe(place.path(), &arguments).start();
    until("a word about the file", PATIENCE, || {
        process.assert_running();
        let printed = process.printed();
        if printed.contains("web.conf") { Ok(()) } else { Err(printed) }
    });
    process.terminate(Duration::from_secs(20));

    let file = place.join("missing.conf").display().to_string();
    let done = pipeline(place.path(), &["check", "-f", &file], b"");
    assert_refused(&done, &["missing.conf"]);
}

#[test]
fn a_broken_configuration_is_shown_with_its_line() {
    let place = Place::new("check");
    let done = pipeline(place.path(), &["check", "-e", "filter {\n  grok { match => 5 nonsense }\n}"], b"");
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(done.stderr.contains("2:") && done.stderr.contains("nonsense"), "{}", done.stderr);
    let done = pipeline(place.path(), &["check", "-e", "input { file { } }\noutput { file { } }"], b"");
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(done.stderr.contains("1:9") && done.stderr.contains("2:10"), "{}", done.stderr);
    // Put together in the order of their names, and told by their own lines.
    let directory = place.directory("conf.d");
    fs::write(directory.join("1.conf"), "input { stdin { } }\n").expect("it is new");
    fs::write(directory.join("2.conf"), "filter {\n  gork { }\n}\n").expect("it is new");
    let pattern = directory.join("*.conf").display().to_string();
    for given in [&pattern, &directory.display().to_string()] {
        let done = pipeline(place.path(), &["check", "-f", given], b"");
        assert_eq!(done.status.code(), Some(1), "{done:?}");
        assert!(done.stderr.contains("2.conf:2:3") && done.stderr.contains("`grok`"), "{}", done.stderr);
    }
    fs::write(directory.join("2.conf"), b"filter {\n  # caf\xe9\n}\n").expect("it is there");
    let done = pipeline(place.path(), &["check", "-f", &pattern, "--format", "json"], b"");
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(done.stdout.contains("\"line\":2") && done.stdout.contains("\"column\":8"), "{}", done.stdout);
    let done = pipeline(
        place.path(),
        &["eval", "-e", "filter { mutate { add_tag => [\"seen\"] } }"],
        b"{\"n\":1.0}\n",
    );
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(done.stdout.contains("\"n\":1.0") && done.stdout.contains("seen"), "{}", done.stdout);
}
