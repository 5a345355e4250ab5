use super::super::testing::{dynamic, mem, plain_strategy, ports, reserved, scalar};
use super::*;
use crate::ids::TaskId;
use mesos_v1::proto::{DurationInfo, TimeInfo, Unavailability, resource};
use std::collections::BTreeMap;

fn strategy() -> OnePerAgent {
    let needs = Needs { cpus_milli: 100, mem_megabytes: 64, disk_megabytes: 256 };
    OnePerAgent { roles: vec!["logs".to_owned()], ..plain_strategy(needs) }
}

fn offer(cpus: f64, mem: f64, disk: f64) -> Offer {
    Offer {
        hostname: "h".to_owned(),
        resources: [("cpus", cpus), ("mem", mem), ("disk", disk)]
            .map(|(name, value)| scalar(name, value))
            .to_vec(),
        allocation_info: Some(resource::AllocationInfo { role: Some("logs".to_owned()) }),
        ..Offer::default()
    }
}

static NOTHING: BTreeMap<String, usize> = BTreeMap::new();

fn free(now_ms: u64) -> Free<'static> {
    Free { now_ms, may_hold: false, counts: &NOTHING, capacity: None }
}

fn decide(strategy: &OnePerAgent, offers: &[Offer]) -> Decision {
    strategy.decide(offers, &Situation::Free(free(0)))
}

fn declined(decision: Decision) -> (String, u64) {
    match decision {
        Decision::Decline { reason, refuse_for, .. } => (reason.to_string(), refuse_for.as_secs()),
        other => panic!("should have been declined: {other:?}"),
    }
}

fn capacity(total: &[Resource], allocated: &[Resource]) -> Capacity {
    let agent = offer(0.0, 0.0, 0.0);
    strategy().standing(&AgentView::of(&agent), total, allocated).capacity.expect("is summed up")
}

fn sum(resources: &[Resource], name: &str) -> f64 {
    resources.iter().filter(|r| r.name == name).filter_map(|r| r.scalar.as_ref()).map(|s| s.value).sum()
}

#[test]
fn a_free_agent_with_room_gets_all_that_is_needed() {
    let Decision::Launch(plan) = decide(&strategy(), &[offer(0.1, 64.0, 1000.0)]) else { panic!("fits") };
    assert_eq!(sum(&plan.task, "cpus"), 0.01);
    let executor = ["cpus", "mem", "disk"].map(|name| sum(&plan.executor, name));
    assert_eq!(executor, [0.09, 64.0, 256.0]);
}

#[test]
fn a_small_offer_is_declined_briefly_with_what_is_short() {
    let (reason, seconds) = declined(decide(&strategy(), &[offer(0.05, 64.0, 0.0)]));
    assert_eq!(
        reason,
        "needs 0.1 cpus, largest offer 0.05 cpus in role logs; needs 256 MB of disk, largest offer 0 MB of disk in role \
         logs; free some on the agent, or give executors less (--executor-cpus, --executor-disk-megabytes)"
    );
    assert_eq!(seconds, 5);
}

#[test]
fn small_offers_are_held_for_a_moment_and_used_together() {
    let patient = Situation::Free(Free { may_hold: true, ..free(0) });
    let parts = [offer(0.06, 40.0, 256.0), offer(0.06, 40.0, 0.0)];
    for part in &parts {
        let decision = strategy().decide(std::slice::from_ref(part), &patient);
        assert!(matches!(decision, Decision::Hold { .. }), "{decision:?}");
    }
    let Decision::Launch(plan) = strategy().decide(&parts, &patient) else { panic!("fits together") };
    assert_eq!(sum(&plan.executor, "mem"), 64.0);
    // An agent that can never have enough is not waited for.
    let small = capacity(&[scalar("cpus", 4.0), mem(48.0), reserved(mem(480.0), "db")], &[]);
    let hopeless = Situation::Free(Free { may_hold: true, capacity: Some(&small), ..free(0) });
    let (reason, seconds) = declined(strategy().decide(&parts[..1], &hopeless));
    assert!(reason.contains("480 MB of mem are reserved for role db"), "{reason}");
    assert_eq!(seconds, 60);
}

#[test]
fn an_occupied_agent_is_declined_for_long() {
    let reason = Reason::Occupied { task_id: TaskId::new("t"), state: "running" };
    let decision = strategy().decide(&[offer(9.0, 999.0, 999.0)], &Situation::Barred(reason));
    assert_eq!(declined(decision), ("task t is running there".to_owned(), 3600));
}

#[test]
fn planned_maintenance_keeps_new_tasks_away_until_it_is_over() {
    let nanos = |hours: i64| hours * 3_600_000_000_000;
    let planned = |start, duration: Option<i64>| Offer {
        unavailability: Some(Unavailability {
            start: TimeInfo { nanoseconds: nanos(start) },
            duration: duration.map(|d| DurationInfo { nanoseconds: nanos(d) }),
        }),
        ..offer(1.0, 100.0, 1000.0)
    };
    let now = Situation::Free(free(10 * 3_600_000));
    for (start, duration, declined) in
        [(9, None, true), (11, Some(1), true), (12, None, false), (8, Some(1), false), (8, Some(3), true)]
    {
        let decision = strategy().decide(&[planned(start, duration)], &now);
        assert_eq!(matches!(decision, Decision::Decline { .. }), declined, "{start} {duration:?}");
    }
}

#[test]
fn rules_and_names_keep_agents_out_and_limits_count() {
    let rule = |text: &str| Constraint::parse_all(text).expect("is a constraint");
    let good = [offer(1.0, 100.0, 1000.0)];
    let like = OnePerAgent { constraints: rule("hostname:LIKE:web.*"), ..strategy() };
    let expected = "--constraint hostname:LIKE:web.* does not select it: its value is h";
    assert_eq!(declined(decide(&like, &good)), (expected.to_owned(), 3600));
    let excluded = OnePerAgent { excluded: vec!["h".to_owned()], ..strategy() };
    assert_eq!(declined(decide(&excluded, &good)), ("--exclude-agent h excludes it".to_owned(), 3600));
    let limited = OnePerAgent { constraints: rule("hostname:MAX_PER:2"), ..strategy() };
    for (count, launches) in [(0, true), (1, true), (2, false)] {
        let counts = BTreeMap::from([("hostname=h".to_owned(), count)]);
        match limited.decide(&good, &Situation::Free(Free { counts: &counts, ..free(0) })) {
            Decision::Launch(plan) => assert!(launches && plan.counts == ["hostname=h"], "{count}"),
            other => {
                assert!(!launches, "{count}");
                assert!(declined(other).0.contains("allows 2 with hostname=h"));
            }
        }
    }
}

#[test]
fn reservations_that_nothing_needs_are_given_up_with_the_decline() {
    let own = dynamic(mem(64.0), "logs", "logstash");
    let mut offers = [offer(1.0, 100.0, 1000.0)];
    offers[0].resources.push(own.clone());
    let reserving = OnePerAgent { reserve: true, ..strategy() };
    let given =
        |strategy: &OnePerAgent, reason: Reason| match strategy.decide(&offers, &Situation::Barred(reason)) {
            Decision::Decline { unreserve, .. } => unreserve,
            other => panic!("{other:?}"),
        };
    let occupied = || Reason::Occupied { task_id: TaskId::new("t"), state: "running" };
    assert_eq!(given(&reserving, occupied()), std::slice::from_ref(&own));
    assert_eq!(given(&reserving, Reason::Closed { why: "uninstall" }), std::slice::from_ref(&own));
    let waits = || Reason::BackingOff { failures: 1, seconds: 1, last: String::new() };
    assert_eq!(given(&reserving, waits()), [], "it is to come back there");
    assert_eq!(given(&strategy(), waits()), [own], "nobody wants reservations any more");
}

#[test]
fn an_agent_without_offers_is_explained_by_what_is_in_use() {
    let strategy = strategy();
    let total =
        [scalar("cpus", 2.0), mem(512.0), reserved(mem(480.0), "db"), scalar("disk", 1000.0), ports(&[])];
    let busy = capacity(&total, &[scalar("cpus", 1.95), mem(100.0)]);
    let reason = strategy.lacks(&busy).expect("there is not enough").to_string();
    assert!(
        reason.starts_with("needs 0.1 cpus, 0.05 cpus are free of 2 cpus that the agent has"),
        "{reason}"
    );
    assert!(!reason.contains("of mem"), "{reason}");
    assert_eq!(strategy.lacks(&capacity(&total, &[])), None);
}

#[test]
fn the_master_is_told_what_is_too_small_and_who_is_not_selected() {
    let excluding = OnePerAgent { excluded: vec!["h".to_owned()], ..strategy() };
    let unwanted = excluding.unwanted();
    let minimum = unwanted.filters["logs"].min_allocatable_resources.as_ref().expect("is set");
    let amounts: Vec<_> =
        minimum.quantities[0].quantities.iter().map(|(name, amount)| (name.as_str(), amount.value)).collect();
    assert_eq!(amounts, [("cpus", 0.1), ("disk", 256.0), ("mem", 64.0)]);
    assert!(unwanted.constraints.is_some() && strategy().unwanted().constraints.is_none());
}

#[test]
fn a_port_that_somebody_else_has_is_told_before_an_executor_makes_room() {
    let ports = |begin, end| Resource {
        name: "ports".to_owned(),
        r#type: value::Type::Ranges.into(),
        ranges: Some(value::Ranges { range: vec![value::Range { begin, end }] }),
        ..Resource::default()
    };
    let fixed = WantedPorts { fixed: vec![514, 5044, 5045], chosen: vec![] };
    let with = |ports: &WantedPorts| OnePerAgent { ports: ports.clone(), ..strategy() };
    let strategy = with(&fixed);
    let capacity = capacity(&[ports(5000, 6000)], &[ports(5044, 5045)]);
    assert_eq!(strategy.lacks_ports(&capacity, &[5044]), Some(Reason::PortsTaken { ports: vec![5045] }));
    assert_eq!(strategy.lacks_ports(&capacity, &[5044, 5045]), None, "514 is not offered at all");

    let chosen = ["A", "B"].map(str::to_owned).to_vec();
    let strategy = with(&WantedPorts { fixed: vec![5046], chosen });
    let capacity = self::capacity(&[ports(5044, 5047)], &[ports(5044, 5045)]);
    assert_eq!(strategy.lacks_ports(&capacity, &[]), Some(Reason::FewPorts { wanted: 2, free: 1 }));
    assert_eq!(strategy.lacks_ports(&capacity, &[5045]), None);
    assert_eq!(strategy.lacks_ports(&self::capacity(&[], &[]), &[]), None, "there are none to wait for");
}
