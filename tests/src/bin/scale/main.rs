//! Measures a scheduler against a simulated master: `scale AGENTS`. See `docs/scale.md`.

use std::time::Duration;

use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::scale::measure;

fn main() {
    let agents = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let place = Place::new("scale");
    measure(place.path(), agents, Duration::from_secs(900));
}
