//! Reads Ruby's regular expression syntax.
//!
//! The peculiarities are Ruby's own: `a(?i)b|c` is `a(?i:b|c)`, `{n}?` is an optional `{n}`, `{n,m}+` is not
//! possessive, and plain groups do not capture once any group has a name.

mod atom;
mod class;
mod group;
mod reference;
mod sequence;

use self::reference::{CallTarget, resolve_calls};
use super::ast::Node;
use super::error::{RegexError, RegexErrorKind as Kind};

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1 << 20;
/// Deepest nesting of groups and classes.
const MAX_DEPTH: usize = 200;

type Result<T, E = RegexError> = std::result::Result<T, E>;

/// What the parser made of a pattern.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    /// Number of groups, without the whole match.
    pub(super) groups: u32,
    /// Names in order of first appearance, each with its groups.
    pub(super) names: Vec<(String, Vec<u32>)>,
}

/// The switches that `(?imxadu)` changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flags {
    pub(super) ignore_case: bool,
    pub(super) dot_newline: bool,
    pub(super) extended: bool,
    pub(super) range: Range,
}

/// How much of Unicode `\w`, `\d`, `\s`, POSIX brackets and `\b` cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// Ruby's default: the letters ASCII, brackets and boundaries all of Unicode.
    Mixed,
    Ascii,
    Unicode,
}

/// Parses `pattern`. With `capture_unnamed`, plain groups capture beside named ones.
pub(super) fn parse(pattern: &str, flags: Flags, capture_unnamed: bool) -> Result<Parsed> {
    if pattern.len() > MAX_PATTERN {
        return Err(RegexError::new(Kind::TooLong, MAX_PATTERN));
    }
    let first = Parser::new(pattern, flags, true).run()?;
    if first.names.is_empty() || capture_unnamed {
        return Ok(first);
    }
    Parser::new(pattern, flags, false).run()
}

struct Parser<'p> {
    pattern: &'p str,
    pos: usize,
    flags: Flags,
    depth: usize,
    plain_capture: bool,
    groups: u32,
    names: Vec<(String, Vec<u32>)>,
    numbered: Option<usize>,
    calls: Vec<(CallTarget, usize)>,
    backrefs: Vec<(u32, usize)>,
}

impl<'p> Parser<'p> {
    fn new(pattern: &'p str, flags: Flags, plain_capture: bool) -> Self {
        Self {
            pattern,
            pos: 0,
            flags,
            depth: 0,
            plain_capture,
            groups: 0,
            names: Vec::new(),
            numbered: None,
            calls: Vec::new(),
            backrefs: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Parsed> {
        let mut node = self.alternation()?;
        if self.peek() == Some(')') {
            return self.fail(Kind::UnmatchedClose);
        }
        // Plain numbers make no sense beside names; the second pass, where plain groups do not capture, says so.
        if let (Some(offset), false) = (self.numbered, self.plain_capture) {
            return Err(RegexError::new(Kind::NumberedBackref, offset));
        }
        for (number, offset) in &self.backrefs {
            if *number > self.groups {
                return Err(RegexError::new(Kind::InvalidBackref, *offset));
            }
        }
        let targets = self.call_targets()?;
        resolve_calls(&mut node, &targets);
        Ok(Parsed { node, groups: self.groups, names: self.names })
    }

    fn rest(&self) -> &'p str {
        &self.pattern[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.pos += text.len();
        }
        found
    }

    fn fail<T>(&self, kind: Kind) -> Result<T> {
        Err(RegexError::new(kind, self.pos))
    }

    fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.fail(Kind::TooDeep) } else { Ok(()) }
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Passes over comments, and over white space in extended mode.
    fn skip_ignored(&mut self) -> Result<()> {
        loop {
            if self.eat("(?#") {
                loop {
                    match self.next() {
                        None => return self.fail(Kind::EndInGroup),
                        Some('\\') => {
                            self.next();
                        }
                        Some(')') => break,
                        Some(_) => {}
                    }
                }
            } else if self.flags.extended && matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r' | '\x0c')) {
                self.pos += 1;
            } else if self.flags.extended && self.peek() == Some('#') {
                self.pos += self.rest().find('\n').map_or(self.rest().len(), |at| at + 1);
            } else {
                return Ok(());
            }
        }
    }
}
