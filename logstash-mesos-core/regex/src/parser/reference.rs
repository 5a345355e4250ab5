//! References to groups, and calls of them.

use super::{Parser, Result};
use crate::ast::Node;
use crate::error::{RegexError, RegexErrorKind as Kind};

#[derive(Debug)]
pub(super) enum CallTarget {
    Number(i64),
    Name(String),
}

/// What a name in a reference denotes.
pub(super) enum NameRef {
    Number(i64),
    Name(String),
}

impl Parser<'_> {
    pub(super) fn call_targets(&self) -> Result<Vec<u32>> {
        self.calls
            .iter()
            .map(|(target, offset)| match target {
                CallTarget::Number(number) => match u32::try_from(*number) {
                    Ok(number) if number <= self.groups => Ok(number),
                    _ => Err(RegexError::new(Kind::UndefinedGroup(number.to_string()), *offset)),
                },
                CallTarget::Name(name) => match self.names.iter().find(|(known, _)| known == name) {
                    None => Err(RegexError::new(Kind::UndefinedName(name.clone()), *offset)),
                    Some((_, groups)) if groups.len() > 1 => {
                        Err(RegexError::new(Kind::MultiplexCall(name.clone()), *offset))
                    }
                    Some((_, groups)) => Ok(groups[0]),
                },
            })
            .collect()
    }

    pub(super) fn backref(&mut self, number: u32, offset: usize) -> Node {
        self.numbered.get_or_insert(offset);
        self.backrefs.push((number, offset));
        Node::Backref { groups: vec![number], ignore_case: self.flags.ignore_case }
    }

    pub(super) fn named_backref(&mut self) -> Result<Node> {
        let offset = self.pos;
        let groups = match self.name_ref()? {
            NameRef::Number(number) => {
                let number = self.absolute(number, offset)?;
                return Ok(self.backref(number, offset));
            }
            NameRef::Name(name) => self.groups_named(&name, offset)?,
        };
        Ok(Node::Backref { groups, ignore_case: self.flags.ignore_case })
    }

    /// The groups of a name, the last first: that is the order in which a reference tries them.
    pub(super) fn groups_named(&self, name: &str, offset: usize) -> Result<Vec<u32>> {
        match self.names.iter().find(|(known, _)| known == name) {
            Some((_, groups)) => Ok(groups.iter().rev().copied().collect()),
            None => Err(RegexError::new(Kind::UndefinedName(name.to_owned()), offset)),
        }
    }

    pub(super) fn absolute(&self, number: i64, offset: usize) -> Result<u32> {
        let absolute = if number < 0 { i64::from(self.groups) + 1 + number } else { number };
        match u32::try_from(absolute) {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(RegexError::new(Kind::InvalidBackref, offset)),
        }
    }

    pub(super) fn call(&mut self) -> Result<Node> {
        let offset = self.pos;
        let plus = self.rest().as_bytes().get(1) == Some(&b'+');
        let target = match self.name_ref()? {
            NameRef::Name(name) => CallTarget::Name(name),
            NameRef::Number(number) if plus => CallTarget::Number(i64::from(self.groups) + number),
            NameRef::Number(number) if number < 0 => {
                CallTarget::Number(i64::from(self.absolute(number, offset)?))
            }
            NameRef::Number(number) => CallTarget::Number(number),
        };
        if matches!(target, CallTarget::Number(number) if number != 0) {
            self.numbered.get_or_insert(offset);
        }
        self.calls.push((target, offset));
        let index = u32::try_from(self.calls.len() - 1).unwrap_or(u32::MAX);
        Ok(Node::Call(index))
    }

    /// `<name>` or `'name'` of a reference, which may also be a number.
    pub(super) fn name_ref(&mut self) -> Result<NameRef> {
        let name = self.name()?;
        let offset = self.pos;
        let digits = name.strip_prefix(['-', '+']).unwrap_or(&name);
        if name.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') {
            return match digits.parse::<i32>() {
                Ok(number) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                    let number = i64::from(number);
                    Ok(NameRef::Number(if name.starts_with('-') { -number } else { number }))
                }
                _ => Err(RegexError::new(Kind::InvalidGroupName(name), offset)),
            };
        }
        Ok(NameRef::Name(name))
    }

    pub(super) fn name(&mut self) -> Result<String> {
        let close = match self.next() {
            Some('\'') => '\'',
            Some('(') => ')',
            _ => '>',
        };
        let rest = self.rest();
        match rest.find([close, ')']) {
            Some(0) => self.fail(Kind::EmptyGroupName),
            Some(end) if rest[end..].starts_with(close) => {
                self.pos += end + 1;
                Ok(rest[..end].to_owned())
            }
            Some(end) => self.fail(Kind::InvalidGroupName(rest[..end].to_owned())),
            None if rest.is_empty() => self.fail(Kind::EmptyGroupName),
            None => self.fail(Kind::InvalidGroupName(rest.to_owned())),
        }
    }
}

pub(super) fn resolve_calls(node: &mut Node, targets: &[u32]) {
    if let Node::Call(target) = node {
        *target = targets.get(*target as usize).copied().unwrap_or(0);
    }
    node.for_children(&mut |child| resolve_calls(child, targets));
}
