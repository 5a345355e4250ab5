mod crashes;
mod demand;
mod launches;
mod lives;

use super::super::task::Phase;
use super::launches::SUSPICION_MS;
use super::*;
use crate::offer::Needs;
use crate::offer::testing::{dynamic, plain_strategy};
use mesos_v1::proto::{self, TaskState, task_status::Reason, value};

pub(super) fn policy() -> Policy {
    let needs = Needs { cpus_milli: 100, mem_megabytes: 64, disk_megabytes: 0 };
    Policy {
        strategy: Arc::new(plain_strategy(needs)),
        executor_id: "logstash-1".into(),
        task_prefix: "logstash".to_owned(),
        launch_parallelism: 100,
        rollout_parallelism: 1,
        rollout_max_failures: 3,
        launch_timeout: Duration::from_secs(300),
        backoff_first: Duration::from_secs(1),
        backoff_longest: Duration::from_secs(300),
        backoff_reset: Duration::from_secs(600),
        stranger_grace: Duration::from_secs(30),
        closed: None,
    }
}

pub(super) fn state() -> State {
    let mut state = State::new(policy(), None, []);
    let actions = run(&mut state, Event::Subscribed { framework_id: "f".into() }, 0);
    assert_eq!(actions, [Action::StoreFramework, Action::Reconcile(vec![])]);
    state
}

pub(super) fn run(state: &mut State, event: Event, now_ms: u64) -> Vec<Action> {
    let mut n = 0;
    state.apply(event, now_ms, &mut || {
        n += 1;
        n
    })
}

pub(super) fn offer(id: &str, agent: &str) -> Offer {
    let resource = |(name, value): (&str, f64)| Resource {
        name: name.to_owned(),
        scalar: Some(value::Scalar { value }),
        ..Resource::default()
    };
    Offer {
        id: proto::OfferId { value: id.to_owned() },
        agent_id: proto::AgentId { value: agent.to_owned() },
        hostname: format!("host-{agent}"),
        resources: [("cpus", 2.0), ("mem", 1000.0)].map(resource).to_vec(),
        ..Offer::default()
    }
}

fn status(task: &TaskId, agent: &str, state: TaskState) -> TaskStatus {
    TaskStatus {
        task_id: task.into(),
        agent_id: Some(proto::AgentId { value: agent.to_owned() }),
        state: state.into(),
        uuid: Some(format!("{:016}", i32::from(state)).into_bytes()),
        ..TaskStatus::default()
    }
}

pub(super) fn update(task: &TaskId, agent: &str, state: TaskState) -> Event {
    Event::Update(Box::new(status(task, agent, state)))
}

fn because(task: &TaskId, agent: &str, state: TaskState, reason: Reason) -> Event {
    let status = TaskStatus { reason: Some(reason.into()), ..status(task, agent, state) };
    Event::Update(Box::new(status))
}

pub(super) fn launched(actions: &[Action]) -> Vec<&Launch> {
    actions.iter().filter_map(|a| if let Action::Accept(l) = a { Some(&**l) } else { None }).collect()
}

/// Brings a task on agent `a` to running and returns its id.
fn running(state: &mut State) -> TaskId {
    running_on(state, "a")
}

/// Brings a task on an agent to running and returns its id.
pub(super) fn running_on(state: &mut State, agent: &str) -> TaskId {
    let actions = run(state, Event::Offers(vec![offer("o", agent)]), 0);
    let id = launched(&actions)[0].task.task_id.clone();
    run(state, update(&id, agent, TaskState::TaskRunning), 0);
    id
}

fn declined(state: &State, agent: &str) -> String {
    state.agents()[&AgentId::from(agent)].declined.front().map(|d| d.reason.to_string()).unwrap_or_default()
}

fn listed(standing: Standing) -> Event {
    Event::AgentsListed(vec![ListedAgent {
        agent_id: "a".into(),
        hostname: "host-a".to_owned(),
        active: true,
        draining: false,
        standing: Some(standing),
    }])
}
