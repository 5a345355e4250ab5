//! Which configurations may read which containers, as the operator says.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::matching::fits;
use super::{ConfigKey, Matcher};
use crate::discovery::Container;

/// Rules, with line breaks or `;` between them: `allow|deny CONFIGURATIONS CONDITION…`.
///
/// CONFIGURATIONS are patterns of kind and name with commas between them: `docker/web-*,host/audit`; `*` are all. A condition
/// is `framework=`, `role=`, `label.NAME=` or another key of `match`, with a pattern; all of them have to hold for a
/// container, and a rule without one is about all containers.
///
/// - A `deny` that names the configuration and is about the container forbids to read it, whatever else there is.
/// - A container that an `allow` is about is read by those that such rules name, and by no other.
/// - Any other container is read by all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadPolicy(Vec<Rule>);

/// One rule of a [`ReadPolicy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whether it forbids.
    pub denies: bool,
    /// Patterns of configurations.
    pub configurations: Vec<String>,
    /// What a container has to be for it, by the keys of `match`.
    pub conditions: BTreeMap<String, String>,
    containers: Matcher,
}

/// Why a policy is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("rule {number} of the policy, `{rule}`: {problem}")]
pub struct PolicyError {
    /// Which rule, from 1.
    pub number: usize,
    /// As it was written.
    pub rule: String,
    /// What is wrong, with the remedy.
    pub problem: String,
}

impl ReadPolicy {
    /// The setting of executors that holds it.
    pub const SETTING: &str = "policy";

    /// Whether it has no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// The rule that forbids a configuration to read a container, if one does.
    #[must_use]
    pub fn forbids(&self, configuration: &ConfigKey, container: &Container) -> Option<&Rule> {
        if self.0.is_empty() {
            return None;
        }
        let name = configuration.to_string();
        let about = || self.0.iter().filter(|rule| rule.containers.matches(container));
        if let Some(deny) = about().find(|rule| rule.denies && rule.names(&name)) {
            return Some(deny);
        }
        let mut allows = about().filter(|rule| !rule.denies).peekable();
        let first = *allows.peek()?;
        if allows.any(|rule| rule.names(&name)) { None } else { Some(first) }
    }
}

impl Rule {
    fn names(&self, configuration: &str) -> bool {
        self.configurations.iter().any(|pattern| fits(pattern, configuration))
    }
}

/// As it is written.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.denies { "deny" } else { "allow" }, self.configurations.join(","))?;
        self.conditions.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
    }
}

/// The rules with `; ` between them, which can be read again.
impl fmt::Display for ReadPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, rule) in self.0.iter().enumerate() {
            write!(f, "{}{rule}", if number == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl FromStr for ReadPolicy {
    type Err = PolicyError;

    /// `#` begins a comment, up to the end of its line.
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let rules = lines.flat_map(|line| line.split(';')).map(str::trim).filter(|rule| !rule.is_empty());
        let parsed = rules.enumerate().map(|(n, rule)| {
            self::rule(rule).map_err(|problem| PolicyError { number: n + 1, rule: rule.to_owned(), problem })
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }
}

fn rule(text: &str) -> Result<Rule, String> {
    let mut words = text.split_whitespace();
    let denies = match words.next() {
        Some("deny") => true,
        Some("allow") => false,
        _ => return Err("it begins with neither allow nor deny".to_owned()),
    };
    let configurations: Vec<String> = words
        .next()
        .into_iter()
        .flat_map(|names| names.split(','))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    let odd = |name: &&String| !["docker/", "host/", "*"].iter().any(|start| name.starts_with(start));
    if let Some(name) = configurations.iter().find(odd) {
        return Err(format!(
            "`{name}` names no configuration: write docker/{name}, host/{name}, or * for all"
        ));
    }
    if configurations.is_empty() {
        return Err("it names no configuration: write * for all".to_owned());
    }
    let mut conditions = BTreeMap::new();
    for word in words {
        let pair = word.split_once('=').filter(|(_, value)| !value.is_empty());
        let (key, value) = pair.ok_or_else(|| format!("`{word}` is no condition: write KEY=PATTERN"))?;
        if conditions.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("`{key}` stands there twice: write two rules"));
        }
    }
    let containers = Matcher::new("*", &conditions).map_err(|error| error.to_string())?;
    if containers.asks_for_described() {
        return Err("`described` is for `match` alone".to_owned());
    }
    Ok(Rule { denies, configurations, conditions, containers })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::MesosTask;

    fn container(framework: &str, role: Option<&str>, team: &str) -> Container {
        Container {
            labels: BTreeMap::from([("team".to_owned(), team.to_owned())]),
            mesos: Some(MesosTask {
                framework_name: Some(framework.to_owned()),
                role: role.map(str::to_owned),
                ..MesosTask::default()
            }),
            ..Container::new("ab", "web-1", "nginx:1.27")
        }
    }

    #[test]
    fn deny_wins_and_who_is_allowed_shuts_the_others_out() {
        let policy: ReadPolicy = "# who reads what\nallow docker/pay*,host/audit label.team=pay\ndeny * framework=secret* role=hidden; \
                                  deny docker/payroll label.team=pay # for now"
            .parse()
            .unwrap();
        let forbids =
            |key: ConfigKey, container: &Container| policy.forbids(&key, container).map(ToString::to_string);
        let pay = container("marathon", None, "pay");
        assert_eq!(forbids(ConfigKey::docker("payments:1"), &pay), None);
        assert_eq!(forbids(ConfigKey::host("audit"), &pay), None);
        let allow = "allow docker/pay*,host/audit label.team=pay";
        assert_eq!(forbids(ConfigKey::docker("nginx:1.27"), &pay).as_deref(), Some(allow));
        assert_eq!(
            forbids(ConfigKey::docker("payroll"), &pay).as_deref(),
            Some("deny docker/payroll label.team=pay")
        );
        // No rule is about these.
        assert_eq!(
            forbids(ConfigKey::docker("nginx:1.27"), &container("marathon", Some("hidden"), "web")),
            None
        );
        assert_eq!(forbids(ConfigKey::docker("nginx:1.27"), &container("secret-1", None, "web")), None);
        let secret = container("secret-1", Some("hidden"), "pay");
        assert_eq!(
            forbids(ConfigKey::docker("payments:1"), &secret).as_deref(),
            Some("deny * framework=secret* role=hidden")
        );
        assert_eq!(policy.to_string().parse::<ReadPolicy>().unwrap(), policy);
        assert_eq!(ReadPolicy::default().forbids(&ConfigKey::host("a"), &secret), None);
    }

    #[test]
    fn what_is_no_rule_is_named() {
        for (text, words) in [
            ("permit *", "neither allow nor deny"),
            ("allow", "names no configuration"),
            ("deny * ; allow nginx label.a=b", "rule 2"),
            ("allow nginx", "docker/nginx"),
            ("allow * colour=red", "unknown key `colour`"),
            ("allow * role", "KEY=PATTERN"),
            ("allow * role=a role=b", "twice"),
            ("deny * described=true", "`described`"),
        ] {
            let error = text.parse::<ReadPolicy>().expect_err(text).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
