//! The ways to reach a file inside a container, each through rotation and truncation.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use logstash_mesos_tests::docker::{BUSYBOX, Container, Docker};
use logstash_mesos_tests::executor::ship_recipe;
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::process::Recipe;
use logstash_mesos_tests::wait::{PATIENCE, until};

const LINES: u64 = 2000;

/// Writes numbered lines into a file and to the standard output, renames the file once, when a reader has had the
/// time to find it, and cuts it once.
fn writer(docker: &Docker, directory: &str) -> Container {
    docker.run_script(
        &[],
        &format!(
            "mkdir -p {directory}; L={directory}/app.log; i=0; while [ $i -lt {LINES} ]; do \
             echo \"file $i\" >> $L; echo \"out $i\"; i=$((i + 1)); \
             if [ $i = 300 ]; then sleep 3; fi; if [ $i = 700 ]; then mv $L $L.1; fi; \
             if [ $i = 1400 ]; then sleep 4; : > $L; sleep 2; fi; \
             if [ $((i % 50)) = 0 ]; then usleep 50000; fi; done; exec sleep 100000"
        ),
    )
}

fn configured(place: &Place, path: &str) -> (PathBuf, PathBuf) {
    let (configs, out) = (place.directory("configs"), place.join("out.txt"));
    fs::create_dir_all(configs.join("docker")).expect("it is writable");
    let text = format!(
        "input {{ file {{ docker-path => \"{path}\" }} docker {{ stdout => true }} }}\n\
         output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }} }}",
        out.display()
    );
    let name = format!("docker/{}.conf", BUSYBOX.replace(':', "%3A"));
    fs::write(configs.join(name), text).expect("it is writable");
    (configs, out)
}

/// Waits until every line is there, and checks that each is there once.
fn all_arrived(out: &Path, from: u64, to: u64) {
    let count = |name: &str| {
        let text = fs::read_to_string(out).unwrap_or_default();
        let mut seen = vec![0_u32; usize::try_from(to).expect("it is small")];
        for number in text.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse::<usize>().ok()) {
            seen[number] += 1;
        }
        seen
    };
    let from = usize::try_from(from).expect("it is small");
    until("every line of file and output", PATIENCE, || {
        let missing =
            |name: &str| count(name).iter().enumerate().skip(from).find(|(_, n)| **n == 0).map(|(at, _)| at);
        match (missing("file "), missing("out ")) {
            (None, None) => Ok(()),
            missing => Err(format!("not there yet: {missing:?}")),
        }
    });
    for name in ["file ", "out "] {
        assert_eq!(count(name).iter().skip(from).find(|n| **n != 1), None, "{name} came twice");
    }
}

/// `ship` as it is, or with another view of the machine.
fn shipper(place: &Place, docker: &Docker, configs: &Path, host_root: Option<&Path>) -> Recipe {
    let recipe = ship_recipe(place.path(), docker.host(), configs, &place.directory("data"));
    match host_root {
        Some(root) => recipe.arg("--host-root").arg(root),
        None => recipe,
    }
}

#[test]
fn the_container_s_own_view_of_its_files() {
    let place = Place::new("rung1");
    let docker = Docker::start(&place.directory("d"));
    let (configs, out) = configured(&place, "/var/log/app.log");
    let shipper = shipper(&place, &docker, &configs, None).start();
    let _writer = writer(&docker, "/var/log");
    all_arrived(&out, 0, LINES);
    let printed = shipper.printed();
    assert!(printed.contains("method=proc-root") && printed.contains("method=json-file"), "{printed}");
}

#[test]
fn the_machine_s_side_of_it_where_processes_are_not_visible() {
    let place = Place::new("rung2");
    let docker = Docker::start(&place.directory("d"));
    let (configs, out) = configured(&place, "/var/log/app.log");
    // The whole machine, but for /proc.
    let root = place.directory("root");
    for entry in fs::read_dir("/").expect("there is a root directory") {
        let name = entry.expect("it can be read").file_name();
        if name != "proc" {
            std::os::unix::fs::symlink(Path::new("/").join(&name), root.join(&name)).expect("it is writable");
        }
    }
    let shipper = shipper(&place, &docker, &configs, Some(&root)).start();
    let _writer = writer(&docker, "/var/log");
    all_arrived(&out, 0, LINES);
    let printed = shipper.printed();
    assert!(printed.contains("method=host-layers") && printed.contains("--pid=host"), "{printed}");
}

#[test]
fn tail_inside_the_container_where_nothing_is_visible_and_no_process_stays_behind() {
    let place = Place::new("rung3");
    let docker = Docker::start(&place.directory("d"));
    let (configs, out) = configured(&place, "/var/log/app*.log");
    let recipe = shipper(&place, &docker, &configs, Some(&place.directory("nothing")));
    let shipper = recipe.start();
    let writer = writer(&docker, "/var/log");
    all_arrived(&out, 0, LINES);
    let printed = shipper.printed();
    assert!(printed.contains("method=exec-tail") && printed.contains("method=logs-api"), "{printed}");
    assert!(printed.contains("--host-root"), "{printed}");
    // However the shipper dies.
    drop(shipper);
    until("the container to be as it was", PATIENCE, || {
        let processes = writer.shell("ps | grep -c -e tail -e logstash-mesos || true");
        // `ps`, `grep` and the shell that asked name them too.
        let count: u32 = processes.trim().parse().map_err(|_| processes.clone())?;
        if count <= 2 { Ok(()) } else { Err(writer.shell("ps")) }
    });
    // While nobody reads, the file is cut and grows beyond where it was.
    let write = |from: u64, to: u64| {
        writer.shell(&format!(
            "i={from}; while [ $i -lt {to} ]; do echo \"file $i\" >> /var/log/app.log; i=$((i + 1)); done"
        ))
    };
    writer.shell(": > /var/log/app.log");
    write(LINES, LINES + 900);
    // The next one goes on where this one was.
    let _again = recipe.start();
    write(LINES + 900, LINES + 1000);
    until("the lines of the second", PATIENCE, || {
        let text = fs::read_to_string(&out).unwrap_or_default();
        let last = format!("file {}\n", LINES + 999);
        if text.contains(&last) { Ok(()) } else { Err(format!("{last} is not there")) }
    });
    let text = fs::read_to_string(&out).expect("it is there");
    assert_eq!(text.lines().filter(|line| *line == format!("file {LINES}")).count(), 1);
    assert_eq!(text.lines().filter(|line| *line == "out 0").count(), 1);
}

#[test]
fn a_container_that_has_ended_or_was_removed_is_read_to_its_end() {
    let place = Place::new("ended");
    let docker = Docker::start(&place.directory("d"));
    let (configs, out) = configured(&place, "/var/log/app.log");
    let _shipper = shipper(&place, &docker, &configs, None).start();
    // The last words without an end of line.
    let script = "i=0; while [ $i -lt 500 ]; do echo \"file $i\" >> /var/log/app.log; echo \"out $i\"; \
                  i=$((i + 1)); done; printf 'file 500' >> /var/log/app.log; printf 'out 500'";
    let ended = docker.run_script(&[], script);
    ended.wait_for_exit(PATIENCE);
    all_arrived(&out, 0, 501);
    // Removed by the daemon as soon as it has ended.
    let script = "i=501; while [ $i -lt 1000 ]; do echo \"file $i\" >> /var/log/app.log; echo \"out $i\"; \
                  i=$((i + 1)); done; sleep 2; echo 'file 1000' >> /var/log/app.log; echo 'out 1000'";
    let _removed = docker.run_script(&["--rm"], script);
    all_arrived(&out, 501, 1001);
}

#[test]
fn containers_whose_shell_hangs_hold_up_no_other() {
    let place = Place::new("hanging");
    let docker = Docker::start(&place.directory("d"));
    let (configs, out) = configured(&place, "/var/log/app*.log");
    // A shell that never answers, in place of the one that is asked for files.
    let script = "printf '#!/bin/busybox ash\\nwhile :; do sleep 1000; done\\n' > /bin/hang; chmod +x /bin/hang; \
                  mv /bin/hang /bin/sh; exec sleep 100000";
    let _hanging: Vec<Container> = (0..6).map(|_| docker.run_script(&[], script)).collect();
    let shipper = shipper(&place, &docker, &configs, Some(&place.directory("nothing"))).start();
    let healthy = docker.run_script(&[], "echo 'file 0' > /var/log/app.log; echo 'out 0'; exec sleep 100000");
    all_arrived(&out, 0, 1);
    for number in 1..4 {
        healthy.shell(&format!("echo 'file {number}' >> /var/log/app.log"));
        until("the next line", PATIENCE, || {
            let text = fs::read_to_string(&out).unwrap_or_default();
            if text.contains(&format!("file {number}\n")) { Ok(()) } else { Err(shipper.printed()) }
        });
    }
}

#[test]
fn what_lies_in_the_place_of_a_mount_is_not_read() {
    let place = Place::new("mount");
    let docker = Docker::start(&place.directory("d"));
    let (configs, out) = configured(&place, "/logs/app.log");
    let recipe = shipper(&place, &docker, &configs, None);
    let (shared, secret) = (place.directory("shared"), place.directory("secret"));
    for directory in [&shared, &secret] {
        fs::create_dir(directory.join("volume")).expect("it is writable");
    }
    let volume = format!("{}:/logs", shared.join("volume").display());
    let mut ship = recipe.start();
    let ended = docker.run_script(&["-v", &volume], "echo 'file 0' > /logs/app.log; echo 'out 0'");
    ended.wait_for_exit(PATIENCE);
    all_arrived(&out, 0, 1);
    assert_eq!(ship.terminate(PATIENCE).code(), Some(0), "{}", ship.printed());
    // Another container has the directory above it, and lays a link to one of the machine's.
    fs::rename(&shared, place.join("moved")).expect("it is there");
    std::os::unix::fs::symlink(&secret, &shared).expect("it is writable");
    fs::write(secret.join("volume/app.log"), "file 1\n").expect("it is writable");
    let ship = recipe.start();
    until("the mount to be refused", PATIENCE, || {
        let printed = ship.printed();
        if printed.contains("is reached over a link") { Ok(()) } else { Err(printed) }
    });
    all_arrived(&out, 0, 1);
}

#[test]
fn a_link_to_standard_output_is_named_with_its_remedy() {
    let place = Place::new("link");
    let docker = Docker::start(&place.directory("d"));
    let (configs, _) = configured(&place, "/var/log/app.log");
    let shipper = shipper(&place, &docker, &configs, None).start();
    // It is looked for before it is there.
    let script = "mkdir -p /var/log; sleep 3; ln -s /dev/stdout /var/log/app.log; exec sleep 100000";
    let _container = docker.run_script(&[], script);
    until("the remedy to be said", PATIENCE, || {
        let printed = shipper.printed();
        if printed.contains("docker { }") { Ok(()) } else { Err(printed) }
    });
}

#[test]
fn what_a_container_has_put_aside_before_it_is_looked_at_is_read() {
    let place = Place::new("aside");
    let docker = Docker::start(&place.directory("d"));
    let (configs, out) = configured(&place, "/logs/app.log");
    let shipper = shipper(&place, &docker, &configs, None).start();
    until("the daemon to be seen", PATIENCE, || {
        let printed = shipper.printed();
        if printed.contains("Docker daemon answers") { Ok(()) } else { Err(printed) }
    });
    // Another container has left something in the volume.
    let volume = place.directory("volume");
    let left = fs::File::create(volume.join("app.log.9")).expect("it is writable");
    (&left).write_all(b"of another\n").expect("it is writable");
    left.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("it is ours");
    let script = "cd /logs; i=0; for generation in 1 2 3 4; do [ -e app.log.2 ] && mv app.log.2 app.log.3; \
                  [ -e app.log.1 ] && mv app.log.1 app.log.2; [ -e app.log ] && mv app.log app.log.1; \
                  for line in 1 2 3 4 5; do echo \"file $i\" >> app.log; echo \"out $i\"; i=$((i + 1)); done; done; \
                  exec sleep 100000";
    let _writer = docker.run_script(&["-v", &format!("{}:/logs", volume.display())], script);
    all_arrived(&out, 0, 20);
    let text = fs::read_to_string(&out).expect("it is there");
    assert!(!text.contains("of another"), "{text}");
}
