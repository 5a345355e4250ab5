//! Says a pattern in the syntax of the `regex` crate, which needs linear time, where that is possible.

use std::fmt::Write;

use super::ast::{Assertion, Node, RepeatKind};
use super::class::CharSet;

/// The pattern for the `regex` crate, with groups in the same order, if it can be expressed there.
pub(super) fn translate(node: &Node) -> Option<String> {
    let mut text = String::new();
    write_node(node, &mut text)?;
    Some(text)
}

fn write_node(node: &Node, text: &mut String) -> Option<()> {
    match node {
        Node::Empty => text.push_str("(?:)"),
        Node::Char(c) => write!(text, r"\x{{{:x}}}", u32::from(*c)).ok()?,
        Node::Set(set) => write_set(set, text)?,
        Node::Concat(parts) => parts.iter().try_for_each(|part| write_node(part, text))?,
        Node::Alternate(branches) => {
            text.push_str("(?:");
            for (at, branch) in branches.iter().enumerate() {
                if at > 0 {
                    text.push('|');
                }
                write_node(branch, text)?;
            }
            text.push(')');
        }
        Node::Repeat { kind: RepeatKind::Possessive, .. } => return None,
        // A round that matches nothing ends the loop here, and makes the other engine try the next alternative.
        Node::Repeat { node, max: None, .. } if node.nullable() => return None,
        Node::Repeat { node, min, max, kind } => {
            text.push_str("(?:");
            write_node(node, text)?;
            text.push(')');
            match max {
                Some(max) => write!(text, "{{{min},{max}}}").ok()?,
                None => write!(text, "{{{min},}}").ok()?,
            }
            if *kind == RepeatKind::Lazy {
                text.push('?');
            }
        }
        Node::Group { node, .. } => {
            text.push('(');
            write_node(node, text)?;
            text.push(')');
        }
        Node::Assert(assertion) => text.push_str(match assertion {
            Assertion::LineStart => "(?m:^)",
            Assertion::LineEnd => "(?m:$)",
            Assertion::TextStart => r"\A",
            Assertion::TextEnd => r"\z",
            Assertion::WordBoundary { ascii: false } => r"\b",
            Assertion::NotWordBoundary { ascii: false } => r"\B",
            _ => return None,
        }),
        Node::Atomic(_)
        | Node::Look { .. }
        | Node::Backref { .. }
        | Node::Call(_)
        | Node::Conditional { .. }
        | Node::Keep => return None,
    }
    Some(())
}

fn write_set(set: &CharSet, text: &mut String) -> Option<()> {
    if set.ranges().is_empty() {
        text.push_str(r"[^\x{0}-\x{10ffff}]");
        return Some(());
    }
    text.push('[');
    for range in set.ranges() {
        write!(text, r"\x{{{:x}}}-\x{{{:x}}}", u32::from(range.start()), u32::from(range.end())).ok()?;
    }
    text.push(']');
    Some(())
}
