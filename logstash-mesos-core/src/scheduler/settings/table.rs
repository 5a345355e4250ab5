//! The table of settings, with names, defaults and help texts.

use crate::settings::{Arity, SettingSpec};

/// Every setting of the scheduler. Flags, variables and the keys of a file follow from it.
pub static SETTINGS: &[SettingSpec] = &[
    one(
        "mesos.master",
        "MASTER",
        "",
        "Master(s): local, zk://HOST:PORT[,HOST:PORT…]/PATH, HOST:PORT[,HOST:PORT…], or http(s)://HOST:PORT.",
    ),
    one("framework.name", "NAME", "logstash", "Name of the framework in Mesos."),
    many("mesos.role", "ROLE", "Role whose offers are used (*); may be given several times."),
    one("mesos.user", "USER", "root", "User under which executors run on the agents."),
    one("mesos.principal", "PRINCIPAL", "", "Principal of the framework, where masters authenticate."),
    one(
        "mesos.secret_file",
        "FILE",
        "",
        "File with the secret of the principal; read again when it changes.",
    ),
    one(
        "mesos.secret",
        "SECRET",
        "",
        "The secret itself, where a variable holds it; a file is better, as it is not seen among the processes.",
    ),
    one(
        "dcos.service_account_file",
        "FILE",
        "",
        "Secret of a DC/OS service account, as JSON with uid, private_key and login_endpoint, to log in with.",
    ),
    switch(
        "mesos.tls",
        "Masters given without a scheme, or found in ZooKeeper, speak TLS, as those with https:// do.",
    ),
    one(
        "mesos.agent_tls",
        "true|false",
        "",
        "Whether agents speak TLS to executors; if not given, as the masters.",
    ),
    one(
        "mesos.ca_file",
        "FILE",
        "",
        "PEM file with the authority that signed the certificates of masters and agents; the usual ones if not given.",
    ),
    one("mesos.client_cert_file", "FILE", "", "PEM file with our certificate, for masters that want one."),
    one("mesos.client_key_file", "FILE", "", "PEM file with the key of that certificate."),
    one("failover_timeout_secs", "N", "1209600", "How long executors outlive an absent scheduler (2 weeks)."),
    one(
        "state",
        "URL",
        "",
        "Where the state is kept: memory, file:DIR, zk://HOST:PORT[,HOST:PORT…]/PATH or etcd://HOST:PORT[,HOST:PORT…]/PREFIX. \
         If not given: with a zk:// master there, at /logstash-mesos-v1/NAME, else file:./logstash-mesos-state.",
    ),
    one(
        "zk.timeout_ms",
        "N",
        "4000",
        "Silence after which ZooKeeper or etcd takes a scheduler for gone, and another leads.",
    ),
    one("config_dir", "DIR", "", "Directory with docker/*.conf and host/*.conf, watched for changes."),
    one(
        "http.bind",
        "ADDR:PORT",
        "0.0.0.0:9092",
        "Where REST, page, gRPC and the executor's program are served.",
    ),
    one(
        "http.advertise_url",
        "URL",
        "",
        "How agents reach this scheduler, if not at the address that leads to the master.",
    ),
    one(
        "http.cert_file",
        "FILE",
        "",
        "PEM file with the certificate of that port, which speaks TLS then; read again when it changes.",
    ),
    one("http.key_file", "FILE", "", "PEM file with the key of that certificate."),
    one(
        "http.ca_file",
        "FILE",
        "",
        "PEM file with the authority that signed it, for executors and other schedulers; the usual ones if not given.",
    ),
    switch("no_ui", "Serve no page."),
    one("auth_file", "FILE", "", "Who may use the HTTP API: lines that `credential` makes."),
    switch("no_auth", "Let anybody who reaches the HTTP port change configurations."),
    one(
        "policy_file",
        "FILE",
        "",
        "Which configurations may read which containers, as rules; looked at every second. docs/security.md has the form.",
    ),
    one(
        "executor.binary",
        "FILE",
        "",
        "The executor's program to serve to agents; by default the one beside this program.",
    ),
    one("executor.command", "PATH", "", "The executor's program is on the agents, at this path."),
    one("executor.image", "IMAGE", "", "The executor is this image's entry point."),
    one("executor.containerizer", "mesos|docker", "mesos", "Who runs the image."),
    one("executor.cpus", "N", "0.1", "Processors for each executor."),
    one("executor.mem_megabytes", "N", "64", "Memory for each executor."),
    one(
        "executor.disk_megabytes",
        "N",
        "256",
        "Disk for each executor; what waits for its outputs on disk takes no more.",
    ),
    SettingSpec {
        key: "executor.env",
        value: "NAME=VALUE",
        default: "",
        arity: Arity::Many,
        help: "Put into the environment of executors.",
    },
    one(
        "elasticsearch.endpoint",
        "URL[,URL…]",
        "",
        "Where configurations without an output send their events; srv+http://NAME where SRV records of NAME name the nodes.",
    ),
    one("default_output", "FILE", "", "File with the output section for configurations that have none."),
    SettingSpec {
        key: "executor.setting",
        value: "KEY=VALUE",
        default: "",
        arity: Arity::Many,
        help: "A setting of all executors, such as drain_timeout_secs=300; docs/executor.md has the list.",
    },
    many(
        "constraint",
        "RULE",
        "Which agents: FIELD:OPERATOR:VALUE as in Marathon, such as rack:LIKE:r[1-3]; may be given several times.",
    ),
    many(
        "exclude_agent",
        "AGENT",
        "An agent that gets no executor, by its id or host name; may be given several times.",
    ),
    switch("reserve", "Reserve what executors use, so that it comes back to them."),
    switch("use_revocable", "Use resources that Mesos may take back, where others are not enough."),
    switch("no_port_resources", "Do not ask Mesos for the ports that host configurations listen on."),
    one("launch_parallelism", "N", "50", "Launches that may be unconfirmed at a time."),
    one("rollout_parallelism", "N", "1", "Agents that may get a changed executor at a time."),
    one(
        "rollout_max_failures",
        "N",
        "3",
        "Failures of a changed executor after which no further agent gets it.",
    ),
    one("launch_timeout_secs", "N", "300", "After which an unconfirmed launch is given up."),
];

const fn one(
    key: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> SettingSpec {
    SettingSpec { key, value, default, arity: Arity::One, help }
}

const fn many(key: &'static str, value: &'static str, help: &'static str) -> SettingSpec {
    SettingSpec { key, value, default: "", arity: Arity::Many, help }
}

const fn switch(key: &'static str, help: &'static str) -> SettingSpec {
    SettingSpec { key, value: "", default: "", arity: Arity::Switch, help }
}
