//! Ships what containers write to this program's standard output.
//!
//! `cargo run -p logstash-mesos-core --features docker --example ship`

use logstash_mesos_core::{Configuration, Shipper, ShipperError};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), ShipperError> {
    let shipper = Shipper::builder("/tmp/ship-example")
        .configuration(Configuration::docker("*", "input { docker { } }"))
        .default_output("output { stdout { codec => json_lines } }")
        .start()
        .await?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    shipper.stop(Duration::from_secs(10)).await;
    Ok(())
}
