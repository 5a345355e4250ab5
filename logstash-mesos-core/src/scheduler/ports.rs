//! Ports that executors listen on, as the configurations say.

use super::check::options;
use crate::configs::Snapshot;
use crate::pipeline::plugin::EcsCompatibility;
use crate::pipeline::{ListeningPort, Variables, compile};
use std::collections::{BTreeMap, BTreeSet};

/// The ports of all configurations, by number: inputs of the network run on every agent. `environment` has the
/// variables that executors get; a port that needs another one is not known here.
pub(super) fn of_configurations(
    snapshot: &Snapshot,
    environment: &BTreeMap<String, String>,
    ecs: EcsCompatibility,
) -> BTreeSet<ListeningPort> {
    let variables = || Variables::from_list(environment.clone());
    let of = |input: &str, name: &str| {
        let options = options(name, ecs).with(|options| options.variables = variables());
        // What does not compile was refused when it came, or its previous version is in force.
        compile(input, &options).map(|compiled| compiled.listens).unwrap_or_default()
    };
    let entries = snapshot.entries.values().map(|entry| &entry.configuration);
    entries.flat_map(|configuration| of(&configuration.input, &configuration.name)).collect()
}

/// The numbers alone, each once.
pub(super) fn numbers(ports: &BTreeSet<ListeningPort>) -> Vec<u16> {
    let numbers: BTreeSet<_> = ports.iter().map(|port| port.number).collect();
    numbers.into_iter().collect()
}
