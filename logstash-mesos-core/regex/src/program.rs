//! The compiled form of a pattern: instructions for the matcher, and the tables they use.

use memchr::memmem::Finder;

use super::ast::Assertion;
use super::class::{CharSet, Named};

/// Where to go on. While compiling a label, afterwards the index of an instruction.
pub(super) type Target = u32;

/// The instruction that always fails.
pub(super) const FAIL: Target = 0;

#[derive(Debug, Clone, Copy)]
pub(super) enum Inst {
    Fail,
    Match,
    Byte(u8),
    Literal(u32),
    Set(u32),
    Jump(Target),
    /// Tries the first target, later the second.
    Split(Target, Target),
    /// Chooses by the next byte.
    Dispatch(u32),
    Save(u32),
    /// Closes a group that can be called: its start is in a register, so that it is that of this call.
    SaveBoth(u32, u32),
    Assert(Assertion),
    /// The character before is in the set; with `true`, there is none that is.
    Behind(u32, bool),
    /// The character after is in the set; with `true`, there is none that is.
    Ahead(u32, bool),
    /// Takes as much of a set as there is and never gives back.
    Run(u32),
    RunGreedy(u32),
    RunLazy(u32),
    /// Remembers the height of the stack and the position.
    Mark(u32),
    /// Forgets the alternatives since the mark.
    Commit(u32),
    /// The same, and goes back to the position of the mark.
    CommitAhead(u32),
    /// A negative look matched: undoes everything since the mark, and fails.
    Refuse(u32),
    /// Goes back by so many characters.
    Back(u32),
    /// Remembers the position at which a round of a loop begins.
    RoundStart(u32),
    /// Leaves the loop if the round matched nothing.
    RoundEnd(u32, Target),
    CounterStart(u32),
    Counter(u32),
    CounterNext(u32),
    Backref(u32),
    Condition(u32, Target),
    Call(Target),
    Return,
}

/// Where a byte leads.
#[derive(Debug, Clone)]
pub(super) struct Dispatch {
    /// For each byte an index into `targets`.
    pub(super) classes: [u8; 256],
    /// The same for the end of the text.
    pub(super) end: u8,
    pub(super) targets: Vec<Target>,
}

/// A repeated set.
#[derive(Debug, Clone)]
pub(super) struct RunInfo {
    pub(super) set: u32,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) next: Next,
}

/// What is known of the byte after a run. Places without it need not be tried.
#[derive(Debug, Clone)]
pub(super) enum Next {
    Unknown,
    Byte(u8),
    Table(Box<[bool; 256]>),
}

/// A loop that counts its rounds.
#[derive(Debug, Clone)]
pub(super) struct CounterInfo {
    pub(super) register: u32,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) lazy: bool,
    pub(super) body: Target,
    pub(super) exit: Target,
    /// Bytes with which a round can begin, if it must consume one.
    pub(super) starts: Option<Box<[bool; 256]>>,
}

#[derive(Debug, Clone)]
pub(super) struct BackrefInfo {
    pub(super) groups: Vec<u32>,
    pub(super) ignore_case: bool,
}

/// How a set's runs end, for finding the end quickly.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stop {
    Never,
    One(u8),
    Two(u8, u8),
    Three(u8, u8, u8),
    Table,
    /// Some characters beyond ASCII are members and some are not.
    Decode,
}

/// A set of characters as the matcher uses it.
#[derive(Debug, Clone)]
pub(super) struct SetTable {
    /// 0: no member, 1: member, 2: decode the character and look it up.
    pub(super) bytes: [u8; 256],
    /// Members beyond ASCII.
    ranges: Box<[(u32, u32)]>,
    pub(super) stop: Stop,
    /// No member is longer than one byte.
    pub(super) ascii: bool,
}

impl SetTable {
    pub(super) fn new(set: &CharSet) -> Self {
        let mut bytes = [0_u8; 256];
        let mut ranges = Vec::new();
        for range in set.ranges() {
            let (start, end) = (u32::from(range.start()), u32::from(range.end()));
            for code in start..=end.min(0x7f) {
                bytes[code as usize] = 1;
            }
            if end >= 0x80 {
                ranges.push((start.max(0x80), end));
            }
        }
        let ascii = ranges.is_empty();
        let all = matches!(ranges.as_slice(), [(0x80, 0x10_ffff)]);
        let others = if ascii { 0 } else { 1 + u8::from(!all) };
        bytes[0x80..].fill(others);
        let stops: Vec<u8> = (0..0x80).filter(|byte| bytes[usize::from(*byte)] == 0).collect();
        let stop = match (all, stops.as_slice()) {
            (true, []) => Stop::Never,
            (true, [a]) => Stop::One(*a),
            (true, [a, b]) => Stop::Two(*a, *b),
            (true, [a, b, c]) => Stop::Three(*a, *b, *c),
            (true, _) => Stop::Table,
            (false, _) if ascii => Stop::Table,
            (false, _) => Stop::Decode,
        };
        Self { bytes, ranges: ranges.into_boxed_slice(), stop, ascii }
    }

    /// The length of the character at `pos`, if it is a member.
    #[inline]
    pub(super) fn match_at(&self, text: &[u8], pos: usize) -> Option<usize> {
        let byte = *text.get(pos)?;
        match self.bytes[usize::from(byte)] {
            0 => None,
            1 => Some(char_len(byte)),
            _ => {
                let (code, length) = decode(text, pos);
                self.contains_wide(code).then_some(length)
            }
        }
    }

    /// Looks up a character beyond ASCII.
    pub(super) fn contains_wide(&self, code: u32) -> bool {
        let at = self.ranges.partition_point(|(start, _)| *start <= code);
        at > 0 && code <= self.ranges[at - 1].1
    }
}

/// The length of the character that begins with `byte`.
#[inline]
pub(super) fn char_len(byte: u8) -> usize {
    match byte {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    }
}

/// The character at `pos` of a valid text, with its length.
pub(super) fn decode(text: &[u8], pos: usize) -> (u32, usize) {
    let byte = |at: usize| u32::from(text.get(pos + at).copied().unwrap_or(0));
    let low = |at: usize| byte(at) & 0x3f;
    let lead = byte(0);
    match lead {
        0..=0x7f => (lead, 1),
        0x80..=0xdf => ((lead & 0x1f) << 6 | low(1), 2),
        0xe0..=0xef => ((lead & 0x0f) << 12 | low(1) << 6 | low(2), 3),
        _ => ((lead & 0x07) << 18 | low(1) << 12 | low(2) << 6 | low(3), 4),
    }
}

/// Where the character before `pos` begins.
#[inline]
pub(super) fn previous(text: &[u8], pos: usize) -> usize {
    let mut at = pos - 1;
    while at > 0 && text[at] & 0xc0 == 0x80 {
        at -= 1;
    }
    at
}

/// How to find places where a match can begin.
#[derive(Debug, Clone)]
pub(super) enum Start {
    /// A match may begin at any position.
    Anywhere,
    /// Only at the beginning of the text.
    Text,
    /// Only where the search begins.
    Search,
    /// At the beginning of lines.
    Line,
    Literal(Box<Finder<'static>>),
    One(u8),
    Two(u8, u8),
    Three(u8, u8, u8),
    Table(Box<[bool; 256]>),
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) insts: Vec<Inst>,
    pub(super) start: usize,
    pub(super) literals: Vec<Box<[u8]>>,
    pub(super) sets: Vec<SetTable>,
    pub(super) dispatches: Vec<Dispatch>,
    pub(super) runs: Vec<RunInfo>,
    pub(super) counters: Vec<CounterInfo>,
    pub(super) backrefs: Vec<BackrefInfo>,
    pub(super) registers: usize,
    pub(super) slots: usize,
    pub(super) begin: Start,
    /// Text that every match contains. Where it does not occur, nothing is tried.
    pub(super) required: Option<Finder<'static>>,
    /// What counts as a letter at `\b`.
    pub(super) word: SetTable,
}

impl Program {
    pub(super) fn word_table() -> SetTable {
        SetTable::new(&Named::Word.set(false))
    }
}
