//! What the lexer hands to the parser: pieces of text with their place.

use std::ops::Range;

/// A range of bytes in the configuration text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// From `start` to just before `end`.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// From the start of this to the end of `other`.
    #[must_use]
    pub fn to(self, other: Span) -> Self {
        Self { start: self.start, end: other.end }
    }
}

impl From<Span> for Range<usize> {
    fn from(span: Span) -> Self {
        span.start..span.end
    }
}

/// A piece of text as it stands in the configuration (strings and regular expressions without their
/// delimiters), with the place of the whole of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<'s> {
    /// What it is.
    pub kind: TokenKind,
    /// The part of the configuration that the token is, quotes included.
    pub text: &'s str,
    /// Where it is, delimiters included.
    pub span: Span,
}

/// The kinds of pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `grok`, `docker-path`: names of plugins and settings.
    Name,
    /// `true`, `json`: a value without quotes.
    Bareword,
    /// `"…"` or `'…'`.
    String,
    /// `-12`, `3.5`.
    Number,
    /// `/…/`.
    Regexp,
    /// `[a][b]`.
    Selector,
    /// One of the operators of conditions.
    Operator,
}
