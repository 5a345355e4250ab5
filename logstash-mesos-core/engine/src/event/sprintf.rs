//! `text %{field} more`: text with parts of the event in it.

use thiserror::Error;

use super::java_text::{write_java_json, write_java_text};
use super::{EscapeStyle, Event, FieldReference, Text, Timestamp, Value};
use crate::compat::java::joda::{JodaToken, format_joda, joda_tokens};
use crate::compat::java::time::JavaTimePattern;

/// A parsed sprintf text.
///
/// Rendering a template without `%{` clones a [`Text`]; one that is a single field of type string does too.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
    source: Text,
    style: EscapeStyle,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(Text),
    /// `%{field}`, and how it is written.
    Field(FieldReference, Text),
    /// `%{+yyyy}`
    Joda(Result<Vec<JodaToken>, String>),
    /// `%{{yyyy}}`
    JavaTime(Result<JavaTimePattern, String>),
    /// `%{+%s}`
    EpochSeconds,
    /// `%{{TIME_NOW}}`
    Now,
    /// What Logstash fails on for every event.
    Invalid(String),
}

/// A template cannot be rendered.
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
        Self::parse_with(text, EscapeStyle::None)
    }

    /// As [`Template::parse`], with an escape style for brackets in the names of fields.
    #[must_use]
    pub fn parse_with(text: &str, style: EscapeStyle) -> Self {
        let source = Text::from(text);
        let mut parts = Vec::new();
        let mut done = 0;
        while let Some(open) = text[done..].find("%{").map(|len| done + len) {
            let Some(close) = text[open..].find('}').map(|len| open + len) else { break };
            if open > done {
                parts.push(Part::Literal(source.slice(done..open)));
            }
            let (part, end) = placeholder(&source, open, close, style);
            parts.push(part);
            done = end;
        }
        if done < text.len() {
            parts.push(Part::Literal(source.slice(done..)));
        }
        Self { parts, source, style }
    }

    /// How it writes the names of fields, and how the field is named whose name it makes.
    #[must_use]
    pub fn style(&self) -> EscapeStyle {
        self.style
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

    /// What is wrong with it whatever the event, if anything is: a date pattern or a field reference.
    #[must_use]
    pub fn defect(&self) -> Option<&str> {
        self.parts.iter().find_map(|part| match part {
            Part::Joda(Err(reason)) | Part::JavaTime(Err(reason)) | Part::Invalid(reason) => {
                Some(reason.as_str())
            }
            _ => None,
        })
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
            [Part::Field(field, written)] => match event.get(field) {
                Some(Value::Text(text)) => return Ok(text.clone()),
                None | Some(Value::Null) => return Ok(written.clone()),
                _ => {}
            },
            _ => {}
        }
        let mut out = Vec::with_capacity(self.source.len() + 32);
        self.render_to(event, &mut out)?;
        Ok(match String::from_utf8(out) {
            Ok(text) => Text::from(text),
            Err(error) => Text::from(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        })
    }

    /// Appends the text for `event` to `out`.
    ///
    /// # Errors
    ///
    /// As [`Template::render`]; `out` may hold a part of the text then.
    pub fn render_to(&self, event: &Event, out: &mut Vec<u8>) -> Result<(), SprintfError> {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Field(field, written) => match event.get(field) {
                    None | Some(Value::Null) => out.extend_from_slice(written.as_bytes()),
                    Some(value) => write_field(value, out),
                },
                Part::Joda(pattern) => {
                    if let Some(instant) = event.timestamp() {
                        let tokens = pattern.as_ref().map_err(|reason| self.failed(reason))?;
                        format_joda(tokens, instant, out);
                    }
                }
                Part::JavaTime(pattern) => {
                    if let Some(instant) = event.timestamp() {
                        let pattern = pattern.as_ref().map_err(|reason| self.failed(reason))?;
                        pattern.format(instant, out).map_err(|error| self.failed(&error.reason))?;
                    }
                }
                Part::EpochSeconds => {
                    if let Some(instant) = event.timestamp() {
                        out.extend_from_slice(itoa::Buffer::new().format(instant.secs()).as_bytes());
                    }
                }
                Part::Now => Timestamp::now().write_iso8601(out),
                Part::Invalid(reason) => return Err(self.failed(reason)),
            }
        }
        Ok(())
    }

    fn failed(&self, reason: &str) -> SprintfError {
        SprintfError { template: self.source.to_string(), reason: reason.to_owned() }
    }
}

/// The part that begins at `open` and whose first `}` is at `close`, and where it ends.
fn placeholder(source: &Text, open: usize, close: usize, style: EscapeStyle) -> (Part, usize) {
    let inner = &source[open + 2..close];
    // Logstash compares as many characters as there are, so `%{}` and `%{+}` mean the same.
    if "+%s".starts_with(inner) {
        return (Part::EpochSeconds, close + 1);
    }
    if let Some(pattern) = inner.strip_prefix('{') {
        match source.as_bytes().get(close + 1) {
            Some(b'}') if pattern == "TIME_NOW" => return (Part::Now, close + 2),
            Some(b'}') => {
                let pattern = JavaTimePattern::parse(pattern).map_err(|error| error.to_string());
                return (Part::JavaTime(pattern), close + 2);
            }
            Some(_) => {}
            None => return (Part::Invalid("it ends in the middle of a date pattern".to_owned()), close + 1),
        }
    }
    if let Some(pattern) = inner.strip_prefix('+') {
        let tokens = joda_tokens(pattern).map_err(|error| error.to_string());
        return (Part::Joda(tokens), close + 1);
    }
    let part = match FieldReference::parse_with(inner, style) {
        Ok(field) => Part::Field(field, source.slice(open..=close)),
        Err(error) => Part::Invalid(error.to_string()),
    };
    (part, close + 1)
}

fn write_field(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Map(_) => write_java_json(value, out),
        Value::List(items) => join(items, out),
        scalar => write_java_text(scalar, out),
    }
}

/// Items with commas between them; lists in lists lose their brackets, and `null` is nothing.
fn join(items: &[Value], out: &mut Vec<u8>) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match item {
            Value::List(inner) => join(inner, out),
            other => write_java_text(other, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        let mut event = Event::new(Timestamp::parse_iso8601("2024-03-05T06:07:08.123Z").unwrap());
        let map: super::super::Map = [("a", Value::Int(1)), ("n", Value::Null)].into_iter().collect();
        for (name, value) in [
            ("s", Value::from("text")),
            ("i", Value::Int(-5)),
            ("f", Value::Float(1e21)),
            ("z", Value::Null),
            ("m", Value::from(map.clone())),
            ("l", Value::List(vec![1_i64.into(), "x".into(), Value::Null, Value::List(vec![2.5.into()])])),
            ("lm", Value::List(vec![Value::from(map)])),
        ] {
            event.set(&FieldReference::field(name), value).unwrap();
        }
        event
    }

    #[test]
    fn fields_are_printed_as_logstash_prints_them() {
        for (template, text) in [
            ("%{s}", "text"),
            ("<%{i}|%{f}>", "<-5|1.0E21>"),
            ("%{z} %{missing}", "%{z} %{missing}"),
            ("%{m}", "{\"a\":1,\"n\":null}"),
            ("%{l}", "1,x,,2.5"),
            ("%{lm}", "{a=1, n=null}"),
            ("%{[m][a]}%{[l][1]}", "1x"),
            ("%{@timestamp}", "2024-03-05T06:07:08.123Z"),
            ("%{+YYYY.MM.dd}-%{{uuuu}}", "2024.03.05-2024"),
            ("%{+%s} %{} %{+}", "1709618828 1709618828 1709618828"),
            ("100% %{ %s", "100% %{ %s"),
            ("%{s", "%{s"),
        ] {
            assert_eq!(Template::parse(template).render(&event()).unwrap(), text, "{template}");
        }
    }

    #[test]
    fn what_is_invalid_fails_when_rendered() {
        for template in ["%{+q}", "%{{T}}", "%{[s}", "%{a[b]}", "%{{x}"] {
            let template = Template::parse(template);
            assert!(template.defect().is_some());
            assert!(template.render(&event()).is_err());
        }
        let mut timeless = event();
        timeless.remove(&FieldReference::field("@timestamp"));
        assert_eq!(Template::parse("a%{+q}%{+%s}b").render(&timeless).unwrap(), "ab");
    }
}
