//! When offers are wanted, and when not.

use super::super::task::Retry;
use super::{Action, Outbox, State};
use crate::ids::AgentId;

/// What the master was told last about our wish for offers.
#[derive(Clone, Debug, Default)]
pub(super) struct Demand {
    pub(super) suppressed: bool,
    /// Revives that did not help, one after the other.
    revive: Retry,
    revived_ms: Option<u64>,
    /// Since when an agent lacks its executor and no offer of any came.
    waiting_since_ms: Option<u64>,
    /// Refusals of an earlier term are void.
    term: u64,
}

impl Demand {
    /// The master has forgotten for how long we did not want which offers.
    pub(super) fn forget_refusals(&mut self) {
        self.term += 1;
    }

    /// Takes note that the master sends offers.
    pub(super) fn heard(&mut self) {
        self.waiting_since_ms = None;
    }

    /// The present term of refusals.
    pub(super) fn term(&self) -> u64 {
        self.term
    }
}

impl State {
    /// Suppresses when every agent the master lists is covered, and revives when one is not and no offer
    /// of it can be expected (CIT-1, CIT-2).
    pub(super) fn ask_for_offers(&mut self, now_ms: u64, out: &mut Outbox) {
        let open = self.policy.closed.is_none();
        let nobody_lacks = self.releasing.is_empty()
            && (!open || !self.lacking.iter().any(|(id, _)| self.is_wanted(id, now_ms)));
        if nobody_lacks {
            self.demand.waiting_since_ms = None;
            self.demand.revive = Retry::default();
            let all_known = self.listed && self.agents.values().any(|a| a.listed);
            // Each executor to be replaced will want an offer soon.
            let replacing = open && !self.tasks.outdated().is_empty() && self.rollout.stopped.is_none();
            if !self.demand.suppressed && (!open || (all_known && !replacing)) {
                self.demand.suppressed = true;
                out.call(Action::Suppress);
            }
            return;
        }
        self.demand.waiting_since_ms.get_or_insert(now_ms);
        if now_ms < self.demand.revived_ms.map_or(0, |at| at + REVIVE_APART_MS) {
            return;
        }
        // An agent that came to lack its task after the last revive does not wait for those which revives
        // did not help.
        let helped = now_ms >= self.demand.revive.next_ms;
        let revived_ms = self.demand.revived_ms;
        let waiting = |since: u64| helped || revived_ms.is_none_or(|at| since > at);
        let lacking = self.lacking.iter().filter(|_| open).any(|(id, since)| {
            self.needs_revive(id, now_ms) && waiting((*since).max(self.agents[id].failures.retry_at_ms))
        });
        let releasing = || helped && self.releasing.iter().any(|id| self.needs_revive(id, now_ms));
        if lacking || releasing() {
            if helped {
                self.demand.revive.attempted(now_ms, REVIVE_FIRST_MS, REVIVE_LONGEST_MS);
            }
            self.demand.revived_ms = Some(now_ms);
            self.demand.suppressed = false;
            self.demand.forget_refusals();
            out.call(Action::Revive);
        }
    }

    /// Since when no offer came although some are needed, if that is for longer than masters usually take. Quotas show
    /// themselves in no other way.
    pub fn without_offers_since(&self, now_ms: u64) -> Option<u64> {
        self.demand.waiting_since_ms.filter(|since| self.connected && now_ms >= since + UNUSUAL_MS)
    }

    /// Agents that should have an executor and have none.
    pub fn lacking(&self) -> usize {
        self.lacking.len()
    }

    /// Offers of this agent can come, and we would use one.
    fn is_wanted(&self, id: &AgentId, now_ms: u64) -> bool {
        self.agents.get(id).is_some_and(|agent| {
            agent.listed || !self.listed || agent.last_offer_ms.is_some_and(|at| now_ms < at + SILENCE_MS)
        })
    }

    /// An agent that we could use now does not make an offer by itself.
    fn needs_revive(&self, id: &AgentId, now_ms: u64) -> bool {
        // Also in maintenance: only an offer tells that the plan was dropped, as nothing of ours is left there that an
        // inverse offer could be about.
        let Some(agent) = self.agents.get(id).filter(|_| self.is_wanted(id, now_ms)) else { return false };
        let due = agent.failures.count == 0 || agent.failures.retry_at_ms <= now_ms;
        let silent = agent.last_offer_ms.is_none_or(|at| now_ms >= at + SILENCE_MS);
        // A short refusal ends by itself; only a long one, or silence, needs a revive.
        let refused = agent.refused_in == self.demand.term() && agent.refused_until_ms > now_ms + SILENCE_MS;
        due && (self.demand.suppressed || refused || silent)
    }
}

const REVIVE_APART_MS: u64 = 5_000;
const REVIVE_FIRST_MS: u64 = 5_000;
const REVIVE_LONGEST_MS: u64 = 300_000;
const SILENCE_MS: u64 = 60_000;
const UNUSUAL_MS: u64 = 120_000;
