//! One task on every agent.

use super::{Decision, Needs, OfferStrategy, Situation, take};
use mesos_v1::proto::Offer;
use std::time::Duration;

/// Uses the first good offer of every agent that has none of our tasks.
#[derive(Clone, Debug)]
pub struct OnePerAgent {
    /// For task and executor together.
    pub needs: Needs,
    /// How long which offer is not wanted again.
    pub refusals: Refusals,
}

/// For how long offers are refused, by reason (CIT-1).
#[derive(Clone, Copy, Debug)]
pub struct Refusals {
    /// Nothing can change without us knowing: the agent has its task. Cleared by a revive.
    pub settled: Duration,
    /// The agent may have more soon.
    pub soon: Duration,
    /// Maintenance this near counts as begun.
    pub maintenance_margin: Duration,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            settled: Duration::from_secs(3600),
            soon: Duration::from_secs(5),
            maintenance_margin: Duration::from_secs(3600),
        }
    }
}

impl OfferStrategy for OnePerAgent {
    fn decide(&self, offer: &Offer, situation: &Situation<'_>) -> Decision {
        let decline = |reason: String, refuse_for| Decision::Decline { reason, refuse_for };
        let now_ms = match situation {
            Situation::Free { now_ms } => *now_ms,
            Situation::Occupied { task_id, state } => {
                return decline(format!("task {task_id} is {state} there"), self.refusals.settled);
            }
            Situation::BackingOff { remaining, failures, reason } => {
                let seconds = remaining.as_millis().div_ceil(1000);
                let reason = format!("failed {failures} times, next attempt in {seconds} s: {reason}");
                return decline(reason, (*remaining).max(Duration::from_secs(1)));
            }
            Situation::Queued { limit } => {
                let reason = format!("{limit} launches are unconfirmed, no more at a time");
                return decline(reason, self.refusals.soon);
            }
            Situation::Closed { reason } => return decline((*reason).to_owned(), self.refusals.settled),
        };
        if let Some(reason) = self.maintenance(offer, now_ms) {
            return decline(reason, self.refusals.soon.max(Duration::from_secs(60)));
        }
        let mut rest = offer.resources.clone();
        // Mesos wants a task to have something; all else belongs to the executor, which does the work.
        let of_task = Needs { cpus_milli: TASK_CPUS_MILLI, mem_megabytes: 0, disk_megabytes: 0 };
        let of_executor =
            Needs { cpus_milli: self.needs.cpus_milli.saturating_sub(TASK_CPUS_MILLI), ..self.needs };
        if let Err(shortage) = take(&mut rest.clone(), self.needs) {
            return decline(format!("not enough: {}", shortage.lacking.join("; ")), self.refusals.soon);
        }
        match (take(&mut rest, of_task), take(&mut rest, of_executor)) {
            (Ok(task), Ok(executor)) => Decision::Launch { task, executor },
            (Err(shortage), _) | (_, Err(shortage)) => {
                decline(format!("not enough: {}", shortage.lacking.join("; ")), self.refusals.soon)
            }
        }
    }
}

impl OnePerAgent {
    fn maintenance(&self, offer: &Offer, now_ms: u64) -> Option<String> {
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
        let start =
            jiff::Timestamp::from_millisecond(start_ms).map_or_else(|_| "?".to_owned(), |t| t.to_string());
        Some(format!("maintenance of the machine is planned from {start}"))
    }
}

const TASK_CPUS_MILLI: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TaskId;
    use mesos_v1::proto::{DurationInfo, Resource, TimeInfo, Unavailability, value};

    fn strategy() -> OnePerAgent {
        let needs = Needs { cpus_milli: 100, mem_megabytes: 64, disk_megabytes: 256 };
        OnePerAgent { needs, refusals: Refusals::default() }
    }

    fn offer(cpus: f64, mem: f64, disk: f64) -> Offer {
        let resource = |(name, value): (&str, f64)| Resource {
            name: name.to_owned(),
            scalar: Some(value::Scalar { value }),
            ..Resource::default()
        };
        let resources = [("cpus", cpus), ("mem", mem), ("disk", disk)].map(resource).to_vec();
        Offer { resources, ..Offer::default() }
    }

    fn sum(resources: &[Resource], name: &str) -> f64 {
        resources.iter().filter(|r| r.name == name).filter_map(|r| r.scalar.as_ref()).map(|s| s.value).sum()
    }

    fn reason(decision: Decision) -> (String, Duration) {
        match decision {
            Decision::Decline { reason, refuse_for } => (reason, refuse_for),
            Decision::Launch { .. } => panic!("should have been declined"),
        }
    }

    #[test]
    fn a_free_agent_with_room_gets_all_that_is_needed() {
        let decision = strategy().decide(&offer(0.1, 64.0, 1000.0), &Situation::Free { now_ms: 0 });
        let Decision::Launch { task, executor } = decision else { panic!("{decision:?}") };
        assert_eq!(sum(&task, "cpus"), 0.01);
        assert_eq!(
            (sum(&executor, "cpus"), sum(&executor, "mem"), sum(&executor, "disk")),
            (0.09, 64.0, 256.0)
        );
    }

    #[test]
    fn a_small_offer_is_declined_briefly_with_what_is_short() {
        let (reason, refuse_for) =
            reason(strategy().decide(&offer(0.05, 64.0, 0.0), &Situation::Free { now_ms: 0 }));
        assert_eq!(reason, "not enough: 0.1 cpus wanted, 0.05 offered; 256 disk wanted, 0 offered");
        assert_eq!(refuse_for, Duration::from_secs(5));
    }

    #[test]
    fn an_occupied_agent_is_declined_for_long() {
        let task_id = TaskId::new("t");
        let situation = Situation::Occupied { task_id: &task_id, state: "running" };
        let (reason, refuse_for) = reason(strategy().decide(&offer(9.0, 999.0, 999.0), &situation));
        assert_eq!(reason, "task t is running there");
        assert_eq!(refuse_for, Duration::from_secs(3600));
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
        let now = Situation::Free { now_ms: 10 * 3_600_000 };
        for (start, duration, declined) in
            [(9, None, true), (11, Some(1), true), (12, None, false), (8, Some(1), false), (8, Some(3), true)]
        {
            let decision = strategy().decide(&planned(start, duration), &now);
            assert_eq!(matches!(decision, Decision::Decline { .. }), declined, "{start} {duration:?}");
        }
    }
}
