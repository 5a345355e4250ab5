//! Who is told when an event has arrived everywhere it had to go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How the events behind an [`Ack`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every output has them (or a filter dropped them on purpose): the source may move its position.
    Delivered,
    /// At least one holder gave them up undelivered: the source must keep its position.
    Abandoned,
}

/// A handle to the source of some events. The source is told once, when the last clone is dropped.
///
/// # Contract
///
/// - Whoever holds events holds a clone of their `Ack`, and lets go of it only when the events are
///   delivered, stored durably, or dropped on purpose.
/// - Whoever gives events up for another reason (shutdown, a broken output) calls [`Ack::abandon`] first.
///   A holder that is dropped by a panic abandons by itself.
///
/// # Costs
///
/// One allocation per [`Ack::new`]; `clone` is a counter increment per source merged into it.
#[derive(Clone, Debug, Default)]
pub struct Ack {
    // Nearly always zero or one; a batch that mixes streams has several.
    cells: Vec<Arc<Cell>>,
}

impl Ack {
    /// An acknowledgement nobody waits for.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Calls `done` once, when this and every clone of it has been dropped. `done` must not block.
    pub fn new(done: impl FnOnce(Outcome) + Send + Sync + 'static) -> Self {
        Self { cells: vec![Arc::new(Cell { abandoned: AtomicBool::new(false), done: Some(Box::new(done)) })] }
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

    /// Says that the events will not be delivered by this holder: the source will be told
    /// [`Outcome::Abandoned`] and reads them again later.
    pub fn abandon(&self) {
        for cell in &self.cells {
            cell.abandoned.store(true, Ordering::Relaxed);
        }
    }

    /// Whether nobody waits for this.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.cells.is_empty()
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if !self.cells.is_empty() && std::thread::panicking() {
            self.abandon();
        }
    }
}

struct Cell {
    abandoned: AtomicBool,
    done: Option<Box<dyn FnOnce(Outcome) + Send + Sync>>,
}

impl Drop for Cell {
    fn drop(&mut self) {
        let outcome =
            if self.abandoned.load(Ordering::Relaxed) { Outcome::Abandoned } else { Outcome::Delivered };
        if let Some(done) = self.done.take() {
            done(outcome);
        }
    }
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cell").field("abandoned", &self.abandoned).finish_non_exhaustive()
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
        drop(ack);
        assert!(seen.lock().unwrap().is_empty());
        drop(second);
        assert_eq!(*seen.lock().unwrap(), [Outcome::Delivered]);
    }

    #[test]
    fn one_abandoning_holder_is_enough() {
        let (ack, seen) = recorded();
        let mut batch = Ack::none();
        batch.merge(ack.clone());
        batch.merge(ack);
        batch.clone().abandon();
        drop(batch);
        assert_eq!(*seen.lock().unwrap(), [Outcome::Abandoned]);
    }

    #[test]
    fn a_panicking_holder_abandons() {
        let (ack, seen) = recorded();
        let result = std::thread::spawn(move || {
            let _held = ack;
            panic!("filter bug");
        })
        .join();
        assert!(result.is_err());
        assert_eq!(*seen.lock().unwrap(), [Outcome::Abandoned]);
    }
}
