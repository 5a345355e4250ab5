//! `[a][b]`: how configurations name fields.

use thiserror::Error;

use super::Text;

/// A parsed field reference.
///
/// `message` and `[message]` are the same; `[@metadata][x]` names a field beside the event's data, and
/// an integer names an item of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldReference {
    steps: Box<[Step]>,
    metadata: bool,
}

/// One level of a reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The key in a hash.
    pub key: Text,
    /// The same as the index of a list, negative from the end, if it reads as an integer.
    pub index: Option<i64>,
}

/// How the name of a field may contain brackets, which would otherwise begin and end a level.
///
/// It belongs to a configuration: what compiles one says it, and what is made of it keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapeStyle {
    /// It may not.
    #[default]
    None,
    /// `%5B` and `%5D`.
    Percent,
    /// `&#91;` and `&#93;`.
    Ampersand,
}

impl EscapeStyle {
    /// The setting that says it, for all configurations of a process of Logstash.
    pub const SETTING: &'static str = "config.field_reference.escape_style";

    /// `none`, `percent` or `ampersand`; nothing else has a meaning.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "none" => Self::None,
            "percent" => Self::Percent,
            "ampersand" => Self::Ampersand,
            _ => return None,
        })
    }
}

/// The text is no field reference.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("invalid field reference `{text}`")]
pub struct InvalidReference {
    /// The offending text, whole.
    pub text: String,
}

impl FieldReference {
    /// Parses `text` by Logstash's strict rules. No name in it contains a bracket.
    ///
    /// # Errors
    ///
    /// [`InvalidReference`] where Logstash raises `FieldReference::IllegalSyntaxException`.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        Self::parse_with(text, EscapeStyle::None)
    }

    /// Parses `text` with an escape style for brackets in names.
    ///
    /// # Errors
    ///
    /// As [`FieldReference::parse`].
    pub fn parse_with(text: &str, style: EscapeStyle) -> Result<Self, InvalidReference> {
        let names = names(text).ok_or_else(|| InvalidReference { text: text.to_owned() })?;
        let (metadata, names) = match names.split_first() {
            Some((&"@metadata", rest)) => (true, rest),
            _ => (false, names.as_slice()),
        };
        Ok(Self { steps: names.iter().map(|name| Step::new(&unescape(name, style))).collect(), metadata })
    }

    /// A reference to a top-level field whose name is taken as it is.
    #[must_use]
    pub fn field(name: impl Into<Text>) -> Self {
        let name = name.into();
        let metadata = name == "@metadata";
        let steps = if metadata {
            Box::default()
        } else {
            Box::new([Step { index: index(&name), key: name }]) as Box<[Step]>
        };
        Self { steps, metadata }
    }

    /// The levels below the event, or below `@metadata`.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether it starts with `[@metadata]`.
    #[must_use]
    pub fn is_metadata(&self) -> bool {
        self.metadata
    }

    /// The name of the top-level field, unless this is nested or metadata.
    #[must_use]
    pub fn top_level(&self) -> Option<&Text> {
        match &*self.steps {
            [step] if !self.metadata => Some(&step.key),
            _ => None,
        }
    }
}

impl Step {
    fn new(name: &str) -> Self {
        Self { key: Text::from(name), index: index(name) }
    }
}

/// The index `name` is, as Java's `Integer.parseInt` reads one: `-1`, `+1`, `01`.
fn index(name: &str) -> Option<i64> {
    name.parse::<i32>().ok().map(i64::from)
}

/// The names of a reference, outermost first; nothing when the text is none.
///
/// Brackets around a whole reference mean nothing (`[[a][b]]` is `[a][b]`), and a name without any is
/// taken as it is, be it empty.
fn names(text: &str) -> Option<Vec<&str>> {
    let bytes = text.as_bytes();
    let mut names = Vec::new();
    let (mut depth, mut start, mut bracket) = (0_usize, 0, false);
    for (at, byte) in bytes.iter().enumerate() {
        let after_closing = at > 0 && bytes[at - 1] == b']';
        match byte {
            b'[' => {
                if start != at {
                    return None;
                }
                bracket = true;
                depth += 1;
                start = at + 1;
            }
            b']' => {
                if depth == 0 || (start == at && !after_closing) {
                    return None;
                }
                if start < at {
                    names.push(&text[start..at]);
                }
                depth -= 1;
                start = at + 1;
            }
            _ if after_closing => return None,
            _ => {}
        }
    }
    if !bracket {
        return Some(vec![text]);
    }
    (depth == 0 && !names.is_empty()).then_some(names)
}

fn unescape(name: &str, style: EscapeStyle) -> String {
    match style {
        EscapeStyle::None => name.to_owned(),
        EscapeStyle::Percent => percent_decoded(name),
        EscapeStyle::Ampersand => ampersand_decoded(name),
    }
}

/// `%` and two capital hexadecimal digits are a byte; anything else stands for itself.
fn percent_decoded(name: &str) -> String {
    let digit = |byte: Option<&u8>| match byte {
        Some(byte @ b'0'..=b'9') => Some(byte - b'0'),
        Some(byte @ b'A'..=b'F') => Some(byte - b'A' + 10),
        _ => None,
    };
    let bytes = name.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high * 16 + low);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `&#`, two digits at least, and `;` are the character of that number.
fn ampersand_decoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(start) = rest.find("&#") {
        let (before, encoded) = rest.split_at(start);
        out.push_str(before);
        let digits = encoded[2..].bytes().take_while(u8::is_ascii_digit).count();
        let decoded = (digits >= 2 && encoded[2 + digits..].starts_with(';'))
            .then(|| encoded[2..2 + digits].parse().ok().and_then(char::from_u32))
            .flatten();
        let used = match decoded {
            Some(c) => {
                out.push(c);
                digits + 3
            }
            None => {
                out.push_str("&#");
                2
            }
        };
        rest = &encoded[used..];
    }
    out + rest
}

impl std::fmt::Display for FieldReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(name) = self.top_level() {
            return f.write_str(name);
        }
        if self.metadata {
            f.write_str("[@metadata]")?;
        }
        for step in &self.steps {
            write!(f, "[{}]", step.key)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Option<Vec<String>> {
        let field = FieldReference::parse_with(text, EscapeStyle::None).ok()?;
        Some(field.steps().iter().map(|step| step.key.to_string()).collect())
    }

    #[test]
    fn references_are_read_as_strictly_as_logstash_does() {
        assert_eq!(keys("a b"), Some(vec!["a b".into()]));
        assert_eq!(keys("[a][b c]"), Some(vec!["a".into(), "b c".into()]));
        assert_eq!(keys("[[a][b]]"), keys("[a][b]"));
        assert_eq!(keys("[[[a]]]"), keys("a"));
        for text in ["[", "]", "[]", "a]", "[a", "a[b]", "[a]b", "[a][]", "[a]]", "[a[b]]", "[a] [b]"] {
            assert_eq!(keys(text), None, "{text}");
        }
    }

    #[test]
    fn metadata_is_apart() {
        let field = FieldReference::parse("[@metadata][a][-1]").unwrap();
        assert!(field.is_metadata());
        assert_eq!(field.steps()[1].index, Some(-1));
        assert_eq!(field.top_level(), None);
        assert_eq!(field.to_string(), "[@metadata][a][-1]");
    }

    #[test]
    fn brackets_in_names_are_written_in_the_chosen_style() {
        let key = |text, style| FieldReference::parse_with(text, style).unwrap().steps()[0].key.to_string();
        assert_eq!(key("[a%5Bb%5D]", EscapeStyle::Percent), "a[b]");
        assert_eq!(key("[a&#91;b&#93;]", EscapeStyle::Ampersand), "a[b]");
        assert_eq!(key("[a%5Bb%5D]", EscapeStyle::None), "a%5Bb%5D");
    }
}
