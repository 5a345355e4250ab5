//! From text to tokens.
//!
//! Logstash's grammar has no tokens of its own: `[a]` is a field in a condition and a list in a setting,
//! `a-b` a name in one place and nothing in another. So the parser says what it looks for, and the lexer
//! tells whether that stands here.

use super::token::{Span, Token, TokenKind};

/// A place in the text, and the ways to go on from it.
#[derive(Clone, Debug)]
pub struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

/// A string or regular expression that never ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unterminated {
    /// Where it begins.
    pub start: usize,
    /// The quote or slash that ends it.
    pub delimiter: char,
}

impl<'s> Lexer<'s> {
    /// At the beginning of `source`.
    #[must_use]
    pub fn new(source: &'s str) -> Self {
        Self { source, at: 0 }
    }

    /// The place, in bytes.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Goes to a place that [`Lexer::at`] returned before, or the start of a token.
    pub fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Whether the text is at its end.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.at >= self.source.len()
    }

    /// All of the text.
    #[must_use]
    pub fn source(&self) -> &'s str {
        self.source
    }

    /// The rest of the text.
    #[must_use]
    pub fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    /// The byte here.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    /// The byte before this place.
    #[must_use]
    pub fn before(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at.checked_sub(1)?).copied()
    }

    /// Skips white space. Says whether there was any.
    pub fn whitespace(&mut self) -> bool {
        let len = run(self.rest(), |byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        self.at += len;
        len > 0
    }

    /// Skips white space and comments.
    pub fn space(&mut self) {
        loop {
            self.whitespace();
            if self.peek() != Some(b'#') {
                return;
            }
            self.at += memchr::memchr(b'\n', self.rest().as_bytes()).map_or(self.rest().len(), |len| len + 1);
        }
    }

    /// Takes `text` if it stands here.
    pub fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Takes the first of `operators` that stands here.
    pub fn operator(&mut self, operators: &[&str]) -> Option<Token<'s>> {
        let found = operators.iter().find(|operator| self.rest().starts_with(**operator))?;
        Some(self.token(TokenKind::Operator, found.len()))
    }

    /// A name of a plugin or a setting.
    pub fn name(&mut self) -> Option<Token<'s>> {
        let len = run(self.rest(), |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        (len > 0).then(|| self.token(TokenKind::Name, len))
    }

    /// A value without quotes: at least two characters, as Logstash has it.
    pub fn bareword(&mut self) -> Option<Token<'s>> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
            return None;
        }
        let len = run(self.rest(), |byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (len > 1).then(|| self.token(TokenKind::Bareword, len))
    }

    /// Takes a number, if the text goes on with one.
    pub fn number(&mut self) -> Option<Token<'s>> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with('-'));
        let digits = run(&rest[sign..], |byte| byte.is_ascii_digit());
        if digits == 0 {
            return None;
        }
        let mut len = sign + digits;
        if rest[len..].starts_with('.') {
            len += 1;
            len += run(&rest[len..], |byte| byte.is_ascii_digit());
        }
        Some(self.token(TokenKind::Number, len))
    }

    /// A string in either kind of quotes.
    ///
    /// # Errors
    ///
    /// [`Unterminated`] when its closing quote is missing. A backslash before a quote always belongs to
    /// the string, even when it is itself escaped: `"\\"` does not end.
    pub fn string(&mut self) -> Result<Option<Token<'s>>, Unterminated> {
        match self.peek() {
            Some(quote @ (b'"' | b'\'')) => self.delimited(TokenKind::String, quote).map(Some),
            _ => Ok(None),
        }
    }

    /// A regular expression between slashes.
    ///
    /// # Errors
    ///
    /// [`Unterminated`] when its closing slash is missing.
    pub fn regexp(&mut self) -> Result<Option<Token<'s>>, Unterminated> {
        match self.peek() {
            Some(b'/') => self.delimited(TokenKind::Regexp, b'/').map(Some),
            _ => Ok(None),
        }
    }

    /// A field reference in a condition: `[a][b]`.
    pub fn selector(&mut self) -> Option<Token<'s>> {
        let rest = self.rest();
        let mut len = 0;
        while rest[len..].starts_with('[') {
            let inner = run(&rest[len + 1..], |byte| !matches!(byte, b'[' | b']' | b','));
            if inner == 0 || !rest[len + 1 + inner..].starts_with(']') {
                break;
            }
            len += inner + 2;
        }
        (len > 0).then(|| self.token(TokenKind::Selector, len))
    }

    fn delimited(&mut self, kind: TokenKind, delimiter: u8) -> Result<Token<'s>, Unterminated> {
        let bytes = self.rest().as_bytes();
        let mut len = 1;
        loop {
            let Some(next) = memchr::memchr2(b'\\', delimiter, &bytes[len.min(bytes.len())..]) else {
                return Err(Unterminated { start: self.at, delimiter: char::from(delimiter) });
            };
            len += next;
            if bytes[len] == delimiter {
                break;
            }
            len += if bytes.get(len + 1) == Some(&delimiter) { 2 } else { 1 };
        }
        let token = Token {
            kind,
            text: &self.source[self.at + 1..self.at + len],
            span: Span::new(self.at, self.at + len + 1),
        };
        self.at += len + 1;
        Ok(token)
    }

    fn token(&mut self, kind: TokenKind, len: usize) -> Token<'s> {
        let span = Span::new(self.at, self.at + len);
        self.at += len;
        Token { kind, text: &self.source[span.start..span.end], span }
    }
}

/// The number of bytes at the start of `text` that satisfy `belongs`.
fn run(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|byte| !belongs(byte)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_before_a_quote_never_ends_a_string() {
        assert_eq!(Lexer::new(r#""a\"b" x"#).string().unwrap().unwrap().text, r#"a\"b"#);
        assert_eq!(Lexer::new(r#""\\""#).string(), Err(Unterminated { start: 0, delimiter: '"' }));
        assert_eq!(Lexer::new("'\\'").string(), Err(Unterminated { start: 0, delimiter: '\'' }));
        assert_eq!(Lexer::new(r"/a\/b/").regexp().unwrap().unwrap().text, r"a\/b");
    }

    #[test]
    fn selectors_stop_where_lists_begin() {
        assert_eq!(Lexer::new("[a][b] == 1").selector().unwrap().text, "[a][b]");
        assert_eq!(Lexer::new("[\"abc\"]").selector().unwrap().text, "[\"abc\"]");
        assert_eq!(Lexer::new("[\"a\", \"b\"]").selector(), None);
        assert_eq!(Lexer::new("[[a]]").selector(), None);
        assert_eq!(Lexer::new("[a][]").selector().unwrap().text, "[a]");
    }

    #[test]
    fn barewords_have_two_characters_at_least() {
        assert_eq!(Lexer::new("a").bareword(), None);
        assert_eq!(Lexer::new("ab-c").bareword().unwrap().text, "ab");
        assert_eq!(Lexer::new("-3.x").number().unwrap().text, "-3.");
        assert_eq!(Lexer::new("-x").number(), None);
    }
}
