//! What becomes of a task once it is there, and of its agent.

use super::*;

#[test]
fn a_change_is_stored_before_its_update_is_acknowledged() {
    let mut state = state();
    let id = running(&mut state);
    let actions = run(&mut state, update(&id, "a", TaskState::TaskFailed), 5);
    assert_eq!(actions[0], Action::StoreTasks(BTreeSet::from(["a".into()])));
    assert!(matches!(actions[1], Action::Acknowledge { .. }));
    assert_eq!(state.tasks().count(), 0);
}

#[test]
fn updates_of_the_master_are_not_acknowledged_and_repeated_ones_change_nothing() {
    let mut state = state();
    let id = running(&mut state);
    let again = run(&mut state, update(&id, "a", TaskState::TaskRunning), 5);
    assert!(matches!(again[..], [Action::Acknowledge { .. }]));
    let status = TaskStatus { uuid: None, ..status(&id, "a", TaskState::TaskRunning) };
    assert_eq!(run(&mut state, Event::Update(Box::new(status)), 5), []);
    let unknown = TaskStatus { state: 99, ..self::status(&id, "a", TaskState::TaskRunning) };
    run(&mut state, Event::Update(Box::new(unknown)), 5);
    assert_eq!(state.tasks().next().map(|t| t.phase), Some(Phase::Running));
}

#[test]
fn a_dead_executor_is_replaced_after_a_growing_wait() {
    let mut state = state();
    let mut now = 0;
    for wait in [1_000, 2_000, 4_000] {
        let actions = run(&mut state, Event::Offers(vec![offer("o", "a")]), now);
        let id = launched(&actions)[0].task.task_id.clone();
        run(&mut state, update(&id, "a", TaskState::TaskRunning), now);
        run(&mut state, because(&id, "a", TaskState::TaskFailed, Reason::ExecutorTerminated), now);
        let actions = run(&mut state, Event::Offers(vec![offer("o", "a")]), now + wait - 1);
        assert_eq!(launched(&actions).len(), 0);
        assert!(declined(&state, "a").contains("REASON_EXECUTOR_TERMINATED"), "{}", declined(&state, "a"));
        now += wait;
    }
    // One that ran for long was healthy: the wait begins anew.
    let actions = run(&mut state, Event::Offers(vec![offer("o", "a")]), now);
    let id = launched(&actions)[0].task.task_id.clone();
    run(&mut state, update(&id, "a", TaskState::TaskRunning), now);
    run(&mut state, update(&id, "a", TaskState::TaskFailed), now + 600_000);
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o", "a")]), now + 601_000)).len(), 1);
}

#[test]
fn an_unreachable_agent_keeps_its_task_until_it_is_gone() {
    let mut state = state();
    let id = running(&mut state);
    run(&mut state, update(&id, "a", TaskState::TaskUnreachable), 0);
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o", "a")]), 1)).len(), 0);
    run(&mut state, update(&id, "a", TaskState::TaskRunning), 2);
    assert_eq!(state.task_on(&"a".into()).map(|t| t.phase), Some(Phase::Running));
    run(&mut state, update(&id, "a", TaskState::TaskUnreachable), 3);
    run(&mut state, update(&id, "a", TaskState::TaskGoneByOperator), 4);
    assert_eq!(state.tasks().count(), 0);
}

#[test]
fn a_drained_agent_is_left_alone_until_it_offers_again() {
    let mut state = state();
    let id = running(&mut state);
    run(&mut state, Event::Tick, 1);
    run(&mut state, because(&id, "a", TaskState::TaskKilled, Reason::AgentDraining), 10);
    for now in (1_000..400_000).step_by(1_000) {
        assert!(!run(&mut state, Event::Tick, now).contains(&Action::Revive));
    }
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o", "a")]), 400_000)).len(), 1);
}

#[test]
fn strangers_are_killed_after_a_grace_and_never_in_answer_to_unknown() {
    let mut state = state();
    let id = TaskId::from("stranger");
    let actions = run(&mut state, update(&id, "a", TaskState::TaskRunning), 0);
    assert!(matches!(actions[..], [Action::Acknowledge { .. }]));
    assert_eq!(run(&mut state, Event::Tick, 29_999), []);
    let kill = Action::Kill { task_id: id.clone(), agent_id: "a".into() };
    assert_eq!(run(&mut state, Event::Tick, 30_000), std::slice::from_ref(&kill));
    assert_eq!(run(&mut state, Event::Tick, 34_999), []);
    assert_eq!(run(&mut state, Event::Tick, 35_000), [kill]);
    run(&mut state, update(&id, "a", TaskState::TaskUnknown), 36_000);
    assert_eq!(run(&mut state, Event::Tick, 200_000), []);
    run(&mut state, update(&"other".into(), "a", TaskState::TaskGone), 36_000);
    assert_eq!(run(&mut state, Event::Tick, 400_000), []);
}

#[test]
fn events_that_come_together_are_stored_together_and_offers_are_looked_at_last() {
    let mut state = state();
    let id = running(&mut state);
    let events = [
        Event::Offers(vec![offer("b", "b"), offer("c", "c")]),
        update(&id, "a", TaskState::TaskFailed),
        Event::Rescinded("b".into()),
    ];
    let actions = state.apply_all(events, 10, &mut || 7);
    let [Action::StoreTasks(agents), Action::Acknowledge { .. }, Action::Accept(launch)] = &actions[..]
    else {
        panic!("{actions:?}")
    };
    assert_eq!(*agents, BTreeSet::from(["a".into(), "c".into()]));
    assert_eq!(launch.offer_ids, ["c".into()]);
}

#[test]
fn a_removed_framework_starts_anew_without_its_tasks() {
    let mut state = state();
    running(&mut state);
    let actions = run(&mut state, Event::Removed, 1);
    assert_eq!(actions, [Action::StoreTasks(BTreeSet::from(["a".into()])), Action::StartAnew]);
    assert_eq!((state.framework_id(), state.tasks().count()), (None, 0));
    run(&mut state, Event::Subscribed { framework_id: "g".into() }, 2);
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o", "a")]), 3)).len(), 1);
}

#[test]
fn an_executor_where_the_rules_no_longer_want_one_is_ended_and_not_replaced() {
    let mut state = state();
    let id = running(&mut state);
    let excluded = Some(crate::offer::Reason::Excluded { name: "host-a".to_owned() });
    let actions = run(&mut state, listed(Standing { excluded, capacity: None }), 10);
    assert_eq!(actions, [Action::StoreTasks(BTreeSet::from(["a".into()]))]);
    let kill = Action::Kill { task_id: id.clone(), agent_id: "a".into() };
    assert!(run(&mut state, Event::Tick, 20).contains(&kill));
    run(&mut state, update(&id, "a", TaskState::TaskKilled), 30);
    assert_eq!(state.agents()[&AgentId::from("a")].failures.count, 0, "nobody's fault");
    assert!(state.is_suppressed(), "no offer of it is wanted");
    let agent = &state.agents()[&AgentId::from("a")];
    assert_eq!(state.expects_nothing(agent).map(|r| r.code()), Some("excluded"));
}

#[test]
fn another_definition_is_brought_to_the_executors_that_run() {
    let mut state = state();
    let id = running(&mut state);
    run(&mut state, listed(Standing::default()), 10);
    let needs = Needs { cpus_milli: 200, mem_megabytes: 64, disk_megabytes: 0 };
    let strategy = Arc::new(plain_strategy(needs));
    run(&mut state, Event::Redefined { executor_id: "logstash-2".into(), strategy }, 20);
    let actions = run(&mut state, Event::Tick, 3_000);
    assert!(actions.contains(&Action::Kill { task_id: id.clone(), agent_id: "a".into() }), "{actions:?}");
    run(&mut state, update(&id, "a", TaskState::TaskKilled), 3_100);
    let actions = run(&mut state, Event::Offers(vec![offer("o2", "a")]), 3_200);
    let launch = launched(&actions)[0];
    assert_eq!(launch.task.executor_id.as_str(), "logstash-2");
    assert_eq!(launch.plan.executor[0].scalar, Some(value::Scalar { value: 0.19 }));
}
