//! The part of a stream that has arrived: up to the first byte that has not.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::{Ack, Outcome};

/// Follows the acknowledgements of one stream and tells how far they reach without a gap.
///
/// Batches may arrive in any order. Once one was not delivered the position stays in front of it for good:
/// what comes after is read again when the stream is opened the next time.
pub struct Tracker<P = u64> {
    inner: Arc<Inner<P>>,
}

struct Inner<P> {
    pending: Mutex<Pending<P>>,
    advance: Box<dyn Fn(P) + Send + Sync>,
}

struct Pending<P> {
    // Number of the slot at the front of the queue.
    first: u64,
    slots: VecDeque<(P, bool)>,
    stuck: bool,
}

impl<P: Send + 'static> Tracker<P> {
    /// Calls `advance` with the end of the acknowledged part, whenever it grows; from any thread, in order.
    /// It must not block.
    pub fn new(advance: impl Fn(P) + Send + Sync + 'static) -> Self {
        let pending = Mutex::new(Pending { first: 0, slots: VecDeque::new(), stuck: false });
        Self { inner: Arc::new(Inner { pending, advance: Box::new(advance) }) }
    }

    /// Everything up to `end` that has not been begun before is on its way now.
    pub fn begin(&self, end: P) -> Ack {
        let number = {
            let mut pending = self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner);
            if pending.stuck {
                return Ack::none();
            }
            pending.slots.push_back((end, false));
            pending.first + pending.slots.len() as u64 - 1
        };
        let inner = Arc::clone(&self.inner);
        Ack::new(move |outcome| inner.finish(number, outcome))
    }

    /// Whether all that was begun has been acknowledged.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let pending = self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.slots.is_empty() && !pending.stuck
    }
}

impl<P> Inner<P> {
    fn finish(&self, number: u64, outcome: Outcome) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome == Outcome::NotDelivered {
            // Batches before this one may still arrive and move the position up to it.
            let at = usize::try_from(number - pending.first).unwrap_or(usize::MAX);
            pending.slots.truncate(at);
            pending.stuck = true;
            return;
        }
        let Some(slot) =
            usize::try_from(number - pending.first).ok().and_then(|at| pending.slots.get_mut(at))
        else {
            return;
        };
        slot.1 = true;
        let mut reached = None;
        while pending.slots.front().is_some_and(|(_, done)| *done) {
            reached = pending.slots.pop_front().map(|(end, _)| end);
            pending.first += 1;
        }
        // Called under the lock, so that a later position never overtakes an earlier one.
        if let Some(end) = reached {
            (self.advance)(end);
        }
    }
}

impl<P> Clone for Tracker<P> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<P> fmt::Debug for Tracker<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> (Tracker, Arc<Mutex<Vec<u64>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        (Tracker::new(move |end| log.lock().unwrap().push(end)), seen)
    }

    #[test]
    fn the_position_waits_for_the_gap() {
        let (tracker, seen) = recorded();
        let (a, b, c) = (tracker.begin(10), tracker.begin(20), tracker.begin(30));
        b.delivered();
        assert!(seen.lock().unwrap().is_empty());
        a.delivered();
        assert_eq!(*seen.lock().unwrap(), [20]);
        assert!(!tracker.is_settled());
        c.delivered();
        assert_eq!(*seen.lock().unwrap(), [20, 30]);
        assert!(tracker.is_settled());
    }

    #[test]
    fn a_batch_that_is_dropped_stops_the_position_in_front_of_it() {
        let (tracker, seen) = recorded();
        let (a, b, c) = (tracker.begin(10), tracker.begin(20), tracker.begin(30));
        drop(b);
        c.delivered();
        a.delivered();
        tracker.begin(40).delivered();
        assert_eq!(*seen.lock().unwrap(), [10]);
        assert!(!tracker.is_settled());
    }
}
