//! What an agent has and what of it is in use, as the master lists it: why there are no offers of it.

use super::amounts::{Amounts, Kind, milli};
use super::ports::{Ranges, is_ports};
use super::reservation::{Reserver, role_of};
use mesos_v1::proto::Resource;

/// What an agent has, of what this framework could use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// All of it, whoever it is reserved for.
    pub total: Amounts,
    /// What runs there at present uses so much, other frameworks' included.
    pub used: Amounts,
    /// What is reserved for roles that are not ours, with the role.
    pub reserved_for_others: Vec<(String, Amounts)>,
    /// Ports that it could offer us, in use or not.
    pub ports: Ranges,
    /// Ports that what runs there at present has.
    pub ports_used: Ranges,
    /// Something is reserved by this framework.
    pub has_reservation: bool,
    /// And nothing of ours uses some of that.
    pub has_unused_reservation: bool,
}

impl Capacity {
    /// Sums up what the master lists, for a framework with these roles.
    pub fn of(total: &[Resource], allocated: &[Resource], roles: &[String], reserver: &Reserver) -> Self {
        let mut capacity = Self::default();
        for resource in total.iter().filter(|r| r.revocable.is_none()) {
            let other = role_of(resource).filter(|role| !roles.iter().any(|ours| may_use(ours, role)));
            if is_ports(resource) && other.is_none() {
                capacity.ports.extend(Ranges::of(resource));
            }
            let Some(kind) = Kind::of(resource) else { continue };
            capacity.total.add(kind, milli(resource));
            if let Some(role) = other {
                let reserved = &mut capacity.reserved_for_others;
                let at = reserved.iter().position(|(known, _)| known == role).unwrap_or_else(|| {
                    reserved.push((role.to_owned(), Amounts::default()));
                    reserved.len() - 1
                });
                reserved[at].1.add(kind, milli(resource));
            }
        }
        for resource in allocated.iter().filter(|r| r.revocable.is_none()) {
            if is_ports(resource) {
                capacity.ports_used.extend(Ranges::of(resource));
            }
            if let Some(kind) = Kind::of(resource) {
                capacity.used.add(kind, milli(resource));
            }
        }
        let ours = |resources: &[Resource]| {
            let ours = resources.iter().filter(|r| reserver.has(r));
            ours.fold(Amounts::default(), |mut sum, resource| {
                if let Some(kind) = Kind::of(resource) {
                    sum.add(kind, milli(resource));
                }
                sum
            })
        };
        capacity.has_reservation = total.iter().any(|r| reserver.has(r));
        capacity.has_unused_reservation = ours(total) != ours(allocated);
        capacity
    }

    /// How much of a kind no reservation keeps from us, in use or not.
    pub fn open(&self, kind: Kind) -> u64 {
        self.total.get(kind).saturating_sub(self.reserved(kind))
    }

    fn reserved(&self, kind: Kind) -> u64 {
        self.reserved_for_others.iter().map(|(_, amounts)| amounts.get(kind)).fold(0, u64::saturating_add)
    }
}

/// What is reserved for a role is offered to it and to those below it.
fn may_use(ours: &str, reserved_for: &str) -> bool {
    ours.strip_prefix(reserved_for).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{dynamic, mem, ports, reserved};
    use super::*;

    #[test]
    fn what_is_kept_for_others_and_what_is_ours_is_told_apart() {
        let reserver = Reserver { name: "logstash".to_owned(), principal: None };
        let own = dynamic(mem(64.0), "logs", "logstash");
        let total = [
            mem(100.0),
            reserved(mem(480.0), "db"),
            reserved(mem(20.0), "db"),
            reserved(mem(7.0), "logs"),
            own.clone(),
            ports(&[(1, 9)]),
            reserved(ports(&[(514, 514)]), "db"),
        ];
        let roles = ["logs/a".to_owned(), "logs".to_owned()];
        let capacity = Capacity::of(&total, &[mem(90.0)], &roles, &reserver);
        assert_eq!(capacity.total.mem_milli, 671_000);
        assert_eq!(capacity.used.mem_milli, 90_000);
        let others = [("db".to_owned(), Amounts { mem_milli: 500_000, ..Amounts::default() })];
        assert_eq!(capacity.reserved_for_others, others);
        assert_eq!(capacity.open(Kind::Mem), 171_000);
        assert!(capacity.ports.contains(5) && !capacity.ports.contains(514));
        assert!(capacity.has_reservation && capacity.has_unused_reservation);
        assert!(!Capacity::of(&total, std::slice::from_ref(&own), &roles, &reserver).has_unused_reservation);
        assert!(!may_use("logsx", "logs") && may_use("logs/x", "logs"));
    }
}
