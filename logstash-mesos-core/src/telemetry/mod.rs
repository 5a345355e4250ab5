//! Numbers for Prometheus: one table of them. What is served, the page about them, the dashboard and the alerts follow from
//! it or are held to it.

mod address;
#[cfg(test)]
mod documents;
#[cfg(feature = "metrics")]
pub(crate) mod server;
pub mod table;
mod text;

pub use address::{MetricsAddress, NoAddress};
pub use text::Exposition;

/// The form of the text that [`Exposition`] writes, as HTTP names it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A number that is measured, or several that differ in their labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its whole name.
    pub name: &'static str,
    /// Whether it may fall.
    pub kind: MetricKind,
    /// In what it is counted.
    pub unit: Unit,
    /// One sentence that says what is counted.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Who serves it.
    pub served_by: ServedBy,
}

/// How a number moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows, until what counts begins anew.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl MetricKind {
    /// As the text for Prometheus has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// In what is counted. Names end in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Pieces; what they are is in the name.
    None,
    /// Of eight bits.
    Bytes,
    /// Whole ones or parts.
    Seconds,
}

impl Unit {
    /// As names end in it; nothing for pieces.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
        }
    }
}

/// Which programs serve a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedBy {
    /// The scheduler that leads.
    Leader,
    /// A scheduler that follows.
    Follower,
    /// Every scheduler, whether it leads or follows.
    Schedulers,
    /// The executor of an agent, `ship` and `pipeline run`.
    Executors,
}

impl ServedBy {
    /// In words, for the page about the numbers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Leader => "the scheduler that leads",
            Self::Follower => "schedulers that follow",
            Self::Schedulers => "every scheduler",
            Self::Executors => "executors, `ship`, `pipeline run`",
        }
    }
}
