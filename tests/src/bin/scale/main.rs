//! Measures a scheduler against a simulated master: `scale AGENTS`, then what the console shows of 1,000 executors. See
//! `docs/scale.md`.

use std::time::Duration;

use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::scale::{look, measure};

fn main() {
    let agents = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let place = Place::new("scale");
    measure(place.path(), agents, Duration::from_secs(900));
    let place = Place::new("scalelook");
    look(place.path(), 1_000, Duration::from_secs(900));
}
