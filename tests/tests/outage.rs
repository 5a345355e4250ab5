//! An output that takes nothing for a while, and a disk that takes nothing: with `ship` and an agent, and `pipeline run` where it can.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use logstash_mesos_tests::docker::Docker;
use logstash_mesos_tests::door::Door;
use logstash_mesos_tests::executor::{program, ship_recipe};
use logstash_mesos_tests::place::{Place, free_port, keeps, unmount_below};
use logstash_mesos_tests::scheduler::local_scheduler;
use logstash_mesos_tests::wait::{PATIENCE, until};

/// One round of what happens to the log `$1` in the way `$2`, and lines of the round `$3` after it.
const ROTATE: &str = "cd /var/log; log=$1
    for n in 4 3 2 1; do for e in '' .gz; do
      if [ -e $log.$n$e ]; then mv $log.$n$e $log.$((n + 1))$e; fi
    done; done
    case $2 in
      rename) mv $log $log.1;;
      copy) cp $log $log.1; : >$log;;
      gzip) mv $log $log.1; gzip $log.1;;
    esac
    for n in 0 1 2 3 4; do echo \"$log $3.$n\" >>$log; done";

#[test]
fn what_containers_write_and_rotate_while_the_output_is_down_arrives() {
    let place = Place::new("outage");
    let docker = Docker::start(&place.directory("d"));
    for who in ["ship", "agent"] {
        let (door, work) = (Door::shut(), place.directory(who));
        let configs = work.join("configs");
        fs::create_dir_all(configs.join("docker")).expect("it is writable");
        let image = docker.tag(&format!("{who}-test:1"));
        let text = format!(
            "input {{ docker {{ }} file {{ docker-path => \"/var/log/*.log\" }} }}
             output {{ http {{ url => \"{}\" http_method => \"post\" format => \"message\" message => \"%{{message}}\"
                               automatic_retries => 0 }} }}",
            door.url()
        );
        let file = configs.join("docker").join(format!("{}.conf", image.replace(':', "%3A")));
        fs::write(file, text).expect("it is writable");
        let recipe = match who {
            "ship" => ship_recipe(&work, docker.host(), &configs, &work.join("data")),
            _ => local_scheduler(&work, free_port())
                .env("DOCKER_HOST", docker.host())
                .arg("--config-dir")
                .arg(&configs),
        };
        let mut process = recipe.start();
        let options = ["--log-opt", "max-size=4k", "--log-opt", "max-file=2"];
        let begin = "for log in rename copy gzip; do echo \"$log.log begins\" >/var/log/$log.log; done; exec sleep 100000";
        let container = docker.run(&image, &options, &["sh", "-c", begin]);
        let mut expected: Vec<String> =
            ["rename", "copy", "gzip"].map(|way| format!("{way}.log begins")).into();
        // Nothing has got through; that the files are seen takes a moment.
        std::thread::sleep(Duration::from_secs(2));
        for round in 0..4 {
            for way in ["rename", "copy", "gzip"] {
                let (log, number) = (format!("{way}.log"), round.to_string());
                docker.command(&["exec", container.id(), "sh", "-ec", ROTATE, "sh", &log, way, &number]);
                expected.extend((0..5).map(|line| format!("{log} {round}.{line}")));
            }
            // More than a file of the daemon holds, of which it keeps two.
            let script = format!("for n in $(seq 60); do echo \"output {round}.$n\" >/proc/1/fd/1; done");
            docker.command(&["exec", container.id(), "sh", "-ec", &script]);
            expected.extend((1..=60).map(|line| format!("output {round}.{line}")));
            std::thread::sleep(Duration::from_millis(1500));
        }
        door.open();
        door.expect(&expected, || process.printed());
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
        if who == "ship" {
            assert!(process.printed().contains("lost_bytes=0 "), "{}", process.printed());
        }
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    for who in ["run", "ship", "agent"] {
        let place = Place::new(&format!("full-{who}"));
        let (logs, data, door) = (place.directory("logs"), place.directory("data"), Door::shut());
        let _mounted = Small::mount(&data);
        door.open();
        let log = logs.join("app.log");
        let text = format!(
            "input {{ file {{ {} => \"{}\" start_position => \"beginning\" }} }}
             output {{ http {{ url => \"{}\" http_method => \"post\" format => \"message\" message => \"%{{message}}\" }} }}",
            if who == "run" { "path" } else { "host-path" },
            log.display(),
            door.url()
        );
        let recipe = match who {
            "run" => program(who, &place, &text).arg("--data-dir").arg(&data),
            "agent" => program(who, &place, &text)
                .args(["--executor-env", &format!("LOGSTASH_MESOS_DATA_DIR={}", data.display())]),
            _ => program(who, &place, &text),
        };
        let mut expected = Vec::new();
        let mut write = |name: &str| {
            let mut file =
                fs::OpenOptions::new().create(true).append(true).open(&log).expect("it is writable");
            for number in 0..50 {
                expected.push(format!("{name} {number}"));
                writeln!(file, "{name} {number}").expect("it is writable");
            }
            expected.clone()
        };
        let mut process = recipe.start();
        door.expect(&write("before"), || process.printed());
        until("a position", PATIENCE, || {
            if keeps(&data, ".json", &["app.log"]) { Ok(()) } else { Err(process.printed()) }
        });
        let filler = fill(&data);
        door.expect(&write("while it is full"), || process.printed());
        fs::rename(&log, logs.join("app.log.1")).expect("it is there");
        door.expect(&write("rotated"), || process.printed());
        // Whoever kills the cluster in a process leaves its executor at work.
        if who == "agent" {
            process.terminate(PATIENCE);
        } else {
            process.kill();
        }
        write("while nobody reads");
        // Also a start finds no room.
        let mut process = recipe.start();
        door.expect(&write("after a kill"), || process.printed());
        fs::remove_file(&filler).expect("it is there");
        door.expect(&write("with room"), || process.printed());
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
        if who != "agent" {
            let printed = process.printed();
            assert!(printed.contains("Positions could not be saved, trying again"), "{printed}");
            assert!(printed.contains("lost_bytes=0 "), "{printed}");
        }
    }
}

/// A file system that is soon full.
struct Small<'a>(&'a std::path::Path);

impl<'a> Small<'a> {
    fn mount(at: &'a std::path::Path) -> Self {
        let options = ["-t", "tmpfs", "-o", "size=400k,nr_inodes=1000", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(at).status();
        assert!(mounted.is_ok_and(|status| status.success()), "tmpfs cannot be mounted: it takes root");
        Self(at)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        unmount_below(self.0);
    }
}

/// Takes all the room that there is, to the last byte.
fn fill(directory: &std::path::Path) -> std::path::PathBuf {
    let path = directory.join("filler");
    let mut file = fs::File::create(&path).expect("it is writable");
    for size in [4096, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
    path
}
