//! Settings in a file, for the program without a scheduler.

use std::fs;

use logstash_mesos_tests::executor::{executor, pipeline};
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::wait::{PATIENCE, until};

/// What these settings mean can be seen in what it writes: `\t` is a tab, or two characters.
const INPUT: &str = r#"input { generator { count => 1 message => "a\tb" } }"#;

#[test]
fn ship_takes_all_of_its_settings_from_a_file() {
    let place = Place::new("ship-settings");
    let (configs, data, out) = (place.directory("configs"), place.directory("data"), place.join("out.txt"));
    fs::create_dir_all(configs.join("host")).expect("it is writable");
    let output = format!(
        r#"output {{ file {{ path => "{}" codec => line {{ format => "%{{message}}" }} }} }}"#,
        out.display()
    );
    fs::write(configs.join("host/a.conf"), format!("{INPUT}\n{output}")).expect("it is writable");
    let file = place.join("ship.toml");
    let text = format!(
        "config_dir = {configs:?}\ndata_dir = {data:?}\ndocker_host = \"unix:///no/docker\"\n\
         [config]\nsupport_escapes = true\n"
    );
    fs::write(&file, text).expect("it is writable");
    let ship = executor(place.path(), "ship").args(["ship", "--settings-file"]).arg(&file).start();
    until("the event as the file has it", PATIENCE, || match fs::read_to_string(&out) {
        Ok(text) if text == "a\tb\n" => Ok(()),
        other => Err(format!("{other:?}\n{}", ship.printed())),
    });
    assert!(fs::read_dir(&data).expect("it is there").next().is_some(), "its data is where the file says");
}

#[test]
fn flags_win_over_the_file_and_mistakes_in_it_are_named() {
    let place = Place::new("run-settings");
    let file = place.join("run.toml");
    let config = format!(r#"{INPUT} output {{ stdout {{ codec => line {{ format => "%{{message}}" }} }} }}"#);
    let with = |text: &str, command: &str, flags: &[&str]| {
        fs::write(&file, text).expect("it is writable");
        let file = file.to_str().expect("it is UTF-8");
        let arguments = [&[command, "-e", &config, "--settings-file", file][..], flags].concat();
        pipeline(place.path(), &arguments, b"")
    };
    let good = "queue_max_bytes = 1000000\npipeline.workers = 2\nconfig.support_escapes = true\n";
    assert_eq!(with(good, "run", &[]).stdout, "a\tb\n");
    assert_eq!(with(good, "run", &["--setting", "config.support_escapes=false"]).stdout, "a\\tb\n");
    assert_eq!(with(good, "run", &["--queue-max-bytes", "2000000"]).stdout, "a\tb\n");
    // One file is for all that is done with a pipeline.
    let checked = with(good, "check", &[]);
    assert!(checked.status.success(), "{}", checked.stderr);

    let wrong = |text: &str, said: &[&str]| {
        let refused = with(text, "run", &[]);
        assert_eq!(refused.status.code(), Some(2), "{text}: {}", refused.stderr);
        for word in said {
            assert!(refused.stderr.contains(word), "{text}: {}", refused.stderr);
        }
    };
    wrong("pipeline.worker = 2", &["run.toml", "`pipeline.worker`", "did you mean `pipeline.workers`"]);
    wrong("queue_max_bytes = \"much\"", &["run.toml", "--queue-max-bytes", "much"]);
    wrong("pipeline.batch.size = ", &["run.toml", "not valid TOML"]);
}
