//! The settings of the predecessor, <https://github.com/mesos/logstash>: an installation of any of its versions
//! starts with these, and only its image changed.

mod inputs;
mod names;
#[cfg(test)]
mod tests;
mod written;

pub use names::{NAMES, Name};
pub use written::take_arguments;

use super::Settings;
use crate::configs::directory::Found;
use crate::configs::{ConfigKey, Configuration, Source};
use crate::pipeline::plugin::EcsCompatibility;
use crate::settings::SettingError;
use inputs::{COLLECTD_PORT, Inputs, SYSLOG_PORT, from_template, invalid};
use names::{Effect, Part};
use std::path::PathBuf;
use std::time::Duration;
use written::{Written, everything};

/// What an existing installation of the predecessor says, in today's words.
#[derive(Clone, Debug, Default)]
pub struct Predecessor {
    /// Values of settings: the key, the value, and how it was written. The last one of a key counts.
    pub aliases: Vec<(&'static str, String, String)>,
    /// What has no effect or another one, a line for the log each.
    pub notices: Vec<String>,
    /// Whether these are certainly settings of the predecessor; then its defaults hold.
    pub certain: bool,
    web_disabled: bool,
    configuration: Option<MadeConfiguration>,
}

/// A host configuration that is made of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeConfiguration {
    /// The text of the configuration, in Logstash's language.
    pub input: String,
    /// The settings that made it.
    pub origin: String,
}

impl MadeConfiguration {
    /// As a configuration that is managed elsewhere.
    pub(in super::super) fn found(&self) -> Found {
        let content =
            Configuration { source: Source::Settings, ..Configuration::host(CONFIGURATION, &self.input) };
        let ConfigKey { kind, name } = content.key();
        Found { kind, name, path: PathBuf::from(&self.origin), content: Ok(content) }
    }
}

/// Reads the settings of the predecessor: variables, properties in `JAVA_OPTS`, and `arguments` that
/// [`take_arguments`] found.
///
/// # Errors
///
/// [`SettingError::Invalid`] for a value that never was one.
pub fn predecessor(
    variable: &dyn Fn(&str) -> Option<String>,
    arguments: &[(String, String)],
) -> Result<Predecessor, SettingError> {
    let found = everything(variable, arguments);
    let mut result = Predecessor {
        certain: found.known.iter().any(|written| written.name.is_certain()),
        ..Predecessor::default()
    };
    // Not the predecessor's, but also a name of somebody else's: DC/OS gives services the secret itself.
    if let Some(secret) = variable(DCOS_SECRET) {
        result.aliases.push(("dcos.service_account_file", secret, DCOS_SECRET.to_owned()));
    }
    let mut parts = Parts::default();
    for written in &found.known {
        let Written { name, value, origin } = written;
        match name.effect {
            Effect::Is(key) => result.aliases.push((key, value.trim().to_owned(), origin.clone())),
            Effect::Becomes(key, convert) => result.aliases.push((key, convert(value), origin.clone())),
            Effect::Nothing(instead) => result.notices.push(format!("{origin} has no effect: {instead}")),
            Effect::Part(part, text) => {
                if let Some(notice) = parts.add(part, written)? {
                    result
                        .notices
                        .push(format!("{origin}: {}", if notice.is_empty() { text } else { notice }));
                }
            }
        }
    }
    if !found.java.is_empty() {
        let options = found.java.join(" ");
        result.notices.push(format!("JAVA_OPTS: {options} is for the Java machine and has no effect"));
    }
    for unknown in &found.unknown {
        result.notices.push(format!(
            "{unknown} is no setting of the predecessor and has no effect: is it misspelt? See docs/upgrade.md"
        ));
    }
    parts.finish(&mut result, &found.known)?;
    Ok(result)
}

/// What was written of things that several settings make together.
#[derive(Debug, Default)]
struct Parts {
    first_heaps: [Option<u64>; 2],
    heaps: [Option<u64>; 3],
    memory_from: Vec<String>,
    web_disabled: bool,
    inputs_from: Vec<String>,
    syslog: bool,
    syslog_port: Option<u16>,
    collectd: bool,
    collectd_port: Option<u16>,
    file: bool,
    files: Option<Vec<String>>,
    template: Option<(String, String)>,
}

impl Parts {
    /// Takes note of a part. Returns a line for the log, empty for that of the table.
    fn add(&mut self, part: Part, written: &Written) -> Result<Option<&'static str>, SettingError> {
        let Written { value, origin, .. } = written;
        let value = value.trim();
        match part {
            Part::FirstHeap { of_logstash } => {
                self.first_heaps[usize::from(of_logstash)] = Some(megabytes(value, origin)?);
                self.memory_from.push(origin.clone());
            }
            Part::Heap(of) => {
                self.heaps[of as usize] = Some(megabytes(value, origin)?);
                self.memory_from.push(origin.clone());
            }
            Part::WebEnabled => {
                self.web_disabled = !boolean(value, origin)?;
                return Ok(self.web_disabled.then_some("no page, and the API does not take writes"));
            }
            Part::Syslog => self.syslog = self.enabled(written)?,
            Part::SyslogPort => self.syslog_port = Some(port(value, origin)?),
            Part::Collectd => self.collectd = self.enabled(written)?,
            Part::CollectdPort => self.collectd_port = Some(port(value, origin)?),
            Part::File => self.file = self.enabled(written)?,
            Part::FilePath => {
                let paths = value.split(',').map(str::trim).filter(|path| !path.is_empty());
                self.files = Some(paths.map(str::to_owned).collect());
            }
            Part::ConfigFile => self.template = Some((value.to_owned(), origin.clone())),
            Part::Failover => return Ok((!boolean(value, origin)?).then_some("")),
            Part::DisableFailover => return Ok(boolean(value, origin)?.then_some("")),
            Part::Docker => return Ok(Some("")),
        }
        Ok(None)
    }

    fn enabled(&mut self, written: &Written) -> Result<bool, SettingError> {
        let enabled = boolean(written.value.trim(), &written.origin)?;
        if enabled {
            self.inputs_from.push(written.origin.clone());
        }
        Ok(enabled)
    }

    fn finish(self, result: &mut Predecessor, known: &[Written]) -> Result<(), SettingError> {
        if !self.memory_from.is_empty() {
            let sum = if self.first_heaps == [None; 2] {
                let [executor, logstash, overhead] = self.heaps;
                executor.unwrap_or(64) + logstash.unwrap_or(64) + overhead.unwrap_or(OVERHEAD_MEGABYTES)
            } else {
                let [executor, logstash] = self.first_heaps;
                executor.unwrap_or(256) + logstash.unwrap_or(512) + OVERHEAD_MEGABYTES
            };
            let origin = self.memory_from.join(" and ");
            result.notices.push(format!(
                "{origin}: executors get {sum} MB, as the task of a Java machine with these heaps did; \
                 --executor-mem-megabytes 64 is enough for most"
            ));
            result.aliases.push(("executor.mem_megabytes", sum.to_string(), origin));
        }
        if self.web_disabled {
            result.web_disabled = true;
            result.aliases.push(("no_ui", "true".to_owned(), "-Dmesos.logstash.web.enabled".to_owned()));
        }
        let is_written = |name: &str| known.iter().any(|written| written.name.name == name);
        let is_last_generation = is_written("mesos.zookeeper.server");
        if is_last_generation && !result.aliases.iter().any(|(key, ..)| *key == "mesos.role") {
            let origin = "the default of 0.10".to_owned();
            result.aliases.push(("mesos.role", "logstash".to_owned(), origin));
        }
        self.configuration(result, is_last_generation)
    }

    fn configuration(self, result: &mut Predecessor, is_last_generation: bool) -> Result<(), SettingError> {
        let preset = vec!["/var/log/messages".to_owned()];
        let inputs = Inputs {
            syslog: self.syslog.then(|| self.syslog_port.unwrap_or(SYSLOG_PORT)),
            collectd: self.collectd.then(|| self.collectd_port.unwrap_or(COLLECTD_PORT)),
            files: if self.file { self.files.clone().unwrap_or(preset) } else { vec![] },
        };
        for (is_given, what) in [
            (
                self.syslog_port.is_some() && !self.syslog,
                "the port for syslog has no effect without ENABLE_SYSLOG=true",
            ),
            (
                self.collectd_port.is_some() && !self.collectd,
                "the port for collectd has no effect without ENABLE_COLLECTD=true",
            ),
            (self.files.is_some() && !self.file, "EXECUTOR_FILE_PATH has no effect without ENABLE_FILE=true"),
        ] {
            if is_given {
                result.notices.push(what.to_owned());
            }
        }
        let made = if let Some((path, origin)) = &self.template {
            let text = std::fs::read_to_string(path)
                .map_err(|error| invalid(origin, path, &format!("cannot be read: {error}")))?;
            Some((from_template(&text, &inputs, origin, path)?, origin.clone()))
        } else if inputs == Inputs::default() {
            None
        } else {
            let field = if is_last_generation { "mesos_agent_id" } else { "mesos_slave_id" };
            let origin = self.inputs_from.join(", ");
            Some((inputs.configuration(field, &origin)?, origin))
        };
        if let Some((input, origin)) = made {
            result.notices.push(format!("{origin}: made into the host configuration `{CONFIGURATION}`"));
            result.configuration = Some(MadeConfiguration { input, origin });
        }
        Ok(())
    }
}

impl Predecessor {
    /// What the log says of all this. `winner` names who else gave the setting of a key and counts for more.
    pub fn lines(&self, winner: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
        let mut lines = Vec::new();
        for (index, (key, _, origin)) in self.aliases.iter().enumerate() {
            let later = self.aliases[index + 1..].iter().find(|(other, ..)| other == key);
            let flag = format!("--{}", key.replace(['.', '_'], "-"));
            lines.push(match winner(key).or_else(|| later.map(|(_, _, origin)| origin.clone())) {
                Some(winner) => format!("{origin} has no effect, as {winner} counts for more"),
                None => format!("{origin} is taken as {flag}"),
            });
        }
        lines.extend(self.notices.iter().cloned());
        lines
    }

    /// Changes what no setting says: the defaults that the predecessor had, and its inputs.
    pub fn apply(self, settings: &mut Settings) {
        settings.made_configuration = self.configuration;
        if !self.certain {
            return;
        }
        settings.from_predecessor = true;
        // Marathon starts the next instance before it ends this one, and would count its end as a failure.
        settings.port_patience = Duration::MAX;
        // It had no credentials, and its users' scripts send none.
        settings.no_auth |= settings.auth_file.is_none() && !self.web_disabled;
        let ecs = settings.executor_settings.entry(EcsCompatibility::SETTING.to_owned());
        ecs.or_insert_with(|| "disabled".to_owned());
    }
}

fn megabytes(value: &str, origin: &str) -> Result<u64, SettingError> {
    let number = value.trim_end_matches(['m', 'M']).parse().ok().filter(|number| *number <= 1 << 20);
    number.ok_or_else(|| invalid(origin, value, "is no number of megabytes"))
}

fn boolean(value: &str, origin: &str) -> Result<bool, SettingError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err(invalid(origin, value, "is neither true nor false")),
    }
}

fn port(value: &str, origin: &str) -> Result<u16, SettingError> {
    let port = value.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| invalid(origin, value, "is no port"))
}

/// The name of the host configuration that is made of settings.
const CONFIGURATION: &str = "predecessor";
const DCOS_SECRET: &str = "DCOS_SERVICE_ACCOUNT_CREDENTIAL";
const OVERHEAD_MEGABYTES: u64 = 50;
