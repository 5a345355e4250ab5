//! What the connections of one input hold of what they have read, out of the memory of all pipelines.
//!
//! A connection reads into a block of [`FREE_BYTES`] and may keep as much without asking. What goes on beyond that is a
//! [`Piece`]: a line without its end, a frame, a body.
//!
//! # Why nothing waits for ever
//!
//! - An input has an account of its own. What is behind it takes from others: a queue and a lane that hold nothing may take
//!   one piece of any size, whatever inputs hold. So nobody behind an input waits for what the input holds.
//! - A piece that is whole asks for nothing more of this account. It waits for its turn and for room in the queue, and gives
//!   its part back when the queue has it.
//! - Many pieces may have begun while none finds room for its rest. The first of them then goes on *alone*: without asking,
//!   until it is whole and the queue has it; after it the next one. So the account holds at most its room and one
//!   piece, which is no longer than a line, a frame or a body may be.
//! - The peer of the one that goes on alone may have gone to sleep. It has [`PATIENCE`] for each [`STEP`]: then its
//!   connection is ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::memory::{Account, Held, Memory};

/// Of one input. Clones are the same room.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    account: Account,
    alone: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// Each connection may hold so much of what it has read without asking.
pub(super) const FREE_BYTES: usize = 16 << 10;
/// More is asked for in such steps.
const STEP: usize = 64 << 10;
/// So many connections make events at a time. How many events a block holds is seen only when they are there.
const TURNS: usize = 4;
/// How long a piece that goes on alone may take for a step: others wait for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one connection holds. It is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Piece {
    room: Room,
    held: Held,
    // It goes on alone, and is to grow before then.
    alone: Option<(OwnedSemaphorePermit, Instant)>,
}

/// The turn to make events, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "it is dropped")] Option<OwnedSemaphorePermit>);

impl Room {
    /// With an account in `memory`.
    pub(super) fn new(memory: &Memory) -> Self {
        let [alone, turns] = [1, TURNS].map(|permits| Arc::new(Semaphore::new(permits)));
        Self(Arc::new(Shared { account: memory.open(), alone, turns }))
    }

    /// For a connection that holds nothing yet.
    pub(super) fn piece(&self) -> Piece {
        Piece { room: self.clone(), held: self.0.account.nothing(), alone: None }
    }

    /// The turn to make events of what was read. Turns are given in the order in which they were asked for.
    pub(super) async fn turn(&self) -> Turn {
        Turn(Arc::clone(&self.0.turns).acquire_owned().await.ok())
    }
}

impl Piece {
    /// It is `bytes` long from now on, if that needs no waiting.
    pub(super) fn try_resize(&mut self, bytes: usize) -> bool {
        let bytes = asked(bytes);
        if bytes == self.held.bytes() {
            return true;
        }
        if bytes < self.held.bytes() {
            self.held.set(bytes);
            self.alone.take_if(|_| bytes == 0);
            return true;
        }
        if self.alone.is_none() && !self.held.grow_within(bytes) {
            let Ok(alone) = Arc::clone(&self.room.0.alone).try_acquire_owned() else { return false };
            self.alone = Some((alone, Instant::now()));
        }
        self.grows(bytes);
        true
    }

    /// The same, when there is room.
    ///
    /// # Cancellation safety
    ///
    /// A dropped call leaves it as it was.
    pub(super) async fn resize(&mut self, bytes: usize) {
        if self.try_resize(bytes) {
            return;
        }
        let more = asked(bytes) - self.held.bytes();
        let shared = Arc::clone(&self.room.0);
        tokio::select! {
            biased;
            more = shared.account.take(more) => self.held.merge(more),
            Ok(alone) = Arc::clone(&shared.alone).acquire_owned() => {
                self.alone = Some((alone, Instant::now()));
                self.grows(asked(bytes));
            }
        }
    }

    /// Returns when it goes on alone, and has not grown for too long.
    pub(super) async fn overdue(&self) {
        match &self.alone {
            Some((_, until)) => tokio::time::sleep_until(*until).await,
            None => std::future::pending().await,
        }
    }

    fn grows(&mut self, bytes: usize) {
        self.held.charge(bytes);
        if let Some((_, until)) = &mut self.alone {
            *until = Instant::now() + PATIENCE;
        }
    }
}

/// What is asked for, when so much is held.
fn asked(bytes: usize) -> usize {
    if bytes <= FREE_BYTES { 0 } else { bytes.next_multiple_of(STEP) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::plugin::{Batch, BatchSender};
    use crate::pipeline::queue::{Popped, Queue};

    #[tokio::test(start_paused = true)]
    async fn what_is_held_has_a_bound_but_for_one_that_goes_on_alone() {
        let memory = Memory::new(1 << 20);
        let room = Room::new(&memory);
        let mut pieces: Vec<Piece> = (0..8).map(|_| room.piece()).collect();
        assert!(pieces.iter_mut().all(|piece| piece.try_resize(FREE_BYTES)), "so much is free");
        assert_eq!(memory.used(), 0);
        let taken = pieces.iter_mut().filter_map(|piece| piece.try_resize(300 << 10).then_some(())).count();
        // Three find room, and one goes on without.
        assert_eq!((taken, memory.used()), (4, 4 * (320 << 10)));
        assert!(pieces[3].try_resize(10 << 20), "it goes on");
        assert!(!pieces[0].try_resize(2 << 20), "no other one does");
        let waits = tokio::time::timeout(PATIENCE / 2, pieces[0].resize(2 << 20)).await;
        assert!(waits.is_err());
        tokio::time::timeout(PATIENCE, pieces[3].overdue()).await.expect("others wait no longer for it");
        pieces.remove(3);
        pieces[0].resize(2 << 20).await;
        pieces.clear();
        assert_eq!(memory.used(), 0);
    }

    /// Many connections with pieces larger than all the memory there is, before a queue that is slow.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn pieces_of_any_size_all_pass_and_the_queue_never_starves() {
        const CONNECTIONS: usize = 40;
        const PIECES: usize = 5;
        const MEMORY: usize = 512 << 10;
        const LONGEST: usize = 2 << 20;
        let memory = Memory::new(MEMORY);
        let queue = Arc::new(Queue::new(&memory));
        let room = Room::new(&memory);
        let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let (queue, room) = (Arc::clone(&queue), room.clone());
                tokio::spawn(async move {
                    for at in 0..PIECES {
                        let mut piece = room.piece();
                        let long = LONGEST >> ((number + at) % 8);
                        // It comes bit by bit, in turn with all others.
                        for come in (0..=long).step_by(FREE_BYTES) {
                            piece.resize(come).await;
                            tokio::task::yield_now().await;
                        }
                        let _turn = room.turn().await;
                        let into = queue.room(long).await;
                        assert!(queue.send_into(into, Batch { byte_size: long, ..Batch::default() }).await);
                    }
                })
            })
            .collect();
        let worker = {
            let (queue, memory, most) = (Arc::clone(&queue), memory.clone(), Arc::clone(&most));
            std::thread::spawn(move || {
                let mut arrived = 0;
                while let Popped::Batch(_, held) = queue.pop(None) {
                    most.fetch_max(memory.used(), std::sync::atomic::Ordering::Relaxed);
                    arrived += 1;
                    drop(held);
                }
                arrived
            })
        };
        for connection in connections {
            connection.await.expect("it ends");
        }
        queue.close();
        assert_eq!(worker.join().expect("it ends"), CONNECTIONS * PIECES);
        // One goes on alone, and one of each turn is in the queue or on its way there, larger than its room.
        let most = most.load(std::sync::atomic::Ordering::Relaxed);
        assert!(most <= MEMORY + (1 + TURNS + 1) * LONGEST, "{most}");
        assert_eq!(memory.used(), 0);
    }
}
