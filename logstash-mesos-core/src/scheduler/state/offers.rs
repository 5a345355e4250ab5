//! What becomes of offers: used, given back, or held until another launch is allowed.

use super::super::task::{Phase, Retry, Task};
use super::held::Place;
use super::{Action, Launch, Outbox, State, millis};
use crate::ids::{AgentId, OfferId, TaskId};
use crate::offer::{Decision, Situation};
use mesos_v1::proto::Offer;
use std::collections::BTreeMap;
use std::time::Duration;

/// Offers to give back, by how long the same are not wanted again.
type Declines = BTreeMap<Duration, Vec<OfferId>>;

impl State {
    pub(super) fn offered(&mut self, offers: Vec<Offer>, now_ms: u64) {
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
        let agent_id = place.0.clone();
        let mut waiting = Vec::new();
        for offer in offers {
            let decision = self.policy.strategy.decide(&offer, &self.situation(&agent_id, now_ms));
            match decision {
                Decision::Launch { .. } if !self.may_launch() => waiting.push(offer),
                Decision::Launch { task, executor } => {
                    let record = self.intend(&agent_id, &offer.hostname, now_ms, random());
                    self.refused(&agent_id, SETTLED, now_ms);
                    out.store(&agent_id);
                    out.call(Action::Accept(Box::new(Launch {
                        offer_id: OfferId::from(&offer.id),
                        task: record,
                        task_resources: task,
                        executor_resources: executor,
                        refuse_for: SETTLED,
                    })));
                }
                Decision::Decline { reason, refuse_for } => {
                    self.decline(&offer, reason, refuse_for, now_ms, declines);
                }
            }
        }
        if waiting.is_empty() {
            return;
        }
        if self.held.waiting() >= self.policy.launch_parallelism.saturating_mul(HOLD_ROUNDS) {
            self.decline_queued(&waiting, now_ms, declines);
        } else {
            let reason = self.queued();
            self.agents.entry(agent_id).or_default().note_declined(reason, now_ms);
            self.held.wait(place, waiting, since_ms);
        }
    }

    fn decline_queued(&mut self, offers: &[Offer], now_ms: u64, declines: &mut Declines) {
        for offer in offers {
            self.decline(offer, self.queued(), QUEUED, now_ms, declines);
        }
    }

    fn queued(&self) -> String {
        format!("{} launches are unconfirmed, no more at a time", self.policy.launch_parallelism)
    }

    fn decline(
        &mut self,
        offer: &Offer,
        reason: String,
        refuse_for: Duration,
        now_ms: u64,
        declines: &mut Declines,
    ) {
        self.counters.declined += 1;
        let agent_id = AgentId::from(&offer.agent_id);
        self.refused(&agent_id, refuse_for, now_ms);
        self.agents.entry(agent_id).or_default().note_declined(reason, now_ms);
        declines.entry(refuse_for).or_default().push(OfferId::from(&offer.id));
    }

    /// Notes for how long we keep an agent's offers away.
    fn refused(&mut self, agent_id: &AgentId, refuse_for: Duration, now_ms: u64) {
        let term = self.demand.term();
        let agent = self.agents.entry(agent_id.clone()).or_default();
        (agent.refused_in, agent.refused_until_ms) = (term, now_ms + millis(refuse_for));
    }

    fn situation(&self, agent_id: &AgentId, now_ms: u64) -> Situation<'_> {
        if let Some(task) = self.task_on(agent_id) {
            return Situation::Occupied { task_id: &task.task_id, state: task.phase.adjective() };
        }
        // Two executors on an agent would ship every line twice.
        if let Some(task_id) = self.strangers.on(agent_id) {
            return Situation::Occupied { task_id, state: "not on record and about to be ended" };
        }
        if let Some(reason) = self.policy.closed {
            return Situation::Closed { reason };
        }
        if let Some(failures) = self.agents.get(agent_id).map(|a| &a.failures)
            && failures.count > 0
            && failures.retry_at_ms > now_ms
        {
            return Situation::BackingOff {
                remaining: Duration::from_millis(failures.retry_at_ms - now_ms),
                failures: failures.count,
                reason: &failures.reason,
            };
        }
        Situation::Free { now_ms }
    }

    fn intend(&mut self, agent_id: &AgentId, hostname: &str, now_ms: u64, random: u32) -> Task {
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
        };
        if let Some(agent) = self.agents.get_mut(agent_id) {
            agent.declined.clear();
        }
        self.tasks.insert(task.clone());
        self.note_lack(agent_id, now_ms);
        task
    }
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
/// So many times the launches that are allowed at a time may wait for their turn.
const HOLD_ROUNDS: usize = 20;
/// For how long an offer is not wanted that has no turn yet.
const QUEUED: Duration = Duration::from_secs(1);
