//! Who is told when an event has arrived everywhere it had to go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How the events behind an [`Ack`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every holder said that it is done with them: the source may move its position.
    Delivered,
    /// At least one holder let go of them without saying so: the source keeps its position.
    NotDelivered,
}

/// The duty to tell the source of some events that they have arrived. The source is told once, when the last
/// holder has let go.
///
/// # Contract
///
/// - Whoever holds events holds a clone of their `Ack`. Each clone is a duty of its own.
/// - [`Ack::delivered`] is for the few who know: the sink said yes, a dead letter or the record of a queue is on
///   disk, a filter dropped the events on purpose, or every event was handed on together with a clone.
/// - An `Ack` that is merely dropped says *not delivered*: a cancelled call, a panic, a runtime that ends and a
///   forgotten path all lead to the same end, and the source reads the events again.
///
/// # Costs
///
/// One allocation per [`Ack::new`]; `clone` is a counter increment per source merged into it.
#[derive(Clone, Debug, Default)]
#[must_use = "dropping it tells the source that its events were not delivered"]
pub struct Ack {
    // Nearly always zero or one; a batch that mixes streams has several.
    cells: Vec<Arc<Cell>>,
}

impl Ack {
    /// An acknowledgement nobody waits for.
    pub fn none() -> Self {
        Self::default()
    }

    /// Calls `done` once, when this and every clone of it is gone: with [`Outcome::Delivered`] if each of them was
    /// given to [`Ack::delivered`]. `done` must not block.
    pub fn new(done: impl FnOnce(Outcome) + Send + Sync + 'static) -> Self {
        Self { cells: vec![Arc::new(Cell { dropped: AtomicBool::new(false), done: Some(Box::new(done)) })] }
    }

    /// Takes over the duties of `other` too.
    pub fn merge(&mut self, mut other: Ack) {
        for cell in other.cells.drain(..) {
            // Neighbours often share their source; looking further back would make large batches slow,
            // and holding a cell twice harms nobody.
            if !self.cells.last().is_some_and(|mine| Arc::ptr_eq(mine, &cell)) {
                self.cells.push(cell);
            }
        }
    }

    /// Says that this holder's events have arrived, or are not to arrive on purpose.
    pub fn delivered(mut self) {
        self.cells.clear();
    }

    /// Whether nobody waits for this.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.cells.is_empty()
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        for cell in &self.cells {
            // Seen by whoever lets go last: counting down the holders orders the two.
            cell.dropped.store(true, Ordering::Relaxed);
        }
    }
}

struct Cell {
    // A holder let go without a word.
    dropped: AtomicBool,
    done: Option<Box<dyn FnOnce(Outcome) + Send + Sync>>,
}

impl Drop for Cell {
    fn drop(&mut self) {
        let outcome =
            if self.dropped.load(Ordering::Relaxed) { Outcome::NotDelivered } else { Outcome::Delivered };
        if let Some(done) = self.done.take() {
            done(outcome);
        }
    }
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cell").field("dropped", &self.dropped).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn recorded() -> (Ack, Arc<Mutex<Vec<Outcome>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        (Ack::new(move |outcome| log.lock().unwrap().push(outcome)), seen)
    }

    #[test]
    fn the_source_is_told_once_after_the_last_clone() {
        let (ack, seen) = recorded();
        let second = ack.clone();
        ack.delivered();
        assert!(seen.lock().unwrap().is_empty());
        second.delivered();
        assert_eq!(*seen.lock().unwrap(), [Outcome::Delivered]);
    }

    #[test]
    fn one_holder_that_is_dropped_is_enough() {
        for first in [true, false] {
            let (ack, seen) = recorded();
            let other = ack.clone();
            if first {
                drop(other);
                ack.delivered();
            } else {
                ack.delivered();
                drop(other);
            }
            assert_eq!(*seen.lock().unwrap(), [Outcome::NotDelivered]);
        }
    }

    #[test]
    fn what_is_merged_is_one_duty() {
        let (ack, seen) = recorded();
        let mut batch = Ack::none();
        batch.merge(ack.clone());
        batch.merge(ack);
        batch.delivered();
        assert_eq!(*seen.lock().unwrap(), [Outcome::Delivered]);
    }

    #[test]
    fn a_panicking_holder_has_not_delivered() {
        let (ack, seen) = recorded();
        let result = std::thread::spawn(move || {
            let _held = ack;
            panic!("filter bug");
        })
        .join();
        assert!(result.is_err());
        assert_eq!(*seen.lock().unwrap(), [Outcome::NotDelivered]);
    }
}
