//! Why an agent has no executor (yet), with numbers, in words that name the next step (CIT-7).

use super::amounts::Kind;
use super::ports;
use crate::ids::TaskId;
use std::fmt;

/// Why an offer is not used, or none is to be expected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A task of ours is there.
    Occupied {
        /// The task that occupies the agent.
        task_id: TaskId,
        /// Its state as an adjective: `running`.
        state: &'static str,
    },
    /// It failed there not long ago.
    BackingOff {
        /// How many launches failed there in a row.
        failures: u32,
        /// Until the next attempt.
        seconds: u64,
        /// State, reason and message of the last failure, in one line.
        last: String,
    },
    /// Enough launches are under way elsewhere.
    Queued {
        /// How many may be unconfirmed at a time.
        limit: usize,
    },
    /// Nothing is to be launched anywhere.
    Closed {
        /// What keeps launches from happening, in words for a person.
        why: &'static str,
    },
    /// The machine is about to be maintained.
    Maintenance {
        /// When it begins, RFC 3339.
        from: String,
    },
    /// An operator named it.
    Excluded {
        /// The name or id that was given.
        name: String,
    },
    /// A rule does not select it.
    Constraint {
        /// The rule as it was written.
        rule: String,
        /// The agent's value of the field the rule asks about; `None` if it has none.
        value: Option<String>,
    },
    /// A rule lets only so many agents of its kind have an executor.
    Limit {
        /// The rule as it was written.
        rule: String,
        /// What is counted: `@zone=z1`.
        counted: String,
        /// How many there may be, and are.
        limit: usize,
    },
    /// It has too little.
    TooSmall(TooSmall),
    /// Ports that a configuration listens on are in use by somebody else on the agent.
    PortsTaken {
        /// Those of the wanted ports that are taken.
        ports: Vec<u16>,
    },
    /// Configurations listen on ports that Mesos is to choose, and too few of the agent's are free.
    FewPorts {
        /// How many ports are to be chosen.
        wanted: usize,
        /// For how many of them there is one.
        free: usize,
    },
}

/// By how much, and where the rest is. Amounts are thousandths, as Mesos keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooSmall {
    /// The role of the offers; `None` if there was no offer, and the master's list of agents says it.
    pub role: Option<String>,
    /// Everything that is short.
    pub lacking: Vec<Lack>,
}

/// One resource that is short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The kind of resource that is short.
    pub kind: Kind,
    /// How much a launch takes, in thousandths.
    pub wanted: u64,
    /// The most that was offered; of an agent without offers, what is free.
    pub offered: u64,
    /// What the agent has altogether, if that is known.
    pub total: Option<u64>,
    /// What of that is reserved for roles that are not ours.
    pub reserved: Vec<(String, u64)>,
}

impl Reason {
    /// One word for it, for programs; it stays what it is.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Occupied { .. } => "occupied",
            Self::BackingOff { .. } => "backing_off",
            Self::Queued { .. } => "queued",
            Self::Closed { .. } => "closed",
            Self::Maintenance { .. } => "maintenance",
            Self::Excluded { .. } => "excluded",
            Self::Constraint { .. } => "constraint",
            Self::Limit { .. } => "limit",
            Self::TooSmall(_) => "too_small",
            Self::PortsTaken { .. } => "ports_taken",
            Self::FewPorts { .. } => "few_ports",
        }
    }

    /// The reason alone, without what to do about it.
    pub fn what(&self) -> String {
        match self {
            Self::Occupied { task_id, state } => format!("task {task_id} is {state} there"),
            Self::BackingOff { failures, seconds, last } => {
                format!("failed {failures} times, next attempt in {seconds} s: {last}")
            }
            Self::Queued { limit } => {
                format!("{limit} launches are unconfirmed, no more at a time (--launch-parallelism)")
            }
            Self::Closed { why } => (*why).to_owned(),
            Self::Maintenance { from } => format!("maintenance of the machine is planned from {from}"),
            Self::Excluded { name } => format!("--exclude-agent {name} excludes it"),
            Self::Constraint { rule, value: Some(value) } => {
                format!("--constraint {rule} does not select it: its value is {value}")
            }
            Self::Constraint { rule, value: None } => {
                format!("--constraint {rule} does not select it: it has no such attribute")
            }
            Self::Limit { rule, counted, limit } => {
                format!("--constraint {rule} allows {limit} with {counted}, and there are as many")
            }
            Self::TooSmall(too_small) => too_small.to_string(),
            Self::PortsTaken { ports } => format!(
                "a configuration listens on port {}, which another task has on this agent",
                ports::list(ports)
            ),
            Self::FewPorts { wanted, free } => {
                format!(
                    "configurations listen on {wanted} ports that Mesos is to choose, and {free} are free on this agent"
                )
            }
        }
    }

    /// What an operator can do about it, where that does not go without saying.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::TooSmall(too_small) => {
                let settings: Vec<_> = too_small.lacking.iter().map(|lack| lack.kind.setting()).collect();
                Some(format!("free some on the agent, or give executors less ({})", settings.join(", ")))
            }
            Self::PortsTaken { .. } => Some(
                "free it there, change the configuration, or do without asking Mesos for ports (--no-port-resources)"
                    .to_owned(),
            ),
            Self::FewPorts { .. } => {
                Some("free some there, or add some to the agent's --resources, as in ports:[31000-32000]".to_owned())
            }
            _ => None,
        }
    }

    /// Whether `newer` says the same again, perhaps with other numbers. It then keeps the largest offer of both.
    pub fn absorb(&mut self, mut newer: Self) -> Result<(), Self> {
        let same = match (&*self, &mut newer) {
            (Self::TooSmall(old), Self::TooSmall(new)) if old.role == new.role => {
                for lack in &mut new.lacking {
                    let before = old.lacking.iter().find(|l| l.kind == lack.kind && l.wanted == lack.wanted);
                    lack.offered = lack.offered.max(before.map_or(0, |l| l.offered));
                }
                true
            }
            (Self::TooSmall(_), Self::TooSmall(_)) => false,
            (Self::Occupied { task_id: old, .. }, Self::Occupied { task_id: new, .. }) => old == new,
            (Self::BackingOff { last: old, .. }, Self::BackingOff { last: new, .. }) => old == new,
            (old, new) => old.code() == new.code(),
        };
        if !same {
            return Err(newer);
        }
        *self = newer;
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what())?;
        self.remedy().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, lack) in self.lacking.iter().enumerate() {
            let Lack { kind, wanted, offered, total, reserved } = lack;
            if number > 0 {
                f.write_str("; ")?;
            }
            write!(f, "needs {}", kind.words(*wanted))?;
            match &self.role {
                Some(role) => write!(f, ", largest offer {} in role {role}", kind.words(*offered))?,
                None => write!(f, ", {} are free", kind.words(*offered))?,
            }
            if let Some(total) = total {
                write!(f, " of {} that the agent has", kind.words(*total))?;
            }
            for (role, amount) in reserved {
                write!(f, ", {} are reserved for role {role}", kind.words(*amount))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn too_small(offered: u64, role: Option<&str>, total: Option<u64>, reserved: &[(&str, u64)]) -> Reason {
        let reserved = reserved.iter().map(|(role, amount)| ((*role).to_owned(), *amount)).collect();
        let lack = Lack { kind: Kind::Mem, wanted: 64_000, offered, total, reserved };
        Reason::TooSmall(TooSmall { role: role.map(str::to_owned), lacking: vec![lack] })
    }

    #[test]
    fn a_shortage_says_how_much_and_where_the_rest_is() {
        assert_eq!(
            too_small(32_000, Some("*"), Some(1_024_000), &[("db", 480_000)]).to_string(),
            "needs 64 MB of mem, largest offer 32 MB of mem in role * of 1024 MB of mem that the agent has, 480 MB of mem \
             are reserved for role db; free some on the agent, or give executors less (--executor-mem-megabytes)"
        );
        assert!(
            too_small(0, None, None, &[])
                .to_string()
                .starts_with("needs 64 MB of mem, 0 MB of mem are free; ")
        );
    }

    #[test]
    fn the_same_again_keeps_the_largest_offer() {
        let mut reason = too_small(32_000, Some("*"), None, &[]);
        assert_eq!(reason.absorb(too_small(16_000, Some("*"), None, &[])), Ok(()));
        assert_eq!(reason, too_small(32_000, Some("*"), None, &[]));
        let other_role = too_small(40_000, Some("logs"), None, &[]);
        assert_eq!(reason.absorb(other_role.clone()), Err(other_role));
        let mut waits = Reason::BackingOff { failures: 1, seconds: 4, last: "x".to_owned() };
        assert_eq!(
            waits.absorb(Reason::BackingOff { failures: 1, seconds: 3, last: "x".to_owned() }),
            Ok(())
        );
        assert!(waits.absorb(Reason::Queued { limit: 1 }).is_err());
    }
}
