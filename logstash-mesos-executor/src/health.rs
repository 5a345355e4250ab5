//! `health`: whether a shipper answers.

use std::error::Error;

use crate::ship::MetricsFlag;

pub(crate) fn run(flags: &MetricsFlag) -> Result<(), Box<dyn Error>> {
    let address = flags.metrics_bind.as_ref().ok_or(
        "nothing says where the shipper answers: give --metrics-bind, or LOGSTASH_MESOS_METRICS_BIND to both",
    )?;
    address.ask_for_health().map_err(|error| format!("no shipper answers at {address}: {error}").into())
}
