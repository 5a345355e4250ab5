//! The values of settings, as they are written: strings, numbers, lists, hashes, and codecs with settings of their own.

use super::ast::{Number, Value, ValueKind};
use super::diagnostic::Code;
use super::lexer::Unterminated;
use super::parser::{Parsed, Parser};
use super::token::{Span, Token};

const UNQUOTED: &str =
    "put quotes around it: without them a word has letters, digits and `_`, and two of them at least";

impl<'s> Parser<'s> {
    pub(super) fn value(&mut self) -> Parsed<Value> {
        let start = self.lexer.at();
        if let Some(plugin) = self.plugin()? {
            return Ok(Value { span: plugin.span, kind: ValueKind::Plugin(plugin) });
        }
        let kind = if let Some(word) = self.lexer.bareword() {
            ValueKind::Bareword(word.text.to_owned())
        } else if let Some(text) = self.string()? {
            ValueKind::String(text.text.to_owned())
        } else if let Some(number) = self.lexer.number() {
            ValueKind::Number(self.number_of(&number)?)
        } else if self.lexer.take("[") {
            ValueKind::Array(self.array_items(start)?)
        } else if self.lexer.take("{") {
            ValueKind::Hash(self.hash_entries(start)?)
        } else {
            let (span, found) = (self.here(), self.found());
            let rest = self.lexer.rest();
            let remedy = if self.lexer.clone().name().is_some() {
                UNQUOTED
            } else if rest.starts_with("${") {
                "put quotes around it: `\"${NAME}\"`"
            } else if rest.starts_with(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']) {
                "use the plain quotes `\"` or `'`"
            } else if rest.starts_with(']') {
                "leave out the comma in front of `]`"
            } else {
                "a value is a string, a number, a word, a list `[ ]`, a hash `{ }` or a codec"
            };
            return self.fail(
                Code::SYNTAX,
                span,
                format!("expected a value, found {found}"),
                remedy.to_owned(),
            );
        };
        Ok(Value { kind, span: Span::new(start, self.lexer.at()) })
    }

    /// The items of a list; its opening bracket is taken already.
    pub(super) fn array_items(&mut self, opened: usize) -> Parsed<Vec<Value>> {
        self.deeper(opened)?;
        let mut items = Vec::new();
        self.lexer.space();
        if !self.lexer.take("]") {
            loop {
                items.push(self.value()?);
                self.lexer.space();
                if self.lexer.take("]") {
                    break;
                }
                if !self.lexer.take(",") {
                    let (span, found) = (self.here(), self.found());
                    let remedy = match self.lexer.peek() {
                        Some(b'}') => "close the list with `]`",
                        _ => "items of a list are separated by commas, and `]` closes it",
                    };
                    return self.fail(
                        Code::SYNTAX,
                        span,
                        format!("expected `,` or `]` in the list, found {found}"),
                        remedy.to_owned(),
                    );
                }
                self.lexer.space();
            }
        }
        self.shallower();
        Ok(items)
    }

    fn hash_entries(&mut self, opened: usize) -> Parsed<Vec<(Value, Value)>> {
        self.deeper(opened)?;
        let mut entries: Vec<(Value, Value)> = Vec::new();
        self.lexer.space();
        while !self.lexer.take("}") {
            let start = self.lexer.at();
            let kind = if let Some(number) = self.lexer.number() {
                ValueKind::Number(self.number_of(&number)?)
            } else if let Some(word) = self.lexer.bareword() {
                ValueKind::Bareword(word.text.to_owned())
            } else if let Some(text) = self.string()? {
                ValueKind::String(text.text.to_owned())
            } else {
                let (span, found) = (self.here(), self.found());
                let remedy = if self.lexer.clone().name().is_some() {
                    UNQUOTED
                } else {
                    "a hash is written `{ \"key\" => \"value\" \"key\" => \"value\" }`, without commas"
                };
                return self.fail(
                    Code::SYNTAX,
                    span,
                    format!("expected a key or `}}` in the hash, found {found}"),
                    remedy.to_owned(),
                );
            };
            let key = Value { kind, span: Span::new(start, self.lexer.at()) };
            self.lexer.space();
            let name = self.written(key.span);
            self.arrow(&name)?;
            let value = self.value()?;
            entries.push((key, value));
            self.lexer.space();
        }
        self.shallower();
        Ok(entries)
    }

    pub(super) fn number_of(&mut self, token: &Token<'_>) -> Parsed<Number> {
        match read_number(token.text) {
            Some(number) => Ok(number),
            None => self.fail(
                Code::NUMBER,
                token.span,
                format!("`{}` is not a number Logstash can read", token.text),
                "integers have at most 64 bits and no leading zeros (those mean octal), decimals have digits behind \
                 the point; put quotes around anything else"
                    .to_owned(),
            ),
        }
    }

    pub(super) fn string(&mut self) -> Parsed<Option<Token<'s>>> {
        let found = self.lexer.string();
        if let Ok(Some(string)) = &found
            && string.text.contains('\n')
        {
            self.long_string = Some(string.span);
        }
        self.ended(found)
    }

    pub(super) fn regexp(&mut self) -> Parsed<Option<Token<'s>>> {
        let found = self.lexer.regexp();
        self.ended(found)
    }

    fn ended<T>(&mut self, found: Result<T, Unterminated>) -> Parsed<T> {
        found.or_else(|Unterminated { start, delimiter }| {
            self.gave_up = true;
            let (what, remedy) = if delimiter == '/' {
                ("regular expression", "end it with `/`; a `/` inside is written `\\/`".to_owned())
            } else {
                let other = if delimiter == '"' { '\'' } else { '"' };
                (
                    "string",
                    format!(
                        "end it with `{delimiter}`; a backslash before the closing quote takes the quote into the \
                         string, then use `{other}` or end it in another character"
                    ),
                )
            };
            self.fail(
                Code::UNTERMINATED,
                Span::new(start, start + 1),
                format!("the {what} that begins here does not end"),
                remedy,
            )
        })
    }
}

/// Reads a number as Ruby's `Integer()` and `Float()` do: a leading zero means octal.
fn read_number(text: &str) -> Option<Number> {
    if text.contains('.') {
        // Ruby wants a digit behind the point.
        return if text.ends_with('.') { None } else { text.parse().ok().map(Number::Float) };
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    if digits.len() > 1 && digits.starts_with('0') {
        return i64::from_str_radix(&format!("{sign}{digits}"), 8).ok().map(Number::Int);
    }
    text.parse().ok().map(Number::Int)
}
