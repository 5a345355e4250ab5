//! What becomes of offers.

use super::super::task::{Phase, Retry, Task};
use super::{Action, Launch, State, millis};
use crate::ids::{AgentId, OfferId, TaskId};
use crate::offer::{Decision, Situation};
use mesos_v1::proto::Offer;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl State {
    pub(super) fn offers(
        &mut self,
        offers: &[Offer],
        now_ms: u64,
        random: &mut dyn FnMut() -> u32,
    ) -> Vec<Action> {
        let (mut stored, mut accepts) = (BTreeSet::new(), Vec::new());
        let mut declines = BTreeMap::<Duration, Vec<OfferId>>::new();
        for offer in offers {
            self.counters.offers += 1;
            let agent_id = AgentId::from(&offer.agent_id);
            let decision = self.policy.strategy.decide(offer, &self.situation(&agent_id, now_ms));
            let agent = self.agents.entry(agent_id.clone()).or_default();
            agent.hostname.clone_from(&offer.hostname);
            agent.last_offer_ms = Some(now_ms);
            agent.draining = false;
            match decision {
                Decision::Launch { task, executor } => {
                    agent.declined.clear();
                    agent.refused_until_ms = now_ms + millis(SETTLED);
                    let record = self.intend(&agent_id, &offer.hostname, now_ms, random());
                    stored.insert(agent_id);
                    accepts.push(Action::Accept(Box::new(Launch {
                        offer_id: OfferId::from(&offer.id),
                        task: record,
                        task_resources: task,
                        executor_resources: executor,
                        refuse_for: SETTLED,
                    })));
                }
                Decision::Decline { reason, refuse_for } => {
                    self.counters.declined += 1;
                    agent.refused_until_ms = now_ms + millis(refuse_for);
                    agent.note_declined(reason, now_ms);
                    declines.entry(refuse_for).or_default().push(OfferId::from(&offer.id));
                }
            }
        }
        let mut actions = Vec::new();
        if !stored.is_empty() {
            actions.push(Action::StoreTasks(stored));
        }
        actions.extend(accepts);
        let declines = declines.into_iter();
        actions.extend(declines.map(|(refuse_for, offer_ids)| Action::Decline { offer_ids, refuse_for }));
        actions
    }

    pub(super) fn situation(&self, agent_id: &AgentId, now_ms: u64) -> Situation<'_> {
        if let Some(task) = self.task_on(agent_id) {
            return Situation::Occupied { task_id: &task.task_id, state: task.phase.adjective() };
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
        let unconfirmed = self.tasks.values().filter(|t| t.phase.is_unconfirmed()).count();
        if unconfirmed >= self.policy.launch_parallelism {
            return Situation::Queued { limit: self.policy.launch_parallelism };
        }
        Situation::Free { now_ms }
    }

    pub(super) fn intend(&mut self, agent_id: &AgentId, hostname: &str, now_ms: u64, random: u32) -> Task {
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
        self.tasks.insert(task.task_id.clone(), task.clone());
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
