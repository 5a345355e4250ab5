//! Runs of members of a set: how far they go, and where they may end.

use memchr::{memchr, memchr2, memchr3, memrchr};

use super::super::program::{Next, RunInfo, SetTable, Stop, char_len, previous};

/// Takes as much of a set as a run may: the position after its least number of characters, and the end.
#[inline]
pub(super) fn scan(set: &SetTable, text: &[u8], pos: usize, run: &RunInfo) -> Option<(usize, usize)> {
    if run.max != u32::MAX {
        return scan_counted(set, text, pos, run);
    }
    let end = run_end(set, text, pos);
    match run.min {
        0 => Some((pos, end)),
        1 => {
            if end == pos {
                return None;
            }
            Some((pos + char_len(text[pos]), end))
        }
        min => {
            let least = if set.ascii { pos + min as usize } else { advance(text, pos, min)? };
            (least <= end).then_some((least, end))
        }
    }
}

/// The position `count` characters on.
pub(super) fn advance(text: &[u8], mut pos: usize, count: u32) -> Option<usize> {
    for _ in 0..count {
        pos += char_len(*text.get(pos)?);
    }
    Some(pos)
}

/// The position after `count` members, if there are so many.
pub(super) fn skip(set: &SetTable, text: &[u8], mut pos: usize, count: u32) -> Option<usize> {
    for _ in 0..count {
        pos += set.match_at(text, pos)?;
    }
    Some(pos)
}

pub(super) fn scan_counted(set: &SetTable, text: &[u8], pos: usize, run: &RunInfo) -> Option<(usize, usize)> {
    let mut end = pos;
    let mut least = pos;
    let mut count = 0;
    while count < run.max {
        let Some(length) = set.match_at(text, end) else { break };
        end += length;
        count += 1;
        if count == run.min {
            least = end;
        }
    }
    (count >= run.min).then_some((least, end))
}

/// Where the members that begin at `pos` end.
#[inline]
pub(super) fn run_end(set: &SetTable, text: &[u8], pos: usize) -> usize {
    let rest = &text[pos..];
    let length = match set.stop {
        Stop::Never => None,
        Stop::Table => rest.iter().position(|byte| set.bytes[usize::from(*byte)] == 0),
        Stop::One(a) => memchr(a, rest),
        Stop::Two(a, b) => memchr2(a, b, rest),
        Stop::Three(a, b, c) => memchr3(a, b, c, rest),
        Stop::Decode => {
            let mut end = pos;
            while let Some(length) = set.match_at(text, end) {
                end += length;
            }
            Some(end - pos)
        }
    };
    length.map_or(text.len(), |length| pos + length)
}

/// The next shorter end of a greedy run after which the rest can begin.
#[inline]
pub(super) fn give_back(text: &[u8], min: usize, mut pos: usize, next: &Next, ascii: bool) -> Option<usize> {
    match next {
        // The byte is the first of a character, so what is found is a boundary.
        Next::Byte(byte) if pos - min > 8 => memrchr(*byte, &text[min..pos]).map(|at| min + at),
        _ => {
            while pos > min {
                pos = if ascii { pos - 1 } else { previous(text, pos) };
                let fits = match next {
                    Next::Unknown => true,
                    Next::Byte(byte) => text[pos] == *byte,
                    Next::Table(table) => table[usize::from(text[pos])],
                };
                if fits {
                    return Some(pos);
                }
            }
            None
        }
    }
}

/// The first place from `pos` on to which a lazy run can be extended and after which the rest can begin.
#[inline]
pub(super) fn lazy_place(set: &SetTable, text: &[u8], mut pos: usize, next: &Next) -> Option<usize> {
    match next {
        Next::Unknown => Some(pos),
        Next::Byte(byte) => match set.stop {
            Stop::Never => memchr(*byte, &text[pos..]).map(|at| pos + at),
            Stop::One(stop) if stop != *byte => {
                let at = pos + memchr2(*byte, stop, &text[pos..])?;
                (text[at] == *byte).then_some(at)
            }
            _ => loop {
                if *text.get(pos)? == *byte {
                    return Some(pos);
                }
                pos += set.match_at(text, pos)?;
            },
        },
        Next::Table(table) => loop {
            if table[usize::from(*text.get(pos)?)] {
                return Some(pos);
            }
            pos += set.match_at(text, pos)?;
        },
    }
}
