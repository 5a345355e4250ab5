//! Holds the patterns to what those of Logstash answer.
//!
//! `answers.jsonl` was recorded with the definitions of logstash-patterns-core 4.3.1 in this engine. Its inputs were
//! derived from those definitions until every alternative, every optional part and every end of a class had been
//! reached in a match, and mutated for near-misses; the lines that the log formats' own documents show and the inputs
//! of the recorded grok cases came to them.
//!
//! A line `{"pattern"}` begins a pattern: the fields it makes in each set, and after `_all` those that come to them
//! without `named_captures_only`. The lines below it are inputs: what a search finds (null, or the whole match, `true`
//! where that is the input, and then the fields' texts), and after `_whole` what the pattern makes of the input from
//! its first to its last character, where that is not the same. `both` stands for both sets.
//!
//! Where our definitions answer otherwise, `now` holds what and `why` for which of [`DIFFERENCES`].

use std::collections::{BTreeSet, HashMap, HashSet};

use logstash_mesos_regex::{Captures, Scratch};
use serde_json::{Map, Value};

use super::{Convert, DIFFERENCES, Field, Grok, PatternSet, Patterns};

const ANSWERS: &str = include_str!("answers.jsonl");
const SETS: [(&str, PatternSet); 2] = [("legacy", PatternSet::Legacy), ("ecs", PatternSet::EcsV1)];

/// A pattern of one set, as a search and from end to end.
struct Pattern {
    search: Grok,
    whole: Grok,
    columns: Vec<String>,
}

#[test]
fn patterns_answer_as_those_of_logstash() {
    let mut patterns = HashMap::new();
    let mut wrong = Vec::new();
    let mut name = String::new();
    let mut reasons = BTreeSet::new();
    for line in ANSWERS.lines() {
        let line: Map<String, Value> = serde_json::from_str(line).expect("a line of JSON");
        if let Some(begun) = line.get("pattern").and_then(Value::as_str) {
            begun.clone_into(&mut name);
            patterns.clear();
            for (set, definitions) in SETS.into_iter().filter(|(set, _)| line.contains_key(*set)) {
                let pattern = Pattern::new(begun, definitions);
                let others = pattern.other_columns(begun, definitions);
                let what = format!("{name} ({set})");
                same(
                    &mut wrong,
                    &format!("{what}, fields"),
                    due(&line, set, ""),
                    &pattern.columns.clone().into(),
                );
                same(&mut wrong, &format!("{what}, other fields"), due(&line, set, "_all"), &others.into());
                patterns.insert(set, pattern);
            }
        } else {
            let input = line["in"].as_str().expect("a text");
            for (set, pattern) in &patterns {
                let found = pattern.answer(&pattern.search, input);
                let whole = match &found {
                    Value::Array(values) if values[0] == Value::Bool(true) => Value::Null,
                    _ => pattern.answer(&pattern.whole, input),
                };
                same(&mut wrong, &format!("{name} ({set}) in {input:?}"), due(&line, set, ""), &found);
                same(&mut wrong, &format!("{name} ({set}) as {input:?}"), due(&line, set, "_whole"), &whole);
            }
        }
        reasons.extend(line.get("why").and_then(Value::as_str).map(str::to_owned));
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    let named: BTreeSet<_> = DIFFERENCES.iter().map(|(patterns, _)| (*patterns).to_owned()).collect();
    assert_eq!(reasons, named);
}

/// What one set has to answer.
fn due<'a>(line: &'a Map<String, Value>, set: &str, part: &str) -> &'a Value {
    let now = line.get("now").and_then(Value::as_object).filter(|now| now.contains_key(set));
    let answers = now.unwrap_or(line);
    let answer = answers.get(&format!("{set}{part}")).or_else(|| answers.get(&format!("both{part}")));
    answer.unwrap_or(&Value::Null)
}

fn same(wrong: &mut Vec<String>, what: &str, due: &Value, got: &Value) {
    if due != got {
        wrong.push(format!("{what}\n  due: {due}\n  got: {got}"));
    }
}

impl Pattern {
    fn new(name: &str, set: PatternSet) -> Self {
        let search = grok(&format!("%{{{name}}}"), set, true);
        let columns = columns(&search).collect();
        Self { search, whole: grok(&format!(r"\A%{{{name}}}\z"), set, true), columns }
    }

    /// The fields that come to those of the pattern without `named_captures_only`, sorted.
    fn other_columns(&self, name: &str, set: PatternSet) -> Vec<String> {
        let others: BTreeSet<_> = columns(&grok(&format!("%{{{name}}}"), set, false)).collect();
        others.into_iter().filter(|column| !self.columns.contains(column)).collect()
    }

    fn answer(&self, grok: &Grok, text: &str) -> Value {
        let mut captures = Captures::new();
        if !grok.regex().captures(text, 0, &mut Scratch::new(), &mut captures).expect("decided") {
            return Value::Null;
        }
        let mut values = vec![Value::Null; self.columns.len() + 1];
        let whole = captures.get(0).expect("a match");
        values[0] = if whole == (0..text.len()) { true.into() } else { text[whole].into() };
        for field in grok.fields() {
            let Some(range) = captures.get(field.group) else { continue };
            if range.is_empty() && field.convert == Convert::Text {
                continue;
            }
            let at =
                self.columns.iter().position(|known| *known == column(field)).expect("a column for each");
            let value = Value::from(&text[range]);
            match &mut values[at + 1] {
                Value::Null => values[at + 1] = value,
                Value::Array(list) => list.push(value),
                one => values[at + 1] = Value::Array(vec![one.take(), value]),
            }
        }
        while values.last() == Some(&Value::Null) {
            values.pop();
        }
        values.into()
    }
}

fn grok(pattern: &str, set: PatternSet, named_captures_only: bool) -> Grok {
    Grok::new(pattern, &Patterns::builtin(set), named_captures_only).expect("the pattern is fine")
}

/// The fields, each with its type, in order of first appearance.
fn columns(grok: &Grok) -> impl Iterator<Item = String> {
    let mut seen = HashSet::new();
    grok.fields().iter().map(column).filter(move |column| seen.insert(column.clone()))
}

fn column(field: &Field) -> String {
    let kind = match field.convert {
        Convert::Text => "",
        Convert::Int => ":int",
        Convert::Float => ":float",
    };
    format!("{}{kind}", field.name)
}
