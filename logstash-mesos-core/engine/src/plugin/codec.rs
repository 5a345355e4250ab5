//! What a codec is.

use super::EncodeError;
use crate::event::{Blob, Clock, Event, Text};

/// Turns bytes into events and events into bytes.
pub trait Codec: Send {
    /// Decodes one unit of input: a line or a datagram for most, any piece of a stream for `line` and
    /// `json_lines`, which keep an unfinished rest until the next call or [`Codec::flush`].
    fn decode(&mut self, data: Blob, clock: Clock, emit: &mut dyn FnMut(Event));

    /// The same for what is known to be UTF-8.
    fn decode_text(&mut self, text: Text, clock: Clock, emit: &mut dyn FnMut(Event)) {
        self.decode(text.into_bytes(), clock, emit);
    }

    /// Whether something of what came in is in no event yet.
    fn keeps(&self) -> bool {
        false
    }

    /// About how many bytes these are, as they lie in memory: what an input asks memory for.
    fn kept_bytes(&self) -> usize {
        0
    }

    /// Whether a unit of input that is kept may end within `data`, so that events come of it.
    fn may_end(&self, data: &[u8]) -> bool {
        memchr::memchr(b'\n', data).is_some()
    }

    /// After how long without input [`Codec::flush`] is wanted.
    fn auto_flush(&self) -> Option<std::time::Duration> {
        None
    }

    /// Whether units of input have nothing to do with each other: then they may be decoded by any instance.
    fn is_stateless(&self) -> bool {
        false
    }

    /// The stream ended: emits what was kept.
    fn flush(&mut self, clock: Clock, emit: &mut dyn FnMut(Event)) {
        let _ = (clock, emit);
    }

    /// There is no room for what was kept: emits it, marked as what has come to a limit of the codec.
    fn end_early(&mut self, clock: Clock, emit: &mut dyn FnMut(Event)) {
        self.flush(clock, emit);
    }

    /// Appends `event` in this codec's form, with its delimiter if it has one.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when the event cannot be written in this form; `out` may hold a part of it then.
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// A fresh instance with the same settings, for another stream or worker.
    fn fork(&self) -> Box<dyn Codec>;
}
