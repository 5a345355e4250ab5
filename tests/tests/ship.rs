//! The executor alone on a Docker host.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use logstash_mesos_tests::docker::{BUSYBOX, Docker};
use logstash_mesos_tests::executor::{executor, ship, ship_recipe};
use logstash_mesos_tests::lines::{arrived, filter, writer};
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::{Place, programs};
use logstash_mesos_tests::process::{processor_time, resident_bytes};
use logstash_mesos_tests::wait::{PATIENCE, until};

const LOG: &str = "/var/log/access.log";

/// A directory with one configuration for the usual image.
fn configured(place: &Place, text: &str) -> PathBuf {
    let directory = place.directory("configs");
    fs::create_dir_all(directory.join("docker")).expect("it is writable");
    let name = format!("docker/{}.conf", BUSYBOX.replace(':', "%3A"));
    fs::write(directory.join(name), text).expect("it is writable");
    directory
}

#[test]
fn ship_delivers_and_goes_on_where_it_was() {
    let place = Place::new("ship");
    let opensearch = OpenSearch::shared();
    let docker = Docker::start(&place.directory("d"));
    let index = format!("test-ship-{}", std::process::id());
    let configs = configured(
        &place,
        &format!(
            "input {{ file {{ docker-path => \"{LOG}\" }} }}\n{}\noutput {{ elasticsearch {{ hosts => [\"{}\"] index => \"{index}\" }} }}",
            filter(),
            opensearch.url()
        ),
    );
    let data = place.directory("data");
    let mut shipper = ship(place.path(), docker.host(), &configs, &data);
    let _writer = writer(&docker, BUSYBOX, &format!("write ship 0 4000 {LOG}"));
    let _ = arrived(&opensearch, &index, "ship", 0..500, |_, _| Ok(()));

    // Ended in order, then killed.
    let status = shipper.terminate(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0), "{}", shipper.printed());
    shipper = ship(place.path(), docker.host(), &configs, &data);
    let _ = arrived(&opensearch, &index, "ship", 0..1500, |_, _| Ok(()));
    shipper.kill();
    shipper = ship(place.path(), docker.host(), &configs, &data);
    arrived(&opensearch, &index, "ship", 0..4000, |_, _| Ok(())).assert_exact("ship, ended and killed");
    let bytes = resident_bytes(shipper.id()).expect("it runs");
    println!("figure: ship follows one container with {} KiB resident", bytes / 1024);
}

#[test]
fn a_second_shipper_for_the_same_data_waits_and_reads_nothing() {
    let place = Place::new("second");
    let docker = Docker::start(&place.directory("d"));
    let out = place.join("out.txt");
    let text = format!(
        "input {{ file {{ docker-path => \"{LOG}\" }} }}\noutput {{ file {{ path => \"${{OUT}}\" codec => line {{ format => \"%{{message}}\" }} }} }}"
    );
    let configs = configured(&place, &text);
    let data = place.directory("data");
    let shipper =
        |directory: &Path| ship_recipe(directory, docker.host(), &configs, &data).env("OUT", &out).start();
    let first = shipper(place.path());
    let _writer = writer(&docker, BUSYBOX, &format!("write second 0 100 {LOG}"));
    let lines = || fs::read_to_string(&out).unwrap_or_default().lines().count();
    until("the first lines", PATIENCE, || {
        if lines() == 100 { Ok(()) } else { Err(format!("{} lines", lines())) }
    });

    let second = shipper(&place.directory("other"));
    until("the second to say that it waits", PATIENCE, || {
        let printed = second.printed();
        if printed.contains(&data.display().to_string()) && printed.to_lowercase().contains("wait") {
            Ok(())
        } else {
            Err(printed)
        }
    });
    assert_eq!(lines(), 100);
    drop(first);
    // It takes over.
    let _more = writer(&docker, BUSYBOX, &format!("write more 0 100 {LOG}"));
    until("the second to take over", PATIENCE, || {
        if lines() >= 200 { Ok(()) } else { Err(format!("{} lines", lines())) }
    });
}

#[test]
fn the_executor_starts_where_there_is_nothing_else() {
    let place = Place::new("static");
    let docker = Docker::start(&place.directory("d"));
    let root = place.directory("root");
    fs::copy(programs().join("logstash-mesos-executor"), root.join("executor")).expect("it can be copied");
    docker.import(&root, "static-test:1", &[]);
    let printed =
        docker.command(&["run", "--rm", "--network", "none", "static-test:1", "/executor", "--version"]);
    assert!(printed.contains("logstash-mesos-executor"), "{printed}");
    let done = executor(place.path(), "version").arg("--version").run(b"", PATIENCE);
    assert_eq!(done.stdout.trim(), printed);
}

#[test]
fn fifty_quiet_containers_cost_little_memory() {
    let place = Place::new("fifty");
    let docker = Docker::start(&place.directory("d"));
    let out = place.join("out.txt");
    let text = format!(
        "input {{ file {{ docker-path => \"{LOG}\" }} docker {{ }} }}\n{}\noutput {{ file {{ path => \"{}\" }} }}",
        filter(),
        out.display()
    );
    let configs = configured(&place, &text);
    let shipper = ship(place.path(), docker.host(), &configs, &place.directory("data"));
    let script = format!("echo started > {LOG}; echo started; exec sleep 100000");
    let containers: Vec<_> = (0..50).map(|_| docker.run_script(&[], &script)).collect();
    let lines = || fs::read_to_string(&out).unwrap_or_default().lines().count();
    until("two lines of each container", PATIENCE, || {
        if lines() == 100 { Ok(()) } else { Err(format!("{} lines", lines())) }
    });
    let before = processor_time(shipper.id()).expect("it runs");
    std::thread::sleep(Duration::from_secs(10));
    let used = processor_time(shipper.id()).expect("it runs") - before;
    let kilobytes = resident_bytes(shipper.id()).expect("it runs") / 1024;
    println!("figure: 50 containers at rest: {kilobytes} KiB resident, {used:?} of processor time in 10 s");
    assert!(kilobytes < 64 * 1024, "{kilobytes} KiB");
    drop(containers);
}
