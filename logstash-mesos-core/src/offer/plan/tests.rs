use super::super::testing::{dynamic, mem, ports, reserved, scalar};
use super::*;
use mesos_v1::proto::Label;
use mesos_v1::proto::resource::{DiskInfo, RevocableInfo};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn reserver() -> Reserver {
    Reserver { name: "logstash".to_owned(), principal: Some("p".to_owned()) }
}

/// What is asked for where ports do not matter.
static NO_PORTS: WantedPorts = WantedPorts { fixed: vec![], chosen: vec![] };

fn some_ports(fixed: &[u16], chosen: &[&str]) -> WantedPorts {
    WantedPorts { fixed: fixed.to_vec(), chosen: chosen.iter().map(|name| (*name).to_owned()).collect() }
}

fn wanted(reserver: &Reserver) -> Wanted<'_> {
    Wanted {
        task: Amounts { cpus_milli: 10, ..Amounts::default() },
        executor: Amounts { cpus_milli: 90, mem_milli: 64_000, disk_milli: 0 },
        ports: &NO_PORTS,
        reserver,
        reserve: false,
        revocable: false,
    }
}

fn revocable(resource: Resource) -> Resource {
    Resource { revocable: Some(RevocableInfo::default()), ..resource }
}

#[test]
fn reserved_resources_go_first_and_keep_their_form() {
    let own = reserved(scalar("cpus", 0.05), "logs");
    let offered = [scalar("cpus", 1.0), own.clone(), mem(64.0)];
    let plan = plan(offered, &wanted(&reserver()), None).expect("fits");
    let of_own = |value| Resource { scalar: scalar("", value).scalar, ..own.clone() };
    assert_eq!(plan.task, [of_own(0.01)]);
    assert_eq!(plan.executor, [of_own(0.04), scalar("cpus", 0.05), mem(64.0)]);
    assert!(plan.reserve.is_empty() && plan.unreserve.is_empty());
}

#[test]
fn what_others_may_take_back_or_keep_is_left_alone() {
    let volume = Resource { disk: Some(DiskInfo::default()), ..scalar("disk", 900.0) };
    let mut labelled = dynamic(mem(500.0), "logs", "another");
    labelled.reservations[0].labels.as_mut().expect("is set").labels[0].key = "purpose".to_owned();
    let offered = [revocable(scalar("cpus", 4.0)), volume, mem(63.5), labelled];
    let reserver = reserver();
    let mut wanted = wanted(&reserver);
    wanted.executor.disk_milli = 1000;
    let shortage = plan(offered, &wanted, None).expect_err("does not fit");
    let lacking = [(Kind::Cpus, 100, 0), (Kind::Mem, 64_000, 63_500), (Kind::Disk, 1000, 0)];
    assert_eq!(shortage.lacking, lacking);
}

#[test]
fn revocable_resources_are_used_when_asked_for_and_never_mixed() {
    let reserver = reserver();
    let wanted = Wanted { revocable: true, ..wanted(&reserver) };
    let offered = [scalar("cpus", 0.05), revocable(scalar("cpus", 0.2)), mem(64.0)];
    let plan = super::plan(offered, &wanted, None).expect("fits");
    let cpus = plan.task.iter().chain(&plan.executor).filter(|r| r.name == "cpus");
    assert!(cpus.clone().all(|r| r.revocable.is_some()) && cpus.count() == 2);
    let enough = [scalar("cpus", 0.1), revocable(scalar("cpus", 0.2)), mem(64.0)];
    let plan = super::plan(enough, &wanted, None).expect("fits");
    assert!(plan.task.iter().chain(&plan.executor).all(|r| r.revocable.is_none()));
    // Half of each is nothing.
    let halves = [scalar("cpus", 0.06), revocable(scalar("cpus", 0.06)), mem(64.0)];
    let shortage = super::plan(halves, &wanted, None).expect_err("no mix");
    assert_eq!(shortage.lacking, [(Kind::Cpus, 100, 60)]);
}

#[test]
fn what_is_taken_is_reserved_and_what_was_reserved_is_used_again() {
    let reserver = reserver();
    let ports_of_it = some_ports(&[5044], &[]);
    let wanted = Wanted { reserve: true, ports: &ports_of_it, ..wanted(&reserver) };
    let first = plan([scalar("cpus", 1.0), mem(100.0), ports(&[(5000, 6000)])], &wanted, None).expect("fits");
    let taken: Vec<_> = first.task.iter().chain(&first.executor).cloned().collect();
    assert_eq!(first.reserve, taken);
    assert!(taken.iter().all(|r| reserver.has(r) && r.reservations[0].principal.as_deref() == Some("p")));
    assert!(taken.iter().all(|r| r.reservations[0].role.as_deref() == Some("logs")));
    // After its end everything is offered again, in one piece per name, and more with it.
    let again = [
        dynamic_of(&taken, "cpus", 0.1),
        dynamic_of(&taken, "mem", 64.0),
        taken.iter().find(|r| r.name == "ports").expect("is there").clone(),
        scalar("cpus", 3.0),
        mem(500.0),
    ];
    let second = plan(again.clone(), &wanted, None).expect("fits");
    assert!(second.reserve.is_empty() && second.unreserve.is_empty(), "{second:?}");
    // A smaller definition gives the rest back, and none at all gives back all.
    let smaller =
        Wanted { executor: Amounts { mem_milli: 32_000, ..wanted.executor }, ports: &NO_PORTS, ..wanted };
    let third = plan(again.clone(), &smaller, None).expect("fits");
    let given: Vec<_> = third.unreserve.iter().map(|r| (r.name.as_str(), milli(r))).collect();
    assert_eq!(given, [("mem", 32_000), ("ports", 0)]);
    let off = Wanted { reserve: false, ..wanted };
    let fourth = plan(again.clone(), &off, None).expect("fits");
    assert_eq!(fourth.unreserve, again[..3]);
    assert!(fourth.task.iter().chain(&fourth.executor).all(|r| r.reservations.is_empty()));
}

fn dynamic_of(taken: &[Resource], name: &str, value: f64) -> Resource {
    let like = taken.iter().find(|r| r.name == name).expect("is there");
    Resource { scalar: scalar(name, value).scalar, ..like.clone() }
}

#[test]
fn a_port_is_taken_missed_or_not_offered_at_all() {
    let reserver = reserver();
    let both = some_ports(&[514, 5044], &[]);
    let wanted = Wanted { ports: &both, ..wanted(&reserver) };
    let offered = |ranges: &[(u64, u64)]| [scalar("cpus", 1.0), mem(100.0), ports(ranges)];
    let both = plan(offered(&[(514, 514), (5000, 6000)]), &wanted, None).expect("fits");
    assert_eq!(both.executor[2..], [ports(&[(514, 514)]), ports(&[(5044, 5044)])]);
    assert_eq!((both.ports, both.ports_not_offered), (vec![514, 5044], vec![]));
    // Another task has 5044: it lies within what the agent offers.
    let taken =
        plan(offered(&[(514, 514), (5000, 5043), (5045, 6000)]), &wanted, None).expect_err("is taken");
    assert_eq!((taken.ports_taken, taken.lacking), (vec![5044], vec![]));
    // The agent offers other ports altogether, as by default.
    let without = plan(offered(&[(31_000, 32_000)]), &wanted, None).expect("fits");
    assert_eq!(without.ports_not_offered, [514, 5044]);
    // What the master knows of the agent says more than the offer.
    let of_agent = Ranges::of(&ports(&[(514, 514), (31_000, 32_000)]));
    let taken = plan(offered(&[(31_000, 32_000)]), &wanted, Some(&of_agent)).expect_err("is taken");
    assert_eq!(taken.ports_taken, [514]);
}

#[test]
fn a_port_is_chosen_beside_those_that_are_fixed() {
    let reserver = reserver();
    let asked = some_ports(&[31_000], &["A", "B"]);
    let wanted = Wanted { ports: &asked, ..wanted(&reserver) };
    let offered = |ranges: &[(u64, u64)]| [scalar("cpus", 1.0), mem(100.0), ports(ranges)];
    let found = plan(offered(&[(31_000, 31_001), (31_005, 31_009)]), &wanted, None).expect("fits");
    assert_eq!(found.ports, [31_000, 31_001, 31_005]);
    assert_eq!(found.chosen, BTreeMap::from([("A".to_owned(), 31_001), ("B".to_owned(), 31_005)]));
    assert_eq!(found.executor[3..], [ports(&[(31_001, 31_001)]), ports(&[(31_005, 31_005)])]);
    // All others are in use.
    let short = plan(offered(&[(31_000, 31_001)]), &wanted, None).expect_err("one is missing");
    assert_eq!(short, Shortage { ports_missing: 1, ..Shortage::default() });
    // The agent has none, and will not have any.
    let none = plan([scalar("cpus", 1.0), mem(100.0)], &wanted, None).expect("fits");
    assert_eq!((none.chosen.len(), none.ports_not_offered), (0, vec![31_000]));
}

#[test]
fn odd_numbers_neither_panic_nor_count() {
    let reserver = reserver();
    for value in [f64::NAN, f64::INFINITY, -1.0] {
        assert!(plan([scalar("cpus", value), mem(64.0)], &wanted(&reserver), None).is_err(), "{value}");
    }
    plan([scalar("cpus", 0.1 + 1e-12), mem(64.0)], &wanted(&reserver), None)
        .expect("a float next to the amount is the amount");
}

/// What is there, by form: the master's arithmetic of ACCEPT.
#[derive(Debug, Default, PartialEq)]
struct Ledger(BTreeMap<String, i64>);

impl Ledger {
    fn change(&mut self, resources: &[Resource], sign: i64) {
        for resource in resources {
            let form = Resource { scalar: None, ranges: None, ..resource.clone() };
            let mut add = |key: String, amount: i64| *self.0.entry(key).or_default() += sign * amount;
            if is_ports(resource) {
                for port in (0..=u16::MAX).filter(|port| Ranges::of(resource).contains(*port)) {
                    add(format!("{form:?} {port}"), 1);
                }
            } else {
                add(format!("{form:?}"), i64::try_from(milli(resource)).expect("is small"));
            }
        }
    }

    fn is_sound(&self) -> bool {
        self.0.values().all(|amount| *amount >= 0)
    }
}

fn pushed(resources: &[Resource]) -> Vec<Resource> {
    resources.iter().map(unreserved).collect()
}

fn some_resource() -> impl Strategy<Value = Resource> {
    let base = prop_oneof![
        (0_u32..300).prop_map(|n| scalar("cpus", f64::from(n) / 1000.0)),
        (0_u32..200).prop_map(|n| mem(f64::from(n))),
        (0_u32..200).prop_map(|n| scalar("disk", f64::from(n))),
        (0_u64..8, 0_u64..4).prop_map(|(from, length)| ports(&[(5040 + from, 5040 + from + length)])),
        Just(scalar("gpus", 1.0)),
    ];
    (base, 0..6).prop_map(|(resource, form)| match form {
        0 => reserved(resource, "logs"),
        1 => dynamic(resource, "logs", "logstash"),
        2 => dynamic(resource, "logs", "another"),
        3 => revocable(resource),
        4 => {
            let mut refined = reserved(resource, "logs");
            let mut second = dynamic(mem(0.0), "logs/x", "logstash").reservations;
            second[0].labels.as_mut().expect("is set").labels.push(Label::default());
            refined.reservations.append(&mut second);
            refined
        }
        _ => resource,
    })
}

proptest! {
    #[test]
    fn no_plan_takes_more_than_there_is(
        offered in prop::collection::vec(some_resource(), 0..12),
        reserve: bool,
        revocable: bool,
    ) {
        let reserver = reserver();
        let asked = some_ports(&[5044, 9999], &["A", "B"]);
        let wanted = Wanted {
            executor: Amounts { cpus_milli: 90, mem_milli: 64_000, disk_milli: 10_000 },
            ports: &asked,
            reserve,
            revocable,
            ..wanted(&reserver)
        };
        // Mesos never offers one port twice.
        let mut seen = Ranges::default();
        let offered: Vec<_> = offered.into_iter().filter(|r| {
            let ranges = Ranges::of(r);
            let fresh = (5040..5060).all(|port| !(ranges.contains(port) && seen.contains(port)));
            if fresh { seen.extend(ranges); }
            fresh
        }).collect();
        let Ok(plan) = plan(offered.clone(), &wanted, None) else { return Ok(()) };
        let mut ledger = Ledger::default();
        ledger.change(&offered, 1);
        ledger.change(&plan.unreserve, -1);
        prop_assert!(ledger.is_sound(), "gives up more than it has: {plan:?}");
        ledger.change(&pushed(&plan.unreserve), 1);
        ledger.change(&pushed(&plan.reserve), -1);
        prop_assert!(ledger.is_sound(), "reserves more than there is: {plan:?}");
        ledger.change(&plan.reserve, 1);
        ledger.change(&plan.task, -1);
        ledger.change(&plan.executor, -1);
        prop_assert!(ledger.is_sound(), "uses more than there is: {plan:?}");
        let all = || plan.task.iter().chain(&plan.executor);
        for (kind, whole) in [(Kind::Cpus, 100), (Kind::Mem, 64_000), (Kind::Disk, 10_000)] {
            let of_kind = || all().filter(|r| Kind::of(r) == Some(kind));
            prop_assert_eq!(of_kind().map(milli).sum::<u64>(), whole);
            let mixed = of_kind().any(|r| r.revocable.is_some()) && of_kind().any(|r| r.revocable.is_none());
            prop_assert!(!mixed, "mixed: {plan:?}");
        }
        prop_assert!(reserve || all().all(|r| !reserver.has(r)));
        prop_assert!(!reserve || all().all(|r| role_of(r).is_some() || r.revocable.is_some()));
    }
}
