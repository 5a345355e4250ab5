//! The rooms of the library import each other in one direction only.

use std::path::Path;

use logstash_mesos_engine::testing::directions::{against, beside_their_folders, circles};

/// From the lowest to the highest.
const ROOMS: [&str; 46] = [
    "backoff",
    "checksum",
    "columns",
    "telemetry",
    "dns",
    "durable",
    "ids",
    "memory",
    "event",
    "servers",
    "store/key",
    "store/error",
    "zookeeper",
    "etcd",
    "election",
    "store",
    "tls",
    "lumberjack",
    "confined",
    "discovery",
    "source",
    "sink",
    "pipeline/sockets",
    "pipeline/bus",
    "pipeline/directory_name",
    "pipeline/plugin",
    "pipeline/dead_letter",
    "pipeline/live",
    "pipeline/spool",
    "pipeline/deliver",
    "pipeline/queue",
    "pipeline/tls",
    "pipeline/filter",
    "pipeline/input",
    "pipeline/output",
    "pipeline/registry",
    "pipeline/compatibility",
    "pipeline/run",
    "pipeline",
    "configs",
    "protocol",
    "executor",
    "offer",
    "local",
    "settings",
    "scheduler",
];

#[test]
fn imports_point_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let wrong = against(&src, &ROOMS, &[]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Nor do the modules of a room lead back to each other.
#[test]
fn no_room_has_a_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let wrong = circles(&src, &[]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// In every crate of the repository: a module that has a folder is the `mod.rs` in it.
#[test]
fn a_module_with_a_folder_lies_in_it() {
    let repository =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository");
    let crates =
        ["bindings", "logstash-mesos-core", "logstash-mesos-executor", "logstash-mesos-scheduler", "tests"];
    let wrong: Vec<_> = crates.iter().flat_map(|name| beside_their_folders(&repository.join(name))).collect();
    assert!(wrong.is_empty(), "move each to mod.rs in its folder: {wrong:#?}");
}
