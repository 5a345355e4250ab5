//! The Debian package and the tarball: installed, used, upgraded and removed, with a systemd that runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use logstash_mesos_tests::docker::Docker;
use logstash_mesos_tests::executor::ship_recipe;
use logstash_mesos_tests::guide::blocks;
use logstash_mesos_tests::machine::Machine;
use logstash_mesos_tests::mesos::Master;
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::place::{Place, free_port, programs};
use logstash_mesos_tests::wait::{PATIENCE, until};

const UNITS: [&str; 2] = ["logstash-mesos-ship.service", "logstash-mesos-scheduler.service"];
/// Most that `systemd-analyze security` may find, in tenths: 0 is best, 100 worst.
const EXPOSURE: [u32; 2] = [27, 12];
/// What the next version's settings file says.
const NEWS: &str = "# A setting that is new.\n";
/// What an installation, and the services, leave on a machine.
const PLACES: [&str; 7] = [
    "/usr/bin/logstash-mesos-scheduler",
    "/usr/bin/logstash-mesos-executor",
    "/usr/lib/systemd/system/logstash-mesos-ship.service",
    "/usr/share/doc/logstash-mesos",
    "/etc/logstash-mesos",
    "/var/lib/logstash-mesos",
    "/var/lib/private/logstash-mesos-scheduler",
];

#[test]
fn the_debian_package_is_installed_upgraded_and_leaves_nothing() {
    let place = Place::new("debian");
    let shared = place.directory("shared");
    let package = assemble(&shared);
    let opensearch = OpenSearch::shared();
    let docker = Docker::start(&place.directory("shared/docker"));
    let master = Master::start(&place.directory("mesos"));
    let machine = Machine::boot(&place.directory("machine"), &shared);
    let guide: Vec<_> = blocks("debian/README.md", &[("http://elasticsearch:9200", opensearch.url())])
        .into_iter()
        .map(|block| block.script)
        .collect();
    let follow =
        |commands: String| machine.command(&["sh", "-ec", &format!("cd {}\n{commands}", shared.display())]);
    let install = |package: &Path| {
        machine.command(&["dpkg", "--force-confold", "--install", &package.display().to_string()])
    };
    install(&package);
    assert!(PLACES[..5].iter().all(|path| machine.path(path).exists()), "something is not installed");

    // What systemd finds about the services, and what helps at a terminal.
    for (unit, most) in UNITS.iter().zip(EXPOSURE) {
        let path = format!("/usr/lib/systemd/system/{unit}");
        machine.command(&["systemd-analyze", "verify", &path]);
        let threshold = format!("--threshold={most}");
        let found =
            machine.run(&["systemd-analyze", "security", "--offline=yes", "--no-pager", &threshold, &path]);
        let overall = found.stdout.lines().last().unwrap_or_default();
        println!("figure: {unit}: {}", overall.trim_start_matches(|c: char| !c.is_alphabetic()));
        assert!(found.status.success(), "{}", found.stdout);
    }
    for name in ["logstash-mesos-scheduler", "logstash-mesos-executor", "logstash-mesos-executor-ship"] {
        machine.command(&["man", "--where", name]);
    }
    for name in ["logstash-mesos-scheduler", "logstash-mesos-executor"] {
        let script = format!(". /usr/share/bash-completion/completions/{name}; complete -p {name}");
        machine.command(&["bash", "-c", &script]);
    }

    // The shipper, as the guide has it. The test's Docker has its files where services have a directory of their own.
    let drop_in = machine.path("/etc/systemd/system/logstash-mesos-ship.service.d/docker.conf");
    fs::create_dir_all(drop_in.parent().expect("it has one")).expect("it is writable");
    fs::write(&drop_in, format!("[Service]\nBindPaths={}\n", shared.display())).expect("it is writable");
    let docker_host =
        format!("echo DOCKER_HOST={} >>/etc/logstash-mesos/ship.env\nsystemctl enable", docker.host());
    follow(guide[0].replace("systemctl enable", &docker_host));
    let mark = format!("deb{}", std::process::id());
    let writer = docker.run_script(&[], "mkfifo /in; while :; do cat /in; done");
    let write = |number: u32| writer.shell(&format!("echo {mark} {number} > /in"));
    let lines = |count: usize| {
        until(&format!("{count} lines"), PATIENCE, || {
            let answer = opensearch.request("GET", &format!("*/_search?q=message:{mark}"), None)?;
            let log = || machine.run(&["journalctl", "--unit", UNITS[0], "--lines=20"]).stdout;
            if answer.json()["hits"]["total"]["value"] == count { Ok(()) } else { Err(answer.body + &log()) }
        });
    };
    write(1);
    lines(1);

    // And what applications write to a socket, which is theirs to find again after an upgrade.
    let socket = "/run/logstash-mesos/log.sock";
    let text = format!("input {{ unix {{ path => \"{socket}\" }} }}");
    fs::write(machine.path("/etc/logstash-mesos/host/socket.conf"), text).expect("it is writable");
    until("a socket", PATIENCE, || {
        let found = machine.run(&["stat", "--format=%a %F", socket]).stdout;
        if found.trim() == "666 socket" { Ok(()) } else { Err(found) }
    });
    machine.command(&["logger", "--socket", socket, &format!("{mark} 2")]);
    lines(2);

    // The scheduler, as a user of its own.
    let settings = format!("\"\nhttp.bind = \"127.0.0.1:{}\"\nelasticsearch", free_port());
    follow(
        guide[1]
            .replace("zk://zk1:2181,zk2:2181,zk3:2181/mesos", &master.address())
            .replace("\"\nelasticsearch", &settings),
    );
    until("the framework", PATIENCE, || {
        let log = || machine.run(&["journalctl", "--unit", UNITS[1], "--lines=20"]).stdout;
        master.framework("logstash").map_err(|error| error + &log())
    });
    let id = machine.command(&["systemctl", "show", "--property=MainPID", "--value", UNITS[1]]);
    let user = machine.command(&["stat", "--format=%u", &format!("/proc/{}", id.trim())]);
    assert_ne!(user.trim(), "0");

    // Positions, settings and services outlive an upgrade.
    until("a position that is stored", PATIENCE, || {
        let path = machine.path("/var/lib/logstash-mesos/ship/positions.json");
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        text.contains(writer.id()).then_some(()).ok_or(text)
    });
    install(&next_version(&package));
    for unit in UNITS {
        machine.command(&["systemctl", "is-active", unit]);
    }
    let nobody = ["setpriv", "--reuid=65534", "--clear-groups", "logger", "--socket", socket, &mark];
    until("somebody at the socket", PATIENCE, || {
        let done = machine.run(&nobody);
        done.status.success().then_some(()).ok_or(done.stderr)
    });
    write(3);
    lines(4);
    let settings =
        fs::read_to_string(machine.path("/etc/logstash-mesos/scheduler.toml")).expect("it is there");
    assert!(settings.contains(&master.address()) && !settings.contains(NEWS));

    // What is removed comes back as it was; what is purged does not.
    follow(guide[2].clone());
    assert!(!machine.path(PLACES[1]).exists());
    for unit in UNITS {
        assert!(!machine.run(&["systemctl", "is-active", unit]).status.success(), "{unit} runs on");
    }
    install(&package);
    assert!(!machine.run(&["systemctl", "is-enabled", UNITS[0]]).status.success());
    machine.command(&["systemctl", "start", UNITS[0]]);
    write(4);
    lines(5);
    fs::remove_file(&drop_in).expect("the test made it");
    follow(guide[3].clone());
    let left: Vec<_> = PLACES.iter().filter(|path| machine.path(path).exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    machine.command(&["test", "!", "-e", "/run/logstash-mesos"]);

    follow(guide[4].clone());
    for unit in UNITS {
        machine.command(&["systemctl", "cat", unit]);
    }
    machine.command(&["logstash-mesos-executor", "--version"]);
}

#[test]
fn the_capabilities_of_the_unit_are_enough_to_read_containers() {
    let place = Place::new("capable");
    let docker = Docker::start(&place.directory("docker"));
    let unit = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/debian/logstash-mesos-ship.service"
    ));
    let unit = unit.expect("it is there");
    let set = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).expect("it has one");
    let set = set.split(' ').map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()));
    let set = format!("--bounding-set=-all{}", set.collect::<String>());
    let configs = place.directory("configs");
    let out = place.join("out");
    fs::create_dir_all(configs.join("docker")).expect("it is writable");
    let text = format!(
        "input {{ file {{ docker-path => \"/mem/a.log\" }} docker {{ }} }}\n\
         output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }} }}",
        out.display()
    );
    fs::write(configs.join("docker/*.conf"), text).expect("it is writable");
    // A container with other rights than the service, whose file is another user's alone, and in memory: it is seen through
    // the container's process and no other way.
    let script = "echo privately > /mem/a.log; chown 1000 /mem/a.log; chmod 400 /mem/a.log; echo publicly; exec sleep 100000";
    let _writer = docker.run_script(&["--tmpfs", "/mem"], script);
    let shipper = ship_recipe(place.path(), docker.host(), &configs, &place.directory("data"))
        .within(&["setpriv", "--no-new-privs", &set, "--inh-caps=-all"])
        .start();
    until("both lines", PATIENCE, || {
        let text = fs::read_to_string(&out).unwrap_or_default();
        let both = ["privately", "publicly"].iter().all(|line| text.contains(line));
        both.then_some(()).ok_or_else(|| text + &shipper.printed())
    });
}

#[test]
fn a_release_of_the_same_programs_is_the_same_bytes() {
    let place = Place::new("release");
    let [first, second] = ["one", "two"].map(|name| {
        let directory = place.directory(name);
        // A daemon that has made nothing before.
        let docker = Docker::start(&place.directory(&format!("docker-{name}")));
        let mut release = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/release"));
        release.arg(&directory).arg(programs()).env("DOCKER_HOST", docker.host());
        quickly(&mut release);
        let done = release.output().expect("the script is there");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        directory
    });
    let sums = |directory: &Path| fs::read_to_string(directory.join("SHA256SUMS")).expect("it is made");
    assert_eq!(sums(&first), sums(&second));
    let check = Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&first).output();
    assert!(check.expect("coreutils are installed").status.success());
    let version = env!("CARGO_PKG_VERSION");
    let bill = format!("logstash-mesos-{version}.cdx.json");
    let mut listed: Vec<_> =
        sums(&first).lines().filter_map(|line| Some(line.split_once("  ")?.1.to_owned())).collect();
    listed.sort();
    let expected = [
        format!("logstash-mesos-{version}-x86_64-linux.tar.gz"),
        bill.clone(),
        format!("logstash-mesos-executor-{version}-image.tar.gz"),
        format!("logstash-mesos-scheduler-{version}-image.tar.gz"),
        format!("logstash-mesos_{version}_amd64.deb"),
    ];
    assert_eq!(listed, expected);

    // What the programs are made of, and nothing that only builds or tests them.
    let bill = fs::read_to_string(first.join(bill)).expect("it is made");
    let bill: serde_json::Value = serde_json::from_str(&bill).expect("it is JSON");
    let components = bill["components"].as_array().expect("it has components");
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    assert!(["tokio", "logstash-mesos-core", "mesos-v1", "etcd-client"].iter().all(|name| has(name)));
    assert!(!["proptest", "tempfile", "prost-build", "logstash-mesos-tests"].iter().any(|name| has(name)));
    assert!(
        components.iter().all(|component| component["purl"].is_string() && component["version"].is_string())
    );
}

/// Packing small is the release's concern.
fn quickly(command: &mut Command) {
    command.env("DPKG_DEB_COMPRESSOR_TYPE", "gzip").env("DPKG_DEB_COMPRESSOR_LEVEL", "1");
}

/// The package, made as `tests/release` makes it, of the programs that all tests run.
fn assemble(directory: &Path) -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/assemble");
    let mut assemble = Command::new(script);
    assemble.arg(programs()).arg(directory);
    quickly(&mut assemble);
    let done = assemble.output().expect("the script is there");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let entries =
        fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("it is readable").path());
    entries.into_iter().find(|path| path.extension().is_some_and(|end| end == "deb")).expect("it is made")
}

/// The same package as a later version.
fn next_version(package: &Path) -> PathBuf {
    let (tree, next) = (package.with_extension("tree"), package.with_extension("next.deb"));
    let run = |command: &mut Command| {
        assert!(command.status().expect("dpkg is installed").success(), "{command:?}")
    };
    run(Command::new("dpkg-deb").arg("--raw-extract").arg(package).arg(&tree));
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).expect("it is there");
    let line = text.lines().find(|line| line.starts_with("Version: ")).expect("it has one");
    fs::write(&control, text.replace(line, &format!("{line}+next"))).expect("it is writable");
    append(&tree.join("etc/logstash-mesos/scheduler.toml"), NEWS);
    run(Command::new("dpkg-deb")
        .args(["-Zgzip", "-z1", "--root-owner-group", "--build"])
        .arg(&tree)
        .arg(&next));
    next
}

fn append(path: &Path, text: &str) {
    let before = fs::read_to_string(path).unwrap_or_default();
    fs::write(path, before + text).expect("it is writable");
}
