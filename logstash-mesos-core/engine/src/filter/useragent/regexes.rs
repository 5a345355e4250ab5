//! The expressions of uap-core, and how its results are made of them.
//!
//! <https://github.com/ua-parser/uap-core/blob/master/docs/specification.md>

use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock};

use logstash_mesos_regex::{Captures, Options, Regex, Scratch};

use crate::compat::ruby;
use crate::event::{Map, Text, Value};
use crate::tools::yaml::read_yaml;

/// What an agent says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    pub(super) name: Text,
    pub(super) version: [Option<Text>; 4],
    pub(super) full_version: Option<Text>,
    pub(super) os: Text,
    pub(super) os_version: [Option<Text>; 4],
    pub(super) full_os_version: Option<Text>,
    pub(super) full_os: Text,
    pub(super) device: Text,
}

/// The expressions of a file.
#[derive(Debug)]
pub(super) struct Regexes {
    agents: Vec<Expression>,
    systems: Vec<Expression>,
    devices: Vec<Expression>,
}

/// One expression, compiled when an agent first comes to it.
#[derive(Debug)]
struct Expression {
    pattern: Text,
    ignore_case: bool,
    compiled: OnceLock<Option<Regex>>,
    name: Option<Text>,
    versions: [Option<Text>; 3],
}

impl Regexes {
    /// Those that came with the program: for all filters the same, compiled once.
    pub(super) fn built_in() -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<Regexes>> = LazyLock::new(|| {
            let text = include_str!(env!("UAP_REGEXES"));
            Arc::new(Regexes::parse(text).expect("the file is one of uap-core, as a test shows"))
        });
        Arc::clone(&BUILT_IN)
    }

    /// Reads a file; the error names it.
    pub(super) fn open(path: &Path) -> Result<Arc<Self>, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
        text.and_then(|text| Self::parse(&text)).map(Arc::new).map_err(|message| {
            format!("cannot read the user agents' expressions `{}`: {message}", path.display())
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let Ok(Value::Map(map)) = read_yaml(text) else {
            return Err("it is no YAML file with keys and values".to_owned());
        };
        let list = |kind: &str, name: &str, versions: [&str; 3]| {
            let Some(Value::List(items)) = map.get(kind) else {
                return Err(format!("it has no {kind}"));
            };
            items
                .iter()
                .map(|item| item.as_map().and_then(|item| Expression::new(item, name, versions)))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| format!("one of its {kind} has no regex"))
        };
        Ok(Self {
            agents: list(
                "user_agent_parsers",
                "family_replacement",
                ["v1_replacement", "v2_replacement", ""],
            )?,
            systems: list(
                "os_parsers",
                "os_replacement",
                ["os_v1_replacement", "os_v2_replacement", "os_v3_replacement"],
            )?,
            devices: list("device_parsers", "device_replacement", ["", "", ""])?,
        })
    }

    /// The result for an agent.
    pub(super) fn find(&self, agent: &Text) -> Client {
        let mut search = Search { agent, scratch: Scratch::new(), captures: Captures::new() };
        let other = Text::from_static("Other");
        let (name, version) =
            search.first(&self.agents, agent_of).unwrap_or((other.clone(), [const { None }; 4]));
        let (os, os_version) =
            search.first(&self.systems, system_of).unwrap_or((other.clone(), [const { None }; 4]));
        let device = search.first(&self.devices, device_of).unwrap_or(other);
        Client { name, version, os, os_version, device, ..Client::default() }.complete(agent)
    }
}

impl Expression {
    fn new(item: &Map, name: &str, versions: [&str; 3]) -> Option<Self> {
        let text = |key: &str| item.get(key).map(ruby::to_s);
        Some(Self {
            pattern: text("regex")?,
            ignore_case: text("regex_flag").is_some_and(|flag| flag == "i"),
            compiled: OnceLock::new(),
            name: text(name),
            versions: versions.map(text),
        })
    }

    fn regex(&self) -> Option<&Regex> {
        let compiled = self.compiled.get_or_init(|| {
            let mut options = Options::default();
            options.ignore_case = self.ignore_case;
            Regex::with_options(&self.pattern, &options)
                .inspect_err(|error| tracing::warn!(%error, pattern = %self.pattern, "Cannot use an expression for user agents"))
                .ok()
        });
        compiled.as_ref()
    }
}

struct Search<'a> {
    agent: &'a Text,
    scratch: Scratch,
    captures: Captures,
}

impl Search<'_> {
    /// What the first expression that matches, and gives a name, says.
    fn first<T>(
        &mut self,
        expressions: &[Expression],
        result: fn(&Expression, &Match<'_>) -> Option<T>,
    ) -> Option<T> {
        expressions.iter().find_map(|expression| {
            let regex = expression.regex()?;
            if !regex.captures(self.agent, 0, &mut self.scratch, &mut self.captures).unwrap_or(false) {
                return None;
            }
            let found = Match { agent: self.agent, captures: &self.captures, groups: regex.group_count() };
            result(expression, &found)
        })
    }
}

struct Match<'a> {
    agent: &'a Text,
    captures: &'a Captures,
    groups: usize,
}

impl Match<'_> {
    fn group(&self, number: usize) -> Option<Text> {
        self.captures.get(number).map(|range| self.agent.slice(range))
    }

    fn filled(&self, number: usize) -> Option<Text> {
        self.group(number).filter(|text| !text.is_empty())
    }
}

type Named = (Text, [Option<Text>; 4]);

fn agent_of(expression: &Expression, found: &Match<'_>) -> Option<Named> {
    let name = match &expression.name {
        Some(name) if name.contains("$1") => match found.group(1) {
            Some(group) => Text::from(name.replacen("$1", &group, 1)),
            None => name.clone(),
        },
        Some(name) => name.clone(),
        None => found.group(1)?,
    };
    let major = expression.versions[0].clone().or_else(|| found.filled(2));
    let [minor, patch, last] = match &expression.versions[1] {
        Some(minor) => [Some(minor.clone()), None, None],
        None => [found.filled(3), found.filled(4), found.filled(5)],
    };
    Some((name, [major, minor, patch, last]))
}

fn system_of(expression: &Expression, found: &Match<'_>) -> Option<Named> {
    let name = match &expression.name {
        Some(name) if found.groups >= 1 => {
            Text::from(name.replace("$1", &found.group(1).unwrap_or_default()))
        }
        Some(name) => name.clone(),
        None => found.group(1)?,
    };
    let part = |at: usize| match expression.versions.get(at).and_then(Option::as_ref) {
        Some(replacement) => match replacement.strip_prefix('$').and_then(|number| number.parse().ok()) {
            Some(number) => found.group(number),
            None => Some(replacement.clone()),
        },
        None => found.group(at + 2),
    };
    Some((name, [part(0), part(1), part(2), part(3)]))
}

fn device_of(expression: &Expression, found: &Match<'_>) -> Option<Text> {
    let Some(replacement) = &expression.name else { return found.group(1) };
    if !replacement.contains('$') {
        return Some(replacement.clone());
    }
    let mut device = replacement.to_string();
    for number in 1..=9 {
        let mark = format!("${number}");
        if device.contains(&mark) {
            device = device.replace(&mark, &found.group(number).unwrap_or_default());
        }
    }
    Some(Text::from(device.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_that_is_built_in_compiles() {
        let Regexes { agents, systems, devices } = &*Regexes::built_in();
        assert!([agents, systems, devices].iter().all(|list| list.len() > 100));
        for expression in [agents, systems, devices].into_iter().flatten() {
            assert!(expression.regex().is_some(), "{}", expression.pattern);
        }
    }
}
