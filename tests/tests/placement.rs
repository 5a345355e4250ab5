//! One executor on every agent, and no more.

use std::fs;
use std::path::Path;
use std::time::Duration;

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::http::get_json;
use logstash_mesos_tests::mesos::{Agent, AgentOptions, Master};
use logstash_mesos_tests::place::Place;
use logstash_mesos_tests::scheduler::{Scheduler, SchedulerOptions};
use logstash_mesos_tests::wait::{PATIENCE, throughout, until};
use serde_json::{Value, json};

#[test]
fn every_agent_gets_one_executor_and_no_more() {
    let mut cluster = Cluster::start("placement");
    let scheduler = cluster.scheduler();
    let running = scheduler.running_executors(2);
    let hosts: Vec<_> = running.iter().map(|agent| agent["hostname"].as_str().unwrap_or_default()).collect();
    assert!(hosts.contains(&"127.0.0.1") && hosts.contains(&"127.0.0.2"), "{hosts:?}");

    let framework = cluster.framework();
    let tasks = cluster.master.framework(&framework).expect("it is registered")["tasks"].clone();
    for task in tasks.as_array().expect("tasks") {
        assert_eq!(task["name"], "logstash.task");
        let id = task["id"].as_str().unwrap_or_default();
        // logstash_HOST_TIME_RANDOM
        let parts: Vec<_> = id.rsplitn(3, '_').collect();
        assert!(parts[0].len() == 8 && parts[0].bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert!(parts[2].starts_with("logstash_127.0.0."), "{id}");
    }

    let one_each = |cluster: &Cluster| {
        for agent in &cluster.agents {
            let (executors, processes) = (agent.executors()?.len(), agent.executor_processes().len());
            if (executors, processes) != (1, 1) {
                return Err(format!("{} has {executors} executors, {processes} processes", agent.host()));
            }
        }
        let framework = cluster.master.framework(&framework)?;
        let tasks = framework["tasks"].as_array().map_or(0, Vec::len);
        let ended = framework["completed_tasks"].as_array().map_or(0, Vec::len);
        if (tasks, ended) != (cluster.agents.len(), 0) {
            return Err(format!("{tasks} tasks run, {ended} have ended"));
        }
        Ok(())
    };
    throughout("one executor on each agent", Duration::from_secs(8), || one_each(&cluster));

    // An agent that comes later gets one, too. It shares the second agent's daemon, so that executor waits.
    let options = AgentOptions {
        host: "127.0.0.3".into(),
        docker_host: cluster.dockers[1].host().to_owned(),
        data_dir: cluster.agents[1].data_dir().to_owned(),
        flags: Vec::new(),
    };
    let third = Agent::start(&cluster.place.directory("agent3"), &cluster.master, options);
    cluster.agents.push(third);
    let _ = scheduler.running_executors(3);
    until("one executor on each of three agents", PATIENCE, || one_each(&cluster));

    // Every agent without one would have a reason; those with one have it in the status, too.
    let status = scheduler.status().expect("the scheduler answers");
    assert_eq!(status["leader"], true);
    assert_eq!(status["framework"]["name"], framework.as_str());
    for agent in status["agents"].as_array().expect("agents") {
        assert!(agent["declined"].is_array(), "{agent}");
        assert!(agent["executor"]["executor_id"].is_string(), "{agent}");
    }
}

#[test]
fn an_agent_that_is_too_small_is_declined_with_a_reason() {
    let cluster = Cluster::with_agents("small", 1);
    let mut options = cluster.options();
    options.flags = vec!["--executor-mem-megabytes".into(), "4096".into()];
    let scheduler =
        logstash_mesos_tests::scheduler::Scheduler::start(&cluster.place.directory("scheduler"), options);
    let reason = until("a reason for the declined offer", PATIENCE, || {
        let status = scheduler.status()?;
        let reason = status.pointer("/agents/0/declined/0/reason").and_then(|reason| reason.as_str());
        reason.map(str::to_owned).ok_or_else(|| status["agents"].to_string())
    });
    assert!(reason.contains("mem"), "{reason}");
    assert!(reason.contains("4096"), "{reason}");
    assert_eq!(cluster.agents[0].executor_processes(), [0; 0]);
}

/// An agent whose executors find no Docker daemon, which they do not need in order to run.
fn agent(place: &Place, master: &Master, number: u8, flags: &[&str]) -> Agent {
    let options = AgentOptions {
        host: format!("127.0.0.{number}"),
        docker_host: format!("unix://{}", place.join("no-docker").display()),
        data_dir: place.directory(&format!("positions{number}")),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
    };
    Agent::start(&place.directory(&format!("agent{number}")), master, options)
}

fn scheduler(
    place: &Place,
    master: &Master,
    name: &str,
    config_dir: Option<&Path>,
    flags: &[&str],
) -> Scheduler {
    let options = SchedulerOptions {
        master: master.address(),
        framework: format!("logstash-{name}"),
        state: format!("file:{}", place.join(&format!("state-{name}")).display()),
        config_dir: config_dir.map(Path::to_owned),
        elasticsearch: None,
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
    };
    Scheduler::start(&place.directory(&format!("scheduler-{name}")), options)
}

/// Waits until the newest reason why the agent on `host` has no executor contains `words`.
#[track_caller]
fn declined(scheduler: &Scheduler, host: &str, words: &[&str]) -> String {
    until(&format!("a reason for {host} with {words:?}"), PATIENCE, || {
        let status = scheduler.status()?;
        let agents = status["agents"].as_array().cloned().unwrap_or_default();
        let of_host = agents.iter().find(|agent| agent["hostname"] == host);
        let reason = of_host.and_then(|agent| agent["declined"][0]["reason"].as_str()).unwrap_or_default();
        let all = words.iter().all(|word| reason.contains(word));
        all.then(|| reason.to_owned()).ok_or_else(|| format!("{:?}", of_host.map(ToString::to_string)))
    })
}

fn domain(zone: &str) -> String {
    let domain = json!({"fault_domain": {"region": {"name": "eu"}, "zone": {"name": zone}}});
    format!("--domain={domain}")
}

#[test]
fn rules_say_which_agents_get_an_executor_and_the_master_knows_them() {
    let place = Place::new("rules");
    let master = Master::with_flags(&place.directory("mesos"), &[&domain("eu-0")]);
    let agents = [
        agent(&place, &master, 1, &["--attributes=rack:r1;level:4", &domain("eu-1")]),
        agent(&place, &master, 2, &["--attributes=rack:r9", &domain("eu-1")]),
        agent(&place, &master, 3, &["--attributes=rack:r1;level:4", &domain("eu-1")]),
        agent(&place, &master, 4, &["--attributes=rack:r1;level:5", &domain("eu-1")]),
    ];
    let rules = [
        "--mesos-role",
        "logs",
        "--mesos-role",
        "more-logs",
        "--constraint",
        "rack:LIKE:r[1-3]",
        "--constraint",
        r#"[["@zone", "IS", "eu-1"], ["level", "IS", "4"]]"#,
        "--exclude-agent",
        "127.0.0.3",
    ];
    let mut scheduler = scheduler(&place, &master, "rules", None, &rules);
    assert_eq!(scheduler.running_executors(1)[0]["hostname"], "127.0.0.1");
    declined(&scheduler, "127.0.0.2", &["--constraint rack:LIKE:r[1-3]", "r9"]);
    declined(&scheduler, "127.0.0.3", &["--exclude-agent 127.0.0.3"]);
    // Only texts can be checked by the master: this one made an offer.
    declined(&scheduler, "127.0.0.4", &["--constraint level:IS:4", "5"]);

    let framework = until("the master to have the constraints", PATIENCE, || {
        let framework = master.framework("logstash-rules")?;
        let constraints = &framework["offer_constraints"]["role_constraints"];
        if constraints.is_object() { Ok(framework) } else { Err(framework["offer_constraints"].to_string()) }
    });
    assert_eq!(framework["roles"], json!(["logs", "more-logs"]));
    for role in ["logs", "more-logs"] {
        let groups = &framework["offer_constraints"]["role_constraints"][role]["groups"];
        assert_eq!(groups[0]["attribute_constraints"].as_array().map(Vec::len), Some(4), "{groups}");
    }
    let capabilities = framework["capabilities"].to_string();
    assert!(capabilities.contains("MULTI_ROLE") && !capabilities.contains("REVOCABLE"), "{capabilities}");

    // An agent that is excluded later loses its executor, and no other takes its place.
    assert_eq!(scheduler.terminate().code(), Some(0));
    let mut flags: Vec<&str> = rules.to_vec();
    let first = agents[0].id();
    flags.extend(["--exclude-agent", &first]);
    let scheduler = self::scheduler(&place, &master, "rules", None, &flags);
    until("the executor to end", PATIENCE, || {
        let left: Vec<_> = agents.iter().map(|agent| agent.executor_processes().len()).collect();
        if left == [0; 4] { Ok(()) } else { Err(format!("{left:?}")) }
    });
    declined(&scheduler, "127.0.0.1", &["--exclude-agent", &first]);
}

/// What the framework `logstash-reserved` has reserved on the only agent: megabytes of memory, and the names of all resources.
fn reserved(master: &Master) -> Result<(f64, Vec<String>), String> {
    let agents = get_json(&format!("http://{}/master/slaves", master.address()))?;
    let roles = agents["slaves"][0]["reserved_resources_full"].as_object().ok_or(agents.to_string())?;
    // Mesos writes reservations in one of two formats here; the label is the same in both.
    let label = json!({"key": "logstash.mesos/reserved-for", "value": "logstash-reserved"}).to_string();
    let all = roles.values().filter_map(Value::as_array).flatten();
    let own: Vec<_> = all.filter(|resource| resource.to_string().contains(&label)).collect();
    let memory = own.iter().filter(|resource| resource["name"] == "mem");
    let memory = memory.filter_map(|resource| resource["scalar"]["value"].as_f64()).sum();
    let mut names: Vec<_> =
        own.iter().filter_map(|resource| resource["name"].as_str()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    Ok((memory, names))
}

#[test]
fn what_an_executor_uses_is_reserved_comes_back_to_it_and_is_given_up_at_the_end() {
    let place = Place::new("reserved");
    let master = Master::start(&place.directory("mesos"));
    // 24 MB are for whoever has the role; the rest is for anybody.
    let resources = "--resources=cpus:2;mem(logs):24;mem:1000;disk:2048;ports:[31000-31099]";
    let agent = agent(&place, &master, 1, &[resources]);
    let configurations = place.directory("configurations");
    fs::create_dir_all(configurations.join("host")).expect("a directory");
    let write = |inputs: &str| {
        let text = format!("input {{ {inputs} }} output {{ null {{ }} }}");
        fs::write(configurations.join("host/net.conf"), text).expect("a file");
    };
    // One port that the agent offers, and one that it does not.
    write("tcp { port => 31050 } udp { port => 20514 }");
    let flags = ["--mesos-role", "logs", "--reserve"];
    let mut scheduler = self::scheduler(&place, &master, "reserved", Some(&configurations), &flags);
    let running = || {
        let executors = agent.executors()?;
        let processes = agent.executor_processes();
        match (&executors[..], &processes[..]) {
            ([executor], [process]) => Ok((executor.clone(), *process)),
            _ => Err(format!("{} executors, processes {processes:?}", executors.len())),
        }
    };
    let _ = scheduler.running_executors(1);
    let (executor, process) = until("an executor", PATIENCE, running);
    assert_eq!(executor["resources"]["ports"], "[31050-31050]");
    let all = ["cpus", "disk", "mem", "ports"].map(str::to_owned);
    // 40 of the 64 MB: the other 24 are reserved by the agent's flags.
    assert_eq!(reserved(&master), Ok((40.0, all.to_vec())));

    // The same again for the executor that takes its place.
    let killed = std::process::Command::new("kill").args(["-9", &process.to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    until("another executor", PATIENCE, || {
        let (executor, again) = running()?;
        if again == process { Err("it is still the old one".to_owned()) } else { Ok(executor) }
    });
    let _ = scheduler.running_executors(1);
    assert_eq!(reserved(&master), Ok((40.0, all.to_vec())));

    // Another framework cannot have the port at the same time.
    let second = self::scheduler(&place, &master, "second", Some(&configurations), &["--mesos-role", "logs"]);
    declined(&second, "127.0.0.1", &["31050", "--no-port-resources"]);
    drop(second);

    // A configuration that listens on more is brought to the executor.
    write("tcp { port => 31050 } tcp { port => 31051 }");
    until("an executor with both ports", PATIENCE, || {
        let (executor, _) = running()?;
        let ports = &executor["resources"]["ports"];
        if ports == "[31050-31051]" { Ok(()) } else { Err(ports.to_string()) }
    });
    let _ = scheduler.running_executors(1);

    assert_eq!(scheduler.terminate().code(), Some(0));
    let done = scheduler.uninstall(&["--mesos-role", "logs"]);
    assert!(done.status.success(), "{done:?}");
    until("nothing to be reserved", PATIENCE, || match reserved(&master)? {
        (_, names) if names.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    assert!(master.framework("logstash-reserved").is_err());
}
