//! The inputs that settings of the later generation turned on, as a configuration.

use crate::settings::SettingError;
use std::fmt::Write;

/// What is to be read on every agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inputs {
    /// Port for TCP and UDP.
    pub(super) syslog: Option<u16>,
    /// Port for UDP.
    pub(super) collectd: Option<u16>,
    /// Patterns of files.
    pub(super) files: Vec<String>,
}

impl Inputs {
    /// The configuration: the events carry the agent's id in `agent_field`, as they did.
    ///
    /// # Errors
    ///
    /// A path that a configuration cannot hold.
    pub(super) fn configuration(&self, agent_field: &str, origin: &str) -> Result<String, SettingError> {
        let mut text = format!("# Made from {origin}.\ninput {{\n");
        // Writing to a string does not fail.
        if let Some(port) = self.syslog {
            let _ = writeln!(text, "  syslog {{ port => {port} }}");
        }
        if let Some(port) = self.collectd {
            let _ = writeln!(text, "  udp {{ port => {port} buffer_size => 1452 codec => collectd {{ }} }}");
        }
        if !self.files.is_empty() {
            let files: Result<Vec<_>, _> = self.files.iter().map(|path| quoted(path)).collect();
            let _ = writeln!(text, "  file {{ host-path => [{}] }}", files?.join(", "));
        }
        let _ = write!(
            text,
            "}}\nfilter {{\n  mutate {{ add_field => {{ \"{agent_field}\" => \"${{MESOS_SLAVE_ID:}}\" }} }}\n}}\n"
        );
        Ok(text)
    }
}

/// A path as a string of a configuration, which knows no escapes.
fn quoted(path: &str) -> Result<String, SettingError> {
    let problem = if !path.starts_with('/') {
        "is not an absolute path"
    } else if path.contains('"') && path.contains('\'') {
        "has quotes of both kinds"
    } else {
        let quote = if path.contains('"') { '\'' } else { '"' };
        return Ok(format!("{quote}{path}{quote}"));
    };
    Err(invalid("EXECUTOR_FILE_PATH", path, problem))
}

/// A template of 0.10 as a configuration: its variables are filled in.
///
/// # Errors
///
/// Directives of its template language, which are not understood.
pub(super) fn from_template(
    template: &str,
    inputs: &Inputs,
    origin: &str,
    path: &str,
) -> Result<String, SettingError> {
    let port = |port: Option<u16>, preset: u16| port.unwrap_or(preset).to_string();
    let (syslog, collectd) = (port(inputs.syslog, SYSLOG_PORT), port(inputs.collectd, COLLECTD_PORT));
    let text = template
        .replace("${syslog.port?c}", &syslog)
        .replace("${syslog.port}", &syslog)
        .replace("${collectd.port?c}", &collectd)
        .replace("${collectd.port}", &collectd)
        .replace("${mesosAgentId}", "${MESOS_SLAVE_ID:}");
    let directive = text.lines().position(|line| line.contains("<#") || line.contains("</#"));
    if let Some(line) = directive {
        let problem = format!(
            "has a directive of FreeMarker in line {}, which is not understood here: write out what it would give",
            line + 1
        );
        return Err(invalid(origin, path, &problem));
    }
    Ok(format!("# Taken from {path} ({origin}).\n{text}"))
}

pub(super) fn invalid(origin: &str, value: &str, problem: &str) -> SettingError {
    SettingError::Invalid { origin: origin.to_owned(), value: value.to_owned(), problem: problem.to_owned() }
}

pub(super) const SYSLOG_PORT: u16 = 514;
pub(super) const COLLECTD_PORT: u16 = 25826;
