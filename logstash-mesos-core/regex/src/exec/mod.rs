//! The matcher: runs a [`Program`] at one place of a text.
//!
//! It backtracks, with a stack of its own instead of recursion. The stack holds alternatives still to be tried, and,
//! between them, what has to be undone before they are.

use std::time::{Duration, Instant};

mod runs;
mod stack;

use self::runs::{give_back, lazy_place, scan, skip};
use self::stack::{Frame, MAX_STACK, commit, save, set_register, undo};
use super::ast::Assertion;
use super::error::MatchError;
use super::program::{Inst, Program, decode, previous};

/// Stands for the position of a group that has not matched.
pub(super) const UNSET: u32 = u32::MAX;
/// Deepest nesting of `\g` calls, and most calls of one match.
const MAX_CALLS: usize = 100_000;
/// Steps between two looks at the clock.
const SLICE: i64 = 16_384;
/// A stack larger than this is given back after the match.
const KEEP_STACK: usize = 1 << 14;

/// A `\g` call that has not returned: where to go on, in which call, and what the registers were.
#[derive(Debug)]
struct CallNode {
    back: u32,
    outer: u32,
    registers: Box<[u32]>,
}

/// Memory that matching uses, kept by the caller so that matching need not allocate.
#[derive(Debug, Default)]
pub struct Scratch {
    stack: Vec<Frame>,
    pub(super) slots: Vec<u32>,
    registers: Vec<u32>,
    calls: Vec<CallNode>,
    timeout: Option<Duration>,
    shared: bool,
    started: Option<Instant>,
    spent: i64,
    pub(super) budget: i64,
}

impl Scratch {
    /// Creates an empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the time of every match from now on. The clock is looked at now and then, so a match may take a little
    /// longer.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
        self.shared = false;
        self.started = None;
    }

    /// Lets the matches from here to [`Scratch::end_shared_timeout`] share the time limit of one.
    pub fn begin_shared_timeout(&mut self) {
        self.shared = true;
        self.started = None;
    }

    /// Ends what [`Scratch::begin_shared_timeout`] began.
    pub fn end_shared_timeout(&mut self) {
        self.shared = false;
        self.started = None;
    }

    /// Prepares for a search that may make `budget` steps.
    pub(super) fn begin(&mut self, program: &Program, budget: i64) {
        self.stack.clear();
        self.calls.clear();
        self.slots.clear();
        self.slots.resize(program.slots, UNSET);
        self.registers.clear();
        self.registers.resize(program.registers, 0);
        self.budget = budget;
        self.spent = 0;
        if !self.shared {
            self.started = None;
        }
    }

    /// Gives back memory that only an unusual match needed.
    pub(super) fn end(&mut self) {
        if self.stack.capacity() > KEEP_STACK {
            self.stack.clear();
            self.stack.shrink_to(KEEP_STACK);
        }
    }

    /// Called when a slice of steps is used up.
    #[cold]
    fn refuel(&mut self, fuel: &mut i64) -> Result<(), MatchError> {
        self.spent += SLICE - *fuel;
        if self.spent > self.budget {
            return Err(MatchError::Budget);
        }
        if let Some(timeout) = self.timeout {
            let started = *self.started.get_or_insert_with(Instant::now);
            if started.elapsed() > timeout {
                return Err(MatchError::Timeout);
            }
        }
        *fuel = SLICE;
        Ok(())
    }
}

/// What stays the same during a search.
pub(super) struct Matcher<'a> {
    pub(super) program: &'a Program,
    pub(super) text: &'a [u8],
    pub(super) search_start: usize,
    fuel: i64,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(program: &'a Program, text: &'a [u8], search_start: usize) -> Self {
        Self { program, text, search_start, fuel: SLICE }
    }

    /// Accounts for work outside of the matcher.
    pub(super) fn spend(&mut self, steps: usize, scratch: &mut Scratch) -> Result<(), MatchError> {
        self.fuel -= steps as i64;
        if self.fuel < 0 { scratch.refuel(&mut self.fuel) } else { Ok(()) }
    }

    /// Tries to match at `at`. On success the slots of the scratch hold the groups.
    pub(super) fn run(&mut self, at: usize, scratch: &mut Scratch) -> Result<bool, MatchError> {
        let program = self.program;
        let text = self.text;
        let insts = program.insts.as_slice();
        let mut pc = program.start;
        let mut pos = at;
        let mut call = UNSET;
        scratch.slots[0] = at as u32;
        'run: loop {
            // An instruction that succeeds continues with the next; one that fails falls out of the match.
            match insts[pc] {
                Inst::Fail => {}
                Inst::Match => {
                    scratch.stack.clear();
                    return Ok(true);
                }
                Inst::Byte(byte) => {
                    if text.get(pos) == Some(&byte) {
                        pos += 1;
                        pc += 1;
                        continue 'run;
                    }
                }
                Inst::Literal(number) => {
                    let literal = &program.literals[number as usize];
                    if text[pos..].starts_with(literal) {
                        pos += literal.len();
                        pc += 1;
                        continue 'run;
                    }
                }
                Inst::Set(number) => {
                    if let Some(length) = program.sets[number as usize].match_at(text, pos) {
                        pos += length;
                        pc += 1;
                        continue 'run;
                    }
                }
                Inst::Jump(target) => {
                    pc = target as usize;
                    continue 'run;
                }
                Inst::Split(first, second) => {
                    if scratch.stack.len() >= MAX_STACK {
                        return Err(MatchError::Budget);
                    }
                    scratch.stack.push(Frame::Choice { pc: second, pos: pos as u32 });
                    pc = first as usize;
                    continue 'run;
                }
                Inst::Dispatch(number) => {
                    let dispatch = &program.dispatches[number as usize];
                    let class = match text.get(pos) {
                        Some(byte) => dispatch.classes[usize::from(*byte)],
                        None => dispatch.end,
                    };
                    pc = dispatch.targets[usize::from(class)] as usize;
                    continue 'run;
                }
                Inst::Save(slot) => {
                    save(scratch, slot, pos as u32)?;
                    pc += 1;
                    continue 'run;
                }
                Inst::SaveBoth(slot, register) => {
                    let start = scratch.registers[register as usize];
                    save(scratch, slot, start)?;
                    save(scratch, slot + 1, pos as u32)?;
                    pc += 1;
                    continue 'run;
                }
                Inst::Assert(assertion) => {
                    if self.holds(assertion, pos) {
                        pc += 1;
                        continue 'run;
                    }
                }
                Inst::Behind(set, negate) => {
                    let set = &program.sets[set as usize];
                    if (pos > 0 && set.match_at(text, previous(text, pos)).is_some()) != negate {
                        pc += 1;
                        continue 'run;
                    }
                }
                Inst::Ahead(set, negate) => {
                    if program.sets[set as usize].match_at(text, pos).is_some() != negate {
                        pc += 1;
                        continue 'run;
                    }
                }
                Inst::Run(number) => {
                    let run = &program.runs[number as usize];
                    if let Some((_, end)) = scan(&program.sets[run.set as usize], text, pos, run) {
                        self.fuel -= ((end - pos) >> 5) as i64;
                        pos = end;
                        pc += 1;
                        continue 'run;
                    }
                }
                Inst::RunGreedy(number) => {
                    let run = &program.runs[number as usize];
                    if let Some((min, end)) = scan(&program.sets[run.set as usize], text, pos, run) {
                        self.fuel -= ((end - pos) >> 5) as i64;
                        if end > min {
                            if scratch.stack.len() >= MAX_STACK {
                                return Err(MatchError::Budget);
                            }
                            scratch.stack.push(Frame::Greedy {
                                pc: pc as u32,
                                min: min as u32,
                                pos: end as u32,
                            });
                        }
                        pos = end;
                        pc += 1;
                        continue 'run;
                    }
                }
                Inst::RunLazy(number) => {
                    let run = &program.runs[number as usize];
                    let set = &program.sets[run.set as usize];
                    if let Some(min) = skip(set, text, pos, run.min)
                        && let Some(place) = lazy_place(set, text, min, &run.next)
                    {
                        self.fuel -= ((place - pos) >> 5) as i64;
                        if scratch.stack.len() >= MAX_STACK {
                            return Err(MatchError::Budget);
                        }
                        scratch.stack.push(Frame::Lazy { pc: pc as u32, pos: place as u32 });
                        pos = place;
                        pc += 1;
                        continue 'run;
                    }
                }
                Inst::Mark(register) => {
                    scratch.registers[register as usize] = scratch.stack.len() as u32;
                    scratch.registers[register as usize + 1] = pos as u32;
                    pc += 1;
                    continue 'run;
                }
                Inst::Commit(register) => {
                    commit(&mut scratch.stack, scratch.registers[register as usize] as usize);
                    pc += 1;
                    continue 'run;
                }
                Inst::CommitAhead(register) => {
                    commit(&mut scratch.stack, scratch.registers[register as usize] as usize);
                    pos = scratch.registers[register as usize + 1] as usize;
                    pc += 1;
                    continue 'run;
                }
                Inst::Refuse(register) => {
                    let mark = scratch.registers[register as usize] as usize;
                    while scratch.stack.len() > mark {
                        undo(scratch, &mut call);
                    }
                }
                Inst::Back(count) => {
                    let mut left = count;
                    while left > 0 && pos > 0 {
                        pos = previous(text, pos);
                        left -= 1;
                    }
                    if left == 0 {
                        pc += 1;
                        continue 'run;
                    }
                }
                Inst::RoundStart(register) => {
                    set_register(scratch, register, pos as u32)?;
                    pc += 1;
                    continue 'run;
                }
                Inst::RoundEnd(register, exit) => {
                    let empty = scratch.registers[register as usize] as usize == pos;
                    pc = if empty { exit as usize } else { pc + 1 };
                    continue 'run;
                }
                Inst::CounterStart(register) => {
                    set_register(scratch, register, 0)?;
                    pc += 1;
                    continue 'run;
                }
                Inst::CounterNext(register) => {
                    let count = scratch.registers[register as usize];
                    set_register(scratch, register, count.saturating_add(1))?;
                    pc += 1;
                    continue 'run;
                }
                Inst::Counter(number) => {
                    let counter = &program.counters[number as usize];
                    let count = scratch.registers[counter.register as usize];
                    let startable = match &counter.starts {
                        Some(starts) => text.get(pos).is_some_and(|byte| starts[usize::from(*byte)]),
                        None => true,
                    };
                    let (first, second) = if count < counter.min {
                        (counter.body, None)
                    } else if count >= counter.max || !startable {
                        (counter.exit, None)
                    } else if counter.lazy {
                        (counter.exit, Some(counter.body))
                    } else {
                        (counter.body, Some(counter.exit))
                    };
                    if let Some(second) = second {
                        if scratch.stack.len() >= MAX_STACK {
                            return Err(MatchError::Budget);
                        }
                        scratch.stack.push(Frame::Choice { pc: second, pos: pos as u32 });
                    }
                    pc = first as usize;
                    continue 'run;
                }
                Inst::Backref(number) => {
                    if let Some(end) = self.backref(number, pos, &scratch.slots) {
                        pos = end;
                        pc += 1;
                        continue 'run;
                    }
                }
                Inst::Condition(number, otherwise) => {
                    let groups = &program.backrefs[number as usize].groups;
                    let set = groups.iter().any(|group| group_range(&scratch.slots, *group).is_some());
                    pc = if set { pc + 1 } else { otherwise as usize };
                    continue 'run;
                }
                Inst::Call(target) => {
                    self.fuel -= 1;
                    if scratch.calls.len() >= MAX_CALLS || scratch.stack.len() >= MAX_STACK {
                        return Err(MatchError::Budget);
                    }
                    let registers = scratch.registers.as_slice().into();
                    scratch.calls.push(CallNode { back: pc as u32 + 1, outer: call, registers });
                    scratch.stack.push(Frame::Calls { old: call });
                    call = scratch.calls.len() as u32 - 1;
                    pc = target as usize;
                    continue 'run;
                }
                Inst::Return => {
                    let Some(node) = scratch.calls.get(call as usize) else { return Ok(false) };
                    let registers = node.registers.clone();
                    let (back, outer) = (node.back, node.outer);
                    for (register, value) in registers.iter().enumerate() {
                        set_register(scratch, register as u32, *value)?;
                    }
                    scratch.stack.push(Frame::Calls { old: call });
                    call = outer;
                    pc = back as usize;
                    continue 'run;
                }
            }
            // Failed: undo until there is an alternative.
            self.fuel -= 1;
            if self.fuel < 0 {
                scratch.refuel(&mut self.fuel)?;
            }
            loop {
                let Some(frame) = scratch.stack.last_mut() else { return Ok(false) };
                match frame {
                    Frame::Choice { pc: next, pos: place } => {
                        pc = *next as usize;
                        pos = *place as usize;
                        scratch.stack.pop();
                        continue 'run;
                    }
                    Frame::Greedy { pc: at, min, pos: place } => {
                        let Inst::RunGreedy(number) = insts[*at as usize] else { return Ok(false) };
                        let run = &program.runs[number as usize];
                        let ascii = program.sets[run.set as usize].ascii;
                        match give_back(text, *min as usize, *place as usize, &run.next, ascii) {
                            Some(next) => {
                                pos = next;
                                pc = *at as usize + 1;
                                if next > *min as usize {
                                    *place = next as u32;
                                } else {
                                    scratch.stack.pop();
                                }
                                continue 'run;
                            }
                            None => {
                                scratch.stack.pop();
                            }
                        }
                    }
                    Frame::Lazy { pc: at, pos: place } => {
                        let Inst::RunLazy(number) = insts[*at as usize] else { return Ok(false) };
                        let run = &program.runs[number as usize];
                        let set = &program.sets[run.set as usize];
                        let from = *place as usize;
                        let next = set
                            .match_at(text, from)
                            .and_then(|length| lazy_place(set, text, from + length, &run.next));
                        match next {
                            Some(next) => {
                                self.fuel -= ((next - from) >> 5) as i64;
                                *place = next as u32;
                                pos = next;
                                pc = *at as usize + 1;
                                continue 'run;
                            }
                            None => {
                                scratch.stack.pop();
                            }
                        }
                    }
                    _ => undo(scratch, &mut call),
                }
            }
        }
    }

    fn holds(&self, assertion: Assertion, pos: usize) -> bool {
        let text = self.text;
        match assertion {
            // After a final newline there is no further line.
            Assertion::LineStart => pos == 0 || (text[pos - 1] == b'\n' && pos != text.len()),
            Assertion::LineEnd => text.get(pos).is_none_or(|byte| *byte == b'\n'),
            Assertion::TextStart => pos == 0,
            Assertion::TextEnd => pos == text.len(),
            Assertion::TextEndNewline => pos == text.len() || (pos + 1 == text.len() && text[pos] == b'\n'),
            Assertion::SearchStart => pos == self.search_start,
            Assertion::WordBoundary { ascii } => self.word_before(pos, ascii) != self.word_after(pos, ascii),
            Assertion::NotWordBoundary { ascii } => {
                self.word_before(pos, ascii) == self.word_after(pos, ascii)
            }
        }
    }

    #[inline]
    fn word_before(&self, pos: usize, ascii: bool) -> bool {
        match pos.checked_sub(1).map(|before| self.text[before]) {
            None => false,
            Some(byte) if byte < 0x80 => self.program.word.bytes[usize::from(byte)] == 1,
            Some(_) => !ascii && self.program.word.match_at(self.text, previous(self.text, pos)).is_some(),
        }
    }

    #[inline]
    fn word_after(&self, pos: usize, ascii: bool) -> bool {
        match self.text.get(pos) {
            None => false,
            Some(byte) if *byte < 0x80 => self.program.word.bytes[usize::from(*byte)] == 1,
            Some(_) => !ascii && self.program.word.match_at(self.text, pos).is_some(),
        }
    }

    /// Where a back-reference ends, if it matches.
    fn backref(&self, number: u32, pos: usize, slots: &[u32]) -> Option<usize> {
        let info = &self.program.backrefs[number as usize];
        info.groups.iter().find_map(|group| {
            let (start, end) = group_range(slots, *group)?;
            let wanted = &self.text[start..end];
            if self.text[pos..].starts_with(wanted) {
                return Some(pos + wanted.len());
            }
            if info.ignore_case { same_but_case(self.text, start, end, pos) } else { None }
        })
    }
}

fn group_range(slots: &[u32], group: u32) -> Option<(usize, usize)> {
    let start = *slots.get(group as usize * 2)?;
    let end = *slots.get(group as usize * 2 + 1)?;
    (start != UNSET && end != UNSET && start <= end).then_some((start as usize, end as usize))
}

/// Compares two places of the text, letters of either case being the same.
fn same_but_case(text: &[u8], start: usize, end: usize, pos: usize) -> Option<usize> {
    let (mut at, mut other) = (start, pos);
    while at < end {
        if other >= text.len() {
            return None;
        }
        let (a, length) = decode(text, at);
        let (b, other_length) = decode(text, other);
        let lower = |code: u32| char::from_u32(code).map(|c| c.to_lowercase().collect::<String>());
        if a != b && lower(a) != lower(b) {
            return None;
        }
        at += length;
        other += other_length;
    }
    Some(other)
}
