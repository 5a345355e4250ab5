//! What every match begins with or contains, so that a search can skip most of a text.

use super::ast::{Assertion, Node, RepeatKind};
use super::program::Start;

/// Whether matches begin only at certain places.
pub(super) fn anchor(node: &Node) -> Option<Start> {
    let refers = node.any(&mut |inner| {
        matches!(
            inner,
            Node::Backref { .. }
                | Node::Conditional { .. }
                | Node::Keep
                | Node::Call(_)
                | Node::Assert(Assertion::SearchStart)
        )
    });
    anchored(node, !refers)
}

fn anchored(node: &Node, runs: bool) -> Option<Start> {
    match node {
        Node::Assert(Assertion::TextStart) => Some(Start::Text),
        Node::Assert(Assertion::SearchStart) => Some(Start::Search),
        Node::Assert(Assertion::LineStart) => Some(Start::Line),
        // What fails after `.*` at one place fails at the later places of the line too. The first place of the search
        // may be inside a line, which the search loop knows.
        Node::Repeat { node, min: 0, max: None, kind } if runs && *kind != RepeatKind::Possessive => {
            let set = node.as_set()?;
            match set.ranges() {
                [all] if all.start() == '\0' && all.end() == char::MAX => Some(Start::Search),
                _ => None,
            }
        }
        Node::Concat(parts) => anchored(parts.first()?, runs),
        Node::Group { node, .. } => anchored(node, runs),
        // An atomic `.*?` takes nothing, wherever it begins.
        Node::Atomic(node) => anchored(node, false),
        Node::Alternate(branches) => {
            let mut starts = branches.iter().map(|branch| anchored(branch, false));
            let first = starts.next()??;
            for start in starts {
                match (&first, start?) {
                    (Start::Text, Start::Text)
                    | (Start::Line, Start::Line)
                    | (Start::Search, Start::Search) => {}
                    _ => return None,
                }
            }
            Some(first)
        }
        _ => None,
    }
}

/// The plain text that every match begins with.
pub(super) fn literal_prefix(node: &Node) -> String {
    let mut prefix = String::new();
    collect_prefix(node, &mut prefix);
    prefix
}

/// Adds to the prefix; whether the node was nothing but plain text.
fn collect_prefix(node: &Node, prefix: &mut String) -> bool {
    match node {
        Node::Empty => true,
        Node::Char(c) => {
            prefix.push(*c);
            true
        }
        Node::Concat(parts) => parts.iter().all(|part| collect_prefix(part, prefix)),
        Node::Group { node, .. } | Node::Atomic(node) => collect_prefix(node, prefix),
        _ => false,
    }
}

/// The longest plain text that every match contains.
pub(super) fn required_literal(node: &Node) -> Option<String> {
    let mut best = String::new();
    let mut current = String::new();
    collect_required(node, &mut current, &mut best);
    keep_longer(&mut current, &mut best);
    (!best.is_empty()).then_some(best)
}

fn collect_required(node: &Node, current: &mut String, best: &mut String) {
    match node {
        Node::Empty => {}
        Node::Char(c) => current.push(*c),
        Node::Concat(parts) => parts.iter().for_each(|part| collect_required(part, current, best)),
        Node::Group { node, .. } | Node::Atomic(node) => collect_required(node, current, best),
        Node::Repeat { node, min, .. } if *min > 0 => {
            keep_longer(current, best);
            collect_required(node, current, best);
            keep_longer(current, best);
        }
        _ => keep_longer(current, best),
    }
}

fn keep_longer(current: &mut String, best: &mut String) {
    if current.len() > best.len() {
        std::mem::swap(current, best);
    }
    current.clear();
}
