//! The stack: alternatives still to be tried, and what has to be undone before they are.

use super::Scratch;
use crate::error::MatchError;

/// Most entries of the stack: 16 MiB.
pub(super) const MAX_STACK: usize = 1 << 20;

#[derive(Debug, Clone, Copy)]
pub(super) enum Frame {
    Choice { pc: u32, pos: u32 },
    Greedy { pc: u32, min: u32, pos: u32 },
    Lazy { pc: u32, pos: u32 },
    Slot { slot: u32, old: u32 },
    Register { register: u32, old: u32 },
    Calls { old: u32 },
}

/// Above this height, what is to be undone is only noted once between two alternatives.
const MERGE_ABOVE: usize = 1 << 12;

/// Stores one end of a group.
#[inline]
pub(super) fn save(scratch: &mut Scratch, slot: u32, value: u32) -> Result<(), MatchError> {
    let old = std::mem::replace(&mut scratch.slots[slot as usize], value);
    if scratch.stack.len() < MERGE_ABOVE {
        scratch.stack.push(Frame::Slot { slot, old });
        return Ok(());
    }
    note(&mut scratch.stack, Frame::Slot { slot, old })
}

#[inline]
pub(super) fn set_register(scratch: &mut Scratch, register: u32, value: u32) -> Result<(), MatchError> {
    let old = std::mem::replace(&mut scratch.registers[register as usize], value);
    if scratch.stack.len() < MERGE_ABOVE {
        scratch.stack.push(Frame::Register { register, old });
        return Ok(());
    }
    note(&mut scratch.stack, Frame::Register { register, old })
}

/// Adds what is to be undone, unless that is noted already since the last alternative. Loops that leave no alternatives
/// behind keep the stack low by it, however long the text is.
#[cold]
fn note(stack: &mut Vec<Frame>, frame: Frame) -> Result<(), MatchError> {
    for have in stack.iter().rev().take(32) {
        match (have, frame) {
            (Frame::Slot { slot: have, .. }, Frame::Slot { slot, .. }) if *have == slot => return Ok(()),
            (Frame::Register { register: have, .. }, Frame::Register { register, .. })
                if *have == register =>
            {
                return Ok(());
            }
            (Frame::Slot { .. } | Frame::Register { .. }, _) => {}
            _ => break,
        }
    }
    if stack.len() >= MAX_STACK {
        return Err(MatchError::Budget);
    }
    stack.push(frame);
    Ok(())
}

/// Takes the top entry of the stack back.
#[inline]
pub(super) fn undo(scratch: &mut Scratch, call: &mut u32) {
    match scratch.stack.pop() {
        Some(Frame::Slot { slot, old }) => scratch.slots[slot as usize] = old,
        Some(Frame::Register { register, old }) => scratch.registers[register as usize] = old,
        Some(Frame::Calls { old }) => *call = old,
        _ => {}
    }
}

/// Drops the alternatives above `mark` and keeps what is to be undone.
#[inline]
pub(super) fn commit(stack: &mut Vec<Frame>, mark: usize) {
    let mut keep = mark;
    for at in mark..stack.len() {
        if matches!(stack[at], Frame::Slot { .. } | Frame::Register { .. } | Frame::Calls { .. }) {
            stack[keep] = stack[at];
            keep += 1;
        }
    }
    stack.truncate(keep);
}
