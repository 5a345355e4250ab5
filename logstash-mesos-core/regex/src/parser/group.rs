//! What stands in parentheses.

use super::reference::NameRef;
use super::{Flags, Parser, Range, Result};
use crate::ast::{CharLength, Node, RepeatKind};
use crate::error::{RegexError, RegexErrorKind as Kind};

/// As many groups as Onigmo allows.
const MAX_GROUPS: u32 = 32_767;

impl Parser<'_> {
    pub(super) fn group(&mut self) -> Result<Node> {
        let Some(after) = self.rest().strip_prefix('?') else {
            if !self.plain_capture {
                return self.group_body();
            }
            let index = self.new_group()?;
            let node = Box::new(self.group_body()?);
            return Ok(Node::Group { index, node });
        };
        let mut chars = after.chars();
        let (first, second) = (chars.next(), chars.next());
        let start = self.pos;
        let skip = |parser: &mut Self, n: usize| parser.pos = start + n;
        match (first, second) {
            (None, _) => self.fail(Kind::EndInGroup),
            (Some(')'), _) => Err(RegexError::new(Kind::UndefinedGroupOption, start)),
            (Some(':'), _) => {
                skip(self, 2);
                self.group_body()
            }
            (Some('='), _) => {
                skip(self, 2);
                self.look(false, false)
            }
            (Some('!'), _) => {
                skip(self, 2);
                self.look(false, true)
            }
            (Some('>'), _) => {
                skip(self, 2);
                Ok(Node::Atomic(Box::new(self.group_body()?)))
            }
            (Some('<'), Some('=')) => {
                skip(self, 3);
                self.look(true, false)
            }
            (Some('<'), Some('!')) => {
                skip(self, 3);
                self.look(true, true)
            }
            (Some('<'), None) => self.fail(Kind::UnmatchedOpen),
            (Some('<' | '\''), _) => {
                skip(self, 1);
                self.named_group()
            }
            (Some('('), _) => {
                skip(self, 1);
                self.conditional()
            }
            _ => {
                skip(self, 1);
                let (flags, closed) = self.options()?;
                debug_assert!(!closed, "options without a body are read by the branch");
                let outer = std::mem::replace(&mut self.flags, flags);
                let node = self.group_body();
                self.flags = outer;
                node
            }
        }
    }

    fn new_group(&mut self) -> Result<u32> {
        self.groups += 1;
        if self.groups > MAX_GROUPS { self.fail(Kind::TooManyGroups) } else { Ok(self.groups) }
    }

    /// The content of a group and its closing parenthesis.
    fn group_body(&mut self) -> Result<Node> {
        let node = self.alternation()?;
        if self.eat(")") { Ok(node) } else { self.fail(Kind::UnmatchedOpen) }
    }

    fn named_group(&mut self) -> Result<Node> {
        let offset = self.pos;
        let name = self.name()?;
        if name.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return Err(RegexError::new(Kind::InvalidGroupName(name), offset));
        }
        let index = self.new_group()?;
        match self.names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, groups)) => groups.push(index),
            None => self.names.push((name, vec![index])),
        }
        let node = Box::new(self.group_body()?);
        Ok(Node::Group { index, node })
    }

    fn conditional(&mut self) -> Result<Node> {
        let offset = self.pos;
        let inner = self.rest().as_bytes().get(1).copied();
        let groups = match inner {
            Some(b'<' | b'\'') => {
                self.pos += 1;
                let groups = match self.name_ref()? {
                    NameRef::Number(number) => vec![self.absolute(number, offset)?],
                    NameRef::Name(name) => self.groups_named(&name, offset)?,
                };
                if !self.eat(")") {
                    return self.fail(Kind::InvalidCondition);
                }
                groups
            }
            Some(b'0'..=b'9') => match self.name_ref()? {
                NameRef::Number(number) => {
                    let number = self.absolute(number, offset)?;
                    self.numbered.get_or_insert(offset);
                    self.backrefs.push((number, offset));
                    vec![number]
                }
                NameRef::Name(_) => return self.fail(Kind::InvalidCondition),
            },
            _ => return self.fail(Kind::InvalidCondition),
        };
        let (yes, no) = match self.group_body()? {
            Node::Alternate(mut branches) if branches.len() == 2 => {
                let no = branches.pop().unwrap_or(Node::Empty);
                (branches.pop().unwrap_or(Node::Empty), no)
            }
            Node::Alternate(_) => return Err(RegexError::new(Kind::InvalidCondition, offset)),
            node => (node, Node::Empty),
        };
        Ok(Node::Conditional { groups, yes: Box::new(yes), no: Box::new(no) })
    }

    fn look(&mut self, behind: bool, negate: bool) -> Result<Node> {
        let offset = self.pos;
        let node = self.group_body()?;
        if !behind {
            return Ok(Node::Look { behind, negate, node: Box::new(node) });
        }
        let refused = |node: &Node| {
            node.clone().any(&mut |inner| match inner {
                Node::Atomic(_) | Node::Backref { .. } | Node::Conditional { .. } => true,
                Node::Look { behind, .. } => !behind,
                Node::Group { .. } => negate,
                Node::Repeat { kind: RepeatKind::Possessive, .. } => true,
                _ => false,
            })
        };
        let invalid = || Err(RegexError::new(Kind::InvalidLookBehind, offset));
        if refused(&node) {
            return invalid();
        }
        match (node.char_length(true), node) {
            (CharLength::Fixed(_), node) => Ok(Node::Look { behind, negate, node: Box::new(node) }),
            (CharLength::TopAlternation, Node::Alternate(branches)) => {
                let looks = branches
                    .into_iter()
                    .map(|node| Node::Look { behind, negate, node: Box::new(node) })
                    .collect();
                Ok(if negate { Node::Concat(looks) } else { Node::Alternate(looks) })
            }
            _ => invalid(),
        }
    }

    /// `(?i)` without a body: the flags from here on.
    pub(super) fn bare_options(&mut self) -> Result<Option<Flags>> {
        let start = self.pos;
        let Some(after) = self.rest().strip_prefix("(?") else { return Ok(None) };
        if !after.starts_with(|c: char| c == '-' || c.is_ascii_alphabetic()) {
            return Ok(None);
        }
        self.pos += 2;
        match self.options()? {
            (flags, true) => Ok(Some(flags)),
            _ => {
                self.pos = start;
                Ok(None)
            }
        }
    }

    /// Option letters up to `:` or `)`; whether it was the latter.
    fn options(&mut self) -> Result<(Flags, bool)> {
        let mut flags = self.flags;
        let mut on = true;
        loop {
            let offset = self.pos;
            let Some(c) = self.next() else { return self.fail(Kind::EndInGroup) };
            match c {
                ')' => return Ok((flags, true)),
                ':' => return Ok((flags, false)),
                '-' => on = false,
                'i' => flags.ignore_case = on,
                'm' => flags.dot_newline = on,
                'x' => flags.extended = on,
                'a' if on => flags.range = Range::Ascii,
                'u' if on => flags.range = Range::Unicode,
                'd' if on => flags.range = Range::Mixed,
                _ => return Err(RegexError::new(Kind::UndefinedGroupOption, offset)),
            }
        }
    }
}
