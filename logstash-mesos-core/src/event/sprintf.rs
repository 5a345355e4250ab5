//! `text %{field} more`: text with parts of the event in it.

use thiserror::Error;

use super::{Event, FieldReference, Text, Value, write_json};

/// A parsed sprintf text.
///
/// Rendering a template without `%{` clones a [`Text`]; one that is a single field of type string does too.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
    source: Text,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(Text),
    Field(FieldReference, Text),
}

/// A template cannot be parsed or rendered.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("cannot expand `{template}`: {reason}")]
pub struct SprintfError {
    /// The whole template.
    pub template: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Template {
    /// Parses `text`. What Logstash only complains about when it renders is an error of
    /// [`Template::render`] here too.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        let mut literal = String::new();
        while let Some(start) = rest.find("%{") {
            let Some(len) = rest[start..].find('}') else { break };
            let name = &rest[start + 2..start + len];
            let whole = &rest[start..=start + len];
            literal.push_str(&rest[..start]);
            match FieldReference::parse(name) {
                Ok(field) => {
                    if !literal.is_empty() {
                        parts.push(Part::Literal(Text::from(std::mem::take(&mut literal))));
                    }
                    parts.push(Part::Field(field, Text::from(whole)));
                }
                Err(_) => literal.push_str(whole),
            }
            rest = &rest[start + len + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(Text::from(literal)));
        }
        Self { parts, source: Text::from(text) }
    }

    /// The text as it was written.
    #[must_use]
    pub fn source(&self) -> &Text {
        &self.source
    }

    /// Whether the result is the same for every event.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }

    /// The text for `event`. A field that is missing leaves its `%{…}` as written.
    ///
    /// # Errors
    ///
    /// [`SprintfError`] for an invalid date pattern or field reference, as Logstash raises one.
    pub fn render(&self, event: &Event) -> Result<Text, SprintfError> {
        match &*self.parts {
            [] => return Ok(Text::new()),
            [Part::Literal(text)] => return Ok(text.clone()),
            [Part::Field(field, _)] => {
                if let Some(Value::Text(text)) = event.get(field) {
                    return Ok(text.clone());
                }
            }
            _ => {}
        }
        let mut out = Vec::with_capacity(self.source.len() + 32);
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Field(field, written) => match event.get(field) {
                    None | Some(Value::Null) => out.extend_from_slice(written.as_bytes()),
                    Some(Value::Text(text)) => out.extend_from_slice(text.as_bytes()),
                    Some(value) => write_json(value, &mut out),
                },
            }
        }
        Ok(Text::from(String::from_utf8_lossy(&out).into_owned()))
    }
}
