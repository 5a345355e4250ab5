//! The rooms of the engine import each other in one direction only.

use std::path::Path;

use logstash_mesos_engine::testing::directions::against;

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
