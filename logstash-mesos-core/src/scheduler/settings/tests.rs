use super::*;
use crate::settings::Sources;

pub(super) fn check(flags: &[(&str, &str)]) -> Result<Settings, SettingError> {
    let mut all: BTreeMap<_, _> =
        flags.iter().map(|(k, v)| ((*k).to_owned(), vec![(*v).to_owned()])).collect();
    all.entry("mesos.master".to_owned()).or_insert_with(|| vec!["127.0.0.1:5050".to_owned()]);
    let sources = Sources { flags: &all, variable: &|_| None, file: None, aliases: &[] };
    Settings::check(&Loaded::load(SETTINGS, sources)?, "/opt/bin".as_ref())
}

#[test]
fn defaults_are_as_documented() {
    let settings = check(&[]).expect("is fine");
    assert_eq!(settings.needs, Needs { cpus_milli: 100, mem_megabytes: 64, disk_megabytes: 256 });
    assert_eq!(settings.http_bind.to_string(), "0.0.0.0:9092");
    assert_eq!(settings.executor, ExecutorProgram::Served("/opt/bin/logstash-mesos-executor".into()));
    assert_eq!(settings.failover_timeout, Duration::from_secs(14 * 86_400));
    let local = check(&[("mesos.master", "local")]).expect("is fine");
    assert!(local.http_bind.ip().is_loopback());
}

#[test]
fn what_cannot_be_right_is_refused_by_name() {
    for (key, value, flag) in [
        ("mesos.master", "zk://u:secret@h:2181", "--mesos-master"),
        ("mesos.master", "ftp://h", "--mesos-master"),
        ("mesos.master", ",", "--mesos-master"),
        ("state", "zk://u:secret@h/", "--state"),
        ("zk.timeout_ms", "0", "--zk-timeout-ms"),
        ("state", "redis://h", "--state"),
        ("state", "file:", "--state"),
        ("mesos.role", "a b", "--mesos-role"),
        ("mesos.role", "a//b", "--mesos-role"),
        ("mesos.role", "a,,b", "--mesos-role"),
        ("constraint", "rack:GROUP_BY", "--constraint"),
        ("constraint", "rack:LIKE:(", "--constraint"),
        ("exclude_agent", " ", "--exclude-agent"),
        ("reserve", "true", "--reserve"),
        ("http.bind", "9092", "--http-bind"),
        ("http.advertise_url", "scheduler:9092", "--http-advertise-url"),
        ("executor.cpus", "NaN", "--executor-cpus"),
        ("executor.mem_megabytes", "31", "--executor-mem-megabytes"),
        ("executor.command", "relative", "--executor-command"),
        ("executor.containerizer", "podman", "--executor-containerizer"),
        ("executor.env", "MESOS_X=1", "--executor-env"),
        ("executor.env", "=1", "--executor-env"),
        ("executor.env", "LOGSTASH_MESOS_DATA_DIR=positions", "--executor-env"),
        ("executor.setting", "drain_timeout_sec=300", "did you mean `drain_timeout_secs`?"),
        ("executor.setting", "drain_timeout_secs=soon", "--executor-setting"),
        ("executor.setting", "pipeline.ecs_compatibility=v9", "disabled, v1 or v8"),
        ("elasticsearch.endpoint", "http://", "--elasticsearch-endpoint"),
        ("config_dir", "/not/there", "--config-dir"),
        ("launch_parallelism", "0", "--launch-parallelism"),
        ("rollout_parallelism", "0", "--rollout-parallelism"),
        ("rollout_max_failures", "0", "--rollout-max-failures"),
    ] {
        let error = check(&[(key, value)]).expect_err(value).to_string();
        assert!(error.contains(flag), "{key} {value}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
    assert!(check(&[("executor.command", "/a"), ("executor.image", "b")]).is_err());
}

#[test]
fn roles_are_given_one_by_one_or_in_a_list() {
    let roles = |flags: &[(&str, &str)]| check(flags).expect("is fine").placement.roles;
    assert_eq!(roles(&[]), ["*"]);
    assert_eq!(roles(&[("mesos.role", "logs")]), ["logs"]);
    assert_eq!(roles(&[("mesos.role", "logs, a/b,logs")]), ["logs", "a/b"]);
    let placement = check(&[("mesos.role", "logs"), ("reserve", "true")]).expect("is fine").placement;
    assert!(placement.reserve && placement.ports && !placement.revocable);
    assert!(check(&[("mesos.role", "logs"), ("reserve", "true"), ("mesos.master", "local")]).is_err());
}

#[test]
#[cfg(feature = "zookeeper")]
fn the_state_is_beside_the_masters_unless_it_is_said_where() {
    let master = ("mesos.master", "zk://u:secret@a:1,b/mesos");
    let settings = check(&[master]).expect("is fine");
    assert!(!settings.state_by_default);
    let StateUrl::ZooKeeper(url) = settings.state else { panic!("{:?}", settings.state) };
    assert_eq!(url.to_string(), "zk://a:1,b:2181/logstash-mesos-v1/logstash");
    assert_eq!(url.credentials(), Some("u:secret"));
    let settings = check(&[master, ("framework.name", "a/b c")]).expect("is fine");
    let StateUrl::ZooKeeper(url) = settings.state else { panic!("{:?}", settings.state) };
    assert_eq!(url.path(), "/logstash-mesos-v1/a%2Fb%20c");
    assert!(check(&[master, ("framework.name", "..")]).is_err());
    assert_eq!(check(&[master, ("state", "memory")]).expect("is fine").state, StateUrl::Memory);
    let settings = check(&[]).expect("is fine");
    assert_eq!(
        (settings.state, settings.state_by_default),
        (StateUrl::File("logstash-mesos-state".into()), true)
    );
}
