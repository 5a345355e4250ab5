//! Turns a tree into a [`Program`].
//!
//! Every node is compiled knowing what follows it. That lets a repeat give nothing back when what it took cannot
//! begin what follows, and lets a choice look at the next byte and skip the branches that cannot match.

use std::collections::HashMap;

use memchr::memmem::Finder;

use super::ast::{CharLength, Node, RepeatKind};
use super::class::CharSet;
use super::error::{RegexError, RegexErrorKind};
use super::first::{First, Follow};
use super::prefilter;
use super::program::{
    BackrefInfo, CounterInfo, Dispatch, FAIL, Inst, Next, Program, RunInfo, SetTable, Start, Target,
};

/// Most instructions of a program.
const MAX_INSTRUCTIONS: usize = 200_000;
/// Up to this many instructions, a counted repeat is written out instead of counted.
const MAX_UNROLL: usize = 48;

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

    fn alternate(&mut self, branches: &[Node], follow: Follow) -> Result {
        let options: Vec<(First, Target)> =
            branches.iter().map(|branch| (First::of(branch).then(follow.first), self.label())).collect();
        let end = self.label();
        self.choice(&options)?;
        for (at, branch) in branches.iter().enumerate() {
            self.bind(options[at].1);
            self.emit(branch, follow)?;
            if at + 1 < branches.len() {
                self.push(Inst::Jump(end))?;
            }
        }
        self.bind(end);
        Ok(())
    }

    /// Goes to the options in order, leaving out those that cannot begin with the next byte.
    fn choice(&mut self, options: &[(First, Target)]) -> Result {
        let viable = |byte: Option<u8>| -> Vec<Target> {
            let fits = |first: &First| first.nullable || byte.is_some_and(|byte| first.contains(byte));
            options.iter().filter(|(first, _)| fits(first)).map(|(_, target)| *target).collect()
        };
        let lists: Vec<Vec<Target>> =
            (0..=255).map(|byte| viable(Some(byte))).chain([viable(None)]).collect();
        if lists.iter().all(|list| list.len() == options.len()) {
            let all: Vec<Target> = options.iter().map(|(_, target)| *target).collect();
            return self.chain(&all);
        }
        let mut distinct: Vec<&Vec<Target>> = Vec::new();
        let mut classes = [0_u8; 257];
        for (list, class) in lists.iter().zip(&mut classes) {
            let known = distinct.iter().position(|other| *other == list);
            let number = known.unwrap_or_else(|| {
                distinct.push(list);
                distinct.len() - 1
            });
            // More than 256 different lists: let the last ones be a plain list of everything.
            *class = u8::try_from(number).unwrap_or(u8::MAX);
        }
        let everything: Vec<Target> = options.iter().map(|(_, target)| *target).collect();
        if distinct.len() > 255 {
            distinct.truncate(256);
            distinct[255] = &everything;
        }
        let distinct: Vec<Vec<Target>> = distinct.into_iter().cloned().collect();
        let place = self.dispatches.len();
        let mut dispatch = Dispatch { classes: [0; 256], end: classes[256], targets: Vec::new() };
        dispatch.classes.copy_from_slice(&classes[..256]);
        self.dispatches.push(dispatch);
        self.push(Inst::Dispatch(index(place)))?;
        for list in distinct {
            let target = match list.as_slice() {
                [] => 0,
                [one] => *one,
                many => {
                    let label = self.label();
                    self.bind(label);
                    self.chain(many)?;
                    label
                }
            };
            self.dispatches[place].targets.push(target);
        }
        Ok(())
    }

    fn chain(&mut self, targets: &[Target]) -> Result {
        for (at, target) in targets.iter().enumerate() {
            match targets.len() - at {
                1 => self.push(Inst::Jump(*target))?,
                2 => return self.push(Inst::Split(*target, targets[at + 1])),
                _ => {
                    let next = self.label();
                    self.push(Inst::Split(*target, next))?;
                    self.bind(next);
                }
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

    fn repeat(
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
        let round = node.nullable().then(|| self.register());
        if let Some(register) = round {
            self.push(Inst::RoundStart(register))?;
        }
        self.emit(node, inside)?;
        if let Some(register) = round {
            self.push(Inst::RoundEnd(register, end))?;
        }
        self.enter_or_leave(first, body, follow, end, lazy)?;
        self.bind(end);
        Ok(())
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
        let round = node.nullable().then(|| self.register());
        if let Some(register) = round {
            self.push(Inst::RoundStart(register))?;
        }
        self.emit(node, inside)?;
        if let Some(register) = round {
            self.push(Inst::RoundEnd(register, end))?;
        }
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

    fn routine(&mut self, group: u32) -> Target {
        if let Some(label) = self.routines.get(&group) {
            return *label;
        }
        let label = self.label();
        self.routines.insert(group, label);
        self.pending.push(group);
        label
    }

    /// The code of the groups that are called, after everything else.
    fn emit_routines(&mut self, root: &Node) -> Result {
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

    fn finish(mut self, node: &Node, groups: u32) -> Result<Program> {
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
fn begin(node: &Node) -> Start {
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

fn table(first: &First) -> Box<[bool; 256]> {
    let mut table = Box::new([false; 256]);
    for byte in first.bytes() {
        table[usize::from(byte)] = true;
    }
    table
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

/// Programs are limited far below 2^32 instructions.
fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
