//! `${NAME}` and `${NAME:default}` in a configuration.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Where the values of `${NAME}` come from.
#[derive(Clone)]
pub struct Variables(Arc<LookUp>);

type LookUp = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Variables {
    /// From any function.
    pub fn new(look_up: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look_up))
    }

    /// Names with their values; of several with one name the last counts.
    pub fn from_list(list: impl IntoIterator<Item = (String, String)>) -> Self {
        let known: std::collections::HashMap<_, _> = list.into_iter().collect();
        Self::new(move |name| known.get(name).cloned())
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }
}

/// No variable has a value.
impl Default for Variables {
    fn default() -> Self {
        Self::new(|_| None)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables")
    }
}

/// One `${…}` in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placeholder<'t> {
    pub(crate) name: &'t str,
    pub(crate) default: Option<&'t str>,
    /// All of it, in bytes of the text.
    pub(crate) range: Range<usize>,
}

/// The placeholders of `text`, in order.
pub(crate) fn placeholders(text: &str) -> impl Iterator<Item = Placeholder<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text[at..].find("${")?;
            at = start + 2;
            let name_len = text[at..]
                .bytes()
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
                .count();
            let name = &text[at..at + name_len];
            if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
                continue;
            }
            let rest = &text[at + name_len..];
            let (default, len) = if rest.starts_with('}') {
                (None, 1)
            } else if let Some(default) = rest.strip_prefix(':') {
                let Some(end) = default.find('}') else { continue };
                (Some(&default[..end]), end + 2)
            } else {
                continue;
            };
            at += name_len + len;
            return Some(Placeholder { name, default, range: start..at });
        }
    })
}

/// What became of a text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Substituted {
    /// Nothing was in it.
    Unchanged,
    /// The text with the values of all its variables.
    Text(String),
    /// The value was written as a list, `["a", "b"]`, and became one.
    List(Vec<String>),
}

/// Fills the placeholders of a setting's value, in two rounds as Logstash does: first a text that is one
/// placeholder and nothing else, then what stands within a text. The second round takes away quotes around
/// the whole and makes a list of a text in brackets.
///
/// # Errors
///
/// The name of the variable that has neither value nor default.
pub(crate) fn substitute(text: &str, variables: &Variables) -> Result<Substituted, String> {
    let value_of = |placeholder: &Placeholder<'_>| {
        variables
            .get(placeholder.name)
            .or_else(|| placeholder.default.map(str::to_owned))
            .ok_or_else(|| placeholder.name.to_owned())
    };
    let whole = match placeholders(text).find(|found| found.range == (0..text.len())) {
        Some(placeholder) => Some(value_of(&placeholder)?),
        None => None,
    };
    let text = whole.as_deref().unwrap_or(text);
    let mut out = String::new();
    let mut done = 0;
    for placeholder in placeholders(text) {
        out.push_str(&text[done..placeholder.range.start]);
        out.push_str(&value_of(&placeholder)?);
        done = placeholder.range.end;
    }
    if done == 0 {
        return Ok(whole.map_or(Substituted::Unchanged, Substituted::Text));
    }
    out.push_str(&text[done..]);
    let plain = unquoted(&out);
    Ok(match plain.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) if inner.trim().is_empty() => Substituted::List(Vec::new()),
        Some(inner) => {
            Substituted::List(inner.split(',').map(|item| unquoted(item.trim()).to_owned()).collect())
        }
        None => Substituted::Text(plain.to_owned()),
    })
}

fn unquoted(text: &str) -> &str {
    ['\'', '"'].iter().fold(text, |text, quote| {
        if text.len() > 1 && text.starts_with(*quote) && text.ends_with(*quote) {
            &text[1..text.len() - 1]
        } else {
            text
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<Substituted, String> {
        let list = [("A", "1"), ("L", "['x', \"y\"]"), ("q.r_2", "z")];
        substitute(text, &Variables::from_list(list.map(|(name, value)| (name.into(), value.into()))))
    }

    #[test]
    fn placeholders_are_filled_wherever_they_stand() {
        assert_eq!(filled("a${A}b${q.r_2}"), Ok(Substituted::Text("a1bz".into())));
        assert_eq!(filled("${B:}"), Ok(Substituted::Text(String::new())));
        assert_eq!(filled("x${B:d:e}"), Ok(Substituted::Text("xd:e".into())));
        assert_eq!(filled("x${B}"), Err("B".into()));
        assert_eq!(filled("$A ${1A} ${} ${A"), Ok(Substituted::Unchanged));
    }

    #[test]
    fn a_list_in_a_variable_is_a_list_unless_the_variable_is_all_there_is() {
        assert_eq!(filled("${L}"), Ok(Substituted::Text("['x', \"y\"]".into())));
        assert_eq!(filled("'${L}'"), Ok(Substituted::List(vec!["x".into(), "y".into()])));
    }
}
