//! What becomes of offers: used, given back, or held until another launch is allowed.

use super::super::task::{Phase, Retry, Task};
use super::held::{For, Place};
use super::{Action, Launch, Outbox, State, millis};
use crate::ids::{AgentId, OfferId, TaskId};
use crate::offer::{Decision, Free, Plan, Reason, Situation};
use mesos_v1::proto::Offer;
use std::collections::BTreeMap;
use std::time::Duration;

/// Offers to give back, by how long the same are not wanted again.
type Declines = BTreeMap<Duration, Vec<OfferId>>;

impl State {
    pub(super) fn offered(&mut self, offers: Vec<Offer>, now_ms: u64) {
        self.demand.heard();
        for offer in offers {
            self.counters.offers += 1;
            let agent_id = AgentId::from(&offer.agent_id);
            let agent = self.agents.entry(agent_id.clone()).or_default();
            if agent.hostname != offer.hostname {
                agent.hostname.clone_from(&offer.hostname);
            }
            agent.last_offer_ms = Some(now_ms);
            agent.draining = false;
            self.strangers.returned(&agent_id, now_ms);
            // The agent is back. Whether the task is back too, it tells of itself only if it is.
            for task in self.tasks.on(&agent_id).filter(|t| t.phase == Phase::Unreachable) {
                self.reconciliation.ask_about(task.task_id.clone());
            }
            self.heard_of_maintenance(&agent_id, offer.unavailability.as_ref(), now_ms);
            self.note_lack(&agent_id, now_ms);
            self.held.add(offer, now_ms);
        }
    }

    pub(super) fn rescinded(&mut self, offer_id: &OfferId) {
        self.counters.rescinded += 1;
        self.held.rescind(offer_id);
    }

    /// Decides about held offers: the new ones, those that may be used now, and those held for long enough.
    pub(super) fn place(&mut self, now_ms: u64, random: &mut dyn FnMut() -> u32, out: &mut Outbox) {
        let mut declines = Declines::new();
        while let Some(place) = self.held.next_fresh() {
            self.decide(place, now_ms, random, out, &mut declines);
        }
        while self.may_launch() {
            let Some(place) = self.held.next_waiting() else { break };
            self.decide(place, now_ms, random, out, &mut declines);
        }
        while let Some(place) = self.held.short_since_before(now_ms.saturating_sub(millis(HOLD_SHORT))) {
            self.decide(place, now_ms, random, out, &mut declines);
        }
        while let Some(place) = self.held.waiting_since_before(now_ms.saturating_sub(millis(HOLD))) {
            let Some((offers, _)) = self.held.take(&place) else { break };
            self.decline_queued(&offers, now_ms, &mut declines);
        }
        let declines = declines.into_iter();
        out.calls.extend(declines.map(|(refuse_for, offer_ids)| Action::Decline { offer_ids, refuse_for }));
    }

    fn may_launch(&self) -> bool {
        self.tasks.unconfirmed() < self.policy.launch_parallelism
    }

    fn decide(
        &mut self,
        place: Place,
        now_ms: u64,
        random: &mut dyn FnMut() -> u32,
        out: &mut Outbox,
        declines: &mut Declines,
    ) {
        let Some((offers, since_ms)) = self.held.take(&place) else { return };
        let Some(hostname) = offers.first().map(|offer| offer.hostname.clone()) else { return };
        let agent_id = place.0.clone();
        let may_hold = now_ms <= since_ms + millis(HOLD_SHORT);
        match self.policy.strategy.decide(&offers, &self.situation(&agent_id, may_hold, now_ms)) {
            Decision::Launch(_) if !self.may_launch() => {
                self.wait_for_turn(place, offers, since_ms, now_ms, declines)
            }
            Decision::Launch(plan) => {
                let task = self.intend(&agent_id, &hostname, &plan, now_ms, random());
                self.refused(&agent_id, SETTLED, now_ms);
                out.store(&agent_id);
                let offer_ids = ids(&offers);
                out.call(Action::Accept(Box::new(Launch {
                    offer_ids,
                    task,
                    plan: *plan,
                    refuse_for: SETTLED,
                })));
            }
            Decision::Hold { .. } => self.held.wait(place, offers, since_ms, For::More),
            Decision::Decline { reason, refuse_for, unreserve } if unreserve.is_empty() => {
                self.decline(&offers, reason, refuse_for, now_ms, declines);
            }
            Decision::Decline { reason, refuse_for, unreserve } => {
                self.note_declined(&offers, reason, refuse_for, now_ms);
                out.call(Action::Unreserve { offer_ids: ids(&offers), resources: unreserve, refuse_for });
            }
        }
    }

    fn wait_for_turn(
        &mut self,
        place: Place,
        offers: Vec<Offer>,
        since_ms: u64,
        now_ms: u64,
        declines: &mut Declines,
    ) {
        if self.held.waiting() >= self.policy.launch_parallelism.saturating_mul(HOLD_ROUNDS) {
            self.decline_queued(&offers, now_ms, declines);
        } else {
            let reason = self.queued();
            self.agents.entry(place.0.clone()).or_default().note_declined(reason, now_ms);
            self.held.wait(place, offers, since_ms, For::Turn);
        }
    }

    fn decline_queued(&mut self, offers: &[Offer], now_ms: u64, declines: &mut Declines) {
        self.decline(offers, self.queued(), QUEUED, now_ms, declines);
    }

    fn queued(&self) -> Reason {
        Reason::Queued { limit: self.policy.launch_parallelism }
    }

    fn decline(
        &mut self,
        offers: &[Offer],
        reason: Reason,
        refuse_for: Duration,
        now_ms: u64,
        declines: &mut Declines,
    ) {
        self.note_declined(offers, reason, refuse_for, now_ms);
        declines.entry(refuse_for).or_default().extend(ids(offers));
    }

    fn note_declined(&mut self, offers: &[Offer], reason: Reason, refuse_for: Duration, now_ms: u64) {
        self.counters.declined += offers.len() as u64;
        let Some(agent_id) = offers.first().map(|offer| AgentId::from(&offer.agent_id)) else { return };
        self.refused(&agent_id, refuse_for, now_ms);
        let agent = self.agents.entry(agent_id.clone()).or_default();
        let excluded = matches!(reason, Reason::Excluded { .. } | Reason::Constraint { .. });
        if excluded {
            agent.standing.excluded = Some(reason.clone());
        }
        agent.note_declined(reason, now_ms);
        if excluded {
            self.note_lack(&agent_id, now_ms);
        }
    }

    /// Notes for how long we keep an agent's offers away.
    fn refused(&mut self, agent_id: &AgentId, refuse_for: Duration, now_ms: u64) {
        let term = self.demand.term();
        let agent = self.agents.entry(agent_id.clone()).or_default();
        (agent.refused_in, agent.refused_until_ms) = (term, now_ms + millis(refuse_for));
    }

    fn situation(&self, agent_id: &AgentId, may_hold: bool, now_ms: u64) -> Situation<'_> {
        if let Some(task) = self.task_on(agent_id) {
            let (task_id, state) = (task.task_id.clone(), task.phase.adjective());
            return Situation::Barred(Reason::Occupied { task_id, state });
        }
        // Two executors on an agent would ship every line twice.
        if let Some(task_id) = self.strangers.on(agent_id) {
            let (task_id, state) = (task_id.clone(), "not on record and about to be ended");
            return Situation::Barred(Reason::Occupied { task_id, state });
        }
        if let Some(why) = self.policy.closed {
            return Situation::Barred(Reason::Closed { why });
        }
        let agent = self.agents.get(agent_id);
        if let Some(failures) = agent.map(|a| &a.failures)
            && failures.count > 0
            && failures.retry_at_ms > now_ms
        {
            return Situation::Barred(Reason::BackingOff {
                failures: failures.count,
                seconds: (failures.retry_at_ms - now_ms).div_ceil(1000),
                last: failures.reason.clone(),
            });
        }
        let capacity = agent.and_then(|agent| agent.standing.capacity.as_ref());
        Situation::Free(Free { now_ms, may_hold, counts: self.tasks.counts(), capacity })
    }

    fn intend(&mut self, agent_id: &AgentId, hostname: &str, plan: &Plan, now_ms: u64, random: u32) -> Task {
        self.counters.launches += 1;
        let task = Task {
            task_id: task_id(&self.policy.task_prefix, hostname, now_ms, random),
            agent_id: agent_id.clone(),
            hostname: hostname.to_owned(),
            executor_id: self.policy.executor_id.clone(),
            phase: Phase::Intended,
            since_ms: now_ms,
            ending: None,
            kill: Retry::default(),
            suspected_ms: None,
            counts: plan.counts.clone(),
            ports: plan.ports.clone(),
            ports_not_offered: plan.ports_not_offered.clone(),
        };
        if let Some(agent) = self.agents.get_mut(agent_id) {
            agent.declined.clear();
        }
        self.tasks.insert(task.clone());
        self.note_lack(agent_id, now_ms);
        task
    }
}

fn ids(offers: &[Offer]) -> Vec<OfferId> {
    offers.iter().map(|offer| OfferId::from(&offer.id)).collect()
}

/// As the predecessor named tasks, and 8 random hex digits: `logstash_<host>_20240131T235959.000Z_0a1b2c3d`.
fn task_id(prefix: &str, hostname: &str, now_ms: u64, random: u32) -> TaskId {
    let time = i64::try_from(now_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| now_ms.to_string(), |t| t.strftime("%Y%m%dT%H%M%S%.3fZ").to_string());
    // Mesos takes neither slashes nor control characters, and 255 characters at most.
    let host: String = hostname
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' })
        .take(150)
        .collect();
    TaskId::new(format!("{prefix}_{host}_{time}_{random:08x}"))
}

/// What is left of an offer after a launch is of no use to us.
const SETTLED: Duration = Duration::from_secs(3600);
/// Longest time for which a good offer is kept from others while it waits for its turn.
const HOLD: Duration = Duration::from_secs(5);
/// How long an offer that is too small is kept for another one to come.
const HOLD_SHORT: Duration = Duration::from_secs(3);
/// So many times the launches that are allowed at a time may wait for their turn.
const HOLD_ROUNDS: usize = 20;
/// For how long an offer is not wanted that has no turn yet.
const QUEUED: Duration = Duration::from_secs(1);
