//! Alternatives, sequences, and what is repeated in them.

use super::{Parser, Result};
use crate::ast::{Node, RepeatKind};
use crate::error::{RegexError, RegexErrorKind as Kind};

/// Largest count in `{n,m}`.
const MAX_REPEAT: u32 = 100_000;

impl Parser<'_> {
    pub(super) fn alternation(&mut self) -> Result<Node> {
        self.enter()?;
        let mut branches = vec![self.branch()?];
        while self.eat("|") {
            branches.push(self.branch()?);
        }
        self.leave();
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Alternate(branches) })
    }

    fn branch(&mut self) -> Result<Node> {
        let mut parts = Vec::new();
        loop {
            self.skip_ignored()?;
            match self.peek() {
                None | Some('|' | ')') => return Ok(Node::concat(parts)),
                Some('*' | '+' | '?') => return self.fail(Kind::RepeatTargetMissing),
                Some('{') if self.interval()?.is_some() => return self.fail(Kind::RepeatTargetMissing),
                _ => {}
            }
            if let Some(flags) = self.bare_options()? {
                // The rest of the group belongs to it, further alternatives included.
                let outer = std::mem::replace(&mut self.flags, flags);
                let rest = self.alternation()?;
                self.flags = outer;
                parts.push(rest);
                return Ok(Node::concat(parts));
            }
            for node in self.repeated()? {
                parts.push(node);
            }
        }
    }

    /// An atom with its quantifiers. Only `\u{…}` with several code points gives more than one node.
    fn repeated(&mut self) -> Result<Vec<Node>> {
        let mut nodes = self.atom()?;
        loop {
            self.skip_ignored()?;
            let Some((min, max, kind)) = self.quantifier()? else { return Ok(nodes) };
            let target = nodes.pop().unwrap_or(Node::Empty);
            nodes.push(repeat(target, min, max, kind));
        }
    }

    fn quantifier(&mut self) -> Result<Option<(u32, Option<u32>, RepeatKind)>> {
        let (min, max) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                let Some((min, max, fixed)) = self.interval()? else { return Ok(None) };
                let kind = if !fixed && self.eat("?") { RepeatKind::Lazy } else { RepeatKind::Greedy };
                return Ok(Some((min, max, kind)));
            }
            _ => return Ok(None),
        };
        self.pos += 1;
        let kind = if self.eat("?") {
            RepeatKind::Lazy
        } else if self.eat("+") {
            RepeatKind::Possessive
        } else {
            RepeatKind::Greedy
        };
        Ok(Some((min, max, kind)))
    }

    /// Reads `{n,m}`. What is no interval is left alone: the brace is then a plain character.
    fn interval(&mut self) -> Result<Option<(u32, Option<u32>, bool)>> {
        let start = self.pos;
        let Some(body) = self.rest().strip_prefix('{') else { return Ok(None) };
        let Some(end) = body.find('}') else { return Ok(None) };
        let body = &body[..end];
        let (low, high) = match body.split_once(',') {
            Some((low, high)) => (low, Some(high)),
            None => (body, None),
        };
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !digits(low) || !digits(high.unwrap_or("")) {
            return Ok(None);
        }
        let number = |text: &str| match text.parse::<u32>() {
            Ok(number) if number <= MAX_REPEAT => Ok(number),
            _ => Err(RegexError::new(Kind::TooBigRepeat, start)),
        };
        let result = match (low, high) {
            ("", None | Some("")) => return Ok(None),
            (low, None) => {
                let count = number(low)?;
                (count, Some(count), true)
            }
            (low, Some("")) => (number(low)?, None, false),
            ("", Some(high)) => (0, Some(number(high)?), false),
            (low, Some(high)) => (number(low)?, Some(number(high)?), false),
        };
        if result.1.is_some_and(|max| max < result.0) {
            return Err(RegexError::new(Kind::RepeatRangeOrder, start));
        }
        self.pos = start + end + 2;
        Ok(Some(result))
    }
}

/// Repeats `node`, joining quantifiers of quantifiers that say the same as one.
fn repeat(node: Node, min: u32, max: Option<u32>, kind: RepeatKind) -> Node {
    use RepeatKind::{Greedy, Possessive};
    if (min, max) == (1, Some(1)) {
        return node;
    }
    if let (Greedy | Possessive, Node::Repeat { min: inner_min, max: inner_max, kind: Greedy, .. }) =
        (kind, &node)
    {
        let joined = match ((min, max), (*inner_min, *inner_max)) {
            ((0, None), (0 | 1, None) | (0, Some(1)))
            | ((1, None), (0, None) | (0, Some(1)))
            | ((0, Some(1)), (0 | 1, None)) => Some((0, None)),
            ((1, None), (1, None)) => Some((1, None)),
            ((0, Some(1)), (0, Some(1))) => Some((0, Some(1))),
            _ => None,
        };
        if let (Some((min, max)), Node::Repeat { node, .. }) = (joined, &node) {
            return Node::Repeat { node: node.clone(), min, max, kind };
        }
    }
    Node::Repeat { node: Box::new(node), min, max, kind }
}
