//! App definitions, as Marathon documents them (mesosphere/marathon, docs/docs/rest-api/public/api/v2/types, as of 1.11): those
//! parts that ours use. Whatever else one contains has to be looked up there first.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct App {
    id: String,
    instances: u32,
    cpus: f64,
    mem: f64,
    user: Option<String>,
    #[serde(default)]
    pub(super) args: Vec<String>,
    container: Container,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    secrets: BTreeMap<String, Secret>,
    #[serde(default)]
    networks: Vec<Network>,
    pub(super) port_definitions: Option<Vec<PortDefinition>>,
    #[serde(default)]
    require_ports: bool,
    #[serde(default)]
    constraints: Vec<Vec<String>>,
    /// A secret stands in it as `secret:NAME`.
    #[serde(deserialize_with = "variables")]
    pub(super) env: BTreeMap<String, String>,
    #[serde(default)]
    health_checks: Vec<HealthCheck>,
    #[serde(default)]
    readiness_checks: Vec<ReadinessCheck>,
    upgrade_strategy: Option<UpgradeStrategy>,
    task_kill_grace_period_seconds: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Container {
    r#type: Engine,
    docker: Docker,
    #[serde(default)]
    volumes: Vec<SecretFile>,
}

/// A secret as a file below the sandbox (docs/docs/secrets.md).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SecretFile {
    container_path: String,
    secret: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    source: String,
}

fn variables<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Variable {
        Text(String),
        Secret { secret: String },
    }
    let variables = BTreeMap::<String, Variable>::deserialize(deserializer)?;
    let text = |variable| match variable {
        Variable::Text(text) => text,
        Variable::Secret { secret } => format!("secret:{secret}"),
    };
    Ok(variables.into_iter().map(|(name, variable)| (name, text(variable))).collect())
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum Engine {
    Mesos,
    Docker,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Docker {
    image: String,
    /// Of old; its place is taken by [`App::networks`].
    network: Option<DockerNetwork>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum DockerNetwork {
    Bridge,
    Host,
    None,
    User,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    mode: NetworkMode,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
enum NetworkMode {
    #[serde(rename = "container")]
    Container,
    #[serde(rename = "container/bridge")]
    Bridge,
    #[serde(rename = "host")]
    Host,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PortDefinition {
    pub(super) port: u16,
    name: String,
    protocol: Protocol,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
enum Protocol {
    #[serde(rename = "tcp")]
    Tcp,
    #[serde(rename = "udp")]
    Udp,
    #[serde(rename = "udp,tcp")]
    Both,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HealthCheck {
    protocol: CheckProtocol,
    path: String,
    port_index: usize,
    grace_period_seconds: u32,
    interval_seconds: u32,
    timeout_seconds: u32,
    max_consecutive_failures: u32,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum CheckProtocol {
    Http,
    Https,
    Tcp,
    Command,
    MesosTcp,
    MesosHttp,
    MesosHttps,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ReadinessCheck {
    name: String,
    protocol: Scheme,
    path: String,
    port_name: String,
    interval_seconds: u32,
    timeout_seconds: u32,
    http_status_codes_for_ready: Vec<u16>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct UpgradeStrategy {
    minimum_health_capacity: f64,
    maximum_over_capacity: f64,
}

impl App {
    /// One of those in the documents.
    #[track_caller]
    pub(super) fn read(name: &str) -> Self {
        let path = format!("{}/../docs/marathon/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// What Marathon would refuse, or what would not work for a scheduler.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                problems.push(what.to_owned());
            }
        };
        let ports = self.port_definitions.as_deref().unwrap_or_default();
        let names: BTreeSet<_> = ports.iter().map(|port| port.name.as_str()).collect();
        must(self.id.split('/').skip(1).all(is_name) && self.id.starts_with('/'), "id: a path of names");
        must(self.instances > 0 && self.cpus >= 0.001 && self.mem > 0.0, "instances, cpus, mem: too little");
        must(matches!(self.container.r#type, Engine::Docker | Engine::Mesos), "container: no engine");
        must(!self.container.docker.image.is_empty(), "image: empty");

        let files = &self.container.volumes;
        must(
            files.is_empty() || self.container.r#type == Engine::Mesos,
            "secrets: as files with the containerizer of Mesos alone",
        );
        must(files.iter().all(|file| !file.container_path.starts_with('/')), "secrets: below the sandbox");
        let used = self.env.values().filter_map(|text| text.strip_prefix("secret:"));
        let used: BTreeSet<_> = used.chain(files.iter().map(|file| file.secret.as_str())).collect();
        must(used == self.secrets.keys().map(String::as_str).collect(), "secrets: used and named");
        must(self.secrets.values().all(|secret| !secret.source.is_empty()), "secrets: without a source");
        must(self.user.as_deref() != Some(""), "user: empty");

        let host_of_old = self.container.docker.network == Some(DockerNetwork::Host);
        let host = matches!(self.networks[..], [Network { mode: NetworkMode::Host }]);
        must(host != host_of_old, "network: the host's, said in one of the two ways");
        must(
            names.len() == ports.len() && names.iter().all(|name| is_name(name)),
            "ports: names twice or wrong",
        );
        must(!self.require_ports || ports.iter().all(|port| port.port > 0), "requirePorts: which?");
        must(ports.iter().all(|port| port.protocol != Protocol::Udp), "ports: HTTP is spoken over TCP");

        for constraint in &self.constraints {
            let [_, operator, value @ ..] = &constraint[..] else {
                must(false, "constraint: a field and an operator");
                continue;
            };
            let operators = ["UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS"];
            must(operators.contains(&operator.as_str()) && value.len() <= 1, "constraint: unknown operator");
            must(operator != "UNIQUE" || value.is_empty(), "constraint: UNIQUE takes no value");
        }
        for check in &self.health_checks {
            let is_http = matches!(
                check.protocol,
                CheckProtocol::Http
                    | CheckProtocol::Https
                    | CheckProtocol::MesosHttp
                    | CheckProtocol::MesosHttps
            );
            must(is_http && check.path.starts_with('/'), "health check: a path for HTTP");
            must(check.port_index < ports.len(), "health check: portIndex is that of no port");
            must(
                check.timeout_seconds < check.interval_seconds,
                "health check: the next before the end of one",
            );
            must(
                check.grace_period_seconds > 0 && check.max_consecutive_failures > 0,
                "health check: no patience",
            );
        }
        must(self.readiness_checks.len() <= 1, "readiness check: Marathon takes one");
        for check in &self.readiness_checks {
            must(!check.name.is_empty() && check.path.starts_with('/'), "readiness check: a name and a path");
            must(matches!(check.protocol, Scheme::Http | Scheme::Https), "readiness check: no scheme");
            must(names.contains(check.port_name.as_str()), "readiness check: portName is that of no port");
            must(check.timeout_seconds < check.interval_seconds, "readiness check: timeout");
            must(
                check.http_status_codes_for_ready.iter().all(|code| (100..1000).contains(code)),
                "readiness check: no status code",
            );
        }
        if let Some(strategy) = &self.upgrade_strategy {
            let UpgradeStrategy { minimum_health_capacity: least, maximum_over_capacity: more } = strategy;
            must((0.0..=1.0).contains(least) && (0.0..=1.0).contains(more), "upgradeStrategy: from 0 to 1");
            // All have to stay, and none may be added.
            must(*least < 1.0 || *more > 0.0, "upgradeStrategy: nothing could ever be replaced");
        }
        must(self.task_kill_grace_period_seconds.is_none_or(|secs| secs > 0), "no time to end");
        problems
    }

    /// The environment of one of its tasks: that of the definition, and what Marathon and Mesos add
    /// (docs/docs/task-environment-vars.md). Without definitions of ports there is one, which Marathon chooses.
    pub(super) fn environment(&self, task: &str) -> BTreeMap<String, String> {
        let chosen = [PortDefinition { port: 31_017, name: "default".into(), protocol: Protocol::Both }];
        let ports = self.port_definitions.as_deref().unwrap_or(&chosen);
        let mut variables = self.env.clone();
        for (number, PortDefinition { port, name, .. }) in ports.iter().enumerate() {
            variables.insert(format!("PORT{number}"), port.to_string());
            variables.insert(format!("PORT_{}", name.to_uppercase()), port.to_string());
        }
        let listed: Vec<_> = ports.iter().map(|port| port.port.to_string()).collect();
        for (name, value) in [
            ("PORT", listed[0].clone()),
            ("PORTS", listed.join(",")),
            ("HOST", "127.0.0.1".into()),
            ("MARATHON_APP_ID", self.id.clone()),
            ("MARATHON_APP_VERSION", "2026-11-28T09:37:00.596Z".into()),
            ("MARATHON_APP_DOCKER_IMAGE", self.container.docker.image.clone()),
            ("MARATHON_APP_RESOURCE_CPUS", self.cpus.to_string()),
            ("MARATHON_APP_RESOURCE_MEM", self.mem.to_string()),
            ("MARATHON_APP_RESOURCE_DISK", "0.0".into()),
            ("MARATHON_APP_LABELS", String::new()),
            ("MESOS_TASK_ID", task.into()),
            ("MESOS_SANDBOX", "/mnt/mesos/sandbox".into()),
            ("MESOS_CONTAINER_NAME", format!("mesos-{task}")),
        ] {
            variables.insert(name.to_owned(), value);
        }
        variables
    }
}

/// Small letters, digits, and dashes within.
fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}
