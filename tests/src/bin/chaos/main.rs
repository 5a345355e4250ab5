//! Lets everything go wrong for a while: `chaos [RECEIVED [SEARCHED [SECONDS [SEED [FAULT]]]]]`. See `docs/reliability.md`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use logstash_mesos_tests::chaos::{Plan, run};

fn main() {
    let number = |position: usize| std::env::args().nth(position).and_then(|text| text.parse().ok());
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let plan = Plan {
        received: number(1).unwrap_or(10_000_000),
        searched: number(2).unwrap_or(1_000_000),
        time: Duration::from_secs(number(3).unwrap_or(1_800)),
        seed: number(4).unwrap_or(clock),
        only: std::env::args().nth(5),
    };
    run(&plan).assert_whole(plan.seed);
}
