//! When offers are wanted, and when not.

use super::super::task::Retry;
use super::{Action, State};
use std::collections::BTreeSet;

impl State {
    /// Suppresses when every agent the master lists is covered, and revives when one is not and no offer
    /// of it can be expected (CIT-1, CIT-2).
    pub(super) fn ask_for_offers(&mut self, now_ms: u64) -> Vec<Action> {
        let covered: BTreeSet<_> = self.tasks.values().map(|t| &t.agent_id).collect();
        let open = self.policy.closed.is_none();
        let lacking = || {
            self.agents.iter().filter(|(id, agent)| {
                let offers = agent.listed
                    || !self.listed
                    || agent.last_offer_ms.is_some_and(|at| now_ms < at + SILENCE_MS);
                open && offers && !agent.draining && !covered.contains(id)
            })
        };
        if !self.suppressed {
            let all_covered =
                self.listed && self.agents.values().any(|a| a.listed) && lacking().next().is_none();
            if !open || all_covered {
                self.suppressed = true;
                self.revive = Retry::default();
                return vec![Action::Suppress];
            }
        }
        let waiting = lacking().any(|(_, agent)| {
            let due = agent.failures.count == 0 || agent.failures.retry_at_ms <= now_ms;
            let silent = agent.last_offer_ms.is_none_or(|at| now_ms >= at + SILENCE_MS);
            // A short refusal ends by itself; only a long one, or silence, needs a revive.
            due && (self.suppressed || agent.refused_until_ms > now_ms + SILENCE_MS || silent)
        });
        if !waiting {
            if lacking().next().is_none() {
                self.revive.attempts = 0;
            }
            return vec![];
        }
        if now_ms < self.revive.next_ms {
            return vec![];
        }
        self.revive.attempted(now_ms, REVIVE_FIRST_MS, REVIVE_LONGEST_MS);
        self.suppressed = false;
        self.forget_refusals();
        vec![Action::Revive]
    }

    pub(super) fn forget_refusals(&mut self) {
        for agent in self.agents.values_mut() {
            agent.refused_until_ms = 0;
        }
    }
}

const REVIVE_FIRST_MS: u64 = 5_000;
const REVIVE_LONGEST_MS: u64 = 300_000;
const SILENCE_MS: u64 = 60_000;
