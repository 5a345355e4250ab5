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
fn a_removed_framework_starts_anew_without_its_tasks() {
    let mut state = state();
    running(&mut state);
    let actions = run(&mut state, Event::Removed, 1);
    assert_eq!(actions, [Action::StoreTasks(BTreeSet::from(["a".into()])), Action::StartAnew]);
    assert_eq!((state.framework_id(), state.tasks().count()), (None, 0));
    run(&mut state, Event::Subscribed { framework_id: "g".into() }, 2);
    assert_eq!(launched(&run(&mut state, Event::Offers(vec![offer("o", "a")]), 3)).len(), 1);
}

/// A master and a store that do what actions say, for as long as the scheduler lives.
#[derive(Default)]
struct World {
    stored: BTreeMap<TaskId, Task>,
    framework: Option<FrameworkId>,
    /// Tasks in Mesos, with the state they are in.
    tasks: BTreeMap<TaskId, (AgentId, TaskState)>,
    offers: u32,
    /// Events that the master will bring.
    events: std::collections::VecDeque<Event>,
    steps: usize,
    crash_after: usize,
    ever: usize,
}

impl World {
    /// Carries one action out, unless the crash comes first.
    fn act(&mut self, action: &Action, state: &State) -> bool {
        if self.steps == self.crash_after {
            return false;
        }
        self.steps += 1;
        match action {
            Action::StoreFramework => self.framework = state.framework_id().cloned(),
            Action::StoreTasks(agents) => {
                self.stored.retain(|_, t| !agents.contains(&t.agent_id));
                let changed = state.tasks().filter(|t| agents.contains(&t.agent_id));
                self.stored.extend(changed.map(|t| (t.task_id.clone(), t.clone())));
            }
            Action::Accept(launch) => {
                let task = &launch.task;
                assert!(self.framework.is_some(), "launched before the framework was stored");
                assert!(self.stored.contains_key(&task.task_id), "accepted before the intent was stored");
                let busy = self.tasks.values().any(|(agent, _)| *agent == task.agent_id);
                assert!(!busy, "a second task on agent {}", task.agent_id);
                self.ever += 1;
                self.tasks.insert(task.task_id.clone(), (task.agent_id.clone(), TaskState::TaskRunning));
                self.tell(&task.task_id);
            }
            Action::Acknowledge { task_id, uuid, agent_id } => {
                let failure = status(task_id, agent_id.as_str(), TaskState::TaskFailed).uuid;
                if self.tasks.contains_key(task_id) && failure.as_ref() == Some(uuid) {
                    assert!(!self.stored.contains_key(task_id), "acknowledged before it was stored");
                    self.tasks.remove(task_id);
                }
            }
            Action::Reconcile(tasks) => {
                for (id, agent) in tasks {
                    if self.tasks.contains_key(id) {
                        self.tell(id);
                    } else {
                        self.events.push_back(update(id, agent.as_str(), TaskState::TaskGone));
                    }
                }
                if tasks.is_empty() {
                    for id in self.tasks.keys().cloned().collect::<Vec<_>>() {
                        self.tell(&id);
                    }
                }
            }
            Action::Kill { task_id, .. } => panic!("nobody is to be killed here: {task_id}"),
            _ => {}
        }
        true
    }

    fn tell(&mut self, id: &TaskId) {
        if let Some((agent, state)) = self.tasks.get(id) {
            let event = update(id, agent.as_str(), *state);
            // Twice, as the agent repeats what was not acknowledged.
            self.events.extend([event.clone(), event]);
        }
    }

    fn offer(&mut self) {
        for agent in ["a", "b"] {
            if self.tasks.values().all(|(at, _)| at.as_str() != agent) {
                self.offers += 1;
                self.events.push_back(Event::Offers(vec![offer(&self.offers.to_string(), agent)]));
            }
        }
    }

    /// One life of a scheduler: until it crashes, or nothing happens any more.
    fn live(&mut self, mut now: u64, fail_one: bool) -> (u64, bool) {
        let stored: Vec<_> = self.stored.values().cloned().collect();
        let mut state = State::new(policy(), self.framework.clone(), stored);
        self.events.clear();
        let framework_id = self.framework.clone().unwrap_or_else(|| "f".into());
        self.events.push_back(Event::Subscribed { framework_id });
        let (mut seed, mut failed) = (u32::try_from(now).expect("small"), !fail_one);
        for _ in 0..200 {
            now += 500;
            if self.events.is_empty() {
                self.offer();
                self.events.push_back(Event::Tick);
            }
            if !failed && self.tasks.len() == 2 {
                failed = true;
                let id = self.tasks.keys().next().cloned().expect("two tasks");
                self.tasks.get_mut(&id).expect("is there").1 = TaskState::TaskFailed;
                self.tell(&id);
            }
            let Some(event) = self.events.pop_front() else { continue };
            let actions = state.apply(event, now, &mut || {
                seed += 1;
                seed
            });
            for action in &actions {
                if !self.act(action, &state) {
                    return (now, true);
                }
            }
        }
        let known: Vec<_> = state.tasks().map(|t| &t.task_id).collect();
        assert_eq!(known, self.tasks.keys().collect::<Vec<_>>(), "what is known is what is there");
        (now, false)
    }
}

#[test]
fn a_crash_between_any_two_steps_loses_nothing_and_doubles_nothing() {
    let mut crashes = 0;
    for first in 0..60 {
        for second in [1, 2, 3, 5, 8, usize::MAX] {
            let mut world = World { crash_after: first, ..World::default() };
            let (now, crashed) = world.live(0, true);
            crashes += usize::from(crashed);
            world.crash_after = world.steps.saturating_add(second);
            let (now, _) = world.live(now, false);
            world.crash_after = usize::MAX;
            world.live(now, false);
            let agents: BTreeSet<_> = world.tasks.values().map(|(agent, _)| agent.as_str()).collect();
            assert_eq!((world.tasks.len(), agents.len()), (2, 2), "crash after {first} and {second}");
            assert!(world.ever <= 3, "{} launches, crash after {first} and {second}", world.ever);
            let stored: Vec<_> = world.stored.keys().collect();
            assert_eq!(stored, world.tasks.keys().collect::<Vec<_>>());
        }
    }
    assert!(crashes > 60, "the scenario is long enough to be cut: {crashes}");
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
