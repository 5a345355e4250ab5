//! One executor on every agent, and no more.

use std::time::Duration;

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::mesos::{Agent, AgentOptions};
use logstash_mesos_tests::wait::{PATIENCE, throughout, until};

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
