//! Every name that the settings of the predecessor had, and what becomes of it here.

use super::super::table::SETTINGS;

/// A setting of the predecessor.
#[derive(Debug)]
pub struct Name {
    /// As its documents write it.
    pub name: &'static str,
    /// The versions that had it.
    pub versions: &'static str,
    /// Where it may be written.
    pub(super) ways: Ways,
    /// What it does here.
    pub(super) effect: Effect,
}

/// Where a setting may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ways {
    /// As `-DNAME=VALUE` in `JAVA_OPTS`.
    Property,
    /// Also as `--NAME=VALUE` and as a variable.
    Anywhere,
    /// The same, but its variable is one that anything could have set, and counts only where another name shows that
    /// these are the settings of the predecessor.
    AnywhereCommon,
}

/// What a setting does here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// It is the setting of this key.
    Is(&'static str),
    /// It is the setting of this key, written differently.
    Becomes(&'static str, fn(&str) -> String),
    /// It has a part in something larger: in what, and how that is explained.
    Part(Part, &'static str),
    /// Nothing: what to do instead.
    Nothing(&'static str),
}

/// What several settings of the predecessor make together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Memory: heap of the first generation's executor, and of its Logstash.
    FirstHeap {
        of_logstash: bool,
    },
    /// Memory: heap of the later generation's executor, of its Logstash, and what comes on top.
    Heap(Memory),
    Syslog,
    SyslogPort,
    Collectd,
    CollectdPort,
    File,
    FilePath,
    ConfigFile,
    /// No page, and nothing to write to.
    WebEnabled,
    Failover,
    DisableFailover,
    Docker,
}

/// What the memory of the later generation is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    Executor,
    Logstash,
    Overhead,
}

impl Name {
    /// What becomes of it, for the table in `docs/upgrade.md`.
    pub fn meaning(&self) -> String {
        match self.effect {
            Effect::Is(key) | Effect::Becomes(key, _) => {
                let spec = SETTINGS.iter().find(|spec| spec.key == key);
                format!("`--{}`", spec.map(|spec| spec.flag()).unwrap_or_default())
            }
            Effect::Part(_, text) => text.to_owned(),
            Effect::Nothing(text) => format!("no effect: {text}"),
        }
    }

    /// How it is written as a variable of the environment, if it may be one.
    pub fn variable(&self) -> Option<String> {
        (self.ways != Ways::Property).then(|| self.name.replace(['.', '-'], "_").to_ascii_uppercase())
    }

    /// Whether its presence shows that these are the settings of the predecessor.
    pub(super) fn is_certain(&self) -> bool {
        self.name.starts_with("mesos.logstash.")
            || matches!(self.name, "mesos.zk" | "mesos.master.uri" | "zk-url" | "mesos.zookeeper.server")
    }
}

const fn property(name: &'static str, versions: &'static str, effect: Effect) -> Name {
    Name { name, versions, ways: Ways::Property, effect }
}

const fn anywhere(name: &'static str, versions: &'static str, effect: Effect) -> Name {
    Name { name, versions, ways: Ways::Anywhere, effect }
}

const fn common(name: &'static str, versions: &'static str, effect: Effect) -> Name {
    Name { name, versions, ways: Ways::AnywhereCommon, effect }
}

/// All of them, in the order of the generations.
pub static NAMES: &[Name] = &[
    property("mesos.master.uri", "0.0.2", Effect::Becomes("mesos.master", master)),
    property("mesos.zk", "0.0.3–0.6", Effect::Becomes("mesos.master", master)),
    property("mesos.logstash.state.zk", "0.0.2", Effect::Becomes("state", servers)),
    property("mesos.logstash.state.zk.timeout.ms", "0.0.2", Effect::Is("zk.timeout_ms")),
    property("mesos.zk.timeout.ms", "0.0.3–0.6", Effect::Is("zk.timeout_ms")),
    property("mesos.logstash.framework.name", "0.0.2–0.6", Effect::Is("framework.name")),
    property("mesos.failover.timeout.sec", "0.0.2–0.6", Effect::Becomes("failover_timeout_secs", whole)),
    property("mesos.logstash.user", "0.0.2–0.6", Effect::Is("mesos.user")),
    property("mesos.logstash.role", "0.0.2–0.6", Effect::Is("mesos.role")),
    property("mesos.logstash.executor.cpus", "0.0.2–0.6", Effect::Is("executor.cpus")),
    property(
        "mesos.logstash.executor.heap.size",
        "0.0.2–0.6",
        Effect::Part(Part::FirstHeap { of_logstash: false }, MEMORY),
    ),
    property(
        "mesos.logstash.logstash.heap.size",
        "0.0.2–0.6",
        Effect::Part(Part::FirstHeap { of_logstash: true }, MEMORY),
    ),
    property(
        "mesos.logstash.web.enabled",
        "0.0.2–0.6",
        Effect::Part(Part::WebEnabled, "`false`: `--no-ui`, and the API does not take writes"),
    ),
    property("mesos.logstash.web.port", "0.0.2–0.6", Effect::Becomes("http.bind", all_addresses)),
    property("mesos.logstash.web.debug", "0.0.2", Effect::Nothing("try `--mesos-master local`")),
    property("mesos.logstash.noUI", "before 0.0.2, and the README", Effect::Is("no_ui")),
    property("mesos.logstash.uiPort", "before 0.0.2", Effect::Becomes("http.bind", all_addresses)),
    property("mesos.logstash.masterUrl", "before 0.0.2", Effect::Becomes("mesos.master", master)),
    property("mesos.logstash.offline", "before 0.0.2", Effect::Nothing("try `--mesos-master local`")),
    property(
        "mesos.logstash.volumes",
        "0.0.5–0.6",
        Effect::Nothing("`host-path` reads the files of an agent without a mount, in every directory"),
    ),
    property("mesos.native.library", "0.0.2–0.6", Effect::Nothing("no libmesos is needed")),
    property("mesos.logstash.elasticsearchDomainAndPort", "late 2015", Effect::Is("elasticsearch.endpoint")),
    property("mesos.logstash.disableFailover", "late 2015", Effect::Part(Part::DisableFailover, NO_FAILOVER)),
    anywhere("zk-url", "0.7–0.9", Effect::Becomes("mesos.master", master)),
    common("zk-timeout", "0.7–0.9", Effect::Is("zk.timeout_ms")),
    common("framework-name", "0.7–0.9", Effect::Is("framework.name")),
    common("failover-timeout", "0.7–0.9", Effect::Becomes("failover_timeout_secs", whole)),
    common("webserver-port", "README of 0.7", Effect::Becomes("http.bind", all_addresses)),
    common("mesos-role", "0.7–0.10", Effect::Is("mesos.role")),
    common("mesos-user", "0.7–0.10", Effect::Is("mesos.user")),
    common("mesos-principal", "0.7–0.9", Effect::Is("mesos.principal")),
    common("mesos-secret", "0.7–0.9", Effect::Is("mesos.secret")),
    common(
        "reconcilation-timeout-millis",
        "0.7–0.9",
        Effect::Nothing("reconciliation goes on until it is done"),
    ),
    anywhere("mesos.zookeeper.server", "0.10", Effect::Becomes("state", servers)),
    anywhere("mesos.master", "0.10", Effect::Becomes("mesos.master", master)),
    common("mesos.framework.name", "0.10", Effect::Is("framework.name")),
    common("spring.application.name", "0.10", Effect::Nothing("`--framework-name` names the framework")),
    common("server.port", "0.10", Effect::Becomes("http.bind", all_addresses)),
    anywhere("logstash.heap-size", "0.7–0.10", Effect::Part(Part::Heap(Memory::Logstash), MEMORY)),
    anywhere("executor.heap-size", "0.7–0.10", Effect::Part(Part::Heap(Memory::Executor), MEMORY)),
    anywhere("executor.overhead-mem", "0.7–0.10", Effect::Part(Part::Heap(Memory::Overhead), MEMORY)),
    anywhere("executor.cpus", "0.7–0.10", Effect::Is("executor.cpus")),
    anywhere("logstash.elasticsearch-url", "0.7–0.9", Effect::Is("elasticsearch.endpoint")),
    anywhere("logstash.elasticsearch-host", "0.10", Effect::Is("elasticsearch.endpoint")),
    anywhere("logstash.executor-image", "0.7–0.10", Effect::Nothing(IMAGE)),
    anywhere("logstash.executor-version", "0.7–0.10", Effect::Nothing(IMAGE)),
    anywhere("enable.syslog", "0.7–0.10", Effect::Part(Part::Syslog, "input `syslog`, see below")),
    anywhere(
        "logstash.syslog-port",
        "0.7–0.10",
        Effect::Part(Part::SyslogPort, "its port, 514 if not given"),
    ),
    anywhere(
        "enable.collectd",
        "0.7–0.10",
        Effect::Part(Part::Collectd, "input `udp` with the codec `collectd`, see below"),
    ),
    anywhere(
        "logstash.collectd-port",
        "0.7–0.10",
        Effect::Part(Part::CollectdPort, "its port, 25826 if not given"),
    ),
    anywhere("enable.file", "0.7–0.10", Effect::Part(Part::File, "input `file` with `host-path`, see below")),
    anywhere(
        "executor.file-path",
        "0.7–0.10",
        Effect::Part(Part::FilePath, "its files, `/var/log/messages` if not given"),
    ),
    anywhere(
        "logstash.config-file",
        "0.10",
        Effect::Part(Part::ConfigFile, "a host configuration in the place of these inputs, see below"),
    ),
    anywhere("enable.failover", "0.7–0.10", Effect::Part(Part::Failover, NO_FAILOVER)),
    anywhere(
        "enable.docker",
        "0.7–0.10",
        Effect::Part(
            Part::Docker,
            "no effect: the executor is a program that needs no image; `--executor-image` runs it in one",
        ),
    ),
    common("java-home", "0.7–0.10", Effect::Nothing("no Java is needed")),
];

const MEMORY: &str =
    "`--executor-mem-megabytes`: the heaps and their overhead together, as the task had them";
const NO_FAILOVER: &str =
    "executors always outlive the scheduler; `logstash-mesos-scheduler uninstall` ends them";
const IMAGE: &str =
    "images of the predecessor hold its own executor; the scheduler brings one, or `--executor-image`";

/// Every form that the driver of Mesos took: what is not a list of ZooKeeper servers stays as it is.
fn master(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let Some(rest) = text.strip_prefix("zk://") else { return text };
    // Credentials may stand before every server, and the path after the last one, or after each.
    let credentials = rest.split(',').find_map(|server| Some(server.rsplit_once('@')?.0));
    let mut path = "mesos";
    let mut servers = Vec::new();
    for server in rest.split(',') {
        let server = server.rsplit_once('@').map_or(server, |(_, server)| server);
        let (server, after) = server.split_once('/').unwrap_or((server, "mesos"));
        path = after;
        servers.extend((!server.is_empty()).then_some(server));
    }
    let credentials = credentials.map(|text| format!("{text}@")).unwrap_or_default();
    format!("zk://{credentials}{}/{path}", servers.join(","))
}

/// Servers of ZooKeeper without anything around them. Without a path, our own root there is meant.
fn servers(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    format!("zk://{}", text.strip_prefix("zk://").unwrap_or(&text))
}

fn all_addresses(port: &str) -> String {
    format!("0.0.0.0:{}", port.trim())
}

/// Seconds, which were also taken with a fraction.
fn whole(seconds: &str) -> String {
    match seconds.trim().parse::<f64>() {
        Ok(number) if number >= 0.0 && number.is_finite() => format!("{number:.0}"),
        _ => seconds.to_owned(),
    }
}
