//! From what a connection has read to the queue. Events take many times what they are made of: they are made in turn, into
//! room that the queue has, and few at a time.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::common::{EXPANSION, unacknowledged};
use super::room::{FREE_BYTES, Room};
use crate::event::{Batch, Blob, Clock, Event};
use crate::pipeline::plugin::{Codec, InputContext};

/// The codec of one peer, and what is done to its events.
pub(super) struct Maker {
    pub(super) codec: Box<dyn Codec>,
    pub(super) finish: Arc<dyn Fn(&mut Event) + Send + Sync>,
    pub(super) room: Room,
}

/// What has been read.
pub(super) struct Read {
    pub(super) data: Blob,
    /// Nothing belongs to what is kept behind it.
    pub(super) ends: bool,
}

/// How many events of something long are held at a time.
const PART: usize = 500;
/// The events of so many bytes are made at once.
const LONG: usize = 2 * FREE_BYTES;

impl Maker {
    /// Sends the events of what has been read. `None` when the pipeline takes nothing any more.
    pub(super) async fn send(mut self, read: Read, cx: &InputContext) -> Option<Self> {
        let _turn = self.room.turn().await;
        if self.codec.kept_bytes() + read.data.len() > LONG {
            let (queue, clock, runtime) = (Arc::clone(&cx.events), cx.clock, Handle::current());
            let send = move |batch| runtime.block_on(queue.send(batch));
            return tokio::task::spawn_blocking(move || self.send_long(read, clock, send)).await.ok()?;
        }
        let room = cx.events.room(read.data.len() * EXPANSION).await;
        let mut events = Vec::new();
        let bytes = self.feed(read, cx.clock, &mut |event| events.push(event));
        let goes_on = events.is_empty() || cx.events.send_into(room, unacknowledged(events, bytes)).await;
        goes_on.then_some(self)
    }

    /// The same where a line may be many events, such as a long array of JSON. It waits for the queue, on a thread of its own.
    fn send_long(mut self, read: Read, clock: Clock, send: impl Fn(Batch) -> bool) -> Option<Self> {
        let (mut events, mut goes_on) = (Vec::new(), true);
        let bytes = self.feed(read, clock, &mut |event| {
            events.push(event);
            if events.len() == PART {
                goes_on = goes_on && send(unacknowledged(std::mem::take(&mut events), 0));
            }
        });
        goes_on = goes_on && (events.is_empty() || send(unacknowledged(events, bytes)));
        goes_on.then_some(self)
    }

    /// Gives events to `emit`. Returns how many bytes went into them.
    fn feed(&mut self, read: Read, clock: Clock, emit: &mut dyn FnMut(Event)) -> usize {
        let Self { codec, finish, .. } = self;
        let before = codec.kept_bytes() + read.data.len();
        let mut emit = |mut event| {
            finish(&mut event);
            emit(event);
        };
        if !read.data.is_empty() {
            codec.decode(read.data, clock, &mut emit);
        }
        if read.ends {
            codec.flush(clock, &mut emit);
        }
        before.saturating_sub(codec.kept_bytes())
    }
}
