//! Where the names of the predecessor were written.

use super::super::table::SETTINGS;
use super::names::{NAMES, Name, Ways};
use std::ffi::OsString;

/// A name that was written, with its value.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) name: &'static Name,
    pub(super) value: String,
    /// As a message says it.
    pub(super) origin: String,
}

/// Everything that was written; what counts for more comes later.
#[derive(Debug, Default)]
pub(super) struct Everything {
    pub(super) known: Vec<Written>,
    /// Looks like a setting of the predecessor, and is none.
    pub(super) unknown: Vec<String>,
    /// For the Java machine.
    pub(super) java: Vec<String>,
}

/// Takes the arguments of the predecessor, `--zk-url=…`, out of a command line, and returns both: what is left, and
/// the names with their values. Arguments that are also ours stay, as they mean the same.
pub fn take_arguments(
    arguments: impl IntoIterator<Item = OsString>,
) -> (Vec<OsString>, Vec<(String, String)>) {
    let mut rest = Vec::new();
    let mut taken = Vec::new();
    for argument in arguments {
        let pair = argument.to_str().and_then(|text| text.strip_prefix("--")?.split_once('='));
        match pair {
            Some((name, value)) if is_theirs(name) => taken.push((name.to_owned(), value.to_owned())),
            _ => rest.push(argument),
        }
    }
    (rest, taken)
}

fn is_theirs(name: &str) -> bool {
    // None of our own flags has a dot.
    let is_ours = SETTINGS.iter().any(|spec| spec.flag() == name);
    !is_ours && (name.contains('.') || find(name).is_some())
}

/// Finds everything that was written.
pub(super) fn everything(
    variable: &dyn Fn(&str) -> Option<String>,
    arguments: &[(String, String)],
) -> Everything {
    let mut found = Everything::default();
    let mut properties = Vec::new();
    for option in variable("JAVA_OPTS").unwrap_or_default().split_whitespace() {
        let Some(property) = option.strip_prefix("-D") else {
            found.java.push(option.to_owned());
            continue;
        };
        let (name, value) = property.split_once('=').unwrap_or((property, ""));
        let value = value.trim_matches(['"', '\'']).to_owned();
        let exact = || NAMES.iter().find(|known| known.ways == Ways::Property && known.name == name);
        match exact().or_else(|| find(name)) {
            Some(name) => {
                properties.push(Written { name, value, origin: format!("-D{} in JAVA_OPTS", name.name) });
            }
            None if looks_like_theirs(name) => found.unknown.push(format!("-D{name} in JAVA_OPTS")),
            None => found.java.push(format!("-D{name}")),
        }
    }
    let mut given = Vec::new();
    for (name, value) in arguments {
        match find(name) {
            Some(known) => {
                given.push(Written { name: known, value: value.clone(), origin: format!("--{name}") });
            }
            None => found.unknown.push(format!("--{name}")),
        }
    }
    let mut variables: Vec<_> = NAMES
        .iter()
        .filter_map(|name| {
            let origin = name.variable()?;
            Some(Written { name, value: variable(&origin)?, origin })
        })
        .collect();
    let all = || variables.iter().chain(&properties).chain(&given);
    if !all().any(|written| written.name.is_certain()) {
        variables.retain(|written| written.name.ways != Ways::AnywhereCommon);
    }
    found.known = variables.into_iter().chain(properties).chain(given).collect();
    found.known.retain(|written| !written.value.trim().is_empty());
    found
}

/// By a name as Spring takes it: dots, dashes, underscores and capitals make no difference.
fn find(name: &str) -> Option<&'static Name> {
    let bare = |text: &str| text.replace(['.', '-', '_'], "").to_ascii_lowercase();
    NAMES.iter().find(|known| known.ways != Ways::Property && bare(known.name) == bare(name))
}

fn looks_like_theirs(name: &str) -> bool {
    ["mesos", "logstash", "executor", "enable", "zk", "framework", "failover"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}
