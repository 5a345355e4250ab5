//! Every name of the predecessor, and what became of it.

use super::super::{ExecutorProgram, Master, SETTINGS, Settings};
use super::names::Ways;
use super::*;
use crate::settings::{Loaded, Sources};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

/// The settings of an installation with these variables and arguments, and what the log says.
fn install(variables: &[(&str, &str)], arguments: &[&str]) -> Result<(Settings, Vec<String>), SettingError> {
    let variable =
        |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    let (rest, old) = take_arguments(arguments.iter().map(OsString::from));
    assert_eq!(rest, [""; 0], "all of them are the predecessor's");
    let old = predecessor(&variable, &old)?;
    let lines = old.lines(&|_| None);
    let sources = Sources { flags: &BTreeMap::new(), variable: &variable, file: None, aliases: &old.aliases };
    let mut settings = Settings::check(&Loaded::load(SETTINGS, sources)?, "/opt/bin".as_ref())?;
    old.apply(&mut settings);
    Ok((settings, lines))
}

fn java(options: &str) -> (Settings, Vec<String>) {
    install(&[("JAVA_OPTS", &format!("-Dmesos.master.uri=h:5050 {options}"))], &[]).expect("is fine")
}

/// A value that the name may have.
fn value_of(name: &Name) -> &'static str {
    match name.name {
        "mesos.zk" | "zk-url" => "zk://h:2181/mesos",
        "mesos.master.uri" | "mesos.master" | "mesos.logstash.masterUrl" => "h:5050",
        "mesos.logstash.web.port" | "mesos.logstash.uiPort" | "webserver-port" | "server.port" => "9999",
        "executor.cpus" | "mesos.logstash.executor.cpus" => "0.5",
        "mesos.logstash.web.enabled" | "enable.failover" | "enable.docker" => "false",
        "mesos.logstash.noUI" | "mesos.logstash.disableFailover" => "true",
        "enable.syslog" | "enable.collectd" | "enable.file" => "true",
        "logstash.elasticsearch-url" => "http://es:9200",
        "logstash.config-file" => "/dev/null",
        "executor.file-path" => "/var/log/a.log,/var/log/b/*.log",
        "mesos.logstash.state.zk" | "mesos.zookeeper.server" => "h:2181",
        name if name.ends_with("port") => "1514",
        name if name.contains("heap") || name.contains("overhead") || name.contains("timeout") => "700",
        name if name.contains("name") || name.contains("role") || name.contains("user") => "ann",
        _ => "some-value",
    }
}

/// None is passed over: each changes a setting or is named in the log with what to do.
#[test]
fn every_name_has_an_effect_or_is_named() {
    let names: BTreeSet<_> = NAMES.iter().map(|name| name.name).collect();
    assert_eq!(names.len(), NAMES.len(), "each is there once");
    for name in NAMES {
        let value = value_of(name);
        let property = ("JAVA_OPTS", format!("-D{}={value}", name.name));
        let certain = ("ZK_URL", "h:1".to_owned());
        let mut ways = vec![(vec![property.clone()], vec![])];
        if let Some(variable) = name.variable() {
            ways.push((vec![(variable.leak() as &str, value.to_owned()), certain.clone()], vec![]));
        }
        if name.ways != Ways::Property && !SETTINGS.iter().any(|spec| spec.flag() == name.name) {
            ways.push((vec![], vec![format!("--{}={value}", name.name)]));
        }
        for (variables, arguments) in ways {
            let variable =
                |wanted: &str| variables.iter().find(|(n, _)| *n == wanted).map(|(_, value)| value.clone());
            let (_, old) = take_arguments(arguments.iter().map(OsString::from));
            let found = predecessor(&variable, &old).expect(name.name);
            let told = found.lines(&|_| None).join("\n");
            let spelled: Vec<_> =
                variables.iter().map(|(n, _)| *n).chain(old.iter().map(|(n, _)| &**n)).collect();
            let is_told = [name.name, &name.variable().unwrap_or_default()]
                .iter()
                .any(|spelling| !spelling.is_empty() && told.contains(spelling));
            let enabled_elsewhere = told.contains("without ENABLE_");
            assert!(is_told || enabled_elsewhere, "{spelled:?} {}: {told}", name.name);
            assert!(!told.contains("misspelt"), "{told}");
        }
    }
}

#[test]
fn every_key_that_a_name_stands_for_exists() {
    for name in NAMES {
        if let Effect::Is(key) | Effect::Becomes(key, _) = name.effect {
            assert!(SETTINGS.iter().any(|spec| spec.key == key), "{}: {key}", name.name);
        }
    }
}

#[test]
fn the_marathon_app_of_the_page_starts() {
    let options = "-Dmesos.logstash.framework.name=logstash_framework -Dmesos.zk=zk://z1:2181,z2:2181/mesos";
    let variables =
        [("JAVA_OPTS", options), ("PORT0", "31000"), ("MARATHON_APP_ID", "/logstash"), ("USER", "root")];
    let (settings, _) = install(&variables, &[]).expect("is fine");
    assert_eq!(settings.framework_name, "logstash_framework");
    assert_eq!(settings.master, Master::ZooKeeper("zk://z1:2181,z2:2181/mesos".parse().expect("is one")));
    let state = "zk://z1:2181,z2:2181/logstash-mesos-v1/logstash_framework";
    assert_eq!(settings.state, state.parse().expect("is one"));
    assert_eq!(settings.http_bind.to_string(), "0.0.0.0:9092");
    assert!(settings.no_auth && settings.ui && settings.from_predecessor);
    assert_eq!(settings.ecs(), EcsCompatibility::Disabled);
    assert_eq!(settings.port_patience, Duration::MAX);
    assert_eq!(settings.executor, ExecutorProgram::Served("/opt/bin/logstash-mesos-executor".into()));
    assert_eq!(settings.needs.mem_megabytes, 64);
}

#[test]
fn properties_mean_what_they_meant() {
    let (settings, _) = java(
        "-Dmesos.logstash.user=ann -Dmesos.logstash.role=logs -Dmesos.failover.timeout.sec=3600.0 \
         -Dmesos.logstash.executor.cpus=0.5 -Dmesos.logstash.web.port=9000 -Dmesos.logstash.logstash.heap.size=100m",
    );
    assert_eq!((settings.user.as_str(), settings.needs.cpus_milli), ("ann", 500));
    assert_eq!(settings.failover_timeout, Duration::from_secs(3600));
    assert_eq!(settings.http_bind.to_string(), "0.0.0.0:9000");
    assert_eq!(settings.needs.mem_megabytes, 256 + 100 + 50);
    assert!(!java("-Dmesos.logstash.noUI=true").0.ui);
    let (settings, lines) = java("-Dmesos.logstash.web.enabled=false");
    assert!(!settings.ui && !settings.no_auth, "{lines:?}");
    assert!(java("-Dmesos.logstash.web.enabled=true").0.no_auth);
}

#[test]
fn what_is_unknown_and_what_is_for_java_is_named() {
    let (_, lines) = java("-Xmx256m -Dmesos.logstash.volume=/x -Djava.library.path=/y");
    let told = lines.join("\n");
    assert!(told.contains("-Dmesos.logstash.volume in JAVA_OPTS is no setting"), "{told}");
    assert!(told.contains("-Xmx256m -Djava.library.path is for the Java machine"), "{told}");
}

#[test]
fn lists_of_servers_are_read_as_the_predecessor_read_them() {
    let Effect::Becomes(_, master) =
        NAMES.iter().find(|name| name.name == "mesos.zk").expect("is one").effect
    else {
        panic!("it is converted")
    };
    for (written, meant) in [
        ("zk://a:1", "zk://a:1/mesos"),
        ("zk://a:1,b:2/x/y", "zk://a:1,b:2/x/y"),
        ("zk://a:1/x, b:2/x", "zk://a:1,b:2/x"),
        ("zk://u:p@a:1,u:p@b:2/mesos", "zk://u:p@a:1,b:2/mesos"),
        ("zk://u:p@a:1,b:2", "zk://u:p@a:1,b:2/mesos"),
        ("h:5050", "h:5050"),
    ] {
        assert_eq!(master(written), meant);
    }
}

#[test]
fn names_that_anything_could_have_set_count_only_beside_certain_ones() {
    let variables = [("FRAMEWORK_NAME", "x"), ("MESOS_USER", "ann"), ("WEBSERVER_PORT", "1")];
    let find = |variables: &[(&str, &str)]| {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        predecessor(&variable, &[]).expect("is fine")
    };
    assert!(find(&variables).aliases.is_empty());
    let beside = find(&[&variables[..], &[("ZK_URL", "zk://h:1/mesos")]].concat());
    assert_eq!(beside.aliases.len(), 4);
    // What is ours means nothing about the defaults.
    let (settings, _) = install(&[("MESOS_MASTER", "h:5050")], &[]).expect("is fine");
    assert!(!settings.no_auth && settings.ecs() == EcsCompatibility::V8);
}

#[test]
fn the_later_generation_makes_its_inputs() {
    let variables = [
        ("ZK_URL", "h:1"),
        ("ENABLE_SYSLOG", "true"),
        ("LOGSTASH_SYSLOG_PORT", "1514"),
        ("ENABLE_COLLECTD", "true"),
        ("ENABLE_FILE", "true"),
        ("EXECUTOR_FILE_PATH", "/var/log/*, /srv/a \"b\".log"),
        ("LOGSTASH_ELASTICSEARCH_HOST", "es1:9200,es2:9200"),
    ];
    let (settings, _) = install(&variables, &[]).expect("is fine");
    let made = settings.made_configuration.expect("is made");
    for line in [
        "syslog { port => 1514 }",
        "udp { port => 25826 buffer_size => 1452 codec => collectd { } }",
        r#"file { host-path => ["/var/log/*", '/srv/a "b".log'] }"#,
        r#""mesos_slave_id" => "${MESOS_SLAVE_ID:}""#,
    ] {
        assert!(made.input.contains(line), "{}", made.input);
    }
    let options = crate::scheduler::check::options("predecessor", EcsCompatibility::Disabled);
    let compiled = crate::pipeline::compile(&made.input, &options).expect("compiles");
    assert_eq!(compiled.inputs.len(), 3);
    assert!(settings.default_output.contains(r#"hosts => ["http://es1:9200", "http://es2:9200"]"#));
    let wrong = [("ZK_URL", "h:1"), ("ENABLE_FILE", "true"), ("EXECUTOR_FILE_PATH", "relative")];
    assert!(install(&wrong, &[]).expect_err("is refused").to_string().contains("EXECUTOR_FILE_PATH"));
}

#[test]
fn arguments_win_and_the_last_generation_has_its_role() {
    let variable = |name: &str| match name {
        "MESOS_ZOOKEEPER_SERVER" => Some("h:2181".to_owned()),
        "EXECUTOR_CPUS" => Some("0.5".to_owned()),
        _ => None,
    };
    let (_, old) = take_arguments([OsString::from("--executor.cpus=0.25")]);
    let found = predecessor(&variable, &old).expect("is fine");
    let value =
        |key| found.aliases.iter().rev().find(|(k, ..)| *k == key).map(|(_, value, _)| value.as_str());
    assert_eq!((value("executor.cpus"), value("mesos.role")), (Some("0.25"), Some("logstash")));
    assert_eq!((value("state"), value("mesos.master")), (Some("zk://h:2181"), None));
    let lines = found.lines(&|_| None);
    let told = lines.join("\n");
    assert!(told.contains("EXECUTOR_CPUS has no effect, as --executor.cpus counts for more"), "{told}");
}

#[test]
fn the_servers_of_the_state_are_not_the_masters() {
    let variables =
        [("MESOS_ZOOKEEPER_SERVER", "z:2181"), ("MESOS_MASTER", "m:5050"), ("FRAMEWORK_NAME", "f")];
    let (settings, _) = install(&variables, &[]).expect("is fine");
    assert_eq!(settings.state, "zk://z:2181/logstash-mesos-v1/f".parse().expect("is one"));
    assert!(matches!(settings.master, Master::Endpoints(_)), "{:?}", settings.master);
}

#[test]
fn a_template_is_filled_in_or_refused_with_its_line() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().display().to_string();
    let variables = [("ZK_URL", "h:1"), ("LOGSTASH_CONFIG_FILE", path.as_str())];
    std::fs::write(file.path(), "input { syslog { port => ${syslog.port?c} } } # ${mesosAgentId}")
        .expect("writes");
    let made = install(&variables, &[]).expect("is fine").0.made_configuration.expect("is made");
    assert!(made.input.ends_with("input { syslog { port => 514 } } # ${MESOS_SLAVE_ID:}"), "{}", made.input);
    std::fs::write(file.path(), "input {\n<#if syslog??>").expect("writes");
    let error = install(&variables, &[]).expect_err("is refused").to_string();
    assert!(error.contains("line 2") && error.contains("LOGSTASH_CONFIG_FILE"), "{error}");
}

#[test]
fn our_own_arguments_stay() {
    let line =
        ["x", "--mesos-role=a", "--zk-url=h:1", "--executor-env", "A.B=c", "--logging.level.root=WARN"];
    let (rest, old) = take_arguments(line.iter().map(OsString::from));
    assert_eq!(rest, ["x", "--mesos-role=a", "--executor-env", "A.B=c"]);
    let names: Vec<_> = old.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["zk-url", "logging.level.root"]);
}
