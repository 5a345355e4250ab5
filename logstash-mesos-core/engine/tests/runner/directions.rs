//! The rooms of the engine import each other in one direction only.

use std::path::Path;

use logstash_mesos_engine::testing::directions::{against, circles};

/// From the lowest to the highest.
const ROOMS: [&str; 13] = [
    "time",
    "compat/java",
    "event",
    "compat/ruby",
    "tools",
    "lang",
    "grok",
    "plugin",
    "run",
    "filter",
    "codec",
    "registry",
    "compile",
];

#[test]
fn imports_point_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let wrong = against(&src, &[&ROOMS[..], &["compat"]].concat(), &[]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Nor do the modules of a room lead back to each other. Two kinds of types need each other: a value may be a map of values,
/// and a plugin's declaration names the functions that make it of its settings and its surroundings.
#[test]
fn no_room_has_a_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let known =
        [("event/value", "event/map"), ("plugin/spec", "plugin/compiled"), ("plugin/spec", "plugin/context")];
    let wrong = circles(&src, &known);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
