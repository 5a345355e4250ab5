//! Regular expressions with the syntax and the meaning that Ruby gives them.
//!
//! Ruby reads patterns with Oniguruma (Onigmo): `(?<name>…)`, `(?<!…)`, `(?>…)`, `\h`, `\g<name>`, `^` that matches at
//! every line. [`Regex`] understands them all, and is built for patterns that read whole log lines, such as those that
//! Logstash's grok makes.
//!
//! ```
//! use logstash_mesos_regex::{Captures, Regex, Scratch};
//!
//! let regex = Regex::new(r"(?<user>\w+)@(?<host>[\w.]+)")?;
//! let (mut scratch, mut captures) = (Scratch::new(), Captures::new());
//! let text = "mail from joe@example.org";
//! assert!(regex.captures(text, 0, &mut scratch, &mut captures)?);
//! assert_eq!(captures.get(2).map(|range| &text[range]), Some("example.org"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | you want to | look at |
//! | --- | --- |
//! | compile a pattern | [`Regex::new`], [`Regex::with_options`] |
//! | know whether and where it matches | [`Regex::is_match`], [`Regex::captures`] |
//! | replace what it matches | [`Regex::replace_all`] |
//! | reuse memory from match to match | [`Scratch`], [`Captures`] |
//!
//! # How it matches, and how long that takes
//!
//! A pattern becomes a program for a matcher that goes back and tries again. Most of that never happens: a literal that
//! every match must hold is looked for first, places are left out whose byte cannot begin a match, and a loop whose
//! follower cannot be one of its own characters does not go back at all.
//!
//! There remain patterns that take too long on some texts. Every match therefore has a budget of steps. When it is used
//! up, a pattern without look-around, references and atomic groups is decided by the `regex` crate in linear time; any
//! other ends with [`MatchError::Budget`].
//!
//! # What differs from Ruby
//!
//! Not supported, and refused: the absent operator `(?~…)`, references with a recursion level (`\k<a+1>`), calls inside
//! look-behind, Unicode blocks (`\p{InCyrillic}`). Different: without regard to case, one character equals one character
//! (`ß` does not equal `ss`), and a loop whose round matched nothing ends there even if the round set a group.

mod ast;
mod class;
mod compile;
mod error;
mod exec;
mod first;
mod linear;
mod parser;
mod prefilter;
mod program;
mod replace;
mod search;
mod simplify;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

pub use error::{MatchError, RegexError, RegexErrorKind};
pub use exec::Scratch;

use ast::Node;
use exec::UNSET;
use program::Program;

/// Which groups a match reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CaptureMode {
    /// As Ruby does: all groups, or only the named ones if there are any.
    #[default]
    Ruby,
    /// Plain groups too, when others have names.
    All,
    /// Only named groups; plain ones report nothing.
    Named,
    /// None but the whole match.
    None,
}

/// How a pattern is to be read and run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// As `(?i)`: letters match in either case.
    pub ignore_case: bool,
    /// As `(?m)`: the dot matches newlines too.
    pub multiline_dot: bool,
    /// As `(?x)`: white space and `#` comments in the pattern are skipped.
    pub extended: bool,
    /// Which groups are reported.
    pub captures: CaptureMode,
    /// Steps that a match may make, when the pattern has no linear form.
    pub step_limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ignore_case: false,
            multiline_dot: false,
            extended: false,
            captures: CaptureMode::Ruby,
            step_limit: 100_000_000,
        }
    }
}

/// Steps before the linear engine is asked: this many, and some for each byte of the text.
const LINEAR_AFTER: i64 = 20_000;
const LINEAR_AFTER_PER_BYTE: i64 = 64;

/// A compiled pattern. Clones share it.
#[derive(Clone)]
pub struct Regex {
    inner: Arc<Inner>,
}

struct Inner {
    pattern: String,
    program: Program,
    names: Vec<(String, Vec<u32>)>,
    groups: u32,
    step_limit: i64,
    /// The pattern for the linear engine, if there is one.
    linear_pattern: Option<String>,
    /// `^` differs between the engines in texts that end with a newline.
    line_start: bool,
    linear: OnceLock<Option<regex::Regex>>,
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Regex").field(&self.inner.pattern).finish()
    }
}

impl Regex {
    /// Compiles a pattern as Ruby's `Regexp.new` without options would.
    ///
    /// # Errors
    ///
    /// When the pattern has a mistake, with the place and Ruby's text for it.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        Self::with_options(pattern, &Options::default())
    }

    /// Compiles a pattern with options.
    ///
    /// # Errors
    ///
    /// As [`Regex::new`].
    pub fn with_options(pattern: &str, options: &Options) -> Result<Self, RegexError> {
        let flags = parser::Flags {
            ignore_case: options.ignore_case,
            dot_newline: options.multiline_dot,
            extended: options.extended,
            range: parser::Range::Mixed,
        };
        let mut parsed = parser::parse(pattern, flags, options.captures == CaptureMode::All)?;
        simplify::check_recursion(&parsed.node)?;
        simplify::factor(&mut parsed.node);
        let groups = parsed.groups as usize;
        let wanted = match options.captures {
            CaptureMode::Ruby | CaptureMode::All => vec![true; groups + 1],
            CaptureMode::None => vec![false; groups + 1],
            CaptureMode::Named => (0..=parsed.groups)
                .map(|group| parsed.names.iter().any(|(_, groups)| groups.contains(&group)))
                .collect(),
        };
        let program = compile::compile(&parsed.node, parsed.groups, &wanted)?;
        let line_start = parsed.node.any(&mut |node| matches!(node, Node::Assert(ast::Assertion::LineStart)));
        Ok(Self {
            inner: Arc::new(Inner {
                pattern: pattern.to_owned(),
                program,
                names: parsed.names,
                groups: parsed.groups,
                step_limit: i64::try_from(options.step_limit).unwrap_or(i64::MAX),
                linear_pattern: linear::translate(&parsed.node),
                line_start,
                linear: OnceLock::new(),
            }),
        })
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.inner.pattern
    }

    /// The number of groups, without the whole match.
    pub fn group_count(&self) -> usize {
        self.inner.groups as usize
    }

    /// The names of groups in order of first appearance, each with the numbers of its groups.
    pub fn names(&self) -> impl Iterator<Item = (&str, &[u32])> {
        self.inner.names.iter().map(|(name, groups)| (name.as_str(), groups.as_slice()))
    }

    /// Whether the pattern has a form that always needs linear time.
    pub fn has_linear_form(&self) -> bool {
        self.inner.linear_pattern.is_some()
    }

    /// Whether the pattern occurs in `text`.
    ///
    /// # Errors
    ///
    /// When the budget or the time limit ends first.
    pub fn is_match(&self, text: &str, scratch: &mut Scratch) -> Result<bool, MatchError> {
        match self.search(text, 0, scratch)? {
            Found::No => Ok(false),
            Found::Slots | Found::Linear(_) => Ok(true),
        }
    }

    /// Finds the first match at or after the byte `start`, which must be a character boundary, and tells its groups.
    ///
    /// What is before `start` is seen by look-behind and by `\b`.
    ///
    /// # Errors
    ///
    /// When the budget or the time limit ends first.
    pub fn captures(
        &self,
        text: &str,
        start: usize,
        scratch: &mut Scratch,
        captures: &mut Captures,
    ) -> Result<bool, MatchError> {
        captures.slots.clear();
        match self.search(text, start, scratch)? {
            Found::No => Ok(false),
            Found::Slots => {
                captures.slots.extend_from_slice(&scratch.slots);
                Ok(true)
            }
            Found::Linear(locations) => {
                for group in 0..=self.group_count() {
                    let (start, end) = locations.get(group).map_or((UNSET, UNSET), |(start, end)| {
                        (u32::try_from(start).unwrap_or(UNSET), u32::try_from(end).unwrap_or(UNSET))
                    });
                    captures.slots.extend([start, end]);
                }
                Ok(true)
            }
        }
    }

    fn search(&self, text: &str, start: usize, scratch: &mut Scratch) -> Result<Found, MatchError> {
        if !text.is_char_boundary(start) {
            return Ok(Found::No);
        }
        let inner = &*self.inner;
        let linear = inner.linear_pattern.is_some() && !(inner.line_start && text.ends_with('\n'));
        let length = i64::try_from(text.len()).unwrap_or(i64::MAX / 128);
        let budget = if linear { LINEAR_AFTER + length * LINEAR_AFTER_PER_BYTE } else { inner.step_limit };
        let result = search::search(&inner.program, text.as_bytes(), start, budget, scratch);
        scratch.end();
        match result {
            Ok(true) => Ok(Found::Slots),
            Ok(false) => Ok(Found::No),
            Err(MatchError::Budget) if linear => {
                let Some(regex) = inner.linear() else { return Err(MatchError::Budget) };
                let mut locations = regex.capture_locations();
                match regex.captures_read_at(&mut locations, text, start) {
                    Some(_) => Ok(Found::Linear(locations)),
                    None => Ok(Found::No),
                }
            }
            Err(error) => Err(error),
        }
    }
}

impl Inner {
    /// The linear engine, built when it is first needed.
    fn linear(&self) -> Option<&regex::Regex> {
        let pattern = self.linear_pattern.as_ref()?;
        self.linear.get_or_init(|| regex::RegexBuilder::new(pattern).build().ok()).as_ref()
    }
}

enum Found {
    No,
    /// The scratch has the groups.
    Slots,
    Linear(regex::CaptureLocations),
}

/// The places of a match and its groups.
#[derive(Debug, Clone, Default)]
pub struct Captures {
    slots: Vec<u32>,
}

impl Captures {
    /// Creates an empty one, which any number of searches may fill.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes that a group matched; group 0 is the whole match.
    pub fn get(&self, group: usize) -> Option<Range<usize>> {
        let start = *self.slots.get(group * 2)?;
        let end = *self.slots.get(group * 2 + 1)?;
        // After `\K` or a call, a group can seem to end before it begins.
        (start != UNSET && end != UNSET && start <= end).then_some(start as usize..end as usize)
    }
}
