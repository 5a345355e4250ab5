//! Reads our tables of patterns, in which one definition serves both sets of field names.
//!
//! A line is `NAME expression`; an indented line goes on with the expression above, `#` begins a comment. In it
//!
//! - `%{IP:clientip|source.ip}` names the field in the legacy set and in that of the Elastic Common Schema. A side that
//!   is empty makes no field, and one name stands for both;
//! - `<<this||that>>` stands for `this` in the legacy set and for `that` in the other;
//! - `<<part>>` stands for what the line `<<part>> expression` of the same table says. It is no pattern of its own, so
//!   that nobody's definition takes its place;
//! - `NAME@legacy` and `NAME@ecs` define a name in one set only.

use std::collections::HashMap;

/// The definitions of `tables`, with the field names of the Elastic Common Schema or the legacy ones.
pub(super) fn read(tables: &[&str], ecs: bool) -> HashMap<String, String> {
    let mut definitions = HashMap::new();
    for table in tables {
        let mut parts = HashMap::new();
        for (head, text) in entries(table) {
            let text = with_fields(&with_parts(&text, &parts, ecs), ecs);
            match (head.split_once('@'), ecs) {
                (Some((name, "ecs")), true) | (Some((name, "legacy")), false) => {
                    definitions.insert(name.to_owned(), text);
                }
                (Some(_), _) => {}
                (None, _) => match head.strip_prefix("<<").and_then(|head| head.strip_suffix(">>")) {
                    Some(part) => {
                        parts.insert(part, text);
                    }
                    None => {
                        definitions.insert(head.to_owned(), text);
                    }
                },
            }
        }
    }
    definitions
}

/// Names with their text, lines that belong together joined.
fn entries(table: &str) -> Vec<(&str, String)> {
    let mut entries: Vec<(&str, String)> = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        if let (Some(more), Some((_, text))) = (line.strip_prefix("    "), entries.last_mut()) {
            text.push_str(more.trim_start());
        } else if let Some((head, text)) = line.split_once(' ') {
            entries.push((head, text.to_owned()));
        }
    }
    entries
}

/// Puts parts and the side of a choice in their place.
fn with_parts(text: &str, parts: &HashMap<&str, String>, ecs: bool) -> String {
    replaced(text, "<<", ">>", |inner| match inner.split_once("||") {
        Some((legacy, other)) => Some(if ecs { other } else { legacy }.to_owned()),
        None => parts.get(inner).cloned(),
    })
}

/// Gives captures the names of one set.
fn with_fields(text: &str, ecs: bool) -> String {
    let text = replaced(text, "%{", "}", |inner| {
        let (pattern, names) = inner.split_once(':')?;
        Some(match field(names, ecs) {
            field if field.is_empty() => format!("%{{{pattern}}}"),
            field => format!("%{{{pattern}:{field}}}"),
        })
    });
    // What begins like a name may be a look-behind.
    replaced(&text, "(?<", ">", |inner| {
        (!inner.starts_with(['=', '!'])).then(|| match field(inner, ecs) {
            field if field.is_empty() => "(?:".to_owned(),
            field => format!("(?<{field}>"),
        })
    })
}

/// `clientip|source.ip:int` on one side; `a.b` is the field `[a][b]`.
fn field(names: &str, ecs: bool) -> String {
    let (legacy, other) = names.split_once('|').unwrap_or((names, names));
    let name = if ecs { other } else { legacy };
    let (name, kind) = name.split_at(name.find(':').unwrap_or(name.len()));
    if name.contains('.') { format!("[{}]{kind}", name.replace('.', "][")) } else { format!("{name}{kind}") }
}

/// `text` with what stands between `open` and `close` replaced, them included, where `by` has something for it.
fn replaced(text: &str, open: &str, close: &str, by: impl Fn(&str) -> Option<String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once(open) {
        result.push_str(before);
        match inside.split_once(close).and_then(|(inner, after)| Some((by(inner)?, after))) {
            Some((replacement, after)) => {
                result.push_str(&replacement);
                rest = after;
            }
            None => {
                result.push_str(open);
                rest = inside;
            }
        }
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
# A comment, and `<<` in it.
<<host>> %{IP:clientip|source.ip}
LINE <<host>> (?<pid|process.pid:int>\\d+)(?<!x) <<-||(?:-|%{WORD:a.b})>>
    \\ %{WORD:|verb} %{DATA:message}%{SPACE}
OLD@legacy <<host>>
NEW@ecs <<>>
";

    #[test]
    fn one_line_defines_a_pattern_of_both_sets() {
        let legacy = read(&[TABLE], false);
        assert_eq!(legacy["LINE"], r"%{IP:clientip} (?<pid>\d+)(?<!x) -\ %{WORD} %{DATA:message}%{SPACE}");
        assert_eq!((legacy.len(), legacy["OLD"].as_str()), (2, "%{IP:clientip}"));
        let ecs = read(&[TABLE], true);
        assert_eq!(
            ecs["LINE"],
            r"%{IP:[source][ip]} (?<[process][pid]:int>\d+)(?<!x) (?:-|%{WORD:[a][b]})\ %{WORD:verb} %{DATA:message}%{SPACE}"
        );
        assert_eq!((ecs.len(), ecs["NEW"].as_str()), (2, "<<>>"));
    }

    #[test]
    fn a_part_belongs_to_its_table() {
        let definitions = read(&["<<a>> x\nA <<a>>", "B <<a>>"], true);
        assert_eq!((definitions["A"].as_str(), definitions["B"].as_str()), ("x", "<<a>>"));
    }
}
