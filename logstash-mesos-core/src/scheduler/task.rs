//! Tasks and agents as the scheduler knows them.

use crate::ids::{AgentId, ExecutorId, TaskId};
use crate::offer::{Reason, Standing};
use mesos_v1::proto::TaskState;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A task of ours that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Never used twice.
    pub task_id: TaskId,
    /// Where it is.
    pub agent_id: AgentId,
    /// Of the agent's machine, as the offer had it.
    pub hostname: String,
    /// Names the definition of the executor, too.
    pub executor_id: ExecutorId,
    /// How far it is.
    pub phase: Phase,
    /// Since when it is in this phase; milliseconds since 1970.
    pub since_ms: u64,
    /// We want it to end: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// When to ask again that it end, and how often that was done. Begins anew with every process.
    #[serde(skip)]
    pub(super) kill: Retry,
    /// The phase was asked about because it did not change for too long.
    #[serde(skip)]
    pub(super) suspected_ms: Option<u64>,
    /// What it counts for where rules limit how many there may be: `@zone=z1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<String>,
    /// Ports that its executor has from Mesos.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// Ports that its executor listens on and that its agent does not offer at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports_not_offered: Vec<u16>,
}

/// Why we end a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Another one takes its place, with a newer executor.
    Replaced,
    /// Nobody confirmed its launch in time.
    Unconfirmed,
    /// The rules no longer select its agent.
    Excluded,
    /// The framework is being uninstalled.
    Uninstalled,
    /// Maintenance of the machine is about to begin.
    Maintenance,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Written down; the offer may have been accepted or not.
    Intended,
    /// Mesos has it, its executor does not.
    Staging,
    /// Its executor has it.
    Starting,
    /// The executor works.
    Running,
    /// It is about to end.
    Killing,
    /// Its agent is away, and may come back with it.
    Unreachable,
}

impl Phase {
    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::Intended, Self::Staging, Self::Starting, Self::Running, Self::Killing, Self::Unreachable];

    /// As an adjective, for people.
    pub fn adjective(self) -> &'static str {
        match self {
            Self::Intended => "about to be launched",
            Self::Staging => "staging",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Killing => "being killed",
            Self::Unreachable => "unreachable",
        }
    }

    /// As `GET /api/status` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Staging => "staging",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Killing => "killing",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether it is unknown if the launch succeeds.
    pub fn is_unconfirmed(self) -> bool {
        matches!(self, Self::Intended | Self::Staging | Self::Starting)
    }
}

/// What an update says about a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The task lives, and is in this phase.
    Lives(Phase),
    /// It has ended, or never was.
    Ended,
}

/// Sorts a state; a state this version does not know says nothing (VER-2).
pub(super) fn word(state: i32) -> Option<Word> {
    Some(match TaskState::try_from(state).ok()? {
        TaskState::TaskStaging => Word::Lives(Phase::Staging),
        TaskState::TaskStarting => Word::Lives(Phase::Starting),
        TaskState::TaskRunning => Word::Lives(Phase::Running),
        TaskState::TaskKilling => Word::Lives(Phase::Killing),
        TaskState::TaskUnreachable => Word::Lives(Phase::Unreachable),
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator
        // Only ever an answer to a question about a task that the master has not heard of.
        | TaskState::TaskUnknown => Word::Ended,
    })
}

/// When to repeat something, and after how many attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Retry {
    pub(super) next_ms: u64,
    pub(super) attempts: u32,
}

impl Retry {
    /// Notes an attempt at `now_ms`; the next comes after `first_ms`, doubling up to `longest_ms`.
    pub(super) fn attempted(&mut self, now_ms: u64, first_ms: u64, longest_ms: u64) {
        self.next_ms = now_ms + doubling(self.attempts, first_ms, longest_ms);
        self.attempts += 1;
    }
}

/// `first` doubled `times` times, at most `longest`.
pub(super) fn doubling(times: u32, first: u64, longest: u64) -> u64 {
    first.saturating_mul(1_u64.checked_shl(times.min(40)).unwrap_or(u64::MAX)).min(longest)
}

/// An agent: what was offered, and what happened there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// Name of its machine.
    pub hostname: String,
    /// Why its last offers were declined, the newest first.
    pub declined: VecDeque<Declined>,
    /// How often a launch on it has failed lately.
    pub failures: Failures,
    /// When it last made an offer.
    pub last_offer_ms: Option<u64>,
    /// An operator drains it.
    pub draining: bool,
    /// The master lists it as active.
    pub listed: bool,
    /// What the rules say of it, and what it has.
    pub standing: Standing,
    /// How many of the master's lists in a row had a reservation of ours there that nothing needs.
    pub(super) releasing: u32,
    /// Until when our own refusal keeps its offers away, if the master still knows of it.
    pub(super) refused_until_ms: u64,
    /// Refusals of another term are forgotten.
    pub(super) refused_in: u64,
    /// The last of the master's lists that had it.
    pub(super) seen_in_listing: u64,
}

/// Why an offer was declined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declined {
    /// With numbers; its text is for an operator.
    pub reason: Reason,
    /// When last; milliseconds since 1970.
    pub at_ms: u64,
    /// How often in a row.
    pub count: u64,
}

/// Failures of tasks on one agent, in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many came one after the other.
    pub count: u32,
    /// When the next attempt may be made.
    pub retry_at_ms: u64,
    /// What happened last.
    pub reason: String,
    /// When it happened.
    pub at_ms: u64,
}

impl Agent {
    /// Keeps the reason; the same one again only moves its time.
    pub(super) fn note_declined(&mut self, reason: Reason, at_ms: u64) {
        let reason = match self.declined.front_mut() {
            None => reason,
            Some(last) => match last.reason.absorb(reason) {
                Ok(()) => {
                    (last.at_ms, last.count) = (at_ms, last.count + 1);
                    return;
                }
                Err(other) => other,
            },
        };
        self.declined.push_front(Declined { reason, at_ms, count: 1 });
        self.declined.truncate(MAX_DECLINED);
    }
}

/// First wait before a task is told again to end.
pub(super) const KILL_FIRST_MS: u64 = 5_000;
/// Longest wait before a task is told again to end.
pub(super) const KILL_LONGEST_MS: u64 = 60_000;
const MAX_DECLINED: usize = 8;
