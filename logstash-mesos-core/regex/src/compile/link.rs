//! What is left to do when the tree has been gone through: groups that are called, targets, where to begin.

use memchr::memmem::Finder;

use super::{Compiler, Result, table};
use crate::ast::Node;
use crate::first::{First, Follow};
use crate::prefilter;
use crate::program::{Inst, Program, Start, Target};

impl Compiler {
    pub(super) fn routine(&mut self, group: u32) -> Target {
        if let Some(label) = self.routines.get(&group) {
            return *label;
        }
        let label = self.label();
        self.routines.insert(group, label);
        self.pending.push(group);
        label
    }

    /// The code of the groups that are called, after everything else.
    pub(super) fn emit_routines(&mut self, root: &Node) -> Result {
        while let Some(group) = self.pending.pop() {
            let label = self.routine(group);
            self.bind(label);
            if group == 0 {
                self.emit(root, Follow::UNKNOWN)?;
            } else if let Some(node) = find_group(root, group) {
                self.group(group, node, Follow::UNKNOWN)?;
            }
            self.push(Inst::Return)?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, node: &Node, groups: u32) -> Result<Program> {
        let resolve = |label: Target| {
            let mut pc = self.labels[label as usize];
            for _ in 0..16 {
                match self.insts.get(pc as usize) {
                    Some(Inst::Jump(next)) => pc = self.labels[*next as usize],
                    _ => break,
                }
            }
            pc
        };
        let mut insts = self.insts.clone();
        for inst in &mut insts {
            match inst {
                Inst::Jump(target)
                | Inst::RoundEnd(_, target)
                | Inst::Condition(_, target)
                | Inst::Call(target) => *target = resolve(*target),
                Inst::Split(first, second) => {
                    *first = resolve(*first);
                    *second = resolve(*second);
                }
                _ => {}
            }
        }
        for dispatch in &mut self.dispatches {
            for target in &mut dispatch.targets {
                *target = resolve(*target);
            }
        }
        for counter in &mut self.counters {
            counter.body = resolve(counter.body);
            counter.exit = resolve(counter.exit);
        }
        Ok(Program {
            insts,
            start: 1,
            literals: self.literals,
            sets: self.sets,
            dispatches: self.dispatches,
            runs: self.runs,
            counters: self.counters,
            backrefs: self.backrefs,
            registers: self.registers as usize,
            slots: (groups as usize + 1) * 2,
            begin: begin(node),
            required: prefilter::required_literal(node).map(|text| Finder::new(text.as_bytes()).into_owned()),
            word: Program::word_table(),
        })
    }
}

/// How to find where a match can begin.
pub(super) fn begin(node: &Node) -> Start {
    if let Some(start) = prefilter::anchor(node) {
        return start;
    }
    let prefix = prefilter::literal_prefix(node);
    if prefix.len() > 1 {
        return Start::Literal(Box::new(Finder::new(prefix.as_bytes()).into_owned()));
    }
    let first = First::of(node);
    if first.nullable {
        return Start::Anywhere;
    }
    let bytes: Vec<u8> = first.bytes().take(200).collect();
    match bytes.as_slice() {
        [a] => Start::One(*a),
        [a, b] => Start::Two(*a, *b),
        [a, b, c] => Start::Three(*a, *b, *c),
        _ => Start::Table(table(&first)),
    }
}

fn find_group(node: &Node, wanted: u32) -> Option<&Node> {
    match node {
        Node::Group { index, node } if *index == wanted => Some(node),
        Node::Concat(parts) | Node::Alternate(parts) => {
            parts.iter().find_map(|part| find_group(part, wanted))
        }
        Node::Repeat { node, .. }
        | Node::Group { node, .. }
        | Node::Atomic(node)
        | Node::Look { node, .. } => find_group(node, wanted),
        Node::Conditional { yes, no, .. } => find_group(yes, wanted).or_else(|| find_group(no, wanted)),
        _ => None,
    }
}
