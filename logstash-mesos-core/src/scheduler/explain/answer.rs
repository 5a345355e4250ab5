//! The shape of the answer, for programs and for people. More kinds of subjects come to have it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What is known of one or more subjects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// When it was so.
    #[schema(value_type = String, format = DateTime)]
    pub at: Moment,
    /// What was asked for; empty for everything.
    pub query: String,
    /// Over all agents that were asked for, whether they are shown or not.
    pub totals: Totals,
    /// The framework if everything was asked for, then agents, the most urgent first.
    pub subjects: Vec<Explanation>,
    /// With which `offset` the next agents are shown; `None` if these were the last.
    pub next_offset: Option<u64>,
}

/// How many agents there are, by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AgentTotals)]
pub struct Totals {
    /// All of them.
    pub agents: u64,
    /// On which a shipper runs, well or not.
    pub running: u64,
    /// On which all is as it should be: a shipper ships, or none is wanted.
    pub ok: u64,
    /// On which something has to be done.
    pub problem: u64,
    /// Of which it is not known (yet).
    pub unknown: u64,
}

/// What is known of one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// What it is.
    pub kind: Subject,
    /// Of Mesos, or of Docker.
    pub id: String,
    /// The framework's, that of the agent's machine, or the container's.
    pub name: String,
    /// The worst of its steps.
    pub state: Verdict,
    /// In one line.
    pub summary: String,
    /// In the order of a shipper's life, or of a line's way. Those that cannot be taken yet are left out.
    pub steps: Vec<Step>,
}

/// What an explanation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Subject {
    /// The framework as a whole.
    Framework,
    /// The question is about one agent.
    Agent,
    /// The question is about one container.
    Container,
}

/// One thing that is needed for logs to arrive, and how it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// One word, for programs; it stays what it is.
    pub code: String,
    /// How it stands.
    pub state: Verdict,
    /// How it stands, in words.
    pub text: String,
    /// The numbers in the words, by name; each name ends in its unit.
    #[serde(default)]
    pub figures: BTreeMap<String, f64>,
    /// Since when it is so, where that is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Moment>,
    /// What to do about it.
    pub next: Option<String>,
}

/// How something stands. The most urgent comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Somebody has to do something, or to wait for what is said.
    Problem,
    /// Not known, or not yet.
    Unknown,
    /// As it should be.
    Ok,
}

impl Verdict {
    /// The worst of several; [`Verdict::Ok`] of none.
    pub(super) fn of(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().min().unwrap_or(Self::Ok)
    }

    /// As it is written: `ok`, `problem`, `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Unknown => "unknown",
            Self::Ok => "ok",
        }
    }

    /// The verdict of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Problem, Self::Unknown, Self::Ok].into_iter().find(|verdict| verdict.name() == name)
    }
}

impl Totals {
    pub(super) fn add(&mut self, verdict: Verdict, running: bool) {
        self.agents += 1;
        self.running += u64::from(running);
        match verdict {
            Verdict::Ok => self.ok += 1,
            Verdict::Problem => self.problem += 1,
            Verdict::Unknown => self.unknown += 1,
        }
    }
}

/// Milliseconds since 1970; in JSON a time as in RFC 3339.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::scheduler::clock::time(self.0))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        u64::try_from(time.as_millisecond()).map(Self).map_err(serde::de::Error::custom)
    }
}
