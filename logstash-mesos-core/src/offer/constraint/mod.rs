//! Which agents get an executor: rules in Marathon's grammar.
//!
//! Marathon spreads so many instances of an application; here every agent gets one executor. So a rule either
//! selects agents (`LIKE`, `UNLIKE`, `IS`, `CLUSTER` with a value), or it limits how many of the agents that
//! share a value get one (`MAX_PER`, and `UNIQUE`, which is the same with 1). What only makes sense for a number
//! of instances is refused with words: `GROUP_BY`, and `CLUSTER` without a value.

mod mesos;
mod parse;
mod re2;

pub use mesos::offer_constraints;
pub use parse::ConstraintError;

use super::agent::{AgentView, text_of};
use crate::regex::{Regex, Scratch};
use mesos_v1::proto::value;
use std::fmt;

/// One rule of the operator that an agent has to satisfy, or that limits how many agents do.
#[derive(Clone, Debug)]
pub struct Constraint {
    /// What it asks about.
    pub field: Field,
    /// What has to hold for it.
    pub rule: Rule,
    /// As it was written, in the form with colons.
    text: String,
}

/// What a rule asks about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The name of the agent's machine: `hostname` or `@hostname`.
    Hostname,
    /// The region of the agent's fault domain: `@region`.
    Region,
    /// The zone of the agent's fault domain: `@zone`.
    Zone,
    /// An attribute that the operator gave the agent.
    Attribute(String),
}

/// What has to hold for the value of a field. A field that an agent lacks only satisfies [`Rule::Unlike`], as in
/// Marathon.
#[derive(Clone, Debug)]
pub enum Rule {
    /// All of the value matches.
    Like(Pattern),
    /// Not all of it matches.
    Unlike(Pattern),
    /// It is this. Numbers are compared as numbers.
    Is(String),
    /// So many agents with the same value, and no more, get an executor.
    MaxPer(usize),
}

/// A regular expression that has to match a text from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As it was written.
    pub text: String,
    whole: Regex,
}

impl Pattern {
    /// `None` if the engine gave up, which takes more steps than a name is worth.
    fn matches(&self, value: &str) -> Option<bool> {
        self.whole.is_match(value, &mut Scratch::new()).ok()
    }
}

impl Constraint {
    /// Whether the agent may have an executor as far as this rule goes. Of a limit only whether there is a
    /// value to count by.
    pub fn selects(&self, agent: &AgentView<'_>) -> bool {
        let value = self.field.value(agent);
        match (&self.rule, value) {
            (Rule::Unlike(_), None) => true,
            (_, None) => false,
            (Rule::Like(pattern), Some(value)) => pattern.matches(&value) == Some(true),
            (Rule::Unlike(pattern), Some(value)) => pattern.matches(&value) == Some(false),
            (Rule::Is(wanted), Some(value)) => value == *wanted || self.field.is_number(agent, wanted),
            (Rule::MaxPer(_), Some(_)) => true,
        }
    }

    /// What executors are counted by, and how many of them there may be, if the rule is a limit:
    /// `("@zone=z1", 2)`.
    pub fn limit(&self, agent: &AgentView<'_>) -> Option<(String, usize)> {
        let Rule::MaxPer(most) = self.rule else { return None };
        Some((format!("{}={}", self.field, self.field.value(agent)?), most))
    }
}

impl Field {
    /// Its value on an agent.
    pub fn value(&self, agent: &AgentView<'_>) -> Option<String> {
        match self {
            Self::Hostname => Some(agent.hostname.to_owned()),
            Self::Region => agent.region().map(str::to_owned),
            Self::Zone => agent.zone().map(str::to_owned),
            Self::Attribute(name) => text_of(agent.attribute(name)?),
        }
    }

    fn is_number(&self, agent: &AgentView<'_>, wanted: &str) -> bool {
        let Self::Attribute(name) = self else { return false };
        let number = agent.attribute(name).filter(|a| a.r#type == i32::from(value::Type::Scalar));
        let (Some(number), Ok(wanted)) = (number.and_then(|a| a.scalar.as_ref()), wanted.parse::<f64>())
        else {
            return false;
        };
        (number.value - wanted).abs() < 0.0005
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hostname => "hostname",
            Self::Region => "@region",
            Self::Zone => "@zone",
            Self::Attribute(name) => name,
        })
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// For the tests of this room.
#[cfg(test)]
pub(super) mod testing {
    use super::super::agent::AgentView;
    use mesos_v1::proto::{Attribute, DomainInfo, domain_info, value};

    /// An agent to ask rules about.
    #[derive(Debug, Default)]
    pub(crate) struct Somewhere {
        pub(crate) hostname: String,
        pub(crate) attributes: Vec<Attribute>,
        pub(crate) domain: Option<DomainInfo>,
    }

    impl Somewhere {
        pub(crate) fn named(hostname: &str) -> Self {
            Self { hostname: hostname.to_owned(), ..Self::default() }
        }

        pub(crate) fn with(mut self, name: &str, text: &str) -> Self {
            self.attributes.push(Attribute {
                name: name.to_owned(),
                r#type: value::Type::Text.into(),
                text: Some(value::Text { value: text.to_owned() }),
                ..Attribute::default()
            });
            self
        }

        pub(crate) fn with_number(mut self, name: &str, value: f64) -> Self {
            self.attributes.push(Attribute {
                name: name.to_owned(),
                r#type: value::Type::Scalar.into(),
                scalar: Some(value::Scalar { value }),
                ..Attribute::default()
            });
            self
        }

        pub(crate) fn within(mut self, region: &str, zone: &str) -> Self {
            use domain_info::fault_domain::{RegionInfo, ZoneInfo};
            self.domain = Some(DomainInfo {
                fault_domain: Some(domain_info::FaultDomain {
                    region: RegionInfo { name: region.to_owned() },
                    zone: ZoneInfo { name: zone.to_owned() },
                }),
            });
            self
        }

        pub(crate) fn view(&self) -> AgentView<'_> {
            AgentView {
                agent_id: "a",
                hostname: &self.hostname,
                attributes: &self.attributes,
                domain: self.domain.as_ref(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Somewhere;
    use super::*;

    fn selects(text: &str, agent: &Somewhere) -> bool {
        let constraints = Constraint::parse_all(text).expect("is a constraint");
        constraints.iter().all(|constraint| constraint.selects(&agent.view()))
    }

    #[test]
    fn rules_select_agents_as_marathon_does() {
        let agent = Somewhere::named("web-1.example")
            .with("rack", "r1")
            .with("rack", "r2")
            .with_number("level", 4.0)
            .within("eu", "eu-1");
        for (text, expected) in [
            ("hostname:LIKE:web.*", true),
            ("hostname:LIKE:web", false),
            ("hostname:LIKE:db.*|web.*", true),
            ("@hostname:UNLIKE:web.*", false),
            ("hostname:UNIQUE", true),
            ("hostname:IS:web-1.example", true),
            ("rack:IS:r1", true),
            ("rack:IS:r2", false),
            ("rack:CLUSTER:r1", true),
            ("rack:UNLIKE:r[2-9]", true),
            ("level:IS:4", true),
            ("level:IS:4.0", true),
            ("level:IS:5", false),
            ("level:LIKE:[3-5]", true),
            ("@region:IS:eu", true),
            ("@zone:LIKE:eu-\\d", true),
            ("@zone:LIKE:us-.*", false),
            ("disk:LIKE:.*", false),
            ("disk:UNLIKE:ssd", true),
            ("disk:UNIQUE", false),
            ("disk:MAX_PER:3", false),
        ] {
            assert_eq!(selects(text, &agent), expected, "{text}");
        }
        assert!(!selects("@zone:LIKE:.*", &Somewhere::named("x")), "no domain");
        assert!(selects(r#"[["hostname","LIKE","web.*"],["rack","IS","r1"]]"#, &agent));
    }

    #[test]
    fn limits_count_by_value() {
        let agent = Somewhere::named("h").with("rack", "r1");
        let limit = |text| Constraint::parse_all(text).expect("is one")[0].limit(&agent.view());
        assert_eq!(limit("rack:MAX_PER:3"), Some(("rack=r1".to_owned(), 3)));
        assert_eq!(limit("hostname:UNIQUE"), Some(("hostname=h".to_owned(), 1)));
        assert_eq!(limit("rack:IS:r1"), None);
    }
}
