//! What the connections of one input may hold together, however many peers there are and whatever they send.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns and bytes are given out in the order in which they were asked for.
#[derive(Clone, Debug)]
pub(super) struct Room {
    turns: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
}

/// So many connections hold events that the queue has not taken. Of others only what has been read of them is held:
/// events need ten times as much and more.
const TURNS: usize = 4;
/// For pieces longer than [`FREE_BYTES`], of all connections together.
const BYTES: usize = 128 << 20;
/// Each connection may hold so much of what it has read without asking.
pub(super) const FREE_BYTES: usize = 256 << 10;

impl Default for Room {
    fn default() -> Self {
        Self::of(BYTES)
    }
}

impl Room {
    /// For at least `bytes` of long pieces.
    pub(super) fn of(bytes: usize) -> Self {
        let kibibytes = bytes.max(BYTES).div_ceil(1 << 10);
        let kibibytes = Arc::new(Semaphore::new(kibibytes.min(Semaphore::MAX_PERMITS)));
        Self { turns: Arc::new(Semaphore::new(TURNS)), kibibytes }
    }

    /// The turn to make events of what was read, and to hold them until the queue has taken them.
    pub(super) async fn turn(&self) -> Held {
        Held(Arc::clone(&self.turns).acquire_owned().await.ok())
    }

    /// Room for a piece of `bytes`.
    pub(super) async fn bytes(&self, bytes: usize) -> Held {
        Held(Arc::clone(&self.kibibytes).acquire_many_owned(kibibytes(bytes)).await.ok())
    }

    /// The same, if there is room now.
    #[cfg(feature = "http")]
    pub(super) fn try_bytes(&self, bytes: usize) -> Option<Held> {
        Some(Held(Some(Arc::clone(&self.kibibytes).try_acquire_many_owned(kibibytes(bytes)).ok()?)))
    }
}

fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX)
}

/// A part of the room, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held(#[expect(dead_code, reason = "it is dropped")] Option<OwnedSemaphorePermit>);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_together_has_a_bound_and_is_given_back() {
        let room = Room::default();
        let mut held = Vec::new();
        while let Ok(more) =
            tokio::time::timeout(std::time::Duration::from_millis(20), room.bytes(32 << 20)).await
        {
            held.push(more);
        }
        assert_eq!(held.len(), BYTES / (32 << 20));
        held.pop();
        room.bytes(32 << 20).await;
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            turns.push(room.turn().await);
        }
        let another = tokio::time::timeout(std::time::Duration::from_millis(20), room.turn()).await;
        assert!(another.is_err());
        turns.pop();
        room.turn().await;
    }
}
