//! Which agents get an executor, and from which offers.

use crate::error_chain;
use crate::offer::Constraint;
use crate::settings::{Loaded, SettingError};
use std::collections::BTreeSet;

/// Where executors go, and what of the offers they take.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Roles whose offers are used; at least one, each once.
    pub roles: Vec<String>,
    /// What an agent must have to get an executor.
    pub constraints: Vec<Constraint>,
    /// Which agents not, by id or host name.
    pub excluded: Vec<String>,
    /// Reserve what executors take.
    pub reserve: bool,
    /// Take revocable resources where others are not enough.
    pub revocable: bool,
    /// Ask for the ports that host configurations listen on.
    pub ports: bool,
}

impl Placement {
    /// Checks what was written.
    ///
    /// # Errors
    ///
    /// [`SettingError`] for the first value that cannot be right.
    pub(super) fn check(raw: &Loaded, local: bool) -> Result<Self, SettingError> {
        let roles = roles(raw)?;
        let mut constraints = Vec::new();
        for text in raw.list("constraint") {
            let more = Constraint::parse_all(text)
                .map_err(|error| raw.invalid("constraint", error_chain(&error)))?;
            constraints.extend(more);
        }
        let reserve = raw.switch("reserve")?;
        if reserve && roles.iter().any(|role| role == "*") {
            let problem = "needs a role of its own: nothing can be reserved for everybody (--mesos-role)";
            return Err(raw.invalid("reserve", problem));
        }
        if reserve && local {
            return Err(
                raw.invalid("reserve", "is of no use with --mesos-master local, which knows no reservations")
            );
        }
        let excluded: Vec<_> = raw.list("exclude_agent").iter().map(|name| name.trim().to_owned()).collect();
        if excluded.iter().any(String::is_empty) {
            return Err(raw.invalid("exclude_agent", "is empty"));
        }
        Ok(Self {
            roles,
            constraints,
            excluded,
            reserve,
            revocable: raw.switch("use_revocable")?,
            ports: !raw.switch("no_port_resources")?,
        })
    }
}

/// Also several in one value, separated by commas: no name of a role needs one.
fn roles(raw: &Loaded) -> Result<Vec<String>, SettingError> {
    let (mut roles, mut seen) = (Vec::new(), BTreeSet::new());
    for role in raw.list("mesos.role").iter().flat_map(|value| value.split(',')).map(str::trim) {
        if let Some(problem) = role_problem(role) {
            return Err(raw.invalid("mesos.role", problem));
        }
        if seen.insert(role) {
            roles.push(role.to_owned());
        }
    }
    if roles.is_empty() {
        roles.push("*".to_owned());
    }
    Ok(roles)
}

/// The rules of Mesos for names of roles.
fn role_problem(role: &str) -> Option<&'static str> {
    if role.is_empty() {
        return Some("is empty");
    }
    if role.starts_with('/')
        || role.ends_with('/')
        || role.split('/').any(|part| matches!(part, "" | "." | ".."))
    {
        return Some("has an empty part, or one that is . or ..");
    }
    if role.starts_with('-') || role.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some("begins with a dash, or has white space");
    }
    None
}
