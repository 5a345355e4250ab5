//! Events as they pass, by way of the scheduler, of a real executor that nobody slows down.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use logstash_mesos_tests::http::get_json;
use logstash_mesos_tests::place::{Place, free_port, programs};
use logstash_mesos_tests::process::{Finished, Process, Recipe};
use logstash_mesos_tests::scheduler::local_scheduler;
use logstash_mesos_tests::wait::{PATIENCE, until};
use serde_json::Value;

/// A scheduler with an executor that reads one file.
struct Stage {
    url: String,
    log: std::path::PathBuf,
    scheduler: Process,
    place: Place,
}

/// Its key is a secret, which a careless filter writes into events.
const CONFIGURATION: &str = "input { file { host-path => \"LOG\" } }
filter {
  if [message] =~ /^noise/ { drop { } }
  dissect { mapping => { message => \"%{word} %{number}\" } }
  fingerprint { key => \"s3cret-key\" method => \"SHA256\" source => \"message\" }
  mutate { add_field => { careless => \"with s3cret-key\" } }
}
output { file { path => \"OUT\" codec => line { format => \"%{number}\" } } }";

impl Stage {
    fn set(name: &str) -> Self {
        let place = Place::new(name);
        let port = free_port();
        let (configs, log, out) = (place.directory("configs"), place.join("a.log"), place.join("out"));
        fs::create_dir(configs.join("host")).expect("it is new");
        let text = CONFIGURATION
            .replace("LOG", &log.display().to_string())
            .replace("OUT", &out.display().to_string());
        fs::write(configs.join("host/words.conf"), text).expect("it is writable");
        fs::write(&log, "word 0\n").expect("it is writable");
        let scheduler = local_scheduler(place.path(), port).arg("--config-dir").arg(&configs).start();
        let stage = Self { url: format!("http://127.0.0.1:{port}"), log, scheduler, place };
        until("the first line", PATIENCE, || {
            let out = fs::read_to_string(&out).unwrap_or_default();
            if out == "0\n" { Ok(()) } else { Err(stage.scheduler.printed()) }
        });
        until("the executor to report its stream", PATIENCE, || {
            let streams = get_json(&format!("{}/api/streams", stage.url))?;
            if streams["total"] == 1 { Ok(()) } else { Err(streams.to_string()) }
        });
        stage
    }

    fn tail(&self, arguments: &[&str]) -> Recipe {
        Recipe::new(programs().join("logstash-mesos-scheduler"), self.place.path(), "tail")
            .args(["tail", "--scheduler", &self.url])
            .args(arguments)
    }

    /// Runs `tail` to its end, while lines come.
    fn tail_while_lines_come(&self, arguments: &[&str]) -> Finished {
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 1.. {
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                    append(&self.log, &format!("noise {n}\nword {n}\n"));
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            let done = self.tail(arguments).run(b"", PATIENCE * 2);
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            done
        })
    }
}

fn append(log: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(log).expect("it is there");
    file.write_all(text.as_bytes()).expect("it is writable");
}

#[test]
fn events_are_seen_as_they_pass_with_what_became_of_them() {
    let mut stage = Stage::set("live");
    let done = stage.tail_while_lines_come(&["words", "--limit", "6", "--format", "json"]);
    assert_eq!(done.status.code(), Some(0), "{} {}", done.stdout, done.stderr);
    assert!(done.stderr.starts_with("configuration words on "), "{}", done.stderr);
    let events: Vec<Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(events.len(), 6);
    for event in &events {
        let line = event["before"]["message"].as_str().expect("the line as it was read");
        let (word, number) = line.split_once(' ').expect("two words");
        assert_eq!(event["configuration"], "host/words");
        match word {
            "noise" => assert_eq!(
                (&event["fate"], event["after"].as_array().map(Vec::len)),
                (&"dropped".into(), Some(0))
            ),
            _ => {
                assert_eq!(event["after"][0]["number"], number, "what came out is of this line");
                assert_eq!(event["after"][0]["careless"], "with ********");
                assert!(event["before"]["number"].is_null());
            }
        }
    }
    let fates = |fate: &str| events.iter().filter(|event| event["fate"] == fate).count();
    assert!(fates("dropped") > 0 && fates("passed") > 0, "{}", done.stdout);
    assert!(!done.stdout.contains("s3cret-key"));

    // For people; by the name of the stream alone.
    let streams = get_json(&format!("{}/api/streams", stage.url)).expect("it answers");
    assert_eq!(streams["streams"][0]["configurations"][0], "words");
    let done = stage.tail_while_lines_come(&["host/words", "--limit", "4"]);
    assert!(done.stdout.contains("-> [careless]=with ********"), "{}", done.stdout);
    assert!(done.stdout.contains("-> dropped by a filter"), "{}", done.stdout);

    // Nothing of the name.
    let done = stage.tail(&["nobody"]).run(b"", PATIENCE);
    assert_eq!(done.status.code(), Some(2));
    assert!(done.stderr.contains("nothing that is read is called `nobody`"), "{}", done.stderr);
    assert_eq!(stage.scheduler.terminate(Duration::from_secs(30)).code(), Some(0));
}

#[test]
fn who_looks_at_a_flood_gets_a_sample_and_nothing_waits_for_him() {
    let mut stage = Stage::set("liveflood");
    let stream = get_json(&format!("{}/api/streams", stage.url)).expect("it answers");
    let stream = stream["streams"][0].clone();
    // Somebody who looks and never reads.
    let query = format!(
        "/api/live?agent={}&stream={}",
        stream["agent_id"].as_str().expect("a text"),
        stream["id"].as_str().expect("a text").replace('/', "%2F")
    );
    let lazy = std::net::TcpStream::connect(stage.url.trim_start_matches("http://")).expect("it listens");
    (&lazy)
        .write_all(format!("GET {query} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
        .expect("it listens");
    let looker = stage.tail(&["words", "--limit", "100", "--format", "json"]).named("looker");
    let mut looker = looker.start();
    until("somebody who looks", PATIENCE, || {
        let printed = looker.printed();
        if printed.contains("a sample of what passes") { Ok(()) } else { Err(printed) }
    });
    let out = stage.place.join("out");
    append(&stage.log, &(1..=LINES).map(|n| format!("word {n}\n")).collect::<String>());
    until("the flood to pass", PATIENCE * 2, || {
        append(&stage.log, "noise 1\n");
        let lines = fs::read_to_string(&out).unwrap_or_default().lines().count();
        if lines == LINES + 1 { Ok(()) } else { Err(format!("{lines} lines")) }
    });
    until("a sample of it", PATIENCE, || {
        append(&stage.log, "noise 2\n");
        let printed = looker.printed();
        if printed.lines().filter(|line| line.starts_with('{')).count() == 100 {
            Ok(())
        } else {
            Err(printed)
        }
    });
    assert_eq!(looker.ended_within(PATIENCE).code(), Some(0), "{}", looker.printed());
    let others = looker
        .printed()
        .lines()
        .filter_map(|line| line.strip_prefix("… and ")?.strip_suffix(" others")?.parse::<usize>().ok())
        .sum::<usize>();
    assert!(others > LINES / 2, "{others} others were counted");
    drop(lazy);
    assert_eq!(stage.scheduler.terminate(Duration::from_secs(30)).code(), Some(0));
}

/// What passes at once.
const LINES: usize = 50_000;
