//! Files that are removed while the program is stopped: what was seen of them and had not arrived is counted, once.

use std::fs;

use logstash_mesos_tests::door::Door;
use logstash_mesos_tests::executor::program;
use logstash_mesos_tests::place::{Place, keeps};
use logstash_mesos_tests::wait::{PATIENCE, until};

const LINES: &str = "one\ntwo\nthree\n";

#[test]
fn what_is_gone_at_the_next_start_is_counted_once() {
    for who in ["run", "ship", "agent"] {
        let place = Place::new(&format!("gone-{who}"));
        let (logs, door) = (place.directory("logs"), Door::shut());
        // A pattern finds it, and an output that takes nothing.
        let text = format!(
            "input {{ file {{ {} => \"{}/*.log\" start_position => \"beginning\" discover_interval => 1 }} }}
             output {{ http {{ url => \"{}\" http_method => \"post\" format => \"message\" message => \"%{{message}}\" }} }}",
            if who == "run" { "path" } else { "host-path" },
            logs.display(),
            door.url()
        );
        let data = place.directory("data");
        let recipe = program(who, &place, &text);
        let recipe = match who {
            "run" => recipe.arg("--data-dir").arg(&data),
            "agent" => {
                recipe.args(["--executor-env", &format!("LOGSTASH_MESOS_DATA_DIR={}", data.display())])
            }
            _ => recipe,
        };
        let log = logs.join("app.log");
        fs::write(&log, LINES).expect("it is writable");
        let mut first = recipe.start();
        let size = format!("\"size\":{}", LINES.len());
        until(&format!("{who} to see the file"), PATIENCE, || {
            if keeps(place.path(), ".json", &["app.log", &size]) { Ok(()) } else { Err(first.printed()) }
        });
        first.terminate(PATIENCE);
        fs::remove_file(&log).expect("it is there");
        // Also by another start after the one that has counted it.
        let lost = format!("\"gone_while_stopped\":{}", LINES.len());
        for _ in 0..2 {
            let mut next = recipe.start();
            until(&format!("{who} to count what is lost"), PATIENCE, || {
                if keeps(place.path(), "totals.json", &[&lost]) { Ok(()) } else { Err(next.printed()) }
            });
            next.terminate(PATIENCE);
        }
        assert!(keeps(place.path(), "totals.json", &[&lost]), "{who}");
    }
}
