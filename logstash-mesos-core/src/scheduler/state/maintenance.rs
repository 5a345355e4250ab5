//! Planned maintenance of machines: the executor drains before it begins, and none is launched until it is over
//! (CIT-5).

use super::super::task::{Ending, Phase};
use super::{Action, Outbox, State, millis};
use crate::ids::{AgentId, OfferId};
use mesos_v1::proto::{InverseOffer, Unavailability};
use std::collections::BTreeMap;
use std::time::Duration;

/// Machines with planned maintenance, as inverse offers and offers tell of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Maintenance {
    windows: BTreeMap<AgentId, Window>,
    inverse: BTreeMap<OfferId, AgentId>,
}

/// When a machine is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Milliseconds since 1970.
    pub start_ms: u64,
    /// Milliseconds since 1970. If unknown, it is over when nobody has spoken of it for a while.
    pub end_ms: Option<u64>,
    /// When somebody last spoke of it.
    heard_ms: u64,
}

impl Window {
    fn new(planned: &Unavailability, now_ms: u64) -> Self {
        let at = |nanoseconds: i64| u64::try_from(nanoseconds / 1_000_000).unwrap_or_default();
        let start_ms = at(planned.start.nanoseconds);
        let end_ms = planned.duration.as_ref().map(|d| start_ms.saturating_add(at(d.nanoseconds)));
        Self { start_ms, end_ms, heard_ms: now_ms }
    }

    /// The executor has to end so that it has done so at the start.
    fn begins(&self, now_ms: u64) -> bool {
        now_ms.saturating_add(millis(LEAD)) >= self.start_ms
    }

    fn is_over(&self, now_ms: u64) -> bool {
        // An inverse offer is repeated for as long as the plan holds; a plan that was dropped is not told of.
        let forgotten = now_ms > self.heard_ms + millis(FORGOTTEN);
        match self.end_ms {
            Some(end_ms) => end_ms <= now_ms || (forgotten && !self.begins(now_ms)),
            // Then the next offer says whether it goes on.
            None => forgotten,
        }
    }
}

impl State {
    /// The maintenance that is planned for an agent, or at work there.
    pub fn maintenance(&self, agent_id: &AgentId) -> Option<&Window> {
        self.maintenance.windows.get(agent_id)
    }

    /// Agrees to every maintenance: the machine goes away, with us or without.
    pub(super) fn inverse_offers(&mut self, offers: &[InverseOffer], now_ms: u64, out: &mut Outbox) {
        for offer in offers {
            let Some(agent_id) = offer.agent_id.as_ref().map(AgentId::from) else { continue };
            self.maintenance.windows.insert(agent_id.clone(), Window::new(&offer.unavailability, now_ms));
            self.maintenance.inverse.insert((&offer.id).into(), agent_id);
        }
        out.call(Action::AcceptInverseOffers {
            offer_ids: offers.iter().map(|o| (&o.id).into()).collect(),
            refuse_for: REPEAT,
        });
    }

    /// The plan is another now, or none.
    pub(super) fn inverse_rescinded(&mut self, offer_id: &OfferId, now_ms: u64) {
        let Some(agent_id) = self.maintenance.inverse.remove(offer_id) else { return };
        if self.maintenance.windows.get(&agent_id).is_some_and(|w| !w.begins(now_ms)) {
            self.maintenance.windows.remove(&agent_id);
        }
    }

    /// What an offer says of its machine is the truth.
    pub(super) fn heard_of_maintenance(
        &mut self,
        agent_id: &AgentId,
        planned: Option<&Unavailability>,
        now_ms: u64,
    ) {
        match planned {
            Some(planned) => {
                self.maintenance.windows.insert(agent_id.clone(), Window::new(planned, now_ms));
            }
            None => {
                self.maintenance.windows.remove(agent_id);
            }
        }
    }

    /// Ends the executors on machines whose maintenance is about to begin.
    pub(super) fn drain(&mut self, now_ms: u64, out: &mut Outbox) {
        if self.maintenance.windows.is_empty() {
            return;
        }
        self.maintenance.windows.retain(|_, window| !window.is_over(now_ms));
        let windows = &self.maintenance.windows;
        self.maintenance.inverse.retain(|_, agent_id| windows.contains_key(agent_id));
        let beginning = self.maintenance.windows.iter().filter(|(_, w)| w.begins(now_ms));
        let ending: Vec<_> = beginning
            .flat_map(|(agent_id, _)| self.tasks.on(agent_id))
            .filter(|t| t.ending.is_none() && t.phase != Phase::Unreachable)
            .map(|t| (t.task_id.clone(), t.agent_id.clone()))
            .collect();
        for (task_id, agent_id) in ending {
            self.tasks.change(&task_id, |task| task.ending = Some(Ending::Maintenance));
            out.store(&agent_id);
        }
    }
}

/// From telling an executor to end to the beginning of the maintenance. Longer than it may take to drain.
const LEAD: Duration = Duration::from_secs(120);
/// An inverse offer that was accepted comes again after this time.
const REPEAT: Duration = Duration::from_secs(60);
/// A plan that nobody spoke of for so long was dropped.
const FORGOTTEN: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::super::tests::{launched, offer, run, running_on, state, update};
    use super::*;
    use crate::scheduler::state::Event;
    use mesos_v1::proto::{self, DurationInfo, TaskState, TimeInfo};

    const HOUR: u64 = 3_600_000;

    fn planned(start_ms: u64) -> Unavailability {
        let nanoseconds = |ms: u64| i64::try_from(ms * 1_000_000).expect("fits");
        Unavailability {
            start: TimeInfo { nanoseconds: nanoseconds(start_ms) },
            duration: Some(DurationInfo { nanoseconds: nanoseconds(HOUR) }),
        }
    }

    fn inverse(id: &str, start_ms: u64) -> Event {
        Event::InverseOffers(vec![InverseOffer {
            id: proto::OfferId { value: id.to_owned() },
            agent_id: Some(proto::AgentId { value: "a".to_owned() }),
            unavailability: planned(start_ms),
            ..InverseOffer::default()
        }])
    }

    fn kills(state: &mut State, now: u64) -> usize {
        run(state, Event::Tick, now).iter().filter(|a| matches!(a, Action::Kill { .. })).count()
    }

    #[test]
    fn the_executor_ends_before_maintenance_and_comes_back_after_it() {
        let mut state = state();
        let id = running_on(&mut state, "a");
        let agreed = run(&mut state, inverse("i", 10 * HOUR), 9 * HOUR);
        assert!(
            matches!(&agreed[..], [Action::AcceptInverseOffers { offer_ids, .. }] if offer_ids.len() == 1)
        );
        run(&mut state, inverse("i2", 10 * HOUR), 10 * HOUR - 300_000);
        assert_eq!(kills(&mut state, 10 * HOUR - 121_000), 0);
        assert_eq!(kills(&mut state, 10 * HOUR - 120_000), 1);
        run(&mut state, update(&id, "a", TaskState::TaskKilled), 10 * HOUR - 110_000);
        assert_eq!(state.agents()[&"a".into()].failures.count, 0, "nobody is to blame");
        let mut during = offer("o1", "a");
        during.unavailability = Some(planned(10 * HOUR));
        assert_eq!(launched(&run(&mut state, Event::Offers(vec![during]), 10 * HOUR - 60_000)).len(), 0);
        let revives = |state: &mut State, now| run(state, Event::Tick, now).contains(&Action::Revive);
        let asked = (0..50).filter(|n| revives(&mut state, 10 * HOUR + n * 60_000)).count();
        assert!((1..=20).contains(&asked), "asked {asked} times whether the plan was dropped");
        let after = run(&mut state, Event::Offers(vec![offer("o2", "a")]), 11 * HOUR);
        assert_eq!(launched(&after).len(), 1);
    }

    #[test]
    fn a_plan_that_is_dropped_ends_nothing() {
        let mut rescinded = state();
        running_on(&mut rescinded, "a");
        run(&mut rescinded, inverse("i", HOUR), 1_000);
        run(&mut rescinded, Event::InverseRescinded("i".into()), 2_000);
        assert_eq!(kills(&mut rescinded, HOUR), 0);

        let mut silent = state();
        running_on(&mut silent, "a");
        run(&mut silent, inverse("i", HOUR), 1_000);
        assert_eq!(kills(&mut silent, 700_000), 0, "not heard of for more than ten minutes");
        assert_eq!(kills(&mut silent, HOUR), 0);
    }
}
