//! The values of settings as written, with variables filled in and repeated settings merged.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::Checker;
use crate::compat::java::hash as java_hash;
use crate::compile::UnknownVariable;
use crate::compile::syntax::{second_codec, second_key};
use crate::compile::variables::{Substituted, substitute};
use crate::event::Text;
use crate::lang::ast::{Attribute, Number, Plugin, Value, ValueKind};
use crate::lang::{Code, Diagnostic, Span};
use crate::plugin::settings::SettingValue;

/// A value as Ruby has it when a plugin is made, before the plugin's declaration is applied.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    Text(String),
    Int(i64),
    Float(f64),
    List(Vec<Raw>),
    Hash(Vec<(Key, Raw)>),
    Plugin(Plugin),
}

/// A key of a hash; Java hashes numbers by their type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    Text(String),
    Int(i64),
    Float(f64),
}

impl Key {
    pub(super) fn java(&self) -> java_hash::Key<'_> {
        match self {
            Self::Text(text) => java_hash::Key::Text(text),
            Self::Int(number) => java_hash::Key::Int(*number),
            Self::Float(number) => java_hash::Key::Float(*number),
        }
    }

    pub(super) fn text(&self) -> Text {
        match self {
            Self::Text(text) => Text::from(text.as_str()),
            Self::Int(number) => Text::from(number.to_string()),
            Self::Float(number) => SettingValue::Float(*number).to_text().unwrap_or_default(),
        }
    }
}

/// A setting as a plugin gets it.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) name: String,
    pub(super) name_span: Span,
    pub(super) span: Span,
    pub(super) raw: Raw,
    /// Whether the entries of the hash come in another order than they were written in.
    pub(super) reordered: bool,
    /// Whether a variable in it is not known here.
    pub(super) unknown: bool,
    /// A key that got a second value by repeating the setting, and where.
    pub(super) doubled: Option<(String, Span)>,
}

impl Checker<'_> {
    /// The settings by name, repeated ones merged as Logstash does.
    pub(super) fn merged(&mut self, attributes: &[Attribute]) -> Vec<Merged> {
        let mut all: Vec<Merged> = Vec::new();
        for Attribute { name, name_span, value } in attributes {
            let known = self.unknown.len();
            let Some(new) = self.raw(value, true) else { continue };
            let unknown = self.unknown.len() > known;
            let Some(have) = all.iter_mut().find(|have| have.name == *name) else {
                all.push(Merged {
                    name: name.clone(),
                    name_span: *name_span,
                    span: value.span,
                    raw: new,
                    reordered: false,
                    unknown,
                    doubled: None,
                });
                continue;
            };
            have.unknown |= unknown;
            if name == "codec" && have.raw != new {
                self.complaints.push(second_codec(*name_span));
                continue;
            }
            match (&mut have.raw, new) {
                (Raw::Hash(before), Raw::Hash(new)) => {
                    if let Some(key) = merge_hash(before, new) {
                        have.doubled = Some((key, *name_span));
                    }
                }
                (Raw::Hash(_), _) => self.complaints.push(
                    Diagnostic::error(
                        Code::INVALID_VALUE,
                        value.span,
                        format!("`{name}` was a hash before and cannot be merged with this"),
                    )
                    .remedy("write it once".to_owned()),
                ),
                (Raw::List(before), Raw::List(mut new)) => before.append(&mut new),
                (Raw::List(before), Raw::Hash(new)) => before.extend(
                    new.into_iter()
                        .map(|(key, value)| Raw::List(vec![Raw::Text(key.text().to_string()), value])),
                ),
                (Raw::List(before), new) => before.push(new),
                (single, new) if *single == new => {}
                (single, new) => *single = Raw::List(vec![single.clone(), new]),
            }
        }
        // Merging hashes puts entries in the order of insertion; Java's map has the last word.
        for merged in &mut all {
            let written = keys(&merged.raw);
            java_order(&mut merged.raw);
            merged.reordered = written != keys(&merged.raw);
        }
        all
    }

    /// The value as Ruby has it, variables filled in.
    fn raw(&mut self, value: &Value, fill: bool) -> Option<Raw> {
        Some(match &value.kind {
            ValueKind::Bareword(word) => Raw::Text(word.clone()),
            ValueKind::String(text) => {
                let text = self.options.unescape(text);
                if fill { self.substituted(text, value.span)? } else { Raw::Text(text) }
            }
            ValueKind::Number(Number::Int(number)) => Raw::Int(*number),
            ValueKind::Number(Number::Float(number)) => Raw::Float(*number),
            ValueKind::Array(items) => {
                Raw::List(items.iter().map(|item| self.raw(item, fill)).collect::<Option<_>>()?)
            }
            ValueKind::Hash(entries) => Raw::Hash(self.raw_hash(entries, fill)?),
            ValueKind::Plugin(plugin) => Raw::Plugin(plugin.clone()),
        })
    }

    fn raw_hash(&mut self, entries: &[(Value, Value)], fill: bool) -> Option<Vec<(Key, Raw)>> {
        let mut hash: Vec<(Key, Raw)> = Vec::with_capacity(entries.len());
        // Dictionaries have thousands of entries: no search through all of them for each.
        let mut written = HashSet::new();
        let mut places: HashMap<_, usize> = HashMap::new();
        let mut valid = true;
        for (key, value) in entries {
            // As written, quotes included: `"a"` and `'a'` are two keys here, and the later wins.
            if !written.insert(self.source.get(std::ops::Range::from(key.span))) {
                self.complaints.push(second_key(key.span));
                valid = false;
            }
            // Variables are not filled in in keys.
            let key = match self.raw(key, false)? {
                Raw::Int(number) => Key::Int(number),
                Raw::Float(number) => Key::Float(number),
                Raw::Text(text) => Key::Text(text),
                _ => continue,
            };
            let Some(value) = self.raw(value, fill) else {
                valid = false;
                continue;
            };
            match places.entry((std::mem::discriminant(&key), key.text())) {
                Entry::Occupied(place) => hash[*place.get()].1 = value,
                Entry::Vacant(place) => {
                    place.insert(hash.len());
                    hash.push((key, value));
                }
            }
        }
        valid.then_some(hash)
    }

    fn substituted(&mut self, text: String, span: Span) -> Option<Raw> {
        match substitute(&text, &self.options.variables) {
            Ok(Substituted::Unchanged) => Some(Raw::Text(text)),
            Ok(Substituted::Text(text)) => Some(Raw::Text(text)),
            Ok(Substituted::List(items)) => Some(Raw::List(items.into_iter().map(Raw::Text).collect())),
            Err(name) => {
                self.undefined(&name, span);
                (self.options.unknown_variables == UnknownVariable::Warn).then_some(Raw::Text(text))
            }
        }
    }
}

/// Merges `new` into `have`, key by key: values of the same key become a list. Returns a key to which
/// that happened.
fn merge_hash(have: &mut Vec<(Key, Raw)>, new: Vec<(Key, Raw)>) -> Option<String> {
    let mut doubled = None;
    for (key, value) in new {
        let Some((_, before)) = have.iter_mut().find(|(name, _)| *name == key) else {
            have.push((key, value));
            continue;
        };
        match (&mut *before, value) {
            (Raw::Hash(before), Raw::Hash(value)) => {
                doubled = merge_hash(before, value).or(doubled);
            }
            (Raw::List(before), Raw::List(mut value)) => before.append(&mut value),
            (Raw::List(before), value) => {
                if !before.contains(&value) {
                    before.push(value);
                }
            }
            (single, Raw::List(value)) => {
                let mut list = vec![single.clone()];
                list.extend(value);
                *single = Raw::List(list);
            }
            (single, value) if *single == value => {}
            (single, value) => {
                *single = Raw::List(vec![single.clone(), value]);
                doubled = Some(key.text().to_string());
            }
        }
    }
    doubled
}

fn keys(raw: &Raw) -> Vec<Text> {
    match raw {
        Raw::Hash(entries) => entries.iter().map(|(key, _)| key.text()).collect(),
        _ => Vec::new(),
    }
}

/// Puts hashes, and hashes in hashes, into the order of Java's map; what is inside a list stays as written.
fn java_order(raw: &mut Raw) {
    if let Raw::Hash(entries) = raw {
        java_hash::sort(entries, |(key, _)| key.java());
        entries.iter_mut().for_each(|(_, value)| java_order(value));
    }
}
