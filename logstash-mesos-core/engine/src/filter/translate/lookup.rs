//! The ways to find something in a dictionary.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};
use logstash_mesos_regex::{Regex, Scratch};

use crate::compat::ruby;
use crate::event::{Text, Value};
use crate::plugin::field::Failed;

/// A dictionary, ready to be searched.
#[derive(Debug)]
pub(super) enum Lookup {
    /// By whole keys.
    Exact(HashMap<Text, Value>),
    /// By the first key that matches as a regular expression.
    Regex(Vec<(Regex, Value)>),
    /// Every occurrence of a key is replaced.
    Parts(Option<AhoCorasick>, Vec<Text>),
}

impl Lookup {
    /// Of entries in order; the error is for the operator.
    pub(super) fn new(entries: Vec<(Text, Value)>, exact: bool, regex: bool) -> Result<Self, String> {
        match (exact, regex) {
            (true, false) => Ok(Self::Exact(entries.into_iter().collect())),
            (true, true) => {
                let compile = |(key, value): (Text, Value)| match Regex::new(&key) {
                    Ok(regex) => Ok((regex, value)),
                    Err(error) => Err(format!("the key `{key}` is no regular expression: {error}")),
                };
                entries.into_iter().map(compile).collect::<Result<_, _>>().map(Self::Regex)
            }
            (false, _) => {
                let searcher = if entries.is_empty() {
                    None
                } else {
                    let keys = entries.iter().map(|(key, _)| key.as_bytes());
                    let searcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(keys);
                    Some(searcher.map_err(|error| format!("the dictionary is too large: {error}"))?)
                };
                Ok(Self::Parts(searcher, entries.iter().map(|(_, value)| ruby::to_s(value)).collect()))
            }
        }
    }

    /// What is found for `text`.
    pub(super) fn find(&self, text: &Text) -> Result<Option<Value>, Failed> {
        match self {
            Self::Exact(entries) => Ok(entries.get(text).cloned()),
            Self::Regex(entries) => {
                let mut scratch = Scratch::new();
                for (regex, value) in entries {
                    if regex.is_match(text, &mut scratch)? {
                        return Ok(Some(value.clone()));
                    }
                }
                Ok(None)
            }
            Self::Parts(None, _) => Ok(None),
            Self::Parts(Some(searcher), values) => {
                let replaced = searcher.replace_all(text, values);
                Ok((replaced != text.as_str()).then(|| Value::from(replaced)))
            }
        }
    }
}
