//! Events of several lines, from files inside containers and from their output, while the shipper is killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use logstash_mesos_tests::docker::{BUSYBOX, Docker};
use logstash_mesos_tests::executor::ship_recipe;
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::wait::{PATIENCE, until};

const EVENTS: usize = 400;

/// Writes events of three lines to a file and to the standard output, and ends.
const WRITER: &str = "i=0; while [ $i -lt 400 ]; do for part in \"$i begins\" '  goes on' '  ends'; do \
     echo \"file $part\" >> /var/app.log; echo \"out $part\"; done; i=$((i + 1)); \
     [ $((i % 5)) = 0 ] && usleep 100000; done; sleep 3";

fn delivers_whole_events(name: &str, host_root: Option<&str>) {
    let place = Place::new(name);
    let docker = Docker::start(&place.directory("d"));
    let (configs, out) = (place.directory("configs"), place.join("out.json"));
    fs::create_dir_all(configs.join("docker")).expect("it is writable");
    let codec = "codec => multiline { pattern => \"^(file|out) +(goes|ends)\" what => \"previous\" }";
    let text = format!(
        "input {{ file {{ docker-path => \"/var/app.log\" {codec} }} docker {{ {codec} }} }}\n\
         output {{ file {{ path => \"{}\" codec => json_lines }} }}",
        out.display()
    );
    fs::write(configs.join(format!("docker/{}.conf", BUSYBOX.replace(':', "%3A"))), text)
        .expect("it is writable");
    let mut recipe = ship_recipe(place.path(), docker.host(), &configs, &place.directory("data"));
    if let Some(root) = host_root {
        recipe = recipe.arg("--host-root").arg(place.directory(root));
    }
    let mut shipper = recipe.start();
    let _writer = docker.run_script(&[], WRITER);
    for _ in 0..3 {
        thread::sleep(Duration::from_secs(2));
        shipper.kill();
        shipper = recipe.start();
    }
    until("every event of file and output", PATIENCE, || {
        let found = found(&out);
        for channel in ["file", "out"] {
            if let Some(missing) = (0..EVENTS).find(|n| !found.contains_key(&whole(channel, *n))) {
                return Err(format!("{} is not there; {} are", whole(channel, missing), found.len()));
            }
        }
        Ok(())
    });
    let method = if host_root.is_some() { "method=exec-tail" } else { "method=proc-root" };
    assert!(shipper.printed().contains(method), "{}", shipper.printed());
    // None came in parts. Those around a kill may come twice: a file does not know them by their names.
    let found = found(&out);
    let expected: Vec<_> =
        ["file", "out"].iter().flat_map(|channel| (0..EVENTS).map(move |n| whole(channel, n))).collect();
    let parts: Vec<_> = found.keys().filter(|message| !expected.contains(message)).collect();
    assert!(parts.is_empty(), "{parts:?}\n{}", shipper.printed());
    let twice = found.values().filter(|count| **count > 1).count();
    println!(
        "figure: {name}: {} events of three lines whole, 0 lost, {twice} twice after three kills",
        found.len()
    );
}

fn whole(channel: &str, number: usize) -> String {
    format!("{channel} {number} begins\n{channel}   goes on\n{channel}   ends")
}

/// The messages that have arrived, and how often.
fn found(out: &Path) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for line in fs::read_to_string(out).unwrap_or_default().lines() {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        *found.entry(event["message"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    found
}

#[test]
fn events_of_several_lines_survive_kills() {
    delivers_whole_events("multiline", None);
}

#[test]
fn events_of_several_lines_survive_kills_where_the_daemon_reads() {
    delivers_whole_events("multiline-daemon", Some("nothing"));
}
