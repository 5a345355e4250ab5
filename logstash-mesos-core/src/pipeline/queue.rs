//! Between inputs and workers: bounded in bytes, so that a fast input waits and never fills the memory.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::plugin::{Batch, BatchSender};

/// Batches on their way to the workers, first in, first out.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    most_bytes: usize,
    bytes: usize,
    closed: bool,
}

/// What a worker gets.
#[derive(Debug)]
pub enum Popped {
    /// Events for a worker.
    Batch(Batch),
    /// Nothing came in time.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

impl Queue {
    /// With room for `most_bytes` (a single larger batch passes when the queue is empty).
    #[must_use]
    pub fn new(most_bytes: usize) -> Self {
        let state = Mutex::new(State { most_bytes, ..State::default() });
        Self { state, filled: Condvar::new(), room: Notify::new() }
    }

    /// Has room for `most_bytes` from now on. What is in it stays.
    pub fn set_room(&self, most_bytes: usize) {
        self.lock().most_bytes = most_bytes;
        self.room.notify_waiters();
    }

    /// Bytes waiting now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// The next batch if there is one now.
    #[must_use]
    pub fn try_pop(&self) -> Option<Batch> {
        self.take(&mut self.lock())
    }

    /// Waits for the next batch, at most until `deadline`.
    #[must_use]
    pub fn pop(&self, deadline: Option<Instant>) -> Popped {
        let mut state = self.lock();
        loop {
            if let Some(batch) = self.take(&mut state) {
                return Popped::Batch(batch);
            }
            if state.closed {
                return Popped::Closed;
            }
            state = match deadline {
                None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left == Duration::ZERO {
                        return Popped::Nothing;
                    }
                    self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Takes nothing more; what is in it can still be taken out.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.room.notify_waiters();
    }

    /// Closes it and gives up what is in it, undelivered.
    pub fn give_up(&self) {
        self.close();
        // Not under the lock: their sources are told.
        let given_up = std::mem::take(&mut self.lock().batches);
        drop(given_up);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, state: &mut State) -> Option<Batch> {
        let batch = state.batches.pop_front()?;
        let was_full = state.bytes >= state.most_bytes;
        state.bytes -= batch.byte_size;
        if was_full && state.bytes < state.most_bytes {
            self.room.notify_waiters();
        }
        Some(batch)
    }
}

#[async_trait]
impl BatchSender for Queue {
    async fn send(&self, batch: Batch) -> bool {
        let mut waiting = Some(batch);
        loop {
            // Registered before looking, so that room made in between is not missed.
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let mut state = self.lock();
                if state.closed {
                    return false;
                }
                if state.bytes < state.most_bytes
                    && let Some(batch) = waiting.take()
                {
                    state.bytes += batch.byte_size;
                    state.batches.push_back(batch);
                    self.filled.notify_one();
                    return true;
                }
            }
            room.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::event::{Ack, Outcome};

    fn batch(byte_size: usize) -> Batch {
        Batch { byte_size, ..Batch::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_makes_the_sender_wait() {
        let queue = Arc::new(Queue::new(10));
        assert!(queue.send(batch(8)).await);
        assert!(queue.send(batch(100)).await);
        let sender = Arc::clone(&queue);
        let third = tokio::spawn(async move { sender.send(batch(1)).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!third.is_finished());
        assert_eq!(queue.try_pop().map(|b| b.byte_size), Some(8));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!third.is_finished());
        assert_eq!(queue.try_pop().map(|b| b.byte_size), Some(100));
        assert!(third.await.unwrap());
        assert_eq!(queue.bytes(), 1);
    }

    #[tokio::test]
    async fn a_closed_queue_gives_out_what_it_has_and_takes_nothing() {
        let queue = Queue::new(10);
        queue.send(batch(1)).await;
        queue.close();
        let given_up = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&given_up);
        let ack = Ack::new(move |outcome| {
            seen.fetch_add(usize::from(outcome == Outcome::NotDelivered), Ordering::Relaxed);
        });
        assert!(!queue.send(Batch { ack, ..Batch::default() }).await);
        assert_eq!(given_up.load(Ordering::Relaxed), 1);
        assert!(matches!(queue.pop(None), Popped::Batch(_)));
        assert!(matches!(queue.pop(None), Popped::Closed));
    }

    #[test]
    fn a_worker_waits_no_longer_than_it_was_told() {
        let queue = Queue::new(10);
        let soon = Instant::now() + Duration::from_millis(5);
        assert!(matches!(queue.pop(Some(soon)), Popped::Nothing));
    }
}
