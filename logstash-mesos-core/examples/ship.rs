//! Ships what containers write to this program's standard output, and after a minute takes it apart.
//!
//! `cargo run -p logstash-mesos-core --features docker --example ship`

use logstash_mesos_core::executor::report::Applied;
use logstash_mesos_core::{ConfigSet, Configuration, Shipper, ShipperError};
use std::collections::BTreeMap;
use std::time::Duration;

const OUTPUT: &str = "output { stdout { codec => json_lines } }";

#[expect(clippy::print_stderr, reason = "an example talks to whoever runs it")]
#[tokio::main]
async fn main() -> Result<(), ShipperError> {
    let shipper = Shipper::builder("/tmp/ship-example")
        .configuration(Configuration::docker("*", "input { docker { } }"))
        .default_output(OUTPUT)
        .start()
        .await?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let json = r#"input { docker { } } filter { json { source => "message" } }"#;
    let applied = replace(&shipper, Configuration::docker("*", json), OUTPUT).await?;
    if let Some(unusable) = applied.results.into_iter().find_map(|outcome| outcome.error) {
        eprintln!("the configuration of before goes on: {unusable}");
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    shipper.stop(Duration::from_secs(10)).await;
    Ok(())
}

/// Has the shipper work by `configuration` from now on, in place of all others.
pub(crate) async fn replace(
    shipper: &Shipper,
    configuration: Configuration,
    output: &str,
) -> Result<Applied, ShipperError> {
    shipper.handle().apply(ConfigSet::new(vec![configuration], output, BTreeMap::new())).await
}
