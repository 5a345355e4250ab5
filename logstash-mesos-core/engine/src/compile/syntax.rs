//! What Logstash's own compiler refuses although the grammar takes it, whatever plugins there are.

use std::collections::HashSet;
use std::ops::Range;

use crate::lang::ast::{Attribute, Config, Plugin, Statement, Value, ValueKind};
use crate::lang::{Code, Diagnostic, Span};

/// Every key that stands twice in one hash, and every second codec of a plugin.
pub(super) fn repeated(source: &str, config: &Config) -> Vec<Diagnostic> {
    let mut search = Search { source, found: Vec::new() };
    config.sections.iter().for_each(|section| search.body(&section.body));
    search.found
}

pub(super) fn second_key(span: Span) -> Diagnostic {
    Diagnostic::error(Code::DUPLICATE_KEY, span, "this key stands twice in the hash")
        .remedy("keep one of them; several values of one key go into a list".to_owned())
}

pub(super) fn second_codec(span: Span) -> Diagnostic {
    Diagnostic::error(Code::INVALID_VALUE, span, "a plugin has one codec, and here is a second one")
        .remedy("keep one of them".to_owned())
}

struct Search<'s> {
    source: &'s str,
    found: Vec<Diagnostic>,
}

impl Search<'_> {
    fn body(&mut self, statements: &[Statement]) {
        for statement in statements {
            match statement {
                Statement::Plugin(plugin) => self.plugin(plugin),
                Statement::Branch(branch) => {
                    branch.arms.iter().for_each(|arm| self.body(&arm.body));
                    self.body(&branch.otherwise);
                }
            }
        }
    }

    fn plugin(&mut self, plugin: &Plugin) {
        let mut codec = None;
        for Attribute { name, name_span, value } in &plugin.attributes {
            if name == "codec" {
                // The same one written again is one.
                let written = self.source.get(Range::from(value.span));
                if *codec.get_or_insert(written) != written {
                    self.found.push(second_codec(*name_span));
                }
            }
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        match &value.kind {
            ValueKind::Array(items) => items.iter().for_each(|item| self.value(item)),
            ValueKind::Hash(entries) => {
                // As written, quotes included: `"a"` and `'a'` are two keys.
                let mut keys = HashSet::new();
                for (key, value) in entries {
                    if !keys.insert(self.source.get(Range::from(key.span))) {
                        self.found.push(second_key(key.span));
                    }
                    self.value(value);
                }
            }
            ValueKind::Plugin(plugin) => self.plugin(plugin),
            ValueKind::Bareword(_) | ValueKind::String(_) | ValueKind::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::compile::check_syntax;

    fn refused(text: &str) -> Vec<String> {
        let complaints = check_syntax(text, "test").err().map(|found| found.list).unwrap_or_default();
        complaints.into_iter().map(|complaint| complaint.message).collect()
    }

    #[test]
    fn a_key_twice_at_any_depth_and_a_second_codec_are_refused_without_knowing_the_plugins() {
        const KEY: &str = "this key stands twice in the hash";
        const CODEC: &str = "a plugin has one codec, and here is a second one";
        for (text, said) in [
            ("filter { a { b => { 'k' => 1 'k' => 2 } } }", vec![KEY]),
            ("filter { a { b => { 'x' => { 'k' => 1 'k' => 2 } } } }", vec![KEY]),
            (
                "filter { if [a] { b { c => [{ 'k' => 1 'k' => 1 }] } } else { b { c => { 1 => 1 1 => 2 } } } }",
                vec![KEY; 2],
            ),
            ("input { a { codec => line { c => { 'k' => 1 'k' => 2 } } } }", vec![KEY]),
            ("input { a { codec => plain codec => line { } } }", vec![CODEC]),
            ("input { a { codec => plain codec => plain } }", vec![]),
            ("filter { a { b => { \"k\" => 1 'k' => 2 } c => { 'k' => 1 } c => { 'k' => 2 } } }", vec![]),
        ] {
            assert_eq!(refused(text), said, "{text}");
        }
    }
}
