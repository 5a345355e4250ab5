//! Lines that containers write arrive, parsed, all of them.

use std::time::Duration;

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::docker::{BARE, BUSYBOX, Client, Container};
use logstash_mesos_tests::lines::{self, arrived, filter, writer};
use logstash_mesos_tests::scheduler::Scheduler;
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::{Value, json};

const LOG: &str = "/var/log/access.log";

/// The configuration that reads `LOG` in a container and parses its lines.
fn access_log(cluster: &Cluster) -> String {
    format!("input {{ file {{ docker-path => \"{LOG}\" }} }}\n{}\n{}", filter(), cluster.output())
}

/// The metadata that every event of a container has.
fn of_container(source: &Value, container: &Container, agent: &str) -> Result<(), String> {
    for (pointer, wanted) in [("/container/id", container.id()), ("/mesos/agent_id", agent)] {
        if source.pointer(pointer) != Some(&json!(wanted)) {
            return Err(format!("{pointer} is not {wanted}"));
        }
    }
    Ok(())
}

#[test]
fn a_file_that_is_renamed_and_then_truncated_arrives_complete() {
    let cluster = Cluster::start("rotation");
    let scheduler = cluster.scheduler();
    scheduler.put(BUSYBOX, &access_log(&cluster)).expect(200);
    let (seen, renamed_at, truncated_at, end) = (500, 1_000, 2_000, 3_000);

    // Both agents at once, one writer on each.
    let script = |name: &str| {
        format!(
            "write {name} 0 {seen} {LOG}
             until [ -e /tmp/seen ]; do usleep 100000; done
             write {name} {seen} {renamed_at} {LOG}; mv {LOG} {LOG}.1
             write {name} {renamed_at} {truncated_at} {LOG}
             until [ -e /tmp/truncate ]; do usleep 100000; done
             : > {LOG}
             write {name} {truncated_at} {end} {LOG}"
        )
    };
    let containers: Vec<_> = cluster
        .dockers
        .iter()
        .zip(["left", "right"])
        .map(|(docker, name)| (name, writer(docker, BUSYBOX, &script(name))))
        .collect();

    // A name that leads elsewhere before anybody has looked at it says nothing about the file it led to.
    for (name, container) in &containers {
        let _ = arrived(&cluster.opensearch, &cluster.index(), name, 0..seen, |_, _| Ok(()));
        container.shell("touch /tmp/seen");
    }

    // What is truncated before it was read is gone for everybody, so the writer waits for the reader.
    for (name, container) in &containers {
        let _ = arrived(&cluster.opensearch, &cluster.index(), name, 0..truncated_at, |_, _| Ok(()));
        container.shell("touch /tmp/truncate");
    }

    for ((name, container), agent) in containers.iter().zip(&cluster.agents) {
        let agent = agent.id();
        let tally = arrived(&cluster.opensearch, &cluster.index(), name, 0..end, |number, source| {
            of_container(source, container, &agent)?;
            let first = [truncated_at, renamed_at, 0].into_iter().find(|first| number >= *first);
            let offset = lines::offset(name, first.unwrap_or_default(), number);
            if source.pointer("/log/offset") != Some(&json!(offset)) {
                return Err(format!("its offset is not {offset}"));
            }
            if source.pointer("/log/file/path") != Some(&json!(LOG)) {
                return Err(format!("its path is not {LOG}"));
            }
            Ok(())
        });
        tally.assert_exact(&format!("renamed and truncated file of {name}"));
    }
}

#[test]
fn standard_output_and_error_arrive_complete() {
    let cluster = Cluster::with_agents("stdout", 1);
    let scheduler = cluster.scheduler();
    let image = cluster.dockers[0].tag("stdout-test:1");
    let input = format!("input {{ docker {{ }} }}\n{}\n{}", filter(), cluster.output());
    scheduler.put(&image, &input).expect(200);

    let container = writer(
        &cluster.dockers[0],
        &image,
        "write out 0 1500 /proc/self/fd/1 & write err 0 1500 /proc/self/fd/2 & wait",
    );
    let agent = cluster.agents[0].id();
    for (name, stream) in [("out", "stdout"), ("err", "stderr")] {
        // The time is that of the line's own date, which `filter` has parsed.
        let tally = arrived(&cluster.opensearch, &cluster.index(), name, 0..1500, |_, source| {
            of_container(source, &container, &agent)?;
            if source["stream"] == stream { Ok(()) } else { Err(format!("its stream is not {stream}")) }
        });
        tally.assert_exact(&format!("standard stream {stream}"));
    }
}

#[test]
fn a_configuration_without_output_goes_to_the_default_output() {
    let cluster = Cluster::with_agents("default", 1);
    let scheduler = cluster.scheduler();
    let input = format!("input {{ file {{ docker-path => '{LOG}' }} }}\n{}", filter());
    scheduler.put("busybox*", &input).expect(200);
    let _writer = writer(&cluster.dockers[0], BUSYBOX, &format!("write default-output 0 100 {LOG}"));
    let tally = arrived(&cluster.opensearch, "*", "default-output", 0..100, |_, _| Ok(()));
    tally.assert_exact("default output");
}

#[test]
fn a_changed_configuration_takes_effect_without_losing_a_line() {
    let cluster = Cluster::with_agents("change", 1);
    let scheduler = cluster.scheduler();
    let with_field = |value: &str| {
        format!(
            "{}\nfilter {{ mutate {{ add_field => {{ \"revision\" => \"{value}\" }} }} }}",
            access_log(&cluster)
        )
    };
    scheduler.put(BUSYBOX, &with_field("first")).expect(200);
    let _ = scheduler.running_executors(1);
    let before = cluster.agents[0].executor_processes();
    assert_eq!(before.len(), 1);

    let count = 4_000;
    // Written on all the time, as fast before as after the change.
    let script = format!(
        "i=0; while [ $i -lt {count} ]; do
           line change $i >> {LOG}; i=$((i + 1)); [ -e /tmp/changed ] || usleep 3000
           [ $i -lt {last} ] || until [ -e /tmp/changed ]; do usleep 50000; done
         done",
        last = count - 1_000
    );
    let container = writer(&cluster.dockers[0], BUSYBOX, &script);
    let tally = arrived(&cluster.opensearch, &cluster.index(), "change", 0..500, |_, source| {
        (source["revision"] == "first").then_some(()).ok_or_else(|| "it is not of the first revision".into())
    });
    assert_eq!(
        tally.wrong.iter().filter(|reason| reason.contains("revision")).count(),
        0,
        "{:?}",
        tally.wrong
    );
    let version = scheduler.put(BUSYBOX, &with_field("second")).expect(200).json()["version"].clone();
    until("the executor to apply the change", PATIENCE, || {
        let status = scheduler.status()?;
        let applied = status.pointer("/agents/0/executor/applied/configurations/0/version").cloned();
        if applied.as_ref() == Some(&version) { Ok(()) } else { Err(format!("{applied:?}, not {version}")) }
    });
    container.shell("touch /tmp/changed");

    let tally = arrived(&cluster.opensearch, &cluster.index(), "change", 0..count, |number, source| {
        let offset = lines::offset("change", 0, number);
        if source.pointer("/log/offset") != Some(&json!(offset)) {
            return Err("wrong offset".into());
        }
        // The last thousand were written after the change.
        let changed = source["revision"] == "second" || number < count - 1_000;
        changed.then_some(()).ok_or_else(|| "it is not of the second revision".into())
    });
    tally.assert_exact("configuration changed while lines were written");
    let documents = cluster.opensearch.documents(&cluster.index()).expect("it answers");
    let second = documents.iter().filter(|document| document["_source"]["revision"] == "second").count();
    println!("figure: {second} of {count} lines went through the changed configuration");
    assert!(second >= 1_000, "the change had no effect");
    assert_eq!(cluster.agents[0].executor_processes(), before, "the executor was restarted");
}

#[test]
fn a_container_without_a_shell_is_read_to_its_end() {
    let cluster = Cluster::with_agents("bare", 1);
    let scheduler = cluster.scheduler();
    scheduler.put(BARE, &access_log(&cluster).replace(LOG, "/logs/access.log")).expect(200);
    let _ = scheduler.running_executors(1);
    // The line is `lines::line("bare", i)`, written by a program that is alone in its container.
    let program = r#"BEGIN { for (i = 0; i < 2000; i++) {
        printf "10.1.2.3 - alice [10/Oct/2025:13:55:36 +0000] \"GET /bare/%d HTTP/1.1\" 200 %d \"-\" \"check/1.0\"\n", i, 1000 + i >> "/logs/access.log"
    } }"#;
    let container = cluster.dockers[0].run(BARE, &[], &["/busybox", "awk", program]);
    container.wait_for_exit(PATIENCE);
    let tally = arrived(&cluster.opensearch, &cluster.index(), "bare", 0..2_000, |_, _| Ok(()));
    tally.assert_exact("container without a shell, ended");
}

#[test]
fn strange_lines_arrive() {
    let cluster = Cluster::with_agents("strange", 1);
    let scheduler = cluster.scheduler();
    let input = format!("input {{ file {{ docker-path => [\"/var/log/*.txt\"] }} }}\n{}", cluster.output());
    scheduler.put(BUSYBOX, &input).expect(200);
    let _writer = writer(
        &cluster.dockers[0],
        BUSYBOX,
        "printf 'caf\\xe9 \\xff\\n' > /var/log/latin.txt
         head -c 10000000 /dev/zero | tr '\\0' x > /var/log/long.txt; echo >> /var/log/long.txt
         echo after >> /var/log/long.txt; printf 'no end' > /var/log/open.txt; echo ' yet' >> /var/log/open.txt
         printf 'windows\\r\\n\\n' > /var/log/ends.txt; echo 'after the empty line' >> /var/log/ends.txt",
    );
    let documents = until("the strange lines", PATIENCE * 2, || {
        let documents = cluster.opensearch.documents(&cluster.index())?;
        if documents.len() >= 7 { Ok(documents) } else { Err(format!("{} documents", documents.len())) }
    });
    let messages: Vec<_> =
        documents.iter().map(|d| d["_source"]["message"].as_str().unwrap_or_default().to_owned()).collect();
    let short: Vec<_> = messages.iter().filter(|message| message.len() < 100).collect();
    // What Logstash makes of bytes that are not UTF-8.
    assert!(messages.iter().any(|message| message == "caf\\xE9 \\xFF"), "{short:?}");
    assert!(
        messages.iter().any(|message| message.len() == 10_000_000),
        "the long line is missing: {short:?}"
    );
    assert!(messages.iter().any(|message| message == "after"), "{short:?}");
    assert!(messages.iter().any(|message| message == "after the empty line"), "{short:?}");
}

#[test]
fn our_own_and_opted_out_containers_are_not_read() {
    let cluster = Cluster::with_agents("optout", 1);
    let scheduler = cluster.scheduler();
    scheduler.put(BUSYBOX, &access_log(&cluster)).expect(200);
    let docker: &Client = &cluster.dockers[0];
    let script = format!("{}\nwrite quiet 0 10 {LOG}; sleep 1000", lines::FUNCTIONS);
    let quiet = docker.run(BUSYBOX, &["--label", "logstash.mesos/ignore=true"], &["sh", "-c", &script]);
    let _loud = writer(docker, BUSYBOX, &format!("write loud 0 10 {LOG}"));
    let _ = arrived(&cluster.opensearch, &cluster.index(), "loud", 0..10, |_, _| Ok(()));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(streams_of(&scheduler, &quiet).len(), 0);
    assert_eq!(cluster.opensearch.count(&cluster.index()), Ok(10));
}

fn streams_of(scheduler: &Scheduler, container: &Container) -> Vec<Value> {
    scheduler.streams(|stream| stream["container_id"] == container.id()).expect("the scheduler answers")
}
