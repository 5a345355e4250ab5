//! Every part is killed while lines are written, and none is lost.

use std::time::Duration;

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::docker::{BUSYBOX, Container};
use logstash_mesos_tests::lines::{Tally, arrived, filter, writer};
use logstash_mesos_tests::opensearch::OpenSearch;
use logstash_mesos_tests::process::{runs, send};
use logstash_mesos_tests::scheduler::Scheduler;
use logstash_mesos_tests::wait::{PATIENCE, throughout, until};
use rustix::process::Signal;
use serde_json::Value;

const LOG: &str = "/var/log/access.log";
const COUNT: u64 = 6_000;

/// A cluster with one agent, whose container writes while things happen.
struct Shipping {
    _writer: Container,
    scheduler: Scheduler,
    name: &'static str,
    cluster: Cluster,
}

impl Shipping {
    /// Starts all of it, and waits until lines arrive.
    fn start(name: &'static str) -> Self {
        let cluster = Cluster::with_agents(name, 1);
        let scheduler = cluster.scheduler();
        let input =
            format!("input {{ file {{ docker-path => \"{LOG}\" }} }}\n{}\n{}", filter(), cluster.output());
        scheduler.put(BUSYBOX, &input).expect(200);
        let _ = scheduler.running_executors(1);
        let writer = writer(&cluster.dockers[0], BUSYBOX, &format!("write {name} 0 {COUNT} {LOG}"));
        let shipping = Self { _writer: writer, scheduler, name, cluster };
        shipping.arrived(300);
        shipping
    }

    fn arrived(&self, count: u64) -> Tally {
        arrived(
            &self.cluster.opensearch,
            &self.cluster.index(),
            self.name,
            0..count.min(COUNT),
            |_, _| Ok(()),
        )
    }

    fn assert_nothing_lost(&self, what: &str) {
        self.arrived(COUNT);
        let documents = self.cluster.opensearch.documents(&self.cluster.index()).expect("it answers");
        Tally::of(&documents, self.name, 0..COUNT, |_, _| Ok(())).assert_exact(what);
    }

    /// Returns the process id of the only executor.
    fn executor(&self) -> u32 {
        let processes = self.cluster.agents[0].executor_processes();
        assert_eq!(processes.len(), 1, "not one executor: {processes:?}");
        processes[0]
    }

    /// Returns what Mesos knows of the tasks, in the order of their ids.
    fn tasks(&self) -> Result<Vec<Value>, String> {
        let framework = self.cluster.master.framework(&self.cluster.framework())?;
        let mut ids: Vec<_> = ["tasks", "completed_tasks", "unreachable_tasks"]
            .iter()
            .flat_map(|list| framework[*list].as_array().cloned().unwrap_or_default())
            .map(|task| task["id"].clone())
            .collect();
        ids.sort_by_key(Value::to_string);
        Ok(ids)
    }
}

#[test]
fn a_killed_executor_is_replaced_and_goes_on_where_it_was() {
    let shipping = Shipping::start("executor");
    let before = shipping.executor();
    // It has a checkpoint to continue from.
    let positions = shipping.cluster.agents[0].data_dir().join("positions.json");
    until("a checkpoint", PATIENCE, || std::fs::metadata(&positions).map_err(|error| error.to_string()));
    send(before, Signal::KILL);
    let after = until("another executor", PATIENCE * 2, || {
        let processes = shipping.cluster.agents[0].executor_processes();
        match processes.as_slice() {
            [id] if *id != before => Ok(*id),
            other => Err(format!("the processes are {other:?}")),
        }
    });
    let _ = shipping.scheduler.running_executors(1);
    shipping.assert_nothing_lost("executor killed");
    assert!(runs(after) && !runs(before));
}

#[test]
fn a_killed_scheduler_keeps_its_framework_tasks_and_executors() {
    let mut shipping = Shipping::start("scheduler");
    let (framework, executor, tasks) =
        (shipping.scheduler.framework_id(), shipping.executor(), shipping.tasks());
    assert_eq!(tasks.as_ref().map(Vec::len), Ok(1));

    shipping.scheduler.kill();
    std::thread::sleep(Duration::from_secs(1));
    shipping.scheduler.restart();
    assert_eq!(shipping.scheduler.framework_id(), framework);
    let _ = shipping.scheduler.running_executors(1);

    // SIGTERM is a failover as well.
    assert_eq!(shipping.scheduler.terminate().code(), Some(0));
    assert_eq!(shipping.executor(), executor);
    shipping.scheduler.restart();
    assert_eq!(shipping.scheduler.framework_id(), framework);
    let _ = shipping.scheduler.running_executors(1);

    throughout("the same task and executor", Duration::from_secs(5), || {
        if shipping.tasks()? != *tasks.as_ref().expect("checked above") {
            return Err("there are other tasks".into());
        }
        if shipping.executor() == executor { Ok(()) } else { Err("there is another executor".into()) }
    });
    shipping.assert_nothing_lost("scheduler killed, then ended");
}

#[test]
fn a_killed_agent_keeps_its_executor() {
    let mut shipping = Shipping::start("agent");
    let (executor, tasks) = (shipping.executor(), shipping.tasks());
    shipping.cluster.agents[0].kill();
    std::thread::sleep(Duration::from_secs(2));
    assert!(runs(executor), "the executor ended with its agent");
    shipping.cluster.agents[0].restart();
    until("the agent to run its executor", PATIENCE, || {
        let executors = shipping.cluster.agents[0].executors()?;
        if executors.len() == 1 { Ok(()) } else { Err(format!("{executors:?}")) }
    });
    // Past the agent's recovery, when executors that did not subscribe again are ended.
    throughout("the same executor", Duration::from_secs(6), || {
        if runs(executor) { Ok(()) } else { Err("it ended".into()) }
    });
    assert_eq!(shipping.executor(), executor);
    assert_eq!(shipping.tasks(), tasks);
    shipping.assert_nothing_lost("agent killed");
}

#[test]
fn a_killed_master_changes_nothing() {
    let mut shipping = Shipping::start("master");
    let (framework, executor, tasks) =
        (shipping.scheduler.framework_id(), shipping.executor(), shipping.tasks());
    shipping.cluster.master.kill();
    std::thread::sleep(Duration::from_secs(1));
    shipping.cluster.master.restart();
    until("the agent to register again", PATIENCE, || shipping.cluster.agents[0].registered());
    assert_eq!(shipping.scheduler.framework_id(), framework);
    until("the same task", PATIENCE, || {
        if shipping.tasks()? == *tasks.as_ref().unwrap() { Ok(()) } else { Err("no".into()) }
    });
    throughout("the same task and executor", Duration::from_secs(5), || {
        if shipping.tasks()? == *tasks.as_ref().unwrap() {
            Ok(())
        } else {
            Err("there are other tasks".into())
        }
    });
    assert_eq!(shipping.executor(), executor);
    shipping.assert_nothing_lost("master killed");
}

#[test]
fn a_killed_docker_daemon_is_waited_for() {
    let mut shipping = Shipping::start("dockerd");
    let executor = shipping.executor();
    shipping.cluster.dockers[0].kill();
    std::thread::sleep(Duration::from_secs(3));
    shipping.cluster.dockers[0].restart();
    let count = 200;
    let _second = writer(&shipping.cluster.dockers[0], BUSYBOX, &format!("write after 0 {count} {LOG}"));
    let tally =
        arrived(&shipping.cluster.opensearch, &shipping.cluster.index(), "after", 0..count, |_, _| Ok(()));
    tally.assert_exact("container started after the Docker daemon was killed");
    shipping.assert_nothing_lost("Docker daemon killed");
    assert_eq!(shipping.executor(), executor);
}

#[test]
fn a_killed_search_engine_is_waited_for() {
    let place = logstash_mesos_tests::place::Place::new("engine");
    let mut engine = OpenSearch::start(&place.directory("o"));
    let cluster = Cluster::with_agents("outage", 1);
    let scheduler = cluster.scheduler();
    let input = format!(
        "input {{ file {{ docker-path => \"{LOG}\" }} }}\n{}\n
         output {{ elasticsearch {{ hosts => [\"{}\"] index => \"outage\" }} }}",
        filter(),
        engine.url()
    );
    scheduler.put(BUSYBOX, &input).expect(200);
    let _writer = writer(&cluster.dockers[0], BUSYBOX, &format!("write outage 0 {COUNT} {LOG}"));
    let _ = arrived(&engine, "outage", "outage", 0..300, |_, _| Ok(()));
    engine.kill();
    std::thread::sleep(Duration::from_secs(5));
    engine.restart();
    let tally = arrived(&engine, "outage", "outage", 0..COUNT, |_, _| Ok(()));
    tally.assert_exact("search engine killed");
}
