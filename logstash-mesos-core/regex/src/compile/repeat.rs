//! Repeats: written out, as loops, or as one instruction.

use super::{Compiler, Result, index, table};
use crate::ast::{Node, RepeatKind};
use crate::class::CharSet;
use crate::first::{First, Follow};
use crate::program::{CounterInfo, Inst, Next, RunInfo, Target};

/// Up to this many instructions, a counted repeat is written out instead of counted.
const MAX_UNROLL: usize = 48;

impl Compiler {
    pub(super) fn repeat(
        &mut self,
        node: &Node,
        min: u32,
        max: Option<u32>,
        kind: RepeatKind,
        follow: Follow,
    ) -> Result {
        if max == Some(0) {
            return Ok(());
        }
        if let Some(set) = node.as_set() {
            return self.run(&set, min, max, kind, follow);
        }
        if kind == RepeatKind::Possessive {
            let greedy = Node::Repeat { node: Box::new(node.clone()), min, max, kind: RepeatKind::Greedy };
            return self.atomic(&greedy);
        }
        if (min, max) == (1, Some(1)) {
            return self.emit(node, follow);
        }
        let lazy = kind == RepeatKind::Lazy;
        let body_first = First::of(node);
        let inside = Follow { first: body_first.then(follow.first).union(follow.first), accept: false };
        let copies = max.unwrap_or(min.max(1)) as usize;
        if copies > 1 && copies.saturating_mul(size(node) + 1) > MAX_UNROLL {
            return self.counted(node, min, max, lazy, inside);
        }
        match max {
            None => self.endless(node, min, lazy, follow, inside),
            Some(max) => {
                for _ in 0..min {
                    self.emit(node, inside)?;
                }
                let end = self.label();
                for _ in min..max {
                    let body = self.label();
                    self.enter_or_leave(body_first.then(inside.first), body, follow, end, lazy)?;
                    self.bind(body);
                    self.emit(node, inside)?;
                }
                self.bind(end);
                Ok(())
            }
        }
    }

    fn enter_or_leave(
        &mut self,
        first: First,
        body: Target,
        follow: Follow,
        end: Target,
        lazy: bool,
    ) -> Result {
        let (body, end) = ((first, body), (follow.first, end));
        if lazy { self.choice(&[end, body]) } else { self.choice(&[body, end]) }
    }

    /// A loop without an upper limit.
    fn endless(&mut self, node: &Node, min: u32, lazy: bool, follow: Follow, inside: Follow) -> Result {
        for _ in 1..min {
            self.emit(node, inside)?;
        }
        let (body, end) = (self.label(), self.label());
        let first = First::of(node).then(inside.first);
        if min == 0 {
            self.enter_or_leave(first, body, follow, end, lazy)?;
        }
        self.bind(body);
        self.round(node, inside, end)?;
        self.enter_or_leave(first, body, follow, end, lazy)?;
        self.bind(end);
        Ok(())
    }

    /// The body of a loop. A round in which it matches nothing is the last: behind it is `end`.
    fn round(&mut self, node: &Node, inside: Follow, end: Target) -> Result {
        if !node.nullable() {
            return self.emit(node, inside);
        }
        let register = self.register();
        self.push(Inst::RoundStart(register))?;
        self.emit(node, inside)?;
        self.push(Inst::RoundEnd(register, end))
    }

    /// A loop that counts its rounds in a register, for repeats too long to be written out.
    fn counted(&mut self, node: &Node, min: u32, max: Option<u32>, lazy: bool, inside: Follow) -> Result {
        let register = self.register();
        let (head, body, end) = (self.label(), self.label(), self.label());
        let number = index(self.counters.len());
        let first = First::of(node);
        self.counters.push(CounterInfo {
            register,
            min,
            max: max.unwrap_or(u32::MAX),
            lazy,
            body,
            exit: end,
            starts: (!first.nullable).then(|| table(&first)),
        });
        self.push(Inst::CounterStart(register))?;
        self.bind(head);
        self.push(Inst::Counter(number))?;
        self.bind(body);
        self.round(node, inside, end)?;
        self.push(Inst::CounterNext(register))?;
        self.push(Inst::Jump(head))?;
        self.bind(end);
        Ok(())
    }

    /// A repeated set of characters: one instruction.
    fn run(&mut self, set: &CharSet, min: u32, max: Option<u32>, kind: RepeatKind, follow: Follow) -> Result {
        let first = First::of_set(set);
        let disjoint = !follow.first.nullable && first.disjoint(&follow.first);
        let mut max = max.unwrap_or(u32::MAX);
        let mut kind = kind;
        if min == max || (disjoint && (max == u32::MAX || kind == RepeatKind::Greedy)) {
            kind = RepeatKind::Possessive;
        } else if follow.accept {
            if kind == RepeatKind::Lazy {
                max = min;
            }
            kind = RepeatKind::Possessive;
        }
        if max == 1 && min == 1 {
            let set = self.set(set);
            return self.push(Inst::Set(set));
        }
        if max == 0 {
            return Ok(());
        }
        if kind == RepeatKind::Lazy && max != u32::MAX {
            // Rare: written as a loop, which counts if it is long.
            let one = Node::Concat(vec![Node::set(set.clone()), Node::Empty]);
            return self.repeat(&one, min, Some(max), kind, follow);
        }
        let next = if follow.first.nullable {
            Next::Unknown
        } else {
            let mut bytes = follow.first.bytes();
            match (bytes.next(), bytes.next()) {
                (Some(byte), None) => Next::Byte(byte),
                _ if follow.first.bytes().count() == 256 => Next::Unknown,
                _ => Next::Table(table(&follow.first)),
            }
        };
        let set = self.set(set);
        self.runs.push(RunInfo { set, min, max, next });
        let run = index(self.runs.len()) - 1;
        self.push(match kind {
            RepeatKind::Greedy => Inst::RunGreedy(run),
            RepeatKind::Lazy => Inst::RunLazy(run),
            RepeatKind::Possessive => Inst::Run(run),
        })
    }
}

/// About how many instructions a node needs.
fn size(node: &Node) -> usize {
    match node {
        Node::Empty => 0,
        Node::Concat(parts) => parts.iter().map(size).sum(),
        Node::Alternate(parts) => parts.iter().map(|part| size(part) + 2).sum(),
        Node::Repeat { node, .. } if node.as_set().is_some() => 1,
        Node::Repeat { node, min, max, .. } => {
            let copies = max.unwrap_or((*min).max(1)) as usize;
            let once = size(node);
            let written_out = copies.saturating_mul(once + 1);
            if written_out > MAX_UNROLL { once + 4 } else { written_out + 1 }
        }
        Node::Group { node, .. } | Node::Atomic(node) | Node::Look { node, .. } => size(node) + 2,
        Node::Conditional { yes, no, .. } => size(yes) + size(no) + 2,
        _ => 1,
    }
}
