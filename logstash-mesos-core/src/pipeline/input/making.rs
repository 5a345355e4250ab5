//! From what a connection has read to the queue. Events take many times what they are made of: they are made in turn, into
//! room that the queue has; those of something long by a worker.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::common::{EVENT_BYTES, EXPANSION, unacknowledged};
use super::room::{FREE_BYTES, Room};
use crate::event::{Batch, Blob, Clock, Deferred, Event};
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

/// The events of so many bytes are made at once.
const LONG: usize = 2 * FREE_BYTES;

impl Maker {
    /// Sends the events of what has been read. `None` when the pipeline takes nothing any more.
    pub(super) async fn send(mut self, read: Read, cx: &InputContext) -> Option<Self> {
        // The middle of a line is nothing yet.
        let may_be_many = read.ends || self.codec.may_end(&read.data);
        if may_be_many && self.codec.kept_bytes() + read.data.len() > LONG {
            return self.send_long(read, cx).await;
        }
        let _turn = self.room.turn().await;
        let room = cx.events.room(read.data.len() * EXPANSION).await;
        let mut events = Vec::new();
        let bytes = self.feed(read, cx.clock, &mut |event| events.push(event));
        let goes_on = events.is_empty() || cx.events.send_into(room, unacknowledged(events, bytes)).await;
        goes_on.then_some(self)
    }

    /// The same where a line may be very many events, such as a long array of JSON: a worker makes them, few at a time, and
    /// gives the codec back.
    async fn send_long(mut self, read: Read, cx: &InputContext) -> Option<Self> {
        let byte_size = self.codec.kept_bytes() + read.data.len() + EVENT_BYTES;
        let clock = Clock::Fixed(cx.clock.now());
        let (give_back, given_back) = oneshot::channel();
        let deferred = Deferred::new(move |events| {
            self.feed(read, clock, &mut |event| events.push(event));
            // The connection may have gone.
            drop(give_back.send(self));
        });
        let batch = Batch { byte_size, deferred: Some(deferred), ..Batch::default() };
        if !cx.events.send(batch).await {
            return None;
        }
        given_back.await.ok()
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
