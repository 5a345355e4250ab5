//! Everything goes wrong for two minutes. Longer runs with other seeds are by command: `tests/chaos`,
//! `docs/reliability.md`.

use std::time::Duration;

use logstash_mesos_tests::chaos::{Plan, run};

#[test]
fn whatever_goes_wrong_every_record_arrives() {
    let plan = Plan { seed: 20_261_129, records: 60_000, time: Duration::from_secs(120) };
    // Half a record beside the whole one is a known fault, which the command does not forgive.
    run(plan).assert_nothing_lost(plan.seed);
}
