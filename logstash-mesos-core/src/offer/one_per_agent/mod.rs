//! One task on every agent that the rules select.

use super::amounts::{Amounts, Kind, Needs};
use super::plan::{Shortage, Wanted, plan};
use super::{
    AgentView, Capacity, Constraint, Decision, Free, Lack, OfferStrategy, Reason, Reserver, Situation,
    Standing, TooSmall, Unwanted, WantedPorts, offer_constraints,
};
use mesos_v1::proto::offer_filters::{MinAllocatableResources, ResourceQuantities};
use mesos_v1::proto::{Offer, OfferFilters, Resource, value};
use std::time::Duration;

/// Uses the first good offer of every agent that has none of our tasks.
#[derive(Clone, Debug)]
pub struct OnePerAgent {
    /// For task and executor together.
    pub needs: Needs,
    /// Ports on which executors listen.
    pub ports: WantedPorts,
    /// The roles of the framework.
    pub roles: Vec<String>,
    /// How reservations of this framework are known.
    pub reserver: Reserver,
    /// Reserve what an executor takes.
    pub reserve: bool,
    /// Take resources that may be taken back at any time where others are not enough.
    pub revocable: bool,
    /// Rules that an agent has to satisfy, all of them.
    pub constraints: Vec<Constraint>,
    /// Which agents not, by id or by the name of their machine.
    pub excluded: Vec<String>,
    /// How long which offer is not wanted again.
    pub refusals: Refusals,
}

/// For how long offers are refused, by reason (CIT-1).
#[derive(Clone, Copy, Debug)]
pub struct Refusals {
    /// Nothing can change without us knowing: the agent has its task. Cleared by a revive.
    pub settled: Duration,
    /// Nothing will change soon: the whole agent is too small, a limit is reached.
    pub long: Duration,
    /// The agent may have more soon.
    pub soon: Duration,
    /// Maintenance this near counts as begun.
    pub maintenance_margin: Duration,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            settled: Duration::from_secs(3600),
            long: Duration::from_secs(60),
            soon: Duration::from_secs(5),
            maintenance_margin: Duration::from_secs(3600),
        }
    }
}

impl OfferStrategy for OnePerAgent {
    fn decide(&self, offers: &[Offer], situation: &Situation<'_>) -> Decision {
        let decline = |reason: Reason| {
            let unreserve = if self.gives_up(&reason) { self.reserved_in(offers) } else { vec![] };
            Decision::Decline { refuse_for: self.refuse_for(&reason), reason, unreserve }
        };
        let free = match situation {
            Situation::Free(free) => free,
            Situation::Barred(reason) => return decline(reason.clone()),
        };
        let Some(first) = offers.first() else {
            return Decision::Decline {
                reason: Reason::TooSmall(TooSmall { role: None, lacking: vec![] }),
                refuse_for: self.refusals.soon,
                unreserve: vec![],
            };
        };
        let agent = AgentView::of(first);
        if let Some(reason) = self.excludes(&agent).or_else(|| self.limit(&agent, free)) {
            return decline(reason);
        }
        if let Some(reason) = self.maintenance(first, free.now_ms) {
            return decline(reason);
        }
        let role = first.allocation_info.as_ref().and_then(|a| a.role.as_deref()).unwrap_or("*");
        let resources = offers.iter().flat_map(|offer| offer.resources.iter().cloned());
        let ports = free.capacity.map(|capacity| &capacity.ports);
        match plan(resources, &self.wanted(role), ports) {
            Ok(plan) => Decision::Launch(Box::new(super::Plan { counts: self.counts(&agent), ..plan })),
            Err(shortage) => {
                let reason = self.reason_of(shortage, role, free.capacity);
                if free.may_hold && self.refuse_for(&reason) == self.refusals.soon {
                    Decision::Hold { reason }
                } else {
                    decline(reason)
                }
            }
        }
    }

    fn excludes(&self, agent: &AgentView<'_>) -> Option<Reason> {
        let named = |name: &&String| **name == agent.agent_id || **name == agent.hostname;
        if let Some(name) = self.excluded.iter().find(named) {
            return Some(Reason::Excluded { name: name.clone() });
        }
        let constraint = self.constraints.iter().find(|constraint| !constraint.selects(agent))?;
        Some(Reason::Constraint { rule: constraint.to_string(), value: constraint.field.value(agent) })
    }

    fn counts(&self, agent: &AgentView<'_>) -> Vec<String> {
        self.constraints.iter().filter_map(|constraint| Some(constraint.limit(agent)?.0)).collect()
    }

    fn standing(&self, agent: &AgentView<'_>, total: &[Resource], allocated: &[Resource]) -> Standing {
        let capacity = Capacity::of(total, allocated, &self.roles, &self.reserver);
        Standing { excluded: self.excludes(agent), capacity: Some(capacity) }
    }

    fn lacks(&self, capacity: &Capacity) -> Option<Reason> {
        let needs = self.needs.amounts();
        let free = |kind: Kind| {
            let left = capacity.total.get(kind).saturating_sub(capacity.used.get(kind));
            left.min(capacity.open(kind))
        };
        let short = Kind::ALL.into_iter().filter(|kind| free(*kind) < needs.get(*kind));
        let lacking: Vec<_> =
            short.map(|kind| lack(kind, needs.get(kind), free(kind), Some(capacity))).collect();
        (!lacking.is_empty()).then_some(Reason::TooSmall(TooSmall { role: None, lacking }))
    }

    fn lacks_ports(&self, capacity: &Capacity, held: &[u16]) -> Option<Reason> {
        let offered = |port: &u16| capacity.ports.contains(*port);
        let used = |port: &u16| capacity.ports_used.contains(*port) && !held.contains(port);
        let WantedPorts { fixed, chosen } = &self.ports;
        let ports: Vec<_> = fixed.iter().copied().filter(|port| offered(port) && used(port)).collect();
        if !ports.is_empty() {
            return Some(Reason::PortsTaken { ports });
        }
        let free = capacity.ports.iter().filter(|port| !used(port) && !fixed.contains(port));
        let (wanted, free) = (chosen.len(), free.take(chosen.len()).count());
        let has_any = capacity.ports.iter().next().is_some();
        (has_any && free < wanted).then_some(Reason::FewPorts { wanted, free })
    }

    fn unwanted(&self) -> Unwanted {
        let needs = self.needs.amounts();
        let amount = |kind: &Kind| {
            let value = needs.get(*kind) as f64 / 1000.0;
            (kind.name().to_owned(), value::Scalar { value })
        };
        let kinds = Kind::ALL.iter().filter(|kind| needs.get(**kind) > 0);
        let quantities = vec![ResourceQuantities { quantities: kinds.map(amount).collect() }];
        let minimum =
            OfferFilters { min_allocatable_resources: Some(MinAllocatableResources { quantities }) };
        Unwanted {
            filters: self.roles.iter().map(|role| (role.clone(), minimum.clone())).collect(),
            constraints: offer_constraints(
                &self.constraints,
                self.excluded.iter().map(String::as_str),
                &self.roles,
            ),
        }
    }
}

impl OnePerAgent {
    fn wanted(&self, role: &str) -> Wanted<'_> {
        let whole = self.needs.amounts();
        // Mesos wants a task to have something; all else belongs to the executor, which does the work.
        let task = Amounts { cpus_milli: TASK_CPUS_MILLI.min(whole.cpus_milli), ..Amounts::default() };
        Wanted {
            task,
            executor: Amounts { cpus_milli: whole.cpus_milli - task.cpus_milli, ..whole },
            ports: &self.ports,
            reserver: &self.reserver,
            // Mesos knows no reservation for everybody.
            reserve: self.reserve && role != "*",
            revocable: self.revocable,
        }
    }

    fn reason_of(&self, shortage: Shortage, role: &str, capacity: Option<&Capacity>) -> Reason {
        if !shortage.lacking.is_empty() {
            let lacking = shortage.lacking.into_iter();
            return Reason::TooSmall(TooSmall {
                role: Some(role.to_owned()),
                lacking: lacking
                    .map(|(kind, wanted, offered)| lack(kind, wanted, offered, capacity))
                    .collect(),
            });
        }
        if !shortage.ports_taken.is_empty() {
            return Reason::PortsTaken { ports: shortage.ports_taken };
        }
        let wanted = self.ports.chosen.len();
        Reason::FewPorts { wanted, free: wanted - shortage.ports_missing }
    }

    fn limit(&self, agent: &AgentView<'_>, free: &Free<'_>) -> Option<Reason> {
        self.constraints.iter().find_map(|constraint| {
            let (counted, limit) = constraint.limit(agent)?;
            let reached = free.counts.get(&counted).is_some_and(|count| *count >= limit);
            reached.then(|| Reason::Limit { rule: constraint.to_string(), counted, limit })
        })
    }

    fn refuse_for(&self, reason: &Reason) -> Duration {
        match reason {
            Reason::Occupied { .. }
            | Reason::Closed { .. }
            | Reason::Excluded { .. }
            | Reason::Constraint { .. } => self.refusals.settled,
            Reason::BackingOff { seconds, .. } => Duration::from_secs((*seconds).max(1)),
            Reason::Limit { .. } | Reason::Maintenance { .. } => self.refusals.long,
            Reason::TooSmall(TooSmall { lacking, .. }) if lacking.iter().any(Lack::is_for_good) => {
                self.refusals.long
            }
            Reason::Queued { .. }
            | Reason::TooSmall(_)
            | Reason::PortsTaken { .. }
            | Reason::FewPorts { .. } => self.refusals.soon,
        }
    }

    /// Whether what we reserved on the agent is of no more use, as no executor of ours will need it.
    fn gives_up(&self, reason: &Reason) -> bool {
        matches!(
            reason,
            Reason::Occupied { .. }
                | Reason::Closed { .. }
                | Reason::Excluded { .. }
                | Reason::Constraint { .. }
        ) || !self.reserve
    }

    fn reserved_in(&self, offers: &[Offer]) -> Vec<Resource> {
        let all = offers.iter().flat_map(|offer| &offer.resources);
        all.filter(|resource| self.reserver.has(resource)).cloned().collect()
    }

    fn maintenance(&self, offer: &Offer, now_ms: u64) -> Option<Reason> {
        let planned = offer.unavailability.as_ref()?;
        let start_ms = planned.start.nanoseconds / 1_000_000;
        let now_ms = i64::try_from(now_ms).ok()?;
        let over = planned
            .duration
            .as_ref()
            .is_some_and(|d| start_ms.saturating_add(d.nanoseconds / 1_000_000) <= now_ms);
        let margin = i64::try_from(self.refusals.maintenance_margin.as_millis()).unwrap_or(i64::MAX);
        if over || start_ms > now_ms.saturating_add(margin) {
            return None;
        }
        let from =
            jiff::Timestamp::from_millisecond(start_ms).map_or_else(|_| "?".to_owned(), |t| t.to_string());
        Some(Reason::Maintenance { from })
    }
}

impl Lack {
    /// The agent would be too small even if nothing ran on it.
    fn is_for_good(&self) -> bool {
        let reserved = self.reserved.iter().map(|(_, amount)| amount).sum::<u64>();
        self.total.is_some_and(|total| total.saturating_sub(reserved) < self.wanted)
    }
}

fn lack(kind: Kind, wanted: u64, offered: u64, capacity: Option<&Capacity>) -> Lack {
    let reserved = capacity.map(|c| c.reserved_for_others.as_slice()).unwrap_or_default().iter();
    let reserved = reserved.map(|(role, amounts)| (role.clone(), amounts.get(kind)));
    Lack {
        kind,
        wanted,
        offered,
        total: capacity.map(|capacity| capacity.total.get(kind)),
        reserved: reserved.filter(|(_, amount)| *amount > 0).collect(),
    }
}

const TASK_CPUS_MILLI: u64 = 10;

#[cfg(test)]
mod tests;
