//! The tree that the parser builds, and what can be said of a node by looking at it.

use std::sync::Arc;

use super::class::{self, CharSet};

/// A pattern, or a part of one. Options such as `i` and `m` are already worked into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Empty,
    Char(char),
    Set(Arc<CharSet>),
    Concat(Vec<Node>),
    Alternate(Vec<Node>),
    Repeat {
        node: Box<Node>,
        min: u32,
        max: Option<u32>,
        kind: RepeatKind,
    },
    /// A capturing group.
    Group {
        index: u32,
        node: Box<Node>,
    },
    Atomic(Box<Node>),
    Look {
        behind: bool,
        negate: bool,
        node: Box<Node>,
    },
    Assert(Assertion),
    /// Matches again what one of the groups matched; the first that is set counts.
    Backref {
        groups: Vec<u32>,
        ignore_case: bool,
    },
    Call(u32),
    Conditional {
        groups: Vec<u32>,
        yes: Box<Node>,
        no: Box<Node>,
    },
    /// `\K`: the match begins here.
    Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RepeatKind {
    Greedy,
    Lazy,
    Possessive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assertion {
    LineStart,
    LineEnd,
    TextStart,
    TextEnd,
    TextEndNewline,
    SearchStart,
    WordBoundary { ascii: bool },
    NotWordBoundary { ascii: bool },
}

impl Node {
    pub(super) fn set(set: CharSet) -> Self {
        match class::only_member(&set) {
            Some(c) => Self::Char(c),
            None => Self::Set(Arc::new(set)),
        }
    }

    /// Joins parts, without a list around a single one.
    pub(super) fn concat(mut parts: Vec<Self>) -> Self {
        parts.retain(|part| *part != Self::Empty);
        match parts.len() {
            0 => Self::Empty,
            1 => parts.remove(0),
            _ => {
                let mut flat = Vec::with_capacity(parts.len());
                for part in parts {
                    match part {
                        Self::Concat(inner) => flat.extend(inner),
                        other => flat.push(other),
                    }
                }
                Self::Concat(flat)
            }
        }
    }

    /// The node as a set of single characters, if it is one.
    pub(super) fn as_set(&self) -> Option<CharSet> {
        match self {
            Self::Char(c) => Some(class::single(*c)),
            Self::Set(set) => Some((**set).clone()),
            _ => None,
        }
    }

    /// Whether the node can match without consuming anything. `true` when unknown.
    pub(super) fn nullable(&self) -> bool {
        match self {
            Self::Char(_) | Self::Set(_) => false,
            Self::Concat(parts) => parts.iter().all(Self::nullable),
            Self::Alternate(branches) => branches.iter().any(Self::nullable),
            Self::Repeat { node, min, .. } => *min == 0 || node.nullable(),
            Self::Group { node, .. } | Self::Atomic(node) => node.nullable(),
            Self::Conditional { yes, no, .. } => yes.nullable() || no.nullable(),
            Self::Empty
            | Self::Look { .. }
            | Self::Assert(_)
            | Self::Backref { .. }
            | Self::Call(_)
            | Self::Keep => true,
        }
    }

    /// Whether `test` holds for this node or any below it.
    pub(super) fn any(&self, test: &mut impl FnMut(&Self) -> bool) -> bool {
        if test(self) {
            return true;
        }
        match self {
            Self::Concat(parts) | Self::Alternate(parts) => parts.iter().any(|part| part.any(test)),
            Self::Repeat { node, .. }
            | Self::Group { node, .. }
            | Self::Atomic(node)
            | Self::Look { node, .. } => node.any(test),
            Self::Conditional { yes, no, .. } => yes.any(test) || no.any(test),
            _ => false,
        }
    }

    /// Calls `change` on this node's children.
    pub(super) fn for_children(&mut self, change: &mut impl FnMut(&mut Self)) {
        match self {
            Self::Concat(parts) | Self::Alternate(parts) => parts.iter_mut().for_each(change),
            Self::Repeat { node, .. }
            | Self::Group { node, .. }
            | Self::Atomic(node)
            | Self::Look { node, .. } => change(node),
            Self::Conditional { yes, no, .. } => {
                change(yes);
                change(no);
            }
            _ => {}
        }
    }

    /// Whether the node has at most one way to match at any place: nothing in it is ever tried twice.
    pub(super) fn deterministic(&self) -> bool {
        match self {
            Self::Empty | Self::Char(_) | Self::Set(_) | Self::Assert(_) => true,
            Self::Repeat { node, min, max: Some(max), .. } => min == max && node.deterministic(),
            Self::Atomic(_) => true,
            Self::Repeat { kind: RepeatKind::Possessive, .. } => true,
            Self::Look { .. } => true,
            Self::Concat(parts) => parts
                .iter()
                .enumerate()
                .all(|(at, part)| part.deterministic() || run_then_disjoint(part, parts.get(at + 1))),
            _ => false,
        }
    }
}

/// Whether `run` repeats a set of characters and `next` must begin with none of them.
fn run_then_disjoint(run: &Node, next: Option<&Node>) -> bool {
    let (Node::Repeat { node, .. }, Some(next)) = (run, next) else { return false };
    let (Some(mut set), Some(next)) = (node.as_set(), next.as_set()) else { return false };
    set.intersect(&next);
    set.ranges().is_empty()
}

/// How many characters the node matches, if that is always the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CharLength {
    Fixed(u32),
    /// An alternation at the top whose branches have different lengths.
    TopAlternation,
    Variable,
}

impl Node {
    /// The length in characters; `top` is true for the direct content of a look-behind.
    pub(super) fn char_length(&self, top: bool) -> CharLength {
        use CharLength::{Fixed, TopAlternation, Variable};
        let mut total = 0_u32;
        match self {
            Self::Empty | Self::Look { .. } | Self::Assert(_) | Self::Keep => Fixed(0),
            Self::Char(_) | Self::Set(_) => Fixed(1),
            Self::Concat(parts) => {
                for part in parts {
                    match part.char_length(false) {
                        Fixed(length) => total = total.saturating_add(length),
                        _ => return Variable,
                    }
                }
                Fixed(total)
            }
            Self::Alternate(branches) => {
                let mut lengths = Vec::with_capacity(branches.len());
                for branch in branches {
                    match branch.char_length(false) {
                        Fixed(length) => lengths.push(length),
                        _ => return Variable,
                    }
                }
                match lengths.first() {
                    Some(first) if lengths.iter().all(|length| length == first) => Fixed(*first),
                    _ if top => TopAlternation,
                    _ => Variable,
                }
            }
            Self::Repeat { node, min, max, .. } if *max == Some(*min) => match node.char_length(false) {
                Fixed(length) => Fixed(length.saturating_mul(*min)),
                other => other,
            },
            Self::Group { node, .. } => node.char_length(false),
            _ => Variable,
        }
    }
}
