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

/// How a field name may contain brackets (`config.field_reference.escape_style`).
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

/// The text is no field reference.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("invalid field reference `{text}`")]
pub struct InvalidReference {
    /// The offending text, whole.
    pub text: String,
}

impl FieldReference {
    /// Parses `text` by Logstash's strict rules.
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
        let invalid = || InvalidReference { text: text.to_owned() };
        let mut names = Vec::new();
        if text.is_empty() {
            return Err(invalid());
        }
        if text.starts_with('[') {
            let mut rest = text;
            while let Some(inner) = rest.strip_prefix('[') {
                let end = inner.find(']').ok_or_else(invalid)?;
                let name = &inner[..end];
                if name.contains('[') {
                    return Err(invalid());
                }
                names.push(name);
                rest = &inner[end + 1..];
            }
            if !rest.is_empty() {
                return Err(invalid());
            }
        } else if text.contains(['[', ']']) {
            return Err(invalid());
        } else {
            names.push(text);
        }
        let metadata = names.first() == Some(&"@metadata");
        let steps =
            names[usize::from(metadata)..].iter().map(|name| Step::new(&unescape(name, style))).collect();
        Ok(Self { steps, metadata })
    }

    /// A reference to a top-level field whose name is taken as it is.
    #[must_use]
    pub fn field(name: impl Into<Text>) -> Self {
        let name = name.into();
        let metadata = name == "@metadata";
        let steps = if metadata {
            Box::default()
        } else {
            Box::new([Step { index: name.parse().ok(), key: name }]) as Box<[Step]>
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
        Self { key: Text::from(name), index: name.parse().ok() }
    }
}

fn unescape(name: &str, style: EscapeStyle) -> String {
    match style {
        EscapeStyle::None => name.to_owned(),
        EscapeStyle::Percent => {
            name.replace("%5B", "[").replace("%5b", "[").replace("%5D", "]").replace("%5d", "]")
        }
        EscapeStyle::Ampersand => name.replace("&#91;", "[").replace("&#93;", "]"),
    }
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
