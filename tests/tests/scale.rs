//! A thousand agents, and what is read on them. Ten thousand are measured by command: `tests/scale`, `docs/scale.md`.

use std::time::Duration;

use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::scale::{look, measure};

#[test]
fn a_thousand_agents_get_one_shipper_each_whatever_happens_to_them() {
    let place = Place::new("scale");
    measure(place.path(), 1_000, Duration::from_secs(240));
}

#[test]
fn twenty_thousand_streams_are_looked_at() {
    let place = Place::new("scalelook");
    look(place.path(), 1_000, Duration::from_secs(240));
}
