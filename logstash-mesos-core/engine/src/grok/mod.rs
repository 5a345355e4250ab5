//! Grok: regular expressions put together from named patterns, whose groups become fields.
//!
//! [`Patterns`] holds definitions, [`Grok`] a pattern compiled with them. The `grok` filter of a pipeline is made of
//! these; they can be used without one:
//!
//! ```
//! use logstash_mesos_engine::grok::{Grok, PatternSet, Patterns};
//! use logstash_mesos_regex::{Captures, Scratch};
//!
//! let patterns = Patterns::builtin(PatternSet::EcsV1);
//! let grok = Grok::new("%{IP:client} %{WORD:method} %{NUMBER:bytes:int}", &patterns, true)?;
//! let line = "55.3.244.1 GET 15824";
//! let (mut scratch, mut captures) = (Scratch::new(), Captures::new());
//! assert!(grok.regex().captures(line, 0, &mut scratch, &mut captures)?);
//! let client = &grok.fields()[0];
//! assert_eq!((client.name.as_str(), &line[captures.get(client.group).unwrap()]), ("client", "55.3.244.1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(test)]
mod answers;
mod builtin;
mod expand;
mod patterns;
mod table;

use std::path::PathBuf;

use logstash_mesos_regex::{CaptureMode, MatchError, Options, Regex, RegexError};
use thiserror::Error;

pub use builtin::{DIFFERENCES, PatternSet};
pub use patterns::Patterns;

/// Why a grok pattern cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GrokError {
    /// It refers to a name that nothing defines.
    #[error("pattern {reference} not defined")]
    UnknownPattern {
        /// The reference as it is written.
        reference: String,
    },
    /// Definitions refer to each other without end, or expand to more than a megabyte.
    #[error("grok pattern `{pattern}` expands without end")]
    TooDeep {
        /// The pattern as it is written.
        pattern: String,
    },
    /// What it expands to is no regular expression.
    #[error("grok pattern `{pattern}` is no regular expression: {source}")]
    Regex {
        /// The pattern as it is written.
        pattern: String,
        /// What is wrong with the expansion.
        source: RegexError,
    },
    /// The references in it cannot be found.
    #[error("grok pattern cannot be searched for references: {0}")]
    Search(#[from] MatchError),
    /// A pattern file cannot be read.
    #[error("pattern file `{}` cannot be read: {source}", path.display())]
    File {
        /// The file or directory of patterns.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A compiled grok pattern.
#[derive(Debug, Clone)]
pub struct Grok {
    pattern: String,
    regex: Regex,
    fields: Vec<Field>,
}

/// A group that becomes a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name as it is written, which may be a field reference.
    pub name: String,
    /// The group in the regular expression.
    pub group: usize,
    /// What its text is converted to.
    pub convert: Convert,
}

/// What the text of a group becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convert {
    /// No conversion: the captured text.
    Text,
    /// The integer at its start.
    Int,
    /// The number at its start.
    Float,
}

impl Grok {
    /// Compiles a pattern. With `named_captures_only`, only references with a field (`%{WORD:verb}`) give fields.
    ///
    /// # Errors
    ///
    /// When a definition is missing or the expansion is no regular expression.
    pub fn new(pattern: &str, patterns: &Patterns, named_captures_only: bool) -> Result<Self, GrokError> {
        let expanded = expand::expand(pattern, patterns, named_captures_only)?;
        let mut options = Options::default();
        options.multiline_dot = true;
        options.captures = CaptureMode::Named;
        let regex = Regex::with_options(&expanded, &options)
            .map_err(|source| GrokError::Regex { pattern: pattern.to_owned(), source })?;
        let fields = fields(&regex);
        Ok(Self { pattern: pattern.to_owned(), regex, fields })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// What it expanded to.
    #[must_use]
    pub fn regex(&self) -> &Regex {
        &self.regex
    }

    /// The groups that become fields, in the order in which they do.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
}

fn fields(regex: &Regex) -> Vec<Field> {
    let mut fields = Vec::new();
    for (name, groups) in regex.names() {
        let mut parts = name.split(':');
        let first = parts.next().unwrap_or_default();
        let field = parts.next().filter(|field| !field.is_empty()).unwrap_or(first);
        let mut convert = match parts.next() {
            Some("int") => Convert::Int,
            Some("float") => Convert::Float,
            _ => Convert::Text,
        };
        for group in groups {
            fields.push(Field { name: field.to_owned(), group: *group as usize, convert });
            // The grok library of Logstash forgets the type after the first of several groups with one name.
            convert = Convert::Text;
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use logstash_mesos_regex::{Captures, Scratch};

    fn matched(set: PatternSet, pattern: &str, line: &str) -> Option<Vec<(String, String)>> {
        let grok = Grok::new(pattern, &Patterns::builtin(set), true).expect("the pattern is fine");
        let mut captures = Captures::new();
        let found = grok.regex().captures(line, 0, &mut Scratch::new(), &mut captures).expect("decided");
        found.then(|| {
            grok.fields()
                .iter()
                .filter_map(|field| {
                    let range = captures.get(field.group)?;
                    (!range.is_empty()).then(|| (field.name.clone(), line[range].to_owned()))
                })
                .collect()
        })
    }

    const LINE: &str = "83.149.9.216 - frank [04/Jan/2015:05:13:42 +0000] \"GET /a/b?c=d HTTP/1.1\" 200 203023 \
                        \"http://semicomplete.com/\" \"Mozilla/5.0 (X11; Linux)\"";

    #[test]
    fn web_server_lines_in_both_sets() {
        let expected = |names: [&str; 9]| {
            let values = [
                "83.149.9.216",
                "frank",
                "04/Jan/2015:05:13:42 +0000",
                "GET",
                "/a/b?c=d",
                "1.1",
                "200",
                "203023",
                "http://semicomplete.com/",
            ];
            names.map(str::to_owned).into_iter().zip(values.map(str::to_owned)).collect::<Vec<_>>()
        };
        let got = matched(PatternSet::EcsV1, "%{COMBINEDAPACHELOG}", LINE).expect("matches");
        let names = [
            "[source][address]",
            "[user][name]",
            "timestamp",
            "[http][request][method]",
            "[url][original]",
            "[http][version]",
            "[http][response][status_code]",
            "[http][response][body][bytes]",
            "[http][request][referrer]",
        ];
        assert_eq!(got[..9], expected(names));
        assert_eq!(got[9].1, "Mozilla/5.0 (X11; Linux)");
        let got = matched(PatternSet::Legacy, "%{COMBINEDAPACHELOG}", LINE).expect("matches");
        assert_eq!(got[0], ("clientip".to_owned(), "83.149.9.216".to_owned()));
        assert_eq!(got[1], ("ident".to_owned(), "-".to_owned()));
        assert_eq!(got[10], ("agent".to_owned(), "\"Mozilla/5.0 (X11; Linux)\"".to_owned()));
        assert_eq!(matched(PatternSet::Legacy, "%{COMBINEDAPACHELOG}", &LINE[..40]), None);
    }

    #[test]
    fn every_definition_compiles() {
        for set in [PatternSet::Legacy, PatternSet::EcsV1] {
            let patterns = Patterns::builtin(set);
            for name in patterns.builtin_names() {
                for named_only in [true, false] {
                    Grok::new(&format!("%{{{name}}}"), &patterns, named_only)
                        .unwrap_or_else(|error| panic!("{name}: {error}"));
                }
            }
        }
    }

    #[test]
    fn only_the_first_group_of_a_name_is_converted() {
        let grok = Grok::new(
            "%{INT:a:int} %{INT:a:int} %{INT:b:float} (?<c>x)",
            &Patterns::builtin(PatternSet::EcsV1),
            true,
        )
        .expect("fine");
        let converts: Vec<_> =
            grok.fields().iter().map(|field| (field.name.as_str(), field.convert)).collect();
        assert_eq!(
            converts,
            [("a", Convert::Int), ("a", Convert::Text), ("b", Convert::Float), ("c", Convert::Text)]
        );
    }
}
