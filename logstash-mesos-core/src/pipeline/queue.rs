//! Between inputs and workers: bounded by the memory that pipelines share, so that a fast input waits and never fills it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::plugin::{Batch, BatchSender};
use crate::memory::{Account, Held, Memory, Room};

/// Batches on their way to the workers, first in, first out.
#[derive(Debug)]
pub struct Queue {
    account: Account,
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<(Batch, Held)>,
    bytes: usize,
    closed: bool,
}

/// What a worker gets.
#[derive(Debug)]
pub enum Popped {
    /// Work, and the memory to be given back when it is done.
    Batch(Batch, Held),
    /// Nothing came in time.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

impl Queue {
    /// With a part of `memory`.
    #[must_use]
    pub fn new(memory: &Memory) -> Self {
        Self { account: memory.open(), state: Mutex::default(), filled: Condvar::new() }
    }

    /// Bytes waiting now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// How large a piece of work should be.
    pub(super) fn piece(&self) -> usize {
        self.account.piece()
    }

    /// The next batch if there is one now.
    #[must_use]
    pub fn try_pop(&self) -> Option<(Batch, Held)> {
        Self::take(&mut self.lock())
    }

    /// Waits for the next batch, at most until `deadline`.
    #[must_use]
    pub fn pop(&self, deadline: Option<Instant>) -> Popped {
        let mut state = self.lock();
        loop {
            if let Some((batch, held)) = Self::take(&mut state) {
                return Popped::Batch(batch, held);
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
        self.account.close();
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

    fn take(state: &mut State) -> Option<(Batch, Held)> {
        let (batch, held) = state.batches.pop_front()?;
        state.bytes -= batch.byte_size;
        Some((batch, held))
    }

    fn put(&self, batch: Batch, held: Held) -> bool {
        let mut state = self.lock();
        if state.closed {
            // Not under the lock.
            drop(state);
            return false;
        }
        state.bytes += batch.byte_size;
        state.batches.push_back((batch, held));
        self.filled.notify_one();
        true
    }
}

#[async_trait]
impl BatchSender for Queue {
    async fn send(&self, batch: Batch) -> bool {
        let held = self.account.take(batch.byte_size).await;
        self.put(batch, held)
    }

    fn try_room(&self, bytes: usize) -> Option<Room> {
        let held = self.account.try_take(bytes.min(self.account.piece()))?;
        Some(Room(vec![held]))
    }

    async fn room(&self, bytes: usize) -> Room {
        Room(vec![self.account.take(bytes.min(self.account.piece())).await])
    }

    async fn room_for(&self, bytes: usize) -> Room {
        Room(vec![self.account.take(bytes).await])
    }

    async fn send_into(&self, room: Room, batch: Batch) -> bool {
        let Some(mut held) = room.0.into_iter().next() else { return self.send(batch).await };
        held.set(batch.byte_size);
        self.put(batch, held)
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
        let queue = Arc::new(Queue::new(&Memory::new(10)));
        // More than there is: but the queue is empty.
        assert!(queue.send(batch(100)).await);
        let sender = Arc::clone(&queue);
        let second = tokio::spawn(async move { sender.send(batch(1)).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (first, held) = queue.try_pop().unwrap();
        assert_eq!(first.byte_size, 100);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!second.is_finished(), "a worker still has it");
        drop(held);
        assert!(second.await.unwrap());
        assert_eq!(queue.bytes(), 1);
    }

    #[tokio::test]
    async fn a_closed_queue_gives_out_what_it_has_and_takes_nothing() {
        let queue = Queue::new(&Memory::new(10));
        queue.send(batch(1)).await;
        queue.close();
        let given_up = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&given_up);
        let ack = Ack::new(move |outcome| {
            seen.fetch_add(usize::from(outcome == Outcome::NotDelivered), Ordering::Relaxed);
        });
        assert!(!queue.send(Batch { ack, ..Batch::default() }).await);
        assert_eq!(given_up.load(Ordering::Relaxed), 1);
        assert!(matches!(queue.pop(None), Popped::Batch(..)));
        assert!(matches!(queue.pop(None), Popped::Closed));
    }

    #[tokio::test]
    async fn who_waits_for_room_is_told_that_the_queue_is_closed() {
        let queue = Arc::new(Queue::new(&Memory::new(10)));
        assert!(queue.send(batch(100)).await);
        let sender = Arc::clone(&queue);
        let second = tokio::spawn(async move { sender.send(batch(1)).await });
        tokio::task::yield_now().await;
        queue.close();
        assert!(!second.await.unwrap());
    }

    #[test]
    fn a_worker_waits_no_longer_than_it_was_told() {
        let queue = Queue::new(&Memory::new(10));
        let soon = Instant::now() + Duration::from_millis(5);
        assert!(matches!(queue.pop(Some(soon)), Popped::Nothing));
    }
}
