//! Single characters, sets and escapes.

use super::{Parser, Range, Result};
use crate::ast::{Assertion, Node, RepeatKind};
use crate::class::{self, CharSet, Named};
use crate::error::RegexErrorKind as Kind;

impl<'p> Parser<'p> {
    pub(super) fn atom(&mut self) -> Result<Vec<Node>> {
        let c = self.next().expect("the caller peeked");
        Ok(vec![match c {
            '\\' => return self.escape(),
            '.' => Node::set(if self.flags.dot_newline { class::any() } else { class::not_newline() }),
            '^' => Node::Assert(Assertion::LineStart),
            '$' => Node::Assert(Assertion::LineEnd),
            '[' => Node::set(self.class()?),
            '(' => self.group()?,
            c => self.char_node(c),
        }])
    }

    fn char_node(&self, c: char) -> Node {
        if !self.flags.ignore_case {
            return Node::Char(c);
        }
        let mut set = class::single(c);
        class::fold_case(&mut set);
        Node::set(set)
    }

    fn escape(&mut self) -> Result<Vec<Node>> {
        let start = self.pos;
        let Some(c) = self.next() else { return self.fail(Kind::EndAtEscape) };
        let ascii_boundary = self.flags.range == Range::Ascii;
        Ok(vec![match c {
            'w' | 'W' | 'd' | 'D' | 's' | 'S' | 'h' | 'H' => Node::set(self.letter_class(c)),
            'b' => Node::Assert(Assertion::WordBoundary { ascii: ascii_boundary }),
            'B' => Node::Assert(Assertion::NotWordBoundary { ascii: ascii_boundary }),
            'A' => Node::Assert(Assertion::TextStart),
            'z' => Node::Assert(Assertion::TextEnd),
            'Z' => Node::Assert(Assertion::TextEndNewline),
            'G' => Node::Assert(Assertion::SearchStart),
            'K' => Node::Keep,
            'R' => Node::Atomic(Box::new(Node::Alternate(vec![
                Node::Concat(vec![Node::Char('\r'), Node::Char('\n')]),
                Node::set(class::line_break()),
            ]))),
            'X' => grapheme(),
            'p' | 'P' if self.peek() == Some('{') => {
                let set = self.property(c == 'P')?;
                Node::set(set)
            }
            'k' if matches!(self.peek(), Some('<' | '\'')) => self.named_backref()?,
            'g' if matches!(self.peek(), Some('<' | '\'')) => self.call()?,
            '1'..='9' => return self.digits(start).map(|node| vec![node]),
            'u' => {
                let chars = self.unicode_escape()?;
                return Ok(chars.into_iter().map(|c| self.char_node(c)).collect());
            }
            _ => {
                self.pos = start;
                let c = self.escaped_char()?;
                self.char_node(c)
            }
        }])
    }

    /// `\1`: a reference, if there is such a group or the number has one digit; else an octal escape.
    fn digits(&mut self, start: usize) -> Result<Node> {
        self.pos = start;
        let digits: String = self.rest().chars().take_while(char::is_ascii_digit).collect();
        if let Ok(number) = digits.parse::<u32>()
            && number <= 1000
            && (number <= self.groups || number <= 9)
        {
            self.pos += digits.len();
            return Ok(self.backref(number, start));
        }
        if digits.starts_with(['8', '9']) {
            self.pos += 1;
            return Ok(self.char_node(digits.chars().next().expect("at least one digit")));
        }
        let c = self.escaped_char()?;
        Ok(self.char_node(c))
    }

    /// The set of `\w` and its like.
    pub(super) fn letter_class(&self, letter: char) -> CharSet {
        let named = match letter.to_ascii_lowercase() {
            'w' => Named::Word,
            'd' => Named::Digit,
            's' => Named::Space,
            _ => Named::XDigit,
        };
        let mut set = named.set(self.flags.range != Range::Unicode);
        if letter.is_ascii_uppercase() {
            set.negate();
        }
        set
    }
}

fn grapheme() -> Node {
    let extend = Node::Repeat {
        node: Box::new(Node::set(class::grapheme_extend())),
        min: 0,
        max: None,
        kind: RepeatKind::Possessive,
    };
    Node::Atomic(Box::new(Node::Alternate(vec![
        Node::Concat(vec![Node::Char('\r'), Node::Char('\n')]),
        Node::set(class::control()),
        Node::Concat(vec![Node::set(class::any()), extend]),
    ])))
}
