//! The rooms of the library import each other in one direction only.

use std::path::Path;

use logstash_mesos_engine::testing::directions::{against, circles};

/// From the lowest to the highest.
const ROOMS: [&str; 45] = [
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
