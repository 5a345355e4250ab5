//! The executor as a shell starts it, without Docker and without a cluster.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use logstash_mesos_tests::door::Door;
use logstash_mesos_tests::executor::{executor, program, ship_recipe};
use logstash_mesos_tests::place::{Place, free_port};
use logstash_mesos_tests::process::Recipe;
use logstash_mesos_tests::scheduler::local_scheduler;
use logstash_mesos_tests::wait::{PATIENCE, until};

/// A directory with `text` as configuration of the machine.
fn configured(place: &Place, text: &str) -> PathBuf {
    let configs = place.directory("configs");
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    fs::write(configs.join("host/a.conf"), text).expect("it is writable");
    configs
}

/// `ship` with nothing but the files of the machine.
fn ship(place: &Place, text: &str) -> Recipe {
    let none = format!("unix://{}", place.join("none.sock").display());
    ship_recipe(place.path(), &none, &configured(place, text), &place.directory("data"))
}

#[test]
fn a_variable_means_the_same_whoever_runs_the_configuration() {
    let place = Place::new("variables");
    let out = place.join("out.txt");
    let text = format!(
        "input {{ generator {{ count => 1 }} }}
         filter {{ mutate {{ add_field => {{ \"a\" => \"${{COLOUR}}\" \"b\" => \"${{COLOUR:red}} ${{NONE:red}}\" }} }} }}
         output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{a}} %{{b}}\" }} }} }}",
        out.display()
    );
    let check = |who: &str, printed: &dyn Fn() -> String| {
        until(&format!("the event of {who}"), PATIENCE, || {
            let seen = fs::read_to_string(&out).unwrap_or_default();
            if seen == "blue blue red\n" { Ok(()) } else { Err(format!("{seen:?}\n{}", printed())) }
        });
        assert!(!printed().contains("blue"), "a value is in the log: {}", printed());
        fs::remove_file(&out).expect("it was read");
    };
    let alone = executor(place.path(), "run").args(["pipeline", "run", "-e", &text]).env("COLOUR", "blue");
    let ended = alone.run(b"", PATIENCE);
    check("pipeline run", &|| ended.stderr.clone());

    let mut shipper = ship(&place, &text).env("COLOUR", "blue").start();
    check("ship", &|| shipper.printed());
    assert_eq!(shipper.terminate(PATIENCE).code(), Some(0), "{}", shipper.printed());

    let mut scheduler = local_scheduler(&place.directory("s"), free_port())
        .args(["--executor-env", "COLOUR=blue", "--config-dir"])
        .arg(place.join("configs"))
        .start();
    check("an agent", &|| scheduler.printed());
    assert_eq!(scheduler.terminate(PATIENCE).code(), Some(0), "{}", scheduler.printed());
}

#[test]
fn a_closed_standard_output_ends_the_program_as_it_ends_a_filter() {
    let place = Place::new("closed");
    let text = "input { generator { } } output { stdout { codec => line { format => \"%{message}\" } } }";
    let run = executor(place.path(), "").args(["pipeline", "run", "-e", text]);
    for (name, program) in [("run", run), ("ship", ship(&place, text))] {
        // The status of a shell's pipe is that of its last part; the other one is of interest here.
        let script = "\"$@\" | head -n 2; exit ${PIPESTATUS[0]}";
        let ended = program.within(&["bash", "-c", script, "bash"]).named(name).run(b"", PATIENCE);
        assert_eq!(ended.stdout, "Hello world!\nHello world!\n", "{name}");
        // 128 and the number of SIGPIPE.
        assert_eq!(ended.status.code(), Some(141), "{name}: {}", ended.stderr);
    }
}

#[test]
fn the_grace_is_kept_though_an_output_hangs() {
    let place = Place::new("grace");
    // Accepts, and never answers.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let url = format!("http://{}", deaf.local_addr().expect("it is bound"));
    let text = format!(
        "input {{ generator {{ }} }} output {{ http {{ url => \"{url}\" http_method => \"post\" }} }}"
    );
    let run = executor(place.path(), "run").args(["pipeline", "run", "-e", &text]);
    for program in [run, ship(&place, &text)] {
        let mut process = program.args(["--shutdown-grace-secs", "2"]).start();
        let (connection, _) = deaf.accept().expect("it connects");
        let asked = Instant::now();
        process.terminate(PATIENCE);
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(4), "it took {took:?}: {}", process.printed());
        drop(connection);
    }
}

#[test]
fn what_happens_to_files_while_the_output_is_down_loses_nothing() {
    let place = Place::new("rotations");
    let logs = place.directory("logs");
    let door = Door::shut();
    let text = |comment: &str| {
        format!(
            "# {comment}
             input {{ file {{ host-path => [\"{0}/plain.log\", \"{0}/by-*.log\"] start_position => \"beginning\" }} }}
             output {{ http {{ url => \"{1}\" http_method => \"post\" format => \"message\" message => \"%{{message}}\"
                               automatic_retries => 0 }} }}",
            logs.display(),
            door.url()
        )
    };
    let mut shipper = ship(&place, &text("first")).start();
    let mut expected = Vec::new();
    let mut append = |file: &str, name: &str| {
        let path = logs.join(file);
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).expect("it is writable");
        for number in 0..20 {
            let line = format!("{name} {number}");
            writeln!(file, "{line}").expect("it is writable");
            expected.push(line);
        }
        path
    };
    let seen = || std::thread::sleep(Duration::from_millis(1500));
    append("plain.log", "renamed");
    append("by-cut.log", "cut");
    append("by-removed.log", "removed");
    seen();
    // Renamed three times, copied and cut, removed: nothing has got through yet.
    for generation in ["second", "third", "fourth"] {
        for number in (0..3).rev() {
            let name = |n: u32| if n == 0 { "plain.log".to_owned() } else { format!("plain.log.{n}") };
            let _not_there_yet = fs::rename(logs.join(name(number)), logs.join(name(number + 1)));
        }
        append("plain.log", generation);
    }
    let cut = append("by-cut.log", "cut later");
    fs::copy(&cut, logs.join("by-cut.log.1")).expect("it is there");
    fs::File::options().write(true).open(&cut).expect("it is there").set_len(0).expect("it is writable");
    append("by-cut.log", "after the cut");
    seen();
    fs::remove_file(logs.join("by-removed.log")).expect("it is there");
    seen();
    // A comment changes: what the pipeline before had in its hands is given up, and read again.
    fs::write(place.join("configs/host/a.conf"), text("second")).expect("it is writable");
    seen();
    append("plain.log", "last");
    door.open();
    door.expect(&expected, || shipper.printed());
    assert_eq!(shipper.terminate(PATIENCE).code(), Some(0), "{}", shipper.printed());
    let printed = shipper.printed();
    // The last line says what was counted.
    assert!(printed.contains("lost_bytes=0 "), "{printed}");
}

#[test]
fn a_file_that_is_compressed_and_cut_comes_once() {
    for who in ["run", "ship", "agent"] {
        let place = Place::new(&format!("packed-{who}"));
        let (logs, out) = (place.directory("logs"), place.join("out.txt"));
        let text = format!(
            "input {{ file {{ {} => \"{}/app.log\" start_position => \"beginning\" }} }}
             output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }} }}",
            if who == "run" { "path" } else { "host-path" },
            logs.display(),
            out.display()
        );
        let mut process = program(who, &place, &text).start();
        let mut expected = String::new();
        for round in 0..3 {
            let numbers = 0..5000_u64;
            let lines: String =
                numbers.map(|n| format!("{round} {n} {:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a))).collect();
            expected.push_str(&lines);
            let mut log = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(logs.join("app.log"))
                .expect("it is writable");
            log.write_all(lines.as_bytes()).expect("it is writable");
            let arrived = || {
                let seen = fs::read_to_string(&out).unwrap_or_default();
                if seen == expected {
                    Ok(())
                } else {
                    Err(format!("{} of {}: {}", seen.len(), expected.len(), process.printed()))
                }
            };
            until(&format!("the lines of {who}"), PATIENCE, arrived);
            // The archive is seen while it is made.
            let script =
                "for n in 2 1; do [ -e app.log.$n.gz ] && mv app.log.$n.gz app.log.$((n + 1)).gz; done
                          gzip -c app.log > whole; head -c 9000 whole > app.log.1.gz; sleep 0.7
                          tail -c +9001 whole >> app.log.1.gz; sleep 0.7; : > app.log; sleep 0.7";
            let ended = Command::new("sh").args(["-c", script]).current_dir(&logs).status();
            assert!(ended.is_ok_and(|status| status.success()), "{who}");
            until(&format!("no more of {who}"), PATIENCE, arrived);
        }
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
    }
}

#[test]
fn archives_that_a_pattern_finds_too_come_with_their_files() {
    for who in ["run", "ship", "agent"] {
        let place = Place::new(&format!("found-{who}"));
        let (logs, out) = (place.directory("logs"), place.join("out.txt"));
        let text = format!(
            "input {{ file {{ {} => \"{}/app*\" start_position => \"beginning\" discover_interval => 1 }} }}
             output {{ file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }} }}",
            if who == "run" { "path" } else { "host-path" },
            logs.display(),
            out.display()
        );
        let data = place.directory("data");
        let recipe = match who {
            "run" => program(who, &place, &text).arg("--data-dir").arg(&data),
            "agent" => program(who, &place, &text)
                .args(["--executor-env", &format!("LOGSTASH_MESOS_DATA_DIR={}", data.display())]),
            _ => program(who, &place, &text),
        };
        let script = |script: &str| {
            let ended = Command::new("sh").args(["-ec", script]).current_dir(&logs).status();
            assert!(ended.is_ok_and(|status| status.success()), "{script}");
        };
        let mut expected = String::new();
        let mut arrived = |more: &str, printed: &dyn Fn() -> String| {
            expected.push_str(more);
            until(&format!("the lines of {who}"), PATIENCE, || {
                let seen = fs::read_to_string(&out).unwrap_or_default();
                if seen == expected { Ok(()) } else { Err(format!("{seen:?}: {}", printed())) }
            });
        };
        script("echo 1 > app.log");
        let mut process = recipe.start();
        arrived("1\n", &|| process.printed());
        // As it runs, and twice while it does not.
        script("echo 2 >> app.log; mv app.log app.log.1; echo 3 > app.log; sleep 1.5; gzip app.log.1");
        arrived("2\n3\n", &|| process.printed());
        process.terminate(PATIENCE);
        script(
            "rotate() { mv app.log.1.gz app.log.2.gz; mv app.log app.log.1; gzip app.log.1; }
             echo 4 >> app.log; mv app.log.1.gz app.log.3.gz; mv app.log app.log.1; gzip app.log.1
             echo 5 > app.log; rotate; echo 6 > app.log",
        );
        let mut process = recipe.start();
        arrived("4\n5\n6\n", &|| process.printed());
        std::thread::sleep(Duration::from_secs(2));
        arrived("", &|| process.printed());
        assert_eq!(process.terminate(PATIENCE).code(), Some(0), "{}", process.printed());
    }
}
