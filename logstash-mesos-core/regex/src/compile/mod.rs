//! Turns a tree into a [`Program`].
//!
//! Every node is compiled knowing what follows it. That lets a repeat give nothing back when what it took cannot
//! begin what follows, and lets a choice look at the next byte and skip the branches that cannot match.

mod choice;
mod link;
mod repeat;

use std::collections::HashMap;

use super::ast::{CharLength, Node};
use super::class::CharSet;
use super::error::{RegexError, RegexErrorKind};
use super::first::{First, Follow};
use super::program::{BackrefInfo, CounterInfo, Dispatch, FAIL, Inst, Program, RunInfo, SetTable, Target};

/// Most instructions of a program.
const MAX_INSTRUCTIONS: usize = 200_000;

type Result<T = ()> = std::result::Result<T, RegexError>;

/// Compiles a tree. `captures` says which groups are wanted; groups that the pattern itself refers to are kept too.
pub(super) fn compile(node: &Node, groups: u32, captures: &[bool]) -> Result<Program> {
    let mut wanted = captures.to_vec();
    wanted.resize(groups as usize + 1, false);
    let mut calls = false;
    node.any(&mut |inner| {
        calls |= matches!(inner, Node::Call(_));
        if let Node::Backref { groups, .. } | Node::Conditional { groups, .. } = inner {
            for group in groups {
                if let Some(flag) = wanted.get_mut(*group as usize) {
                    *flag = true;
                }
            }
        }
        false
    });
    let mut compiler = Compiler {
        insts: vec![Inst::Fail],
        labels: vec![FAIL],
        literals: Vec::new(),
        sets: Vec::new(),
        set_keys: HashMap::new(),
        dispatches: Vec::new(),
        runs: Vec::new(),
        counters: Vec::new(),
        backrefs: Vec::new(),
        registers: 0,
        wanted,
        calls,
        routines: HashMap::new(),
        pending: Vec::new(),
    };
    compiler.emit(node, Follow::END)?;
    compiler.push(Inst::Save(1))?;
    compiler.push(Inst::Match)?;
    compiler.emit_routines(node)?;
    compiler.finish(node, groups)
}

struct Compiler {
    insts: Vec<Inst>,
    /// Label to instruction.
    labels: Vec<Target>,
    literals: Vec<Box<[u8]>>,
    sets: Vec<SetTable>,
    set_keys: HashMap<Vec<(char, char)>, u32>,
    dispatches: Vec<Dispatch>,
    runs: Vec<RunInfo>,
    counters: Vec<CounterInfo>,
    backrefs: Vec<BackrefInfo>,
    registers: u32,
    wanted: Vec<bool>,
    /// The pattern has `\g`, so that a group can begin again before it ended.
    calls: bool,
    /// Groups that are called, with the label of their code.
    routines: HashMap<u32, Target>,
    pending: Vec<u32>,
}

impl Compiler {
    fn push(&mut self, inst: Inst) -> Result {
        if self.insts.len() >= MAX_INSTRUCTIONS {
            return Err(RegexError::new(RegexErrorKind::TooLarge, 0));
        }
        self.insts.push(inst);
        Ok(())
    }

    fn label(&mut self) -> Target {
        self.labels.push(FAIL);
        index(self.labels.len()) - 1
    }

    fn bind(&mut self, label: Target) {
        self.labels[label as usize] = index(self.insts.len());
    }

    fn register(&mut self) -> u32 {
        self.registers += 1;
        self.registers - 1
    }

    fn set(&mut self, set: &CharSet) -> u32 {
        let key: Vec<(char, char)> = set.ranges().iter().map(|range| (range.start(), range.end())).collect();
        if let Some(known) = self.set_keys.get(&key) {
            return *known;
        }
        self.sets.push(SetTable::new(set));
        let number = index(self.sets.len()) - 1;
        self.set_keys.insert(key, number);
        number
    }

    fn emit(&mut self, node: &Node, follow: Follow) -> Result {
        match node {
            Node::Empty => Ok(()),
            Node::Char(c) => self.literal(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Node::Set(set) => {
                let set = self.set(set);
                self.push(Inst::Set(set))
            }
            Node::Concat(parts) => self.concat(parts, follow),
            Node::Alternate(branches) => self.alternate(branches, follow),
            Node::Repeat { node, min, max, kind } => self.repeat(node, *min, *max, *kind, follow),
            Node::Group { index, node } => self.group(*index, node, follow),
            Node::Atomic(node) => self.atomic(node),
            Node::Look { behind, negate, node } => self.look(*behind, *negate, node),
            Node::Assert(assertion) => self.push(Inst::Assert(*assertion)),
            Node::Keep => self.push(Inst::Save(0)),
            Node::Backref { groups, ignore_case } => {
                self.backrefs.push(BackrefInfo { groups: groups.clone(), ignore_case: *ignore_case });
                self.push(Inst::Backref(index(self.backrefs.len()) - 1))
            }
            Node::Conditional { groups, yes, no } => {
                let (otherwise, end) = (self.label(), self.label());
                self.backrefs.push(BackrefInfo { groups: groups.clone(), ignore_case: false });
                self.push(Inst::Condition(index(self.backrefs.len()) - 1, otherwise))?;
                self.emit(yes, follow)?;
                self.push(Inst::Jump(end))?;
                self.bind(otherwise);
                self.emit(no, follow)?;
                self.bind(end);
                Ok(())
            }
            Node::Call(group) => {
                let routine = self.routine(*group);
                self.push(Inst::Call(routine))
            }
        }
    }

    fn literal(&mut self, bytes: &[u8]) -> Result {
        if let [byte] = bytes {
            return self.push(Inst::Byte(*byte));
        }
        self.literals.push(bytes.into());
        self.push(Inst::Literal(index(self.literals.len()) - 1))
    }

    fn concat(&mut self, parts: &[Node], follow: Follow) -> Result {
        let mut follows = vec![follow; parts.len()];
        for at in (1..parts.len()).rev() {
            follows[at - 1] = follows[at].before(&parts[at]);
        }
        let mut at = 0;
        while at < parts.len() {
            let mut bytes = String::new();
            while let Some(Node::Char(c)) = parts.get(at) {
                bytes.push(*c);
                at += 1;
            }
            if bytes.is_empty() {
                self.emit(&parts[at], follows[at])?;
                at += 1;
            } else {
                self.literal(bytes.as_bytes())?;
            }
        }
        Ok(())
    }

    fn group(&mut self, group: u32, node: &Node, follow: Follow) -> Result {
        if !self.wanted[group as usize] {
            return self.emit(node, follow);
        }
        if self.calls {
            let register = self.register();
            self.push(Inst::RoundStart(register))?;
            self.push(Inst::Save(group * 2))?;
            self.emit(node, follow)?;
            return self.push(Inst::SaveBoth(group * 2, register));
        }
        self.push(Inst::Save(group * 2))?;
        self.emit(node, follow)?;
        self.push(Inst::Save(group * 2 + 1))
    }

    fn atomic(&mut self, node: &Node) -> Result {
        let start = self.insts.len();
        let register = self.register();
        self.push(Inst::Mark(register))?;
        self.register();
        self.emit(node, Follow::END)?;
        let remembers = self.insts[start + 1..].iter().any(|inst| {
            matches!(
                inst,
                Inst::Split(..) | Inst::RunGreedy(_) | Inst::RunLazy(_) | Inst::Counter(_) | Inst::Call(_)
            )
        });
        if remembers {
            return self.push(Inst::Commit(register));
        }
        // Nothing in it leaves alternatives behind: the mark is not needed.
        self.insts.remove(start);
        let start = index(start);
        for label in self.labels.iter_mut().filter(|label| **label > start) {
            *label -= 1;
        }
        Ok(())
    }

    fn look(&mut self, behind: bool, negate: bool, node: &Node) -> Result {
        if let Some(set) = node.as_set() {
            let set = self.set(&set);
            return self.push(if behind { Inst::Behind(set, negate) } else { Inst::Ahead(set, negate) });
        }
        let register = self.register();
        self.register();
        self.push(Inst::Mark(register))?;
        let end = self.label();
        if negate {
            let body = self.label();
            self.push(Inst::Split(body, end))?;
            self.bind(body);
        }
        if behind && let CharLength::Fixed(length) = node.char_length(false) {
            self.push(Inst::Back(length))?;
        }
        self.emit(node, Follow::END)?;
        self.push(if negate { Inst::Refuse(register) } else { Inst::CommitAhead(register) })?;
        self.bind(end);
        Ok(())
    }
}

fn table(first: &First) -> Box<[bool; 256]> {
    let mut table = Box::new([false; 256]);
    for byte in first.bytes() {
        table[usize::from(byte)] = true;
    }
    table
}

/// Programs are limited far below 2^32 instructions.
fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
