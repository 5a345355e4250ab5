//! Containers of Podman, from its files and through its API.

use std::fs;
use std::path::{Path, PathBuf};

use logstash_mesos_tests::docker::BUSYBOX;
use logstash_mesos_tests::executor::ship_recipe;
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::podman::Podman;
use logstash_mesos_tests::process::{Process, Recipe};
use logstash_mesos_tests::wait::{PATIENCE, until};

/// `ship` for all containers of the usual image, with a file for the lines of each.
struct Shipper {
    recipe: Recipe,
    out: PathBuf,
}

impl Shipper {
    fn new(place: &Place, name: &str, podman: &Podman) -> Self {
        let directory = place.directory(name);
        let (configs, out) = (directory.join("configs"), directory.join("out"));
        fs::create_dir_all(configs.join("docker")).expect("it is writable");
        let text = format!(
            "input {{ docker {{ }} file {{ docker-path => \"/var/log/*.log\" }} }}\n\
             filter {{ mutate {{ add_field => {{ \"from\" => \"%{{[log][file][path]}}%{{stream}}\" }} }} }}\n\
             output {{ file {{ path => \"{}/%{{[container][name]}}.txt\"\n\
             codec => line {{ format => \"%{{from}} %{{message}}\" }} }} }}",
            out.display()
        );
        fs::write(configs.join(format!("docker/{}.conf", BUSYBOX.replace(':', "%3A"))), text)
            .expect("it is writable");
        Self { recipe: ship_recipe(&directory, podman.host(), &configs, &directory.join("data")), out }
    }

    /// Waits until exactly these lines have come, in any order.
    fn expect(&self, container: &str, wanted: &[String], ship: &Process) {
        self.expect_of(container, wanted, ship, |_| true);
    }

    /// The same for standard output and error alone: files of a container that has ended are not seen from a distance.
    fn expect_output(&self, container: &str, wanted: &[String], ship: &Process) {
        self.expect_of(container, wanted, ship, |line| line.starts_with("std"));
    }

    fn expect_of(&self, container: &str, wanted: &[String], ship: &Process, which: fn(&str) -> bool) {
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        let wanted = sorted(wanted.to_vec());
        until(&format!("the lines of {container} in {}", self.out.display()), PATIENCE, || {
            let mut seen = sorted(lines(&self.out.join(format!("{container}.txt"))));
            seen.retain(|line| which(line));
            let short = |line: &String| format!("{:.60} {}", line.escape_debug(), line.len());
            if seen == wanted {
                Ok(())
            } else {
                Err(format!("{:?}\n{}", seen.iter().map(short).collect::<Vec<_>>(), ship.printed()))
            }
        });
    }
}

fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    // A field that an event does not have stands there as it was written.
    let text = text.replace("%{[log][file][path]}", "").replace("%{stream}", "");
    text.split_terminator('\n').map(str::to_owned).collect()
}

#[test]
fn podman_s_containers_are_read_from_its_files_and_through_its_api() {
    let place = Place::new("podman");
    let podman = Podman::start(&place.directory("p"));
    let direct = Shipper::new(&place, "direct", &podman);
    let distant = Shipper::new(&place, "distant", &podman);
    let nothing = place.directory("nothing");
    let ships = [direct.recipe.start(), distant.recipe.clone().arg("--host-root").arg(&nothing).start()];

    // A long line, which comes in pieces, and a short one that does; an empty one; a carriage return; no end at the end.
    let script = "echo first; printf 'a\\rb\\n\\n'; head -c 40000 /dev/zero | tr '\\0' x; echo; echo wrong >&2; \
                  printf par; usleep 200000; echo tial; echo one >> /var/log/app.log; printf last";
    let long = "x".repeat(40_000);
    let mut wanted: Vec<String> =
        ["first", "a\rb", "", &long, "partial", "last"].map(|line| format!("stdout {line}")).to_vec();
    wanted.push("stderr wrong".to_owned());
    let file = |line: &str| format!("/var/log/app.log {line}");

    // One that goes on, one that ends, one that is started again, one that is removed at its end.
    let whole = format!("{script}; echo");
    let follows = podman.run_script(&["--name", "follows"], &format!("{whole}; exec sleep 100000"));
    let _ends = podman.run_script(&["--name", "ends"], script);
    let again = podman.run_script(&["--name", "again"], &whole);
    let removed = "echo one; echo one > /var/log/app.log; sleep 3; echo two; echo two >> /var/log/app.log";
    let _removed = podman.run_script(&["--name", "removed", "--rm"], removed);
    let quiet =
        podman.run_script(&["--name", "quiet", "--log-driver", "none"], "echo nobody; exec sleep 100000");
    let both = ["stdout one".to_owned(), "stdout two".to_owned(), file("one"), file("two")];
    direct.expect("removed", &both, &ships[0]);
    for (shipper, ship) in [&direct, &distant].into_iter().zip(&ships) {
        shipper.expect("follows", &[&wanted[..], &[file("one")]].concat(), ship);
        shipper.expect_output("ends", &wanted, ship);
        shipper.expect_output("again", &wanted, ship);
    }
    again.wait_for_exit(PATIENCE);
    podman.command(&["start", again.id()]);
    follows.shell("echo two >> /var/log/app.log");
    for (shipper, ship) in [&direct, &distant].into_iter().zip(&ships) {
        shipper.expect("follows", &[&wanted[..], &[file("one"), file("two")]].concat(), ship);
        shipper.expect_output("again", &[&wanted[..], &wanted[..]].concat(), ship);
    }
    let [direct, distant] = ships.each_ref().map(Process::printed);
    for method in ["method=k8s-file", "method=proc-root", "log driver is `none`"] {
        assert!(direct.contains(method), "{method}: {direct}");
    }
    for method in ["method=logs-api", "method=exec-tail"] {
        assert!(distant.contains(method), "{method}: {distant}");
    }
    for printed in [&direct, &distant] {
        assert!(!printed.contains("lost="), "{printed}");
    }
    drop(quiet);

    // What was written while nobody read is read from where it was, and files of a container that has ended.
    let mut ships = ships;
    for ship in &mut ships {
        assert_eq!(ship.terminate(PATIENCE).code(), Some(0), "{}", ship.printed());
    }
    follows.shell("echo three >> /var/log/app.log; echo more > /proc/1/fd/1");
    podman.command(&["kill", follows.id()]);
    follows.wait_for_exit(PATIENCE);
    let ship = direct_again(&place, &podman);
    let more = [file("one"), file("two"), file("three"), "stdout more".to_owned()];
    Shipper::new(&place, "direct", &podman).expect("follows", &[&wanted[..], &more].concat(), &ship);
    let printed = ship.printed();
    assert!(printed.contains("method=host-layers"), "{printed}");
}

fn direct_again(place: &Place, podman: &Podman) -> Process {
    Shipper::new(place, "direct", podman).recipe.named("again").start()
}
