//! Everything goes wrong for two minutes. Longer runs with other seeds are by command: `tests/chaos`,
//! `docs/reliability.md`.

use std::time::Duration;

use logstash_mesos_tests::chaos::{Plan, run};

#[test]
fn whatever_goes_wrong_every_record_arrives_whole() {
    let plan = Plan {
        seed: 20_261_129,
        received: 30_000,
        searched: 30_000,
        time: Duration::from_secs(120),
        only: None,
    };
    run(&plan).assert_whole(plan.seed);
}
