//! The guides for people who come from somewhere else, or with a symptom: what they say to type does what they say.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::docker::Docker;
use logstash_mesos_tests::executor::ship;
use logstash_mesos_tests::guide::{blocks, page};
use logstash_mesos_tests::mesos::{Agent, AgentOptions, Master};
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::{Place, free_port, programs};
use logstash_mesos_tests::process::{Recipe, resident_bytes};
use logstash_mesos_tests::scheduler::{Api, GRACE, Scheduler, SchedulerOptions};
use logstash_mesos_tests::wait::{PATIENCE, until};
use logstash_mesos_tests::zookeeper::ZooKeeper;

#[test]
fn each_command_of_each_page_is_one_that_the_programs_take() {
    let place = Place::new("commands");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut pages = vec!["../README.md".to_owned()];
    let mut look = |directory: &Path, prefix: &str| {
        for entry in fs::read_dir(directory).expect("it is there").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".md") {
                pages.push(format!("{prefix}{name}"));
            }
        }
    };
    look(&docs, "");
    ["debian", "marathon"].iter().for_each(|name| look(&docs.join(name), &format!("{name}/")));
    let mut count = 0;
    for page in &pages {
        for command in blocks(page, &[]).iter().flat_map(|block| block.commands_of_ours()) {
            let [program, arguments @ ..] = &command[..] else { continue };
            let program = programs().join(Path::new(program).file_name().expect("a name"));
            // What it says of itself comes after the look at what was given.
            let said =
                Recipe::new(program, place.path(), "help").args(arguments).arg("--help").run(b"", PATIENCE);
            assert!(said.status.success(), "docs/{page}: {}\n{said:?}", command.join(" "));
            count += 1;
        }
    }
    println!("figure: {count} commands on {} pages are known to the programs", pages.len());
    assert!(count > 30, "{count}");
}

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
    let shipper = start.program(place.path()).env("DOCKER_HOST", docker.host()).start();

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

#[test]
fn it_is_installed_on_mesos_and_on_a_docker_host_and_taken_away() {
    let place = Place::new("install");
    let opensearch = OpenSearch::shared();
    let docker = Docker::start(&place.directory("docker"));
    let zookeeper = ZooKeeper::start(&place.directory("zookeeper"));
    let masters = format!("zk://{}/mesos", zookeeper.address());
    let master = Master::in_zookeeper(&place.directory("mesos"), &masters);
    let positions = place.directory("positions");
    let options = AgentOptions {
        host: "127.0.0.1".into(),
        docker_host: docker.host().to_owned(),
        data_dir: positions.clone(),
        flags: Vec::new(),
    };
    let agent = Agent::start(&place.directory("agent"), &master, options);
    let guide = blocks(
        "install.md",
        &[
            ("zk://zk1:2181,zk2:2181,zk3:2181/mesos", &masters),
            ("http://elasticsearch:9200", opensearch.url()),
            ("/var/lib/logstash-mesos/ship", &place.directory("data").display().to_string()),
        ],
    );
    let [configure, schedule, look, uninstall, ship] = &guide[..] else { panic!("{guide:?}") };
    let api = Api::on(free_port());
    // Beside other tests, each needs a port of its own.
    let typed = |recipe: Recipe| {
        let bind = api.url().replace("http://", "");
        recipe.env("LOGSTASH_MESOS_HTTP_BIND", bind).env("LOGSTASH_MESOS_SCHEDULER", api.url())
    };
    let arrives = |mark: &str| {
        let _writer = docker.run_script(&[], &format!("echo {mark}; exec sleep 100000"));
        until(&format!("the line {mark}"), PATIENCE, || {
            let answer = opensearch.request("GET", &format!("*/_search?q=message:{mark}"), None)?;
            if answer.json()["hits"]["total"]["value"] == 1 { Ok(()) } else { Err(answer.body) }
        });
    };
    configure.follow(&configure.recipe(place.path()));

    let mut scheduler = typed(schedule.program(place.path()).named("scheduler")).start();
    look.follow(&typed(look.recipe(place.path())));
    arrives(&format!("onmesos{}", std::process::id()));
    assert_eq!(scheduler.terminate(GRACE).code(), Some(0), "{}", scheduler.printed());
    uninstall.follow(&typed(uninstall.recipe(place.path())));
    until("the executor to end", PATIENCE, || match agent.executor_processes()[..] {
        [] => Ok(()),
        ref left => Err(format!("{left:?}")),
    });
    assert!(master.framework("logstash").is_err());
    let left = || -> Vec<_> { fs::read_dir(&positions).into_iter().flatten().flatten().collect() };
    assert!(left().is_empty(), "{:?}", left());

    let mut shipper = ship.program(place.path()).named("ship").env("DOCKER_HOST", docker.host()).start();
    arrives(&format!("onahost{}", std::process::id()));
    assert_eq!(shipper.terminate(GRACE).code(), Some(0), "{}", shipper.printed());
}

#[test]
fn each_symptom_is_explained() {
    let cluster = Cluster::with_agents("symptoms", 1);
    let directory = cluster.place.directory("typed");
    // Nobody answers there.
    let nowhere = Some("http://127.0.0.1:1".to_owned());
    let options = SchedulerOptions { elasticsearch: nowhere, ..cluster.options() };
    let scheduler = Scheduler::start(&cluster.place.directory("scheduler"), options);
    let input = "input { file { docker-path => \"/var/log/access.log\" } docker { } }";
    scheduler.put("web:1", input).expect(200);
    let _ = scheduler.running_executors(1);
    let script = "mkdir -p /var/log; ln -s /dev/stdout /var/log/access.log; echo GET; exec sleep 100000";
    let docker = &cluster.dockers[0];
    let _web = docker.run(&docker.tag("web:1"), &["--name", "web"], &["sh", "-c", script]);
    let symptoms = blocks("troubleshooting.md", &[("http://127.0.0.1:9092", &scheduler.url())]);
    let sizes = blocks("sizing.md", &[("http://scheduler:9092", &scheduler.url())]);
    for block in symptoms.iter().chain(&sizes) {
        block.follow(&block.recipe(&directory).env("LOGSTASH_MESOS_SCHEDULER", scheduler.url()));
    }
}

#[test]
fn a_shipper_has_the_memory_that_the_guide_says() {
    const FILES: u64 = 2000;
    // In megabytes, as `ship` has it where nothing is said.
    const QUEUE: u64 = 16;
    let place = Place::new("sizing");
    let guide = page("sizing.md");
    let formula = guide.lines().find_map(|line| line.trim().strip_prefix("shipper = ")).expect("it has one");
    let numbers: Vec<u64> = formula.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [base, _one_configuration, each] = numbers[..] else { panic!("{formula}") };
    let logs = place.directory("logs");
    for number in 0..FILES {
        fs::write(logs.join(format!("{number}.log")), "started\n").expect("it is writable");
    }
    let configs = place.directory("configs");
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    let out = place.join("out");
    let text = format!(
        "input {{ file {{ host-path => \"{}/*.log\" }} }} output {{ file {{ path => \"{}\" }} }}",
        logs.display(),
        out.display()
    );
    fs::write(configs.join("host/all.conf"), text).expect("it is writable");
    let none = format!("unix://{}", place.join("none.sock").display());
    let shipper = ship(place.path(), &none, &configs, &place.directory("data"));
    until("a line of each file", PATIENCE, || {
        let lines = fs::read_to_string(&out).unwrap_or_default().lines().count() as u64;
        if lines == FILES { Ok(()) } else { Err(format!("{lines} lines {}", shipper.printed())) }
    });
    let kilobytes = resident_bytes(shipper.id()).expect("it runs") / 1024;
    println!("figure: {FILES} files at rest: {kilobytes} KiB resident");
    assert!(kilobytes < (base + QUEUE) * 1024 + each * FILES, "{kilobytes} KiB, not {formula}");
}
