//! With which bytes a node can begin. Everything the compiler prunes rests on this.

use super::ast::Node;
use super::class::CharSet;

/// The bytes with which a match can begin, and whether it can be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First {
    bits: [u64; 4],
    /// The match may consume nothing, so that the bits are not all there is to it.
    pub(super) nullable: bool,
}

impl First {
    /// Matches nothing but the empty text.
    pub(super) const EMPTY: Self = Self { bits: [0; 4], nullable: true };
    /// Of which nothing is known.
    pub(super) const UNKNOWN: Self = Self { bits: [u64::MAX; 4], nullable: true };

    pub(super) fn contains(&self, byte: u8) -> bool {
        self.bits[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    fn insert(&mut self, byte: u8) {
        self.bits[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    pub(super) fn union(mut self, other: Self) -> Self {
        for (bits, more) in self.bits.iter_mut().zip(other.bits) {
            *bits |= more;
        }
        self.nullable |= other.nullable;
        self
    }

    /// This and then `next`.
    pub(super) fn then(self, next: Self) -> Self {
        if self.nullable { Self { nullable: next.nullable, ..self.union(next) } } else { self }
    }

    /// Whether no byte begins both.
    pub(super) fn disjoint(&self, other: &Self) -> bool {
        self.bits.iter().zip(other.bits).all(|(a, b)| a & b == 0)
    }

    /// The bytes, in order.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=255).filter(|byte| self.contains(*byte))
    }

    /// The first bytes of the members of a set.
    pub(super) fn of_set(set: &CharSet) -> Self {
        let mut first = Self { bits: [0; 4], nullable: false };
        let lead = |c: char| c.encode_utf8(&mut [0; 4]).as_bytes()[0];
        for range in set.ranges() {
            for byte in lead(range.start())..=lead(range.end()) {
                first.insert(byte);
            }
        }
        // Between the leads of ASCII and those of longer characters lie bytes that begin nothing.
        for byte in 0x80..0xc2_u8 {
            first.bits[usize::from(byte >> 6)] &= !(1 << (byte & 63));
        }
        first
    }

    /// The first bytes of a node.
    pub(super) fn of(node: &Node) -> Self {
        match node {
            Node::Empty | Node::Look { .. } | Node::Assert(_) | Node::Keep => Self::EMPTY,
            Node::Char(c) => Self::of_set(&super::class::single(*c)),
            Node::Set(set) => Self::of_set(set),
            Node::Concat(parts) => {
                let mut first = Self::EMPTY;
                for part in parts {
                    first = first.then(Self::of(part));
                    if !first.nullable {
                        break;
                    }
                }
                first
            }
            Node::Alternate(branches) => {
                let mut first = Self { bits: [0; 4], nullable: false };
                for branch in branches {
                    first = first.union(Self::of(branch));
                }
                first
            }
            Node::Repeat { max: Some(0), .. } => Self::EMPTY,
            Node::Repeat { node, min, .. } => {
                let first = Self::of(node);
                Self { nullable: first.nullable || *min == 0, ..first }
            }
            Node::Group { node, .. } | Node::Atomic(node) => Self::of(node),
            Node::Conditional { yes, no, .. } => Self::of(yes).union(Self::of(no)),
            Node::Backref { .. } | Node::Call(_) => Self::UNKNOWN,
        }
    }
}

/// What comes after a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Follow {
    pub(super) first: First,
    /// Whatever comes after matches in any case, so that nothing is ever tried a second time.
    pub(super) accept: bool,
}

impl Follow {
    /// The end of the pattern, or of a part that is not entered again once it matched.
    pub(super) const END: Self = Self { first: First::EMPTY, accept: true };
    /// Of which nothing is known.
    pub(super) const UNKNOWN: Self = Self { first: First::UNKNOWN, accept: false };

    /// What comes after the node before `node`.
    pub(super) fn before(self, node: &Node) -> Self {
        match node {
            Node::Empty => self,
            _ => Self { first: First::of(node).then(self.first), accept: false },
        }
    }
}
