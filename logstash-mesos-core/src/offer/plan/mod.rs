//! What to take out of offers, and in which form.

use super::amounts::{Amounts, Kind, milli, with_amount};
use super::ports::{Ranges, WantedPorts, is_ports, is_spent, take_any_port, take_port};
use super::reservation::{Reserver, is_labelled, role_of, unreserved};
use mesos_v1::proto::Resource;
use std::collections::BTreeMap;

/// What an ACCEPT has to do, in this order: give back, reserve, launch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Reservations of ours that are not wanted (any more).
    pub unreserve: Vec<Resource>,
    /// What is to come back to us after a failure, as it is after RESERVE.
    pub reserve: Vec<Resource>,
    /// Resources of the offers that the task gets.
    pub task: Vec<Resource>,
    /// Resources of the offers that its executor gets, ports among them.
    pub executor: Vec<Resource>,
    /// Ports that the executor has from Mesos, as part of its resources.
    pub ports: Vec<u16>,
    /// Those of them that were chosen here, by the name that was wanted. An agent without any ports gives none.
    pub chosen: BTreeMap<String, u16>,
    /// Ports that the agent does not offer at all: the executor listens on them without having them from Mesos.
    pub ports_not_offered: Vec<u16>,
    /// What the task counts for in limits: `@zone=z1`.
    pub counts: Vec<String>,
}

/// What a plan has to find in the offers of an agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// For the task itself; Mesos wants it to have something.
    pub(super) task: Amounts,
    /// For its executor, which does the work.
    pub(super) executor: Amounts,
    /// For the executor.
    pub(super) ports: &'a WantedPorts,
    /// How reservations of this framework are known.
    pub(super) reserver: &'a Reserver,
    /// Whether to reserve what is taken.
    pub(super) reserve: bool,
    /// Whether resources that may be taken back at any time will do.
    pub(super) revocable: bool,
}

/// Why there is no plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shortage {
    /// Each kind of which there is too little, how much is wanted and offered, in thousandths.
    pub(super) lacking: Vec<(Kind, u64, u64)>,
    /// Ports of the agent that somebody else has at present.
    pub(super) ports_taken: Vec<u16>,
    /// How many of the ports to be chosen are missing.
    pub(super) ports_missing: usize,
}

/// Makes a plan for `offered`, the resources of offers of one agent to one role.
///
/// Everything is taken in the very form it was offered (CIT-3): first what this framework reserved, then what else
/// is reserved, then the rest. Volumes, disks with a source, shared resources and what somebody reserved with
/// a label of his own are left alone. Of one name there are either revocable resources or others in a plan, as Mesos
/// demands, and revocable ones only where the others are not enough.
///
/// `of_agent` are the ports that the agent has, offered or not, where that is known.
pub(super) fn plan(
    offered: impl IntoIterator<Item = Resource>,
    wanted: &Wanted<'_>,
    of_agent: Option<&Ranges>,
) -> Result<Plan, Shortage> {
    let mut plan = Plan::default();
    let mut pool = Vec::new();
    for resource in offered.into_iter().filter(|r| usable(r, wanted)) {
        if wanted.reserver.has(&resource) && !wanted.reserve {
            pool.push(unreserved(&resource));
            plan.unreserve.push(resource);
        } else {
            pool.push(resource);
        }
    }
    pool.sort_by_key(|resource| match role_of(resource) {
        Some(_) if wanted.reserver.has(resource) => 0,
        Some(_) => 1,
        None => 2,
    });
    let mut shortage = Shortage::default();
    for kind in Kind::ALL {
        let whole = wanted.task.get(kind).saturating_add(wanted.executor.get(kind));
        let there = |revocable: bool| -> u64 {
            pool.iter().filter(|r| is(r, kind, revocable)).map(milli).fold(0, u64::saturating_add)
        };
        let [regular, revocable] = [false, true].map(there);
        if regular.max(revocable) < whole {
            shortage.lacking.push((kind, whole, regular.max(revocable)));
            continue;
        }
        let revocable = regular < whole;
        for (amount, to) in
            [(wanted.task.get(kind), &mut plan.task), (wanted.executor.get(kind), &mut plan.executor)]
        {
            take(pool.iter_mut().filter(|r| is(r, kind, revocable)), amount, to);
        }
    }
    for port in &wanted.ports.fixed {
        let ports = || pool.iter().filter(|r| is_ports(r) && r.revocable.is_none());
        let taken = ports().any(|r| Ranges::of(r).contains(*port));
        let exists = || match of_agent {
            Some(ranges) => ranges.contains(*port),
            None => {
                let mut offered = Ranges::default();
                ports().for_each(|resource| offered.extend(Ranges::of(resource)));
                offered.span(*port)
            }
        };
        if taken {
            let of_pool = pool.iter_mut().filter(|r| is_ports(r) && r.revocable.is_none());
            plan.ports.push(*port);
            plan.executor.extend(of_pool.filter_map(|r| take_port(r, *port)).take(1));
        } else if exists() {
            shortage.ports_taken.push(*port);
        } else {
            plan.ports_not_offered.push(*port);
        }
    }
    let has_ports = match of_agent {
        Some(ranges) => ranges.iter().next().is_some(),
        None => pool.iter().any(is_ports),
    };
    for name in &wanted.ports.chosen {
        let mut of_pool = pool.iter_mut().filter(|r| is_ports(r) && r.revocable.is_none());
        if let Some((port, resource)) = of_pool.find_map(take_any_port) {
            plan.ports.push(port);
            plan.chosen.insert(name.clone(), port);
            plan.executor.push(resource);
        } else if has_ports {
            shortage.ports_missing += 1;
        }
    }
    if shortage != Shortage::default() {
        return Err(shortage);
    }
    if wanted.reserve {
        for resource in plan.task.iter_mut().chain(&mut plan.executor) {
            if role_of(resource).is_none() && resource.revocable.is_none() {
                *resource = wanted.reserver.reserved(resource);
                plan.reserve.push(resource.clone());
            }
        }
        let left = |r: &Resource| if is_ports(r) { !is_spent(r) } else { milli(r) > 0 };
        plan.unreserve = pool.into_iter().filter(|r| wanted.reserver.has(r) && left(r)).collect();
    }
    Ok(plan)
}

fn usable(resource: &Resource, wanted: &Wanted<'_>) -> bool {
    (Kind::of(resource).is_some() || is_ports(resource))
        && (resource.revocable.is_none() || wanted.revocable)
        && (wanted.reserver.has(resource) || !is_labelled(resource))
}

fn is(resource: &Resource, kind: Kind, revocable: bool) -> bool {
    Kind::of(resource) == Some(kind) && resource.revocable.is_some() == revocable
}

/// Moves so much, which is there, in the order of `from`.
fn take<'a>(from: impl Iterator<Item = &'a mut Resource>, mut amount: u64, to: &mut Vec<Resource>) {
    for resource in from {
        let part = milli(resource).min(amount);
        if part > 0 {
            to.push(with_amount(resource, part));
            *resource = with_amount(resource, milli(resource) - part);
            amount -= part;
        }
    }
}

#[cfg(test)]
mod tests;
