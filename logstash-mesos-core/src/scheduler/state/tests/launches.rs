//! When an executor is launched, and on which offers.

use super::*;

#[test]
fn an_intent_is_stored_before_its_offer_is_accepted() {
    let mut state = state();
    let actions = run(&mut state, Event::Offers(vec![offer("o1", "a"), offer("o2", "b")]), 1_700_000_000_000);
    assert_eq!(actions[0], Action::StoreTasks(BTreeSet::from(["a".into(), "b".into()])));
    let launched = launched(&actions);
    assert_eq!(launched.len(), 2);
    assert_eq!(launched[0].task.task_id.as_str(), "logstash_host-a_20231114T221320.000Z_00000001");
    assert_eq!(launched[0].task.phase, Phase::Intended);
}

#[test]
fn offers_of_one_agent_and_role_are_used_together_and_others_given_back() {
    let mut state = state();
    let allocation_info = Some(proto::resource::AllocationInfo { role: Some("other".to_owned()) });
    let to_other_role = Offer { allocation_info, ..offer("o3", "a") };
    let offers = vec![offer("o1", "a"), offer("o2", "a"), to_other_role];
    let actions = run(&mut state, Event::Offers(offers), 0);
    let launched = launched(&actions);
    assert_eq!(launched.len(), 1);
    assert_eq!(launched[0].offer_ids, ["o1".into(), "o2".into()]);
    let settled = Duration::from_secs(3600);
    assert_eq!(actions[2], Action::Decline { offer_ids: vec!["o3".into()], refuse_for: settled });
    assert!(declined(&state, "a").contains("is about to be launched there"));
}

#[test]
fn an_offer_that_is_too_small_waits_for_another_for_seconds_and_no_longer() {
    let part = |id: &str, mem: f64| {
        let mut part = offer(id, "a");
        part.resources[1].scalar = Some(value::Scalar { value: mem });
        part
    };
    let mut state = state();
    assert_eq!(run(&mut state, Event::Offers(vec![part("o1", 40.0)]), 0), []);
    assert_eq!(run(&mut state, Event::Tick, 2_900), []);
    let together = run(&mut state, Event::Offers(vec![part("o2", 40.0)]), 2_950);
    assert_eq!(launched(&together)[0].offer_ids, ["o1".into(), "o2".into()]);

    let mut state = self::state();
    run(&mut state, Event::Offers(vec![part("o1", 40.0)]), 0);
    run(&mut state, Event::Offers(vec![part("o2", 10.0)]), 1_000);
    run(&mut state, Event::Rescinded("o2".into()), 1_500);
    let over = run(&mut state, Event::Tick, 3_001);
    let soon = Duration::from_secs(5);
    assert_eq!(over, [Action::Decline { offer_ids: vec!["o1".into()], refuse_for: soon }]);
    assert!(declined(&state, "a").contains("needs 64 MB of mem, largest offer 40 MB"));
    // What a replaced stream offered is void.
    run(&mut state, Event::Offers(vec![part("o3", 40.0)]), 4_000);
    run(&mut state, Event::Subscribed { framework_id: "f".into() }, 4_100);
    assert_eq!(run(&mut state, Event::Offers(vec![part("o4", 40.0)]), 4_200), []);
}

#[test]
fn one_bad_agent_does_not_hold_up_the_others() {
    let mut state = state();
    let id = running(&mut state);
    run(&mut state, update(&id, "a", TaskState::TaskFailed), 0);
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o", "b")]), 1)).len(), 1);
}

#[test]
fn an_offer_that_was_gone_is_nobodys_fault() {
    let mut state = state();
    let actions = run(&mut state, Event::Offers(vec![offer("o", "a")]), 0);
    let id = launched(&actions)[0].task.task_id.clone();
    run(&mut state, because(&id, "a", TaskState::TaskDropped, Reason::InvalidOffers), 1);
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o2", "a")]), 2)).len(), 1);
}

#[test]
fn launches_are_limited_until_they_are_confirmed() {
    let policy = Policy { launch_parallelism: 2, ..policy() };
    let mut state = State::new(policy, Some("f".into()), []);
    run(&mut state, Event::Subscribed { framework_id: "f".into() }, 0);
    let actions = run(&mut state, Event::Offers(["a", "b", "c"].map(|a| offer(a, a)).to_vec()), 0);
    let tasks: Vec<_> = launched(&actions).iter().map(|l| l.task.clone()).collect();
    assert_eq!(tasks.len(), 2);
    let (waits, _) = state.held.next_waiting().expect("the third one waits");
    let reason = declined(&state, waits.as_str());
    assert_eq!(reason, "2 launches are unconfirmed, no more at a time (--launch-parallelism)");
    let (id, agent) = (&tasks[0].task_id, tasks[0].agent_id.as_str());
    let starting = run(&mut state, update(id, agent, TaskState::TaskStarting), 1);
    assert_eq!(launched(&starting).len(), 0);
    let confirmed = run(&mut state, update(id, agent, TaskState::TaskRunning), 3);
    assert_eq!(launched(&confirmed)[0].task.agent_id, waits, "the offer was kept until its turn came");
    assert!(matches!(confirmed[0], Action::StoreTasks(_)));
}

#[test]
fn a_good_offer_waits_for_its_turn_for_seconds_and_no_longer() {
    let policy = Policy { launch_parallelism: 1, ..policy() };
    let mut state = State::new(policy, Some("f".into()), []);
    run(&mut state, Event::Subscribed { framework_id: "f".into() }, 0);
    let offers = (0..30).map(|n| offer(&format!("agent-{n:02}"), &format!("agent-{n:02}"))).collect();
    let actions = run(&mut state, Event::Offers(offers), 0);
    let briefly = Duration::from_secs(1);
    let [Action::StoreTasks(_), Action::Accept(first), Action::Decline { offer_ids, refuse_for }] =
        &actions[..]
    else {
        panic!("{actions:?}")
    };
    assert_eq!((offer_ids.len(), *refuse_for), (9, briefly), "more than can have their turn soon");
    let (taken_back, _) = state.held.next_waiting().expect("some wait");
    run(&mut state, Event::Rescinded(taken_back.as_str().into()), 100);
    let (next, _) = state.held.next_waiting().expect("some wait");
    let task = &first.task;
    let second = run(&mut state, update(&task.task_id, task.agent_id.as_str(), TaskState::TaskRunning), 200);
    assert_eq!(launched(&second)[0].task.agent_id, next);
    assert_ne!(next, taken_back);
    let over = run(&mut state, Event::Tick, 5_001);
    let [Action::Decline { offer_ids, refuse_for }] = &over[..] else { panic!("{over:?}") };
    assert_eq!((offer_ids.len(), *refuse_for), (18, briefly));
    assert_eq!(state.counters().rescinded, 1);
}

#[test]
fn nothing_is_launched_beside_a_task_that_is_not_on_record() {
    let mut state = state();
    run(&mut state, update(&"stranger".into(), "a", TaskState::TaskRunning), 0);
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o", "a")]), 1)).len(), 0);
    assert!(declined(&state, "a").contains("not on record"));
    // Away with its agent, it may come back.
    run(&mut state, update(&"stranger".into(), "a", TaskState::TaskUnreachable), 2);
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o", "a")]), 40_000)).len(), 0);
    let kills = run(&mut state, Event::Tick, 40_000);
    assert!(kills.iter().any(|a| matches!(a, Action::Kill { .. })), "{kills:?}");
    run(&mut state, update(&"stranger".into(), "a", TaskState::TaskGone), 41_000);
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o2", "a")]), 41_000)).len(), 1);
}

#[test]
fn a_launch_that_nobody_confirms_is_asked_about_then_killed_then_tried_again() {
    let mut state = state();
    let actions = run(&mut state, Event::Offers(vec![offer("o", "a")]), 0);
    let id = launched(&actions)[0].task.task_id.clone();
    assert_eq!(run(&mut state, Event::Tick, 299_000), []);
    run(&mut state, Event::Tick, 300_000);
    let asked = run(&mut state, Event::Tick, 300_500);
    assert_eq!(asked, [Action::Reconcile(vec![(id.clone(), "a".into())])]);
    let at = 300_000 + SUSPICION_MS;
    let actions = run(&mut state, Event::Tick, at);
    assert!(actions.contains(&Action::Kill { task_id: id.clone(), agent_id: "a".into() }), "{actions:?}");
    run(&mut state, update(&id, "a", TaskState::TaskUnknown), at);
    assert!(state.agents()[&"a".into()].failures.reason.contains("not confirmed within 300 s"));
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o", "a")]), at + 1_000)).len(), 1);
}

#[test]
fn a_refused_launch_waits_and_an_unsent_one_does_not() {
    let mut state = state();
    let first = run(&mut state, Event::Offers(vec![offer("o", "a")]), 0);
    let task_id = launched(&first)[0].task.task_id.clone();
    run(&mut state, Event::NotLaunched { task_id, refused: None }, 1);
    let second = run(&mut state, Event::Offers(vec![offer("o", "a")]), 2);
    let task_id = launched(&second)[0].task.task_id.clone();
    run(&mut state, Event::NotLaunched { task_id, refused: Some("bad resources".to_owned()) }, 3);
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o", "a")]), 4)).len(), 0);
    assert!(declined(&state, "a").ends_with("bad resources"));
}

#[test]
fn reservations_that_nothing_uses_are_asked_for_and_given_up() {
    let capacity = |unused: bool| crate::offer::Capacity {
        has_reservation: true,
        has_unused_reservation: unused,
        ..Default::default()
    };
    let standing = |unused| listed(Standing { excluded: None, capacity: Some(capacity(unused)) });
    let mut state = state();
    running(&mut state);
    run(&mut state, standing(false), 10);
    assert!(run(&mut state, Event::Tick, 20).contains(&Action::Suppress));
    // Once may be the moment between a reservation and the launch on it.
    run(&mut state, standing(true), 1_000);
    assert!(!state.wants_every_offer());
    run(&mut state, standing(true), 2_000);
    assert!(state.wants_every_offer());
    assert!(run(&mut state, Event::Tick, 3_000).contains(&Action::Revive));
    let own = dynamic(offer("o", "a").resources.remove(1), "logs", "logstash");
    let offer = Offer { resources: vec![own.clone()], ..offer("o", "a") };
    let actions = run(&mut state, Event::Offers(vec![offer]), 4_000);
    let refuse_for = Duration::from_secs(3600);
    assert_eq!(
        actions,
        [Action::Unreserve { offer_ids: vec!["o".into()], resources: vec![own], refuse_for }]
    );
    run(&mut state, standing(false), 5_000);
    assert!(!state.wants_every_offer());
    assert!(run(&mut state, Event::Tick, 6_000).contains(&Action::Suppress));
}
