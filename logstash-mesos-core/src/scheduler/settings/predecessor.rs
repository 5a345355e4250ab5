//! The names of the predecessor's settings.

/// What an existing installation of the predecessor says: a key here, its value, and how it was written.
///
/// Java options are taken from `JAVA_OPTS`. `FRAMEWORK_NAME`, `ROLE` and `USER` are names that anything
/// could have set, and count only beside `ZK_URL`, which the predecessor required.
pub fn predecessor(variable: &dyn Fn(&str) -> Option<String>) -> Vec<(&'static str, String, String)> {
    let mut found = Vec::new();
    let mut add = |key, value: String, origin: &str| found.push((key, value, origin.to_owned()));
    let certain = variable("ZK_URL").is_some();
    for (name, key) in PREDECESSOR_VARIABLES {
        if let Some(value) = variable(name) {
            add(key, value, name);
        }
    }
    if certain {
        for (name, key) in AMBIGUOUS_VARIABLES {
            if let Some(value) = variable(name) {
                add(key, value, name);
            }
        }
        if let Some(port) = variable("WEBSERVER_PORT") {
            add("http.bind", format!("0.0.0.0:{port}"), "WEBSERVER_PORT");
        }
    }
    // The secret itself, as DC/OS gives it to services.
    if let Some(value) = variable("DCOS_SERVICE_ACCOUNT_CREDENTIAL") {
        add("dcos.service_account_file", value, "DCOS_SERVICE_ACCOUNT_CREDENTIAL");
    }
    for option in variable("JAVA_OPTS").unwrap_or_default().split_whitespace() {
        let Some((name, value)) = option.strip_prefix("-D").and_then(|o| o.split_once('=')) else { continue };
        let (name, value) = (name.to_owned(), value.trim_matches(['"', '\'']).to_owned());
        let origin = format!("-D{name} in JAVA_OPTS");
        if name == "mesos.logstash.web.port" {
            add("http.bind", format!("0.0.0.0:{value}"), &origin);
        } else if name == "mesos.logstash.web.enabled" {
            add("no_ui", (value == "false").to_string(), &origin);
        } else if let Some((_, key)) = JAVA_PROPERTIES.iter().find(|(known, _)| *known == name) {
            add(key, value, &origin);
        }
    }
    found
}

const PREDECESSOR_VARIABLES: [(&str, &str); 7] = [
    ("ZK_URL", "mesos.master"),
    ("MESOS_ZOOKEEPER_SERVER", "mesos.master"),
    ("MESOS_MASTER", "mesos.master"),
    ("LOGSTASH_ELASTICSEARCH_URL", "elasticsearch.endpoint"),
    ("LOGSTASH_ELASTICSEARCH_HOST", "elasticsearch.endpoint"),
    ("EXECUTOR_CPUS", "executor.cpus"),
    ("EXECUTOR_HEAP_SIZE", "executor.mem_megabytes"),
];

const AMBIGUOUS_VARIABLES: [(&str, &str); 4] = [
    ("FRAMEWORK_NAME", "framework.name"),
    ("FAILOVER_TIMEOUT", "failover_timeout_secs"),
    ("ROLE", "mesos.role"),
    ("USER", "mesos.user"),
];

const JAVA_PROPERTIES: [(&str, &str); 8] = [
    ("mesos.zk", "mesos.master"),
    ("mesos.logstash.framework.name", "framework.name"),
    ("mesos.logstash.executor.cpus", "executor.cpus"),
    ("mesos.logstash.executor.heap.size", "executor.mem_megabytes"),
    ("mesos.logstash.user", "mesos.user"),
    ("mesos.logstash.role", "mesos.role"),
    ("mesos.failover.timeout.sec", "failover_timeout_secs"),
    ("mesos.logstash.elasticsearchDomainAndPort", "elasticsearch.endpoint"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_predecessors_names_still_work() {
        let env = |name: &str| match name {
            "JAVA_OPTS" => {
                Some("-Xmx1g -Dmesos.zk=zk://h:2181/mesos -Dmesos.logstash.web.port=9000".to_owned())
            }
            "LOGSTASH_ELASTICSEARCH_HOST" => Some("es:9200".to_owned()),
            "ZK_URL" => Some("zk://h:2181/mesos".to_owned()),
            "USER" => Some("ann".to_owned()),
            _ => None,
        };
        let found = predecessor(&env);
        let keys: BTreeMap<_, _> = found.iter().map(|(k, v, _)| (*k, v.as_str())).collect();
        assert_eq!(keys["mesos.master"], "zk://h:2181/mesos");
        assert_eq!(keys["http.bind"], "0.0.0.0:9000");
        assert_eq!(keys["elasticsearch.endpoint"], "es:9200");
        assert_eq!(keys["mesos.user"], "ann");
        assert!(predecessor(&|name| (name == "USER").then(|| "ann".to_owned())).is_empty());
    }
}
