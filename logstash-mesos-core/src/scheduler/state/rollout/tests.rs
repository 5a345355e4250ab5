use super::super::tests::{launched, offer, policy, run, running_on, update};
use super::*;
use crate::scheduler::state::{Event, Policy};
use crate::scheduler::task::Phase;
use mesos_v1::proto::TaskState;

fn newer(parallelism: usize, max_failures: u32) -> Policy {
    Policy {
        executor_id: "logstash-2".into(),
        rollout_parallelism: parallelism,
        rollout_max_failures: max_failures,
        ..policy()
    }
}

/// A scheduler with a changed definition, whose tasks run under the one before.
fn changed(policy: Policy, agents: &[&str]) -> State {
    let mut before = super::super::tests::state();
    for agent in agents {
        running_on(&mut before, agent);
    }
    begin(policy, &before, None)
}

fn begin(policy: Policy, before: &State, rollout: Option<Rollout>) -> State {
    let tasks: Vec<_> = before.tasks().cloned().collect();
    let mut state = State::new(policy, Some("f".into()), tasks.clone()).with_rollout(rollout);
    run(&mut state, Event::Subscribed { framework_id: "f".into() }, 0);
    for task in tasks {
        run(&mut state, update(&task.task_id, task.agent_id.as_str(), TaskState::TaskRunning), 0);
    }
    state
}

fn killed(actions: &[Action]) -> Vec<AgentId> {
    let kill = |action: &Action| match action {
        Action::Kill { agent_id, .. } => Some(agent_id.clone()),
        _ => None,
    };
    actions.iter().filter_map(kill).collect()
}

/// Has the old executor on an agent end and the new one come.
fn replace(state: &mut State, agent: &AgentId, now: u64) -> crate::ids::TaskId {
    let old = state.task_on(agent).expect("is there").task_id.clone();
    run(state, update(&old, agent.as_str(), TaskState::TaskKilled), now);
    let actions = run(state, Event::Offers(vec![offer(&format!("{agent}{now}"), agent.as_str())]), now);
    launched(&actions)[0].task.task_id.clone()
}

#[test]
fn as_many_agents_as_allowed_have_their_turn_until_the_new_executor_has_run_for_a_while() {
    let mut state = changed(newer(2, 3), &["a", "b", "c"]);
    let actions = run(&mut state, Event::Tick, 100);
    assert!(matches!(actions[..2], [Action::StoreRollout(_), Action::StoreTasks(_)]), "{actions:?}");
    let first = killed(&actions);
    assert_eq!((first.len(), state.outdated()), (2, 1));
    let new = replace(&mut state, &first[0], 1_000);
    assert_eq!(killed(&run(&mut state, Event::Tick, 2_000)), []);
    run(&mut state, update(&new, first[0].as_str(), TaskState::TaskRunning), 2_000);
    assert_eq!(killed(&run(&mut state, Event::Tick, 4_000)), [], "it runs, but not for long yet");
    assert_eq!(
        killed(&run(&mut state, Event::Tick, 7_000)).len(),
        2,
        "the next one, and the second one again"
    );
    assert_eq!(state.outdated(), 0);
}

#[test]
fn a_definition_that_fails_stops_with_the_reason_and_an_operator_lets_it_go_on() {
    let mut state = changed(newer(1, 2), &["a", "b"]);
    let agent = killed(&run(&mut state, Event::Tick, 100)).remove(0);
    let mut now = 1_000;
    let mut new = replace(&mut state, &agent, now);
    for failure in 1..=2 {
        run(&mut state, update(&new, agent.as_str(), TaskState::TaskFailed), now);
        assert_eq!(state.rollout().failures, failure);
        now += 10_000;
        let actions = run(&mut state, Event::Offers(vec![offer(&now.to_string(), agent.as_str())]), now);
        new = launched(&actions)[0].task.task_id.clone();
    }
    let actions = run(&mut state, Event::Tick, now);
    let [Action::StoreRollout(stored), ..] = &actions[..] else { panic!("{actions:?}") };
    let reason = stored.stopped.as_deref().expect("has stopped");
    assert!(reason.contains("failed 2 times") && reason.contains("TASK_FAILED"), "{reason}");
    // Even when the agent does well in the end.
    run(&mut state, update(&new, agent.as_str(), TaskState::TaskRunning), now);
    assert_eq!(killed(&run(&mut state, Event::Tick, now + 60_000)), []);

    // Another leader finds it as it is.
    let mut next = begin(newer(1, 2), &state, Some(stored.clone()));
    assert_eq!(killed(&run(&mut next, Event::Tick, now + 61_000)), []);
    assert!(next.resume_rollout());
    assert!(!next.resume_rollout());
    assert_eq!(killed(&run(&mut next, Event::Tick, now + 62_000)).len(), 1);

    // And another definition does not know of it.
    let third = Policy { executor_id: "logstash-3".into(), ..newer(1, 2) };
    let mut third = begin(third, &state, Some(stored.clone()));
    assert_eq!(killed(&run(&mut third, Event::Tick, now + 61_000)).len(), 1);
}

#[test]
fn failures_elsewhere_and_agents_that_go_away_do_not_hold_it_up() {
    let mut state = changed(newer(1, 1), &["a", "b", "c"]);
    let agent = killed(&run(&mut state, Event::Tick, 100)).remove(0);
    let other = state.tasks().find(|t| t.agent_id != agent).cloned().expect("there are three");
    run(&mut state, update(&other.task_id, other.agent_id.as_str(), TaskState::TaskFailed), 200);
    assert_eq!(state.rollout().failures, 0, "it was the old one that failed");
    let old = state.task_on(&agent).expect("is there").task_id.clone();
    run(&mut state, update(&old, agent.as_str(), TaskState::TaskUnreachable), 300);
    let next = killed(&run(&mut state, Event::Tick, 1_000));
    assert_eq!(next.len(), 1);
    assert_ne!(next[0], agent);
    assert_eq!(state.task_on(&agent).map(|t| t.phase), Some(Phase::Unreachable));
}

#[test]
fn an_executor_stays_while_somebody_else_has_the_port_of_the_new_one() {
    use crate::offer::testing::plain_strategy;
    use crate::offer::{Capacity, Needs, OnePerAgent, Ranges, Standing, WantedPorts};
    use mesos_v1::proto::{Resource, value};

    let needs = Needs { cpus_milli: 100, mem_megabytes: 64, disk_megabytes: 0 };
    let strategy =
        OnePerAgent { ports: WantedPorts { fixed: vec![5044], chosen: vec![] }, ..plain_strategy(needs) };
    let policy = Policy { strategy: std::sync::Arc::new(strategy), ..newer(2, 3) };
    let mut state = changed(policy, &["a", "b"]);
    let range = value::Range { begin: 5044, end: 5044 };
    let ports = Resource { ranges: Some(value::Ranges { range: vec![range] }), ..Resource::default() };
    let listed = |agent: &str, ports_used: Ranges| crate::scheduler::state::ListedAgent {
        agent_id: agent.into(),
        hostname: format!("host-{agent}"),
        active: true,
        draining: false,
        standing: Some(Standing {
            excluded: None,
            capacity: Some(Capacity { ports: Ranges::of(&ports), ports_used, ..Capacity::default() }),
        }),
    };
    let list = vec![listed("a", Ranges::of(&ports)), listed("b", Ranges::default())];
    run(&mut state, Event::AgentsListed(list), 50);
    assert_eq!(killed(&run(&mut state, Event::Tick, 100)), [AgentId::from("b")]);
    let old = state.task_on(&"a".into()).expect("stays").clone();
    assert_eq!(state.waits_for_ports(&old), Some(Reason::PortsTaken { ports: vec![5044] }));
    run(&mut state, Event::AgentsListed(vec![listed("a", Ranges::default())]), 200);
    assert_eq!(killed(&run(&mut state, Event::Tick, 300)), [AgentId::from("a")]);
}
