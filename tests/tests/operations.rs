//! What an operator does to agents and to the framework: a window of maintenance, a drain, a partition, a teardown.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use logstash_mesos_tests::cluster::Cluster;
use logstash_mesos_tests::http::{get_json, request_with};
use logstash_mesos_tests::process::send;
use logstash_mesos_tests::scheduler::{Scheduler, is_running};
use logstash_mesos_tests::wait::{PATIENCE, throughout, until};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A cluster of two agents; everything happens to the second.
struct Bed {
    scheduler: Scheduler,
    cluster: Cluster,
}

impl Bed {
    fn start(name: &str) -> Self {
        let cluster = Cluster::start(name);
        let scheduler = cluster.scheduler();
        let bed = Self { scheduler, cluster };
        let _ = bed.scheduler.running_executors(2);
        bed
    }

    /// The agent with this host name, as the status has it.
    fn agent(&self, host: &str) -> Result<Value, String> {
        let status = self.scheduler.status()?;
        let agents = status["agents"].as_array().cloned().unwrap_or_default();
        agents.into_iter().find(|agent| agent["hostname"] == host).ok_or_else(|| status["agents"].to_string())
    }

    fn executors_on(&self, at: usize) -> Result<usize, String> {
        Ok(self.cluster.agents[at].executor_processes().len())
    }

    fn wait_for(&self, what: &str, at: usize, count: usize) {
        until(what, PATIENCE * 2, || match self.executors_on(at)? {
            now if now == count => Ok(()),
            now => Err(format!("{now} executors on agent {at}; {}", self.agent(SECOND).unwrap_or_default())),
        });
    }

    fn first_is_undisturbed(&self, executor: u32) {
        assert_eq!(self.cluster.agents[0].executor_processes(), [executor]);
    }
}

const SECOND: &str = "127.0.0.2";

#[test]
fn maintenance_drain_partition_and_teardown_by_an_operator() {
    let bed = Bed::start("operations");
    let first = bed.cluster.agents[0].executor_processes()[0];
    let framework = bed.scheduler.framework_id();

    // A window that begins soon: the executor ends before it, and none is launched in it.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let window = |start: Duration| {
        let start = i64::try_from(start.as_nanos()).expect("fits");
        json!({"type": "UPDATE_MAINTENANCE_SCHEDULE", "update_maintenance_schedule": {"schedule": {"windows": [{
            "machine_ids": [{"hostname": SECOND, "ip": SECOND}],
            "unavailability": {"start": {"nanoseconds": start}, "duration": {"nanoseconds": 3_600_000_000_000_u64}}
        }]}}})
    };
    bed.cluster.master.operate(&window(now + Duration::from_secs(20)));
    bed.wait_for("the executor to end before the maintenance", 1, 0);
    throughout("no executor during the maintenance", Duration::from_secs(5), || {
        match bed.executors_on(1)? {
            0 => Ok(()),
            now => Err(format!("{now} executors")),
        }
    });
    bed.first_is_undisturbed(first);
    bed.cluster.master.operate(&json!({"type": "UPDATE_MAINTENANCE_SCHEDULE",
                        "update_maintenance_schedule": {"schedule": {"windows": []}}}));
    bed.wait_for("an executor after the maintenance", 1, 1);

    // A drain: it ends, is no failure, and comes back when the agent is reactivated.
    let agent_id = json!({"value": bed.cluster.agents[1].id()});
    bed.cluster.master.operate(&json!({"type": "DRAIN_AGENT", "drain_agent": {"agent_id": agent_id}}));
    bed.wait_for("the executor of a drained agent to end", 1, 0);
    until("the agent to be drained", PATIENCE, || {
        // Mesos waits for the acknowledgement of every last update.
        let agents = get_json(&format!("http://{}/master/slaves", bed.cluster.master.address()))?;
        let drained = |agent: &Value| agent["drain_info"]["state"] == "DRAINED";
        match agents["slaves"].as_array().is_some_and(|agents| agents.iter().any(drained)) {
            true => Ok(()),
            false => Err(agents.to_string()),
        }
    });
    bed.first_is_undisturbed(first);
    bed.cluster
        .master
        .operate(&json!({"type": "REACTIVATE_AGENT", "reactivate_agent": {"agent_id": agent_id}}));
    bed.wait_for("an executor on the reactivated agent", 1, 1);
    until("it to run", PATIENCE, || {
        let agent = bed.agent(SECOND)?;
        if is_running(&agent["executor"]) { Ok(()) } else { Err(agent.to_string()) }
    });

    // A partition: the task is unreachable, nothing takes its place, and it comes back with its agent.
    let executor = bed.cluster.agents[1].executor_processes();
    let agent_process = bed.cluster.agents[1].process_id();
    send(agent_process, Signal::STOP);
    until("the agent to be unreachable", PATIENCE, || {
        let agent = bed.agent(SECOND)?;
        if agent["executor"]["state"].as_str().is_some_and(|s| s.eq_ignore_ascii_case("unreachable")) {
            Ok(())
        } else {
            Err(agent.to_string())
        }
    });
    send(agent_process, Signal::CONT);
    until("the task to be back", PATIENCE * 2, || {
        let agent = bed.agent(SECOND)?;
        if is_running(&agent["executor"]) { Ok(()) } else { Err(agent.to_string()) }
    });
    throughout("the same executor as before", Duration::from_secs(5), || {
        let now = bed.cluster.agents[1].executor_processes();
        if now == executor { Ok(()) } else { Err(format!("{now:?} instead of {executor:?}")) }
    });
    bed.first_is_undisturbed(first);

    // A teardown by somebody else: the framework begins anew, with one executor on each agent.
    let url = format!("http://{}/master/teardown", bed.cluster.master.address());
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = request_with("POST", &url, &form, Some(&format!("frameworkId={framework}")));
    assert_eq!(answer.expect("the master answers").status, 200);
    until("another framework", PATIENCE, || {
        let status = bed.scheduler.status()?;
        let id = status["framework"]["id"].as_str().unwrap_or_default().to_owned();
        if status["framework"]["connected"] == true && !id.is_empty() && id != framework {
            Ok(())
        } else {
            Err(status["framework"].to_string())
        }
    });
    let _ = bed.scheduler.running_executors(2);
    for at in [0, 1] {
        bed.wait_for("one executor again", at, 1);
    }
    assert_ne!(bed.cluster.agents[0].executor_processes(), [first]);
}
