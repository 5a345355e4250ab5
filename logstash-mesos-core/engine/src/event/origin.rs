//! Where an event came from, for deterministic document ids and for what people ask.

use std::sync::Arc;

/// Names a stream for as long as its content stays the same: container and file identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey(pub Arc<str>);

/// The place of an event in its stream.
///
/// Together the three name the event for ever: reading the same bytes again gives the same origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The stream that the line came from; with `offset` and `ordinal` it names the event.
    pub stream: StreamKey,
    /// Position of the event's first byte, in bytes (files) or in records (the logs API).
    pub offset: u64,
    /// 0 for the event itself; children of `split` and `clone` count from 1.
    pub ordinal: u32,
}
