//! Offers are asked for, and suppressed, as they are wanted.

use super::*;

#[test]
fn an_agent_that_came_to_lack_its_task_does_not_wait_for_those_that_no_revive_helps() {
    let mut state = state();
    let id = running(&mut state);
    let agent = |name: &str| ListedAgent {
        agent_id: name.into(),
        hostname: name.to_owned(),
        active: true,
        draining: false,
        standing: None,
    };
    run(&mut state, Event::AgentsListed(vec![agent("a"), agent("full")]), 0);
    let revives = |state: &mut State, from: u64, to: u64| {
        let revived = |now: &u64| run(state, Event::Tick, *now).contains(&Action::Revive);
        (from..to).step_by(1_000).filter(revived).collect::<Vec<_>>()
    };
    let early = revives(&mut state, 1_000, 600_000);
    assert_eq!(early[..4], [1_000, 6_000, 16_000, 36_000], "{early:?}");
    assert!(early.len() < 10, "{early:?}");
    run(&mut state, because(&id, "a", TaskState::TaskLost, Reason::AgentRemoved), 600_000);
    let soon = revives(&mut state, 600_000, 700_000);
    assert!(soon[0] <= 602_000, "{soon:?}");
}

#[test]
fn offers_are_suppressed_when_every_agent_is_covered_and_revived_when_one_is_not() {
    let mut state = state();
    let id = running(&mut state);
    let list = |names: &[&str]| {
        let agent = |n: &&str| ListedAgent {
            agent_id: (*n).into(),
            hostname: (*n).to_owned(),
            active: true,
            draining: false,
            standing: None,
        };
        Event::AgentsListed(names.iter().map(agent).collect())
    };
    run(&mut state, list(&["a"]), 10);
    assert_eq!(run(&mut state, Event::Tick, 1_000), [Action::Suppress]);
    assert_eq!(run(&mut state, Event::Tick, 2_000), []);
    run(&mut state, list(&["a", "b"]), 3_000);
    assert_eq!(run(&mut state, Event::Tick, 3_000), [Action::Revive]);
    // Offers may come at any time now; asking again is for when they do not.
    assert_eq!(run(&mut state, Event::Tick, 4_000), []);
    assert_eq!(run(&mut state, Event::Tick, 8_000), [Action::Revive]);
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o", "b")]), 9_000)).len(), 1);
    assert_eq!(run(&mut state, Event::Tick, 10_000), [Action::Suppress]);
    run(&mut state, update(&id, "a", TaskState::TaskFailed), 11_000);
    assert_eq!(run(&mut state, Event::Tick, 11_500), [], "the wait after a failure comes first");
    assert_eq!(run(&mut state, Event::Tick, 12_999), [], "there was a revive less than five seconds ago");
    assert_eq!(run(&mut state, Event::Tick, 13_000), [Action::Revive]);
}

#[test]
fn offers_that_do_not_come_for_minutes_are_missed() {
    let mut state = state();
    running(&mut state);
    let agent = |name: &str| ListedAgent {
        agent_id: name.into(),
        hostname: name.to_owned(),
        active: true,
        draining: false,
        standing: None,
    };
    run(&mut state, Event::AgentsListed(vec![agent("a"), agent("b")]), 0);
    run(&mut state, Event::Tick, 1_000);
    assert_eq!(state.without_offers_since(120_999), None);
    assert_eq!(state.without_offers_since(121_000), Some(1_000));
    run(&mut state, Event::Offers(vec![offer("small", "a")]), 121_000);
    assert_eq!(state.without_offers_since(200_000), None, "some come");
}

#[test]
fn an_agent_that_returns_without_its_task_gets_another_one_soon() {
    let mut state = state();
    let id = running(&mut state);
    run(&mut state, update(&id, "a", TaskState::TaskUnreachable), 1_000);
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o", "a")]), 2_000)).len(), 0);
    let asked = run(&mut state, Event::Tick, 2_500);
    assert!(asked.contains(&Action::Reconcile(vec![(id.clone(), "a".into())])), "{asked:?}");
    run(&mut state, update(&id, "a", TaskState::TaskGone), 3_000);
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o2", "a")]), 3_001)).len(), 1);
}
