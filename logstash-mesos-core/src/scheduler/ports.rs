//! Ports that executors listen on, as the configurations say: fixed ones, and those that Mesos is to choose.

use super::check::{is_chosen, options};
use crate::configs::Snapshot;
use crate::offer::WantedPorts;
use crate::pipeline::plugin::EcsCompatibility;
use crate::pipeline::{ListeningPort, Variables, compile};
use std::collections::{BTreeMap, BTreeSet};

/// The ports of all configurations, each once: inputs of the network run on every agent. `environment` has the
/// variables that executors get; a port that needs another one is not known here, unless Mesos chooses it: then it has no number.
pub(super) fn of_configurations(
    snapshot: &Snapshot,
    environment: &BTreeMap<String, String>,
    ecs: EcsCompatibility,
) -> BTreeSet<ListeningPort> {
    let entries = snapshot.entries.values().map(|entry| &entry.configuration);
    entries.flat_map(|one| of(&one.input, &one.name, environment, ecs)).collect()
}

fn of(
    input: &str,
    name: &str,
    environment: &BTreeMap<String, String>,
    ecs: EcsCompatibility,
) -> Vec<ListeningPort> {
    let variables = Variables::from_list(environment.clone());
    let options = options(name, ecs).with(|options| options.variables = variables);
    // What does not compile was refused when it came, or its previous version is in force.
    let listens = compile(input, &options).map(|compiled| compiled.listens).unwrap_or_default();
    let is_ours = |variable: &String| is_chosen(variable) && !environment.contains_key(variable);
    let asked = listens.into_iter().map(|port| match port.variable.filter(is_ours) {
        Some(variable) => ListeningPort { number: None, variable: Some(variable), ..port },
        None => ListeningPort { variable: None, ..port },
    });
    asked.filter(|port| port.number.is_some() || port.variable.is_some()).collect()
}

/// What is to be asked of Mesos for these ports.
pub(super) fn wanted(ports: &BTreeSet<ListeningPort>) -> WantedPorts {
    let fixed: BTreeSet<_> = ports.iter().filter_map(|port| port.number).collect();
    let chosen: BTreeSet<_> = ports.iter().filter_map(|port| port.variable.clone()).collect();
    WantedPorts { fixed: fixed.into_iter().collect(), chosen: chosen.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_fixed_or_one_that_mesos_chooses() {
        let input = r#"input {
            beats { port => "${MESOS_PORT_BEATS:5044}" }
            tcp { port => "${MESOS_PORT_LOG}" }
            udp { port => "${MESOS_PORT_LOG}" }
            http { port => "${MESOS_PORT_HTTP}" }
            syslog { port => "${OURS:514}" }
            tcp { port => "${THEIRS}" }
            tcp { port => "1${MESOS_PORT_LOG}" }
        }"#;
        let environment = [("MESOS_PORT_HTTP", "8080"), ("OURS", "1514")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let ports = of(input, "x", &environment.into(), EcsCompatibility::default());
        let found: Vec<_> =
            ports.iter().map(|port| (port.plugin, port.number, port.variable.as_deref())).collect();
        let expected = [
            ("beats", None, Some("MESOS_PORT_BEATS")),
            ("tcp", None, Some("MESOS_PORT_LOG")),
            ("udp", None, Some("MESOS_PORT_LOG")),
            ("http", Some(8080), None),
            ("syslog", Some(1514), None),
        ];
        assert_eq!(found, expected);
        let wanted = wanted(&ports.into_iter().collect());
        assert_eq!(wanted.fixed, [1514, 8080]);
        assert_eq!(wanted.chosen, ["MESOS_PORT_BEATS", "MESOS_PORT_LOG"]);
    }
}
