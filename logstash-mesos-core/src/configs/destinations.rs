//! Where the events of configurations go, and which configurations meet there.

use std::collections::BTreeMap;

use super::{ConfigKey, Configuration};
use crate::pipeline::PluginKind;
use crate::pipeline::lang::ast::{Plugin, Statement, Value, ValueKind};
use crate::pipeline::lang::parse;

/// A place that an output writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// As people see it, without secrets: `elasticsearch, hosts http://es:9200, index web`. Equal for equal places.
    pub name: String,
    /// The line of the output, from 1.
    pub line: usize,
    /// Its column, from 1, in characters.
    pub column: usize,
}

/// What tells the places of an output apart, for those that have any. What is left out has its default, for all alike.
const PLACES: [(&str, &[&str]); 7] = [
    (
        "elasticsearch",
        &["hosts", "index", "data_stream_type", "data_stream_dataset", "data_stream_namespace"],
    ),
    ("file", &["path"]),
    ("http", &["url"]),
    ("lumberjack", &["hosts", "port"]),
    ("pipeline", &["send_to"]),
    ("tcp", &["host", "port"]),
    ("udp", &["host", "port"]),
];

/// Where the outputs of a configuration write, each place once. One that has no output has none: they all write where
/// the operator says.
#[must_use]
pub fn destinations(configuration: &Configuration) -> Vec<Destination> {
    let text = &configuration.input;
    let (config, _) = parse(text);
    let mut found = Vec::new();
    let outputs = config.sections.iter().filter(|section| section.kind.plugins() == PluginKind::Output);
    for section in outputs {
        visit(&section.body, &mut |plugin| {
            let name = plugin.name.trim_matches(['"', '\'']);
            let Some((_, settings)) = PLACES.iter().find(|(known, _)| *known == name) else { return };
            let mut place = name.to_owned();
            for setting in *settings {
                let given = plugin.attributes.iter().filter(|attribute| attribute.name == *setting);
                let mut texts: Vec<_> = given.flat_map(|attribute| texts(&attribute.value)).collect();
                texts.sort_unstable();
                if !texts.is_empty() {
                    place.push_str(&format!(", {setting} {}", texts.join(" ")));
                }
            }
            let before = &text[..plugin.name_span.start];
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            let line = before.matches('\n').count() + 1;
            let column = before[line_start..].chars().count() + 1;
            if found.iter().all(|known: &Destination| known.name != place) {
                found.push(Destination { name: place, line, column });
            }
        });
    }
    found
}

fn visit(statements: &[Statement], take: &mut impl FnMut(&Plugin)) {
    for statement in statements {
        match statement {
            Statement::Plugin(plugin) => take(plugin),
            Statement::Branch(branch) => {
                branch.arms.iter().for_each(|arm| visit(&arm.body, take));
                visit(&branch.otherwise, take);
            }
        }
    }
}

fn texts(value: &Value) -> Vec<String> {
    match &value.kind {
        ValueKind::Bareword(text) | ValueKind::String(text) => vec![without_secrets(text)],
        ValueKind::Number(number) => vec![match number {
            crate::pipeline::lang::ast::Number::Int(number) => number.to_string(),
            crate::pipeline::lang::ast::Number::Float(number) => number.to_string(),
        }],
        ValueKind::Array(values) => values.iter().flat_map(texts).collect(),
        ValueKind::Hash(_) | ValueKind::Plugin(_) => Vec::new(),
    }
}

/// A URL without names, passwords and parameters, which may be tokens; anything else as it is.
fn without_secrets(text: &str) -> String {
    let text = text.trim_end_matches('/');
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let rest = rest.split('?').next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// The places that several configurations write to, each with all of them.
#[must_use]
pub fn shared<'e>(
    all: impl IntoIterator<Item = (&'e ConfigKey, &'e [Destination])>,
) -> BTreeMap<&'e str, Vec<&'e ConfigKey>> {
    let mut by_place: BTreeMap<&str, Vec<&ConfigKey>> = BTreeMap::new();
    for (key, destinations) in all {
        for destination in destinations {
            by_place.entry(&destination.name).or_default().push(key);
        }
    }
    by_place.retain(|_, keys| keys.len() > 1);
    by_place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(input: &str) -> Vec<String> {
        destinations(&Configuration::docker("a", input)).into_iter().map(|one| one.name).collect()
    }

    #[test]
    fn equal_places_have_equal_names_which_hold_no_secret() {
        let one = "input { stdin { } } output {\n  if [a] { elasticsearch { hosts => ['http://u:s3cret@b:9200', \"http://a:9200/\"] \
                   index => web password => s3cret } }\n  else { stdout { } file { path => '/x' } }\n}";
        let found = places(one);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], "elasticsearch, hosts http://a:9200 http://b:9200, index web");
        assert_eq!(found[1], "file, path /x");
        assert_eq!(
            places("output { http { url => 'https://h/a@b?token=s3cret' } }"),
            ["http, url https://h/a@b"]
        );
        assert_eq!(
            places("output { tcp { host => hh port => 1 } }"),
            places("output { \"tcp\" { port => 1 host => 'hh' codec => json } }")
        );
        assert_ne!(places("output { file { path => '/x' } }"), places("output { file { path => '/y' } }"));
        let nowhere: [&str; 3] = ["input { stdin { } }", "output { null { } stdout { } }", "output {"];
        assert!(nowhere.into_iter().all(|input| places(input).is_empty()));
        let at = &destinations(&Configuration::docker("a", one))[0];
        assert_eq!((at.line, at.column), (2, 12));
    }

    #[test]
    fn those_that_meet_are_named_together() {
        let file = |path: &str| {
            format!(
                "output {{ file {{ path => '{path}' }} file {{ path => '/x' }} file {{ path => '/x' }} }}"
            )
        };
        let all = ["/a", "/b"].map(|path| Configuration::host(path, file(path)));
        let known = all.iter().map(|one| (one.key(), destinations(one))).collect::<Vec<_>>();
        let met = shared(known.iter().map(|(key, found)| (key, &found[..])));
        assert_eq!(met.len(), 1);
        assert_eq!(met["file, path /x"], [&known[0].0, &known[1].0]);
    }
}
