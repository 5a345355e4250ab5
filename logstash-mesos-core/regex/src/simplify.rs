//! Rewrites a tree so that less is tried twice, without changing what matches.

use std::collections::{HashMap, HashSet};

use super::ast::Node;
use super::error::{RegexError, RegexErrorKind};

/// Takes common beginnings out of neighbouring alternatives: `ab|ac` becomes `a(?:b|c)`.
///
/// That is only the same when the beginning has one way to match, which [`Node::deterministic`] says. The
/// alternatives for IPv6 addresses, all of which begin with the same group, become a tree by it.
pub(super) fn factor(node: &mut Node) {
    if let Node::Alternate(branches) = node {
        let taken = std::mem::take(branches);
        *node = alternatives(taken);
    }
    node.for_children(&mut factor);
}

fn alternatives(branches: Vec<Node>) -> Node {
    let mut result: Vec<Node> = Vec::with_capacity(branches.len());
    let mut run: Vec<Node> = Vec::new();
    let mut shared: Option<Node> = None;
    for branch in branches {
        let head = head(&branch);
        if run.is_empty() || head.is_none() || head != shared {
            close(&mut result, &mut run, shared.take());
            shared = head;
        }
        run.push(branch);
    }
    close(&mut result, &mut run, shared);
    if result.len() == 1 { result.remove(0) } else { Node::Alternate(result) }
}

/// Puts a run of branches with the same head into the result, factored if that shortens it.
fn close(result: &mut Vec<Node>, run: &mut Vec<Node>, head: Option<Node>) {
    match head {
        Some(head) if run.len() > 1 => {
            let tails = run.drain(..).map(tail).collect();
            result.push(Node::concat(vec![head, alternatives(tails)]));
        }
        _ => result.append(run),
    }
}

/// The first thing a branch matches, if it may be factored out.
fn head(branch: &Node) -> Option<Node> {
    let first = match branch {
        Node::Concat(parts) => parts.first()?,
        other => other,
    };
    let first = match first {
        Node::Repeat { node, min, max: Some(max), .. } if min == max && *min > 0 => node,
        other => other,
    };
    match first {
        Node::Char(_) | Node::Set(_) => Some(first.clone()),
        Node::Concat(_) if first.deterministic() => Some(first.clone()),
        _ => None,
    }
}

/// A branch without its head.
fn tail(branch: Node) -> Node {
    let (first, mut rest) = match branch {
        Node::Concat(mut parts) => {
            let first = parts.remove(0);
            (first, parts)
        }
        other => (other, Vec::new()),
    };
    if let Node::Repeat { node, min, max, kind } = first
        && min > 1
    {
        let (min, max) = (min - 1, max.map(|max| max - 1));
        rest.insert(0, if min == 1 { *node } else { Node::Repeat { node, min, max, kind } });
    }
    Node::concat(rest)
}

/// Refuses groups that call themselves before they consume anything.
pub(super) fn check_recursion(root: &Node) -> Result<(), RegexError> {
    let mut groups = HashMap::new();
    collect_groups(root, &mut groups);
    groups.insert(0, root);
    for group in groups.keys() {
        let mut seen = HashSet::new();
        if groups.get(group).is_some_and(|node| calls_first(node, *group, &groups, &mut seen)) {
            return Err(RegexError::new(RegexErrorKind::NeverEndingRecursion, 0));
        }
    }
    Ok(())
}

fn collect_groups<'n>(node: &'n Node, groups: &mut HashMap<u32, &'n Node>) {
    match node {
        Node::Group { index, node } => {
            groups.insert(*index, node);
            collect_groups(node, groups);
        }
        Node::Concat(parts) | Node::Alternate(parts) => {
            parts.iter().for_each(|part| collect_groups(part, groups));
        }
        Node::Repeat { node, .. } | Node::Atomic(node) | Node::Look { node, .. } => {
            collect_groups(node, groups)
        }
        Node::Conditional { yes, no, .. } => {
            collect_groups(yes, groups);
            collect_groups(no, groups);
        }
        _ => {}
    }
}

/// Whether `node` can call `target` at its beginning.
fn calls_first(node: &Node, target: u32, groups: &HashMap<u32, &Node>, seen: &mut HashSet<u32>) -> bool {
    match node {
        Node::Call(group) => {
            *group == target
                || (seen.insert(*group)
                    && groups.get(group).is_some_and(|node| calls_first(node, target, groups, seen)))
        }
        Node::Concat(parts) => {
            for part in parts {
                if calls_first(part, target, groups, seen) {
                    return true;
                }
                // A call is taken to consume something, so that `\g<a>\g<a>` is not refused without need.
                if !part.nullable() || matches!(part, Node::Call(_)) {
                    return false;
                }
            }
            false
        }
        Node::Alternate(parts) => parts.iter().any(|part| calls_first(part, target, groups, seen)),
        Node::Repeat { node, .. }
        | Node::Group { node, .. }
        | Node::Atomic(node)
        | Node::Look { node, .. } => calls_first(node, target, groups, seen),
        Node::Conditional { yes, no, .. } => {
            calls_first(yes, target, groups, seen) || calls_first(no, target, groups, seen)
        }
        _ => false,
    }
}
