//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;
use std::fmt::Write;

use super::token::Span;

/// Names a kind of complaint. A code keeps its meaning for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub &'static str);

impl Code {
    /// The text does not follow the grammar.
    pub const SYNTAX: Self = Self("E101");
    /// A string or a regular expression does not end.
    pub const UNTERMINATED: Self = Self("E102");
    /// A number that cannot be held.
    pub const NUMBER: Self = Self("E103");
    /// A key stands twice in one hash.
    pub const DUPLICATE_KEY: Self = Self("E104");
    /// Nested too deeply.
    pub const DEPTH: Self = Self("E105");
    /// The text is not UTF-8.
    pub const ENCODING: Self = Self("E106");
    /// No plugin has this name.
    pub const UNKNOWN_PLUGIN: Self = Self("E201");
    /// The plugin has no such setting.
    pub const UNKNOWN_SETTING: Self = Self("E202");
    /// A required setting is not there.
    pub const MISSING_SETTING: Self = Self("E203");
    /// A setting does not take this value.
    pub const INVALID_VALUE: Self = Self("E204");
    /// A setting that Logstash removed.
    pub const OBSOLETE_SETTING: Self = Self("E205");
    /// Logstash has it and this engine does not.
    pub const ABSENT: Self = Self("E206");
    /// `${NAME}` is not set anywhere.
    pub const UNDEFINED_VARIABLE: Self = Self("E207");
    /// The plugin refuses its settings.
    pub const REGISTER: Self = Self("E208");
    /// Two plugins have the same `id`.
    pub const DUPLICATE_ID: Self = Self("E209");
    /// A plugin that runs commands or code, which must be allowed first.
    pub const NOT_ALLOWED: Self = Self("E210");
    /// A condition that Logstash cannot compile.
    pub const EXPRESSION: Self = Self("E301");
    /// A regular expression that does not compile.
    pub const PATTERN: Self = Self("E302");
    /// A field reference with invalid syntax.
    pub const FIELD_REFERENCE: Self = Self("E303");
    /// Logstash advises against it.
    pub const DEPRECATED: Self = Self("W401");
    /// It is accepted and changes nothing.
    pub const IGNORED: Self = Self("W402");
    /// It means something else than it seems to.
    pub const SURPRISE: Self = Self("W403");
    /// `${NAME}` is not known here, but may be where the configuration runs.
    pub const UNKNOWN_VARIABLE: Self = Self("W404");
    /// A file is not what the plugin needs, but may be where the configuration runs.
    pub const UNKNOWN_FILE: Self = Self("W405");
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Whether a complaint stops the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It runs, and its author should know.
    Warning,
}

/// One complaint about a configuration, with its place and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The kind of complaint, for programs: it stays the same from version to version.
    pub code: Code,
    /// Whether it stops the configuration.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The bytes of the text that are meant.
    pub span: Span,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Diagnostic {
    /// A complaint that stops the configuration.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), span, remedy: None }
    }

    /// A complaint that does not.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Warning, message: message.into(), span, remedy: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<Option<String>>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

/// The complaints about one configuration, with its text to show them in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// Where the text came from, for people: a file name, the name of a configuration.
    pub origin: String,
    /// The text of the configuration, to show lines of.
    pub source: String,
    /// The complaints, by place.
    pub list: Vec<Diagnostic>,
    /// The files that the text was put together from: where each begins, and its name. Empty when it is one.
    pub files: Vec<(usize, String)>,
}

/// A place as people count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The number of the line, the first is 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Diagnostics {
    /// The complaints `list` about `source`, in the order of their places.
    #[must_use]
    pub fn new(origin: impl Into<String>, source: impl Into<String>, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.severity == Severity::Warning));
        list.dedup();
        Self { origin: origin.into(), source: source.into(), list, files: Vec::new() }
    }

    /// The text was put together from several files: where each begins, in order, and its name.
    #[must_use]
    pub fn from_files(mut self, files: &[(usize, String)]) -> Self {
        self.files = files.to_vec();
        self
    }

    /// Where the file begins that holds the byte, and its name.
    fn file(&self, at: usize) -> (usize, &str) {
        self.files
            .iter()
            .rev()
            .find(|(start, _)| *start <= at)
            .map_or((0, &*self.origin), |(start, name)| (*start, name))
    }

    /// Whether one of them stops the configuration.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Line and column of a byte of the text, in its file.
    #[must_use]
    pub fn position(&self, at: usize) -> Position {
        let mut at = at.min(self.source.len());
        while !self.source.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.source[self.file(at).0..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }

    /// The text of a byte's line, without its end.
    #[must_use]
    pub fn line(&self, at: usize) -> &str {
        let mut at = at.min(self.source.len());
        while !self.source.is_char_boundary(at) {
            at -= 1;
        }
        let start = self.source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.source[at..].find('\n').map_or(self.source.len(), |len| at + len);
        self.source[start..end].trim_end_matches('\r')
    }

    /// Everything about one complaint, with its line marked.
    #[must_use]
    pub fn render(&self, diagnostic: &Diagnostic) -> String {
        let Position { line, column } = self.position(diagnostic.span.start);
        let text = self.line(diagnostic.span.start);
        let end = self.position(diagnostic.span.end);
        let width = if end.line == line {
            end.column.saturating_sub(column)
        } else {
            text.chars().count() + 1 - column.min(text.chars().count() + 1)
        };
        // A line of a megabyte would bury the message: show what is around the mark.
        let first = column.saturating_sub(60).max(1);
        let shown: String = text.chars().skip(first - 1).take(120).collect();
        let lead: String =
            shown.chars().take(column - first).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let mark = "^".repeat(width.clamp(1, 121 - lead.chars().count().min(120)));
        let word = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let (_, origin) = self.file(diagnostic.span.start);
        let origin = if origin.is_empty() { "configuration" } else { origin };
        let gutter = line.to_string();
        let pad = " ".repeat(gutter.len());
        let mut out = format!("{word}[{}]: {}\n", diagnostic.code, diagnostic.message);
        let _infallible = write!(
            out,
            "{pad}--> {origin}:{line}:{column}\n{pad} |\n{gutter} | {shown}\n{pad} | {lead}{mark}"
        );
        if let Some(remedy) = &diagnostic.remedy {
            let _infallible = write!(out, "\n{pad} = help: {remedy}");
        }
        out
    }

    /// The complaints as a JSON array: `code`, `severity`, `file` (the name of the configuration where it is no
    /// file), `line`, `column`, `end_line`, `end_column`, `message`, `remedy`, `text` (the line).
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.list
            .iter()
            .map(|diagnostic| {
                let start = self.position(diagnostic.span.start);
                let end = self.position(diagnostic.span.end);
                serde_json::json!({
                    "code": diagnostic.code.0,
                    "severity": match diagnostic.severity {
                        Severity::Error => "error",
                        Severity::Warning => "warning",
                    },
                    "file": self.file(diagnostic.span.start).1,
                    "line": start.line,
                    "column": start.column,
                    "end_line": end.line,
                    "end_column": end.column,
                    "message": diagnostic.message,
                    "remedy": diagnostic.remedy,
                    "text": self.line(diagnostic.span.start),
                })
            })
            .collect()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.list.iter().enumerate() {
            if at > 0 {
                f.write_str("\n\n")?;
            }
            f.write_str(&self.render(diagnostic))?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_file() {
        let (first, second) = ("# one\n", "# two\nfilter { gork { } }");
        let list = vec![
            Diagnostic::error(Code::SYNTAX, Span::new(2, 5), "x"),
            Diagnostic::error(Code::UNKNOWN_PLUGIN, Span::new(22, 26), "y"),
        ];
        let files = [(0, "a.conf".to_owned()), (first.len() + 1, "b.conf".to_owned())];
        let text = Diagnostics::new("dir", format!("{first}\n{second}"), list).from_files(&files);
        let shown = text.to_string();
        assert!(shown.contains("a.conf:1:3") && shown.contains("b.conf:2:10"), "{shown}");
        assert!(shown.contains("2 | filter { gork { } }\n  |          ^^^^"), "{shown}");
        assert_eq!(text.to_json()[1]["file"], "b.conf");
    }

    #[test]
    fn shows_the_line_with_a_mark() {
        let source = "filter {\n\tgork { }\n}";
        let list = vec![
            Diagnostic::error(Code::UNKNOWN_PLUGIN, Span::new(10, 14), "there is no filter `gork`")
                .remedy("did you mean `grok`?".to_owned()),
        ];
        let text = Diagnostics::new("a.conf", source, list).to_string();
        assert_eq!(
            text,
            "error[E201]: there is no filter `gork`\n --> a.conf:2:2\n  |\n2 | \tgork { }\n  | \t^^^^\n  = help: did \
             you mean `grok`?"
        );
    }
}
