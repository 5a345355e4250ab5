//! What the agent tells an executor through its environment (facts 3.3).

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::endpoint::{Endpoint, EndpointError};
use crate::proto::{AgentId, ExecutorId, FrameworkId};
use crate::transport::Authorization;

/// Recovery timeout of an agent that does not say its own.
const DEFAULT_RECOVERY_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Retry interval of an agent that does not say its own: its default registration timeout.
const DEFAULT_SUBSCRIPTION_BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Shutdown grace of an agent that does not say its own.
const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// An executor's identity, its agent, and the times it has.
///
/// The token stays in the environment of the process, as nothing safe can remove it: children have to be
/// started without `MESOS_EXECUTOR_AUTHENTICATION_TOKEN` (SEC-3).
#[derive(Clone)]
pub struct ExecutorEnvironment {
    /// The framework that the agent started this executor for.
    pub framework_id: FrameworkId,
    /// The id of this executor, unique within its framework on one agent.
    pub executor_id: ExecutorId,
    /// Our agent, if it says so.
    pub agent_id: Option<AgentId>,
    /// Where the agent listens.
    pub agent: Endpoint,
    /// Path of the executor API at the agent, by the name of its actor: the short path is ambiguous when
    /// several agents share a process (facts 13).
    pub path: String,
    /// The sandbox on the host.
    pub directory: Option<String>,
    /// The sandbox as we see it.
    pub sandbox: Option<String>,
    /// Whether we outlive a restart of the agent.
    pub checkpoint: bool,
    /// How long to try to reach the agent again.
    pub recovery_timeout: Duration,
    /// Longest wait between two attempts.
    pub subscription_backoff_max: Duration,
    /// Time between SHUTDOWN and the end.
    pub shutdown_grace: Duration,
    /// Proves who we are, when the agent wants that.
    pub token: Option<String>,
}

impl fmt::Debug for ExecutorEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Everything that matters in a log, and not the token.
        f.debug_struct("ExecutorEnvironment")
            .field("framework_id", &self.framework_id.value)
            .field("executor_id", &self.executor_id.value)
            .field("agent", &self.agent)
            .field("path", &self.path)
            .field("checkpoint", &self.checkpoint)
            .field("token", &self.token.as_ref().map(|_| "hidden"))
            .finish_non_exhaustive()
    }
}

/// What is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// A variable is not there: the program was not started by an agent.
    #[error("{name} is not set; a Mesos agent sets it for its executors")]
    Missing {
        /// The variable that an agent sets for every executor.
        name: &'static str,
    },
    /// The address of the agent is of no use.
    #[error("{name} is `{value}`")]
    Endpoint {
        /// The variable that an agent sets for every executor.
        name: &'static str,
        /// What stands in the variable.
        value: String,
        /// What is wrong with it.
        source: EndpointError,
    },
    /// A duration is none.
    #[error("{name} is `{value}`, expected a number with one of ns, us, ms, secs, mins, hrs, days, weeks")]
    Duration {
        /// The variable that an agent sets for every executor.
        name: &'static str,
        /// What stands in the variable.
        value: String,
    },
}

impl ExecutorEnvironment {
    /// Reads the environment of this process.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`] names the first variable that is missing or wrong.
    #[expect(clippy::disallowed_methods, reason = "an agent tells its executor everything so")]
    pub fn from_process() -> Result<Self, EnvironmentError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads variables as `lookup` gives them. Empty ones count as not set.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`] names the first variable that is missing or wrong.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let need = |name: &'static str| get(name).ok_or(EnvironmentError::Missing { name });
        let duration = |name: &'static str, otherwise: Duration| match get(name) {
            None => Ok(otherwise),
            Some(value) => parse_duration(&value).ok_or(EnvironmentError::Duration { name, value }),
        };
        let name = "MESOS_AGENT_ENDPOINT";
        let value = need(name)?;
        let agent = Endpoint::parse(&value, 5051).map_err(|source| EnvironmentError::Endpoint {
            name,
            value,
            source,
        })?;
        Ok(Self {
            framework_id: FrameworkId { value: need("MESOS_FRAMEWORK_ID")? },
            executor_id: ExecutorId { value: need("MESOS_EXECUTOR_ID")? },
            agent_id: get("MESOS_SLAVE_ID").map(|value| AgentId { value }),
            agent,
            path: actor_path(get("MESOS_SLAVE_PID").as_deref()),
            directory: get("MESOS_DIRECTORY"),
            sandbox: get("MESOS_SANDBOX"),
            // The text "0" is false, and so is no text (facts 11.1).
            checkpoint: get("MESOS_CHECKPOINT").is_some_and(|value| value == "1"),
            recovery_timeout: duration("MESOS_RECOVERY_TIMEOUT", DEFAULT_RECOVERY_TIMEOUT)?,
            subscription_backoff_max: duration(
                "MESOS_SUBSCRIPTION_BACKOFF_MAX",
                DEFAULT_SUBSCRIPTION_BACKOFF_MAX,
            )?,
            shutdown_grace: duration("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", DEFAULT_SHUTDOWN_GRACE)?,
            token: get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN"),
        })
    }

    pub(super) fn authorization(&self) -> Authorization {
        self.token.as_deref().map_or_else(Authorization::none, Authorization::bearer)
    }
}

/// `slave(1)@10.0.0.1:5051` → `/slave(1)/api/v1/executor`.
fn actor_path(pid: Option<&str>) -> String {
    let actor = pid
        .and_then(|pid| pid.split_once('@'))
        .map(|(actor, _)| actor)
        .filter(|actor| !actor.is_empty())
        .filter(|actor| actor.bytes().all(|b| b.is_ascii_alphanumeric() || b"()-_.".contains(&b)));
    match actor {
        Some(actor) => format!("/{actor}/api/v1/executor"),
        None => "/api/v1/executor".to_owned(),
    }
}

/// Reads a duration as Mesos writes it: `5secs`, `1.5mins`, `250ms`.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(mesos_v1::executor::parse_duration("1.5mins"), Some(Duration::from_secs(90)));
/// assert_eq!(mesos_v1::executor::parse_duration("90"), None);
/// ```
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E'))?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "secs" => 1.0,
        "mins" => 60.0,
        "hrs" => 3600.0,
        "days" => 86_400.0,
        "weeks" => 604_800.0,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn environment(change: &[(&'static str, &'static str)]) -> Result<ExecutorEnvironment, EnvironmentError> {
        // As an agent of Mesos 1.11 sets it.
        let mut variables = HashMap::from([
            ("MESOS_FRAMEWORK_ID", "F-0000"),
            ("MESOS_EXECUTOR_ID", "e.1"),
            ("MESOS_SLAVE_ID", "A-S0"),
            ("MESOS_SLAVE_PID", "slave(1)@127.0.0.1:5051"),
            ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051"),
            ("MESOS_DIRECTORY", "/w/slaves/A-S0/runs/1"),
            ("MESOS_SANDBOX", "/mnt/mesos/sandbox"),
            ("MESOS_CHECKPOINT", "1"),
            ("MESOS_RECOVERY_TIMEOUT", "15mins"),
            ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"),
            ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"),
        ]);
        variables.extend(change.iter().copied());
        ExecutorEnvironment::from_lookup(|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn the_environment_of_an_agent_is_understood() {
        let environment = environment(&[]).unwrap();
        assert_eq!(environment.framework_id.value, "F-0000");
        assert_eq!(environment.path, "/slave(1)/api/v1/executor");
        assert_eq!(environment.agent.to_string(), "127.0.0.1:5051");
        assert!(environment.checkpoint);
        assert_eq!(environment.recovery_timeout, Duration::from_secs(900));
        assert_eq!(environment.subscription_backoff_max, Duration::from_secs(2));
        assert_eq!(environment.shutdown_grace, Duration::from_secs(5));
    }

    #[test]
    fn checkpoint_is_true_only_for_one() {
        for (value, checkpoint) in [("1", true), ("0", false), ("", false)] {
            assert_eq!(environment(&[("MESOS_CHECKPOINT", value)]).unwrap().checkpoint, checkpoint);
        }
    }

    #[test]
    fn the_port_stands_after_the_last_colon() {
        let environment = environment(&[("MESOS_AGENT_ENDPOINT", "fe80::1:5051")]).unwrap();
        assert_eq!((environment.agent.host(), environment.agent.port()), ("fe80::1", 5051));
    }

    #[test]
    fn an_unknown_actor_falls_back_to_the_short_path() {
        for pid in ["", "slave(1)", "@127.0.0.1:5051", "a b/../c@127.0.0.1:5051"] {
            assert_eq!(environment(&[("MESOS_SLAVE_PID", pid)]).unwrap().path, "/api/v1/executor", "{pid}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (name, value) in [
            ("MESOS_FRAMEWORK_ID", ""),
            ("MESOS_AGENT_ENDPOINT", ""),
            ("MESOS_AGENT_ENDPOINT", "host:port"),
            ("MESOS_RECOVERY_TIMEOUT", "15"),
            ("MESOS_RECOVERY_TIMEOUT", "-1secs"),
        ] {
            let error = environment(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn durations_have_units_and_fractions() {
        for (text, nanos) in [
            ("5secs", 5_000_000_000),
            ("250ms", 250_000_000),
            ("1.5mins", 90_000_000_000),
            ("7us", 7_000),
            ("1e3ns", 1_000),
            ("2hrs", 7_200_000_000_000u128),
            ("1days", 86_400_000_000_000),
            ("1weeks", 604_800_000_000_000),
            ("0ns", 0),
        ] {
            assert_eq!(parse_duration(text).map(|duration| duration.as_nanos()), Some(nanos), "{text}");
        }
        for text in ["", "5", "secs", "5 parsecs", "nansecs", "1e400days"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn the_token_is_not_shown() {
        let environment = environment(&[("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "s3cret")]).unwrap();
        assert_eq!(environment.token.as_deref(), Some("s3cret"));
        assert!(!format!("{environment:?} {:?}", environment.authorization()).contains("s3cret"));
    }
}
