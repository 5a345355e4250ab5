//! `--mesos-master local`: the whole thing with nothing but our two programs.

use std::fs;
use std::time::Duration;

use logstash_mesos_tests::docker::{BUSYBOX, Docker};
use logstash_mesos_tests::lines::writer;
use logstash_mesos_tests::place::{Place, free_port};
use logstash_mesos_tests::process::with_environment;
use logstash_mesos_tests::scheduler::local_scheduler;
use logstash_mesos_tests::wait::{PATIENCE, until};

#[test]
fn local_runs_a_real_executor_that_reads_a_container() {
    let place = Place::new("local");
    let docker = Docker::start(&place.directory("d"));
    let out = place.join("out.txt");
    let configs = place.directory("configs");
    fs::create_dir(configs.join("docker")).expect("it is new");
    fs::write(
        configs.join(format!("docker/{}.conf", BUSYBOX.replace(':', "%3A"))),
        format!(
            "input {{ file {{ docker-path => \"/var/log/access.log\" }} }}
             output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }} }}",
            out.display()
        ),
    )
    .expect("it is writable");
    let work = place.directory("work");
    let port = free_port();
    let mut scheduler = local_scheduler(&work, port)
        .arg("--config-dir")
        .arg(&configs)
        .env("DOCKER_HOST", docker.host())
        .start();
    let status = || logstash_mesos_tests::http::get_json(&format!("http://127.0.0.1:{port}/api/status"));
    until("an executor in the local cluster", PATIENCE, || {
        scheduler.assert_running();
        let status = status()?;
        let running = logstash_mesos_tests::scheduler::is_running(&status["agents"][0]["executor"]);
        if running { Ok(()) } else { Err(status.to_string()) }
    });
    let _writer = writer(&docker, BUSYBOX, "write local 0 500 /var/log/access.log");
    let lines = || fs::read_to_string(&out).unwrap_or_default().lines().count();
    until("the lines", PATIENCE, || if lines() == 500 { Ok(()) } else { Err(format!("{} lines", lines())) });
    // The executor is a process of its own, as on an agent.
    let executors = || with_environment("MESOS_SANDBOX", &work.display().to_string());
    assert_eq!(executors().len(), 1);

    // SIGTERM ends the executor too.
    assert_eq!(scheduler.terminate(Duration::from_secs(30)).code(), Some(0), "{}", scheduler.printed());
    until("the executor to end", PATIENCE, || {
        let left = executors();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

#[test]
fn local_shows_a_sample_when_nothing_is_configured() {
    let place = Place::new("sample");
    let port = free_port();
    let mut scheduler = local_scheduler(place.path(), port).start();
    until("parsed events of the sample on the screen", PATIENCE, || {
        scheduler.assert_running();
        let printed = scheduler.printed();
        let events = printed.lines().filter(|line| line.contains("status_code")).count();
        if events > 5 { Ok(()) } else { Err(printed) }
    });
    assert_eq!(scheduler.terminate(Duration::from_secs(30)).code(), Some(0), "{}", scheduler.printed());
}
