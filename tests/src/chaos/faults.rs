//! What can go wrong.

use fastrand::Rng;

use super::receiver::Behaviour;

/// One fault, which lasts for a while. They are begun and ended in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Other configurations that do the same, so that all pipelines are replaced.
    Changed,
    /// What is sent to it gets lost on the way.
    Cut(End),
    /// Ended with SIGKILL, and started again afterwards.
    Killed(Part),
    /// Stopped with SIGSTOP.
    Frozen(Part),
    /// No room where positions and queues are kept.
    DiskFull,
    /// The receiver answers in another way.
    Receiver(Behaviour),
}

/// Who can be out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Master,
    Search,
    Receiver,
}

/// What can be killed. First comes what others need when they start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Master,
    Docker,
    Search,
    Scheduler,
    Agent,
    Executor,
}

impl Fault {
    /// Any of them, or of those that are called `only`. The executor and the receiver, on whose ways every line is, have more
    /// than their share.
    pub(super) fn random(rng: &mut Rng, only: Option<&str>) -> Self {
        let all = [
            Self::Changed,
            Self::Changed,
            Self::Cut(End::Master),
            Self::Cut(End::Search),
            Self::Cut(End::Receiver),
            Self::Killed(Part::Executor),
            Self::Killed(Part::Executor),
            Self::Killed(Part::Executor),
            Self::Killed(Part::Scheduler),
            Self::Killed(Part::Agent),
            Self::Killed(Part::Master),
            Self::Killed(Part::Search),
            Self::Killed(Part::Docker),
            Self::Frozen(Part::Executor),
            Self::Frozen(Part::Search),
            Self::DiskFull,
            Self::Receiver(Behaviour::Status(429)),
            Self::Receiver(Behaviour::Status(503)),
            Self::Receiver(Behaviour::TooLarge),
            Self::Receiver(Behaviour::Partial),
            Self::Receiver(Behaviour::Half),
            Self::Receiver(Behaviour::Hangs),
            Self::Receiver(Behaviour::Cut),
        ];
        let wanted: Vec<_> =
            all.iter().filter(|fault| only.is_none_or(|only| fault.name() == only)).collect();
        **rng.choice(&wanted).expect("a fault has that name: see docs/reliability.md")
    }

    /// Whether both are of the same thing, and cannot be at once.
    pub(super) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cut(a), Self::Cut(b)) => a == b,
            (Self::Killed(a) | Self::Frozen(a), Self::Killed(b) | Self::Frozen(b)) => a == b,
            (Self::Receiver(_), Self::Receiver(_))
            | (Self::DiskFull, Self::DiskFull)
            | (Self::Changed, Self::Changed) => true,
            _ => false,
        }
    }

    /// What it is called in a report.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Changed => "configurations changed",
            Self::Cut(End::Master) => "master out of reach",
            Self::Cut(End::Search) => "search engine out of reach",
            Self::Cut(End::Receiver) => "receiver out of reach",
            Self::Killed(Part::Executor) => "executor killed",
            Self::Killed(Part::Scheduler) => "scheduler killed",
            Self::Killed(Part::Agent) => "agent killed",
            Self::Killed(Part::Master) => "master killed",
            Self::Killed(Part::Search) => "search engine killed",
            Self::Killed(Part::Docker) => "Docker daemon killed",
            Self::Frozen(Part::Executor) => "executor frozen",
            Self::Frozen(_) => "search engine frozen",
            Self::DiskFull => "disk full",
            Self::Receiver(Behaviour::Status(429)) => "429",
            Self::Receiver(Behaviour::Status(_)) => "503",
            Self::Receiver(Behaviour::TooLarge) => "413",
            Self::Receiver(Behaviour::Partial) => "partial errors",
            Self::Receiver(Behaviour::Half) => "half answers",
            Self::Receiver(Behaviour::Hangs) => "no answers",
            Self::Receiver(Behaviour::Cut | Behaviour::Well) => "connections cut",
        }
    }
}
