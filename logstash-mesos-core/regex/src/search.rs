//! Finds the leftmost match: where to try, and where not to.

use memchr::{memchr, memchr2, memchr3};

use super::error::MatchError;
use super::exec::{Matcher, Scratch};
use super::program::{Program, Start, char_len};

/// Searches from `start` on. On success the slots of the scratch hold the groups.
pub(super) fn search(
    program: &Program,
    text: &[u8],
    start: usize,
    budget: i64,
    scratch: &mut Scratch,
) -> Result<bool, MatchError> {
    if text.len() >= u32::MAX as usize {
        return Err(MatchError::TooLong);
    }
    scratch.begin(program, budget);
    let mut matcher = Matcher::new(program, text, start);
    let mut needed = Needed { at: None };
    let mut at = start;
    loop {
        let Some(place) = next_place(&program.begin, text, start, at) else { return Ok(false) };
        matcher.spend((place - at) >> 5, scratch)?;
        if !needed.follows(program, text, place) {
            return Ok(false);
        }
        if matcher.run(place, scratch)? {
            return Ok(true);
        }
        let Some(byte) = text.get(place) else { return Ok(false) };
        at = place + char_len(*byte);
    }
}

/// The next place from `at` on where a match can begin.
fn next_place(begin: &Start, text: &[u8], start: usize, at: usize) -> Option<usize> {
    let rest = &text[at..];
    let found = match begin {
        Start::Anywhere => Some(0),
        Start::Text => (at == 0).then_some(0),
        Start::Search => (at == start).then_some(0),
        Start::Line if at == 0 || text[at - 1] == b'\n' => Some(0),
        Start::Line => memchr(b'\n', rest).map(|newline| newline + 1),
        Start::Literal(finder) => finder.find(rest),
        Start::One(a) => memchr(*a, rest),
        Start::Two(a, b) => memchr2(*a, *b, rest),
        Start::Three(a, b, c) => memchr3(*a, *b, *c, rest),
        Start::Table(table) => rest.iter().position(|byte| table[usize::from(*byte)]),
    };
    found.map(|offset| at + offset)
}

/// Where the text that every match contains occurs next.
struct Needed {
    at: Option<usize>,
}

impl Needed {
    fn follows(&mut self, program: &Program, text: &[u8], place: usize) -> bool {
        let Some(finder) = &program.required else { return true };
        if self.at.is_none_or(|known| known < place) {
            self.at = finder.find(&text[place..]).map(|offset| place + offset);
        }
        self.at.is_some()
    }
}
