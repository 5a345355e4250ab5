//! Encoded events, back to back in one buffer.

use crate::event::{Ack, Event, Text, Value};

/// Records ready for transport.
///
/// The bytes of all records lie in one buffer, so that a bulk request is sent without copying.
#[derive(Clone, Debug, Default)]
pub struct RecordBatch {
    /// The bytes of all records.
    pub body: Vec<u8>,
    /// Where each record ends, and what it is.
    pub records: Vec<Record>,
    /// The records as events, for sinks that hand them on within the process; empty for all others.
    pub events: Vec<Event>,
    /// About what the events hold in memory.
    pub event_bytes: usize,
    /// For whoever drives the sink: told when the batch has arrived. A sink never sees it.
    pub ack: Ack,
}

/// About what an event costs in memory beside its texts.
const EVENT_BYTES: usize = 700;

/// One record of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where its bytes end in the body; they start where the one before ends.
    pub end: usize,
    /// Where it goes, for sinks with several destinations (the path of the `file` output).
    pub route: Option<Text>,
}

impl RecordBatch {
    /// Ends a record whose bytes have been appended to `body`.
    pub fn finish_record(&mut self, route: Option<Text>) {
        self.records.push(Record { end: self.body.len(), route });
    }

    /// Adds a record that is an event as it is.
    pub fn push_event(&mut self, event: Event) {
        let texts =
            event.fields().iter().filter_map(|(_, value)| Value::as_text(value).map(|text| text.len()));
        self.event_bytes += EVENT_BYTES + texts.sum::<usize>();
        self.events.push(event);
        self.finish_record(None);
    }

    /// About how much memory the records hold, in bytes.
    #[must_use]
    pub fn byte_size(&self) -> usize {
        self.body.len() + self.event_bytes
    }

    /// How much memory the records take, with what is known about each.
    pub(crate) fn memory(&self) -> usize {
        self.byte_size() + self.records.len() * size_of::<Record>()
    }

    /// How much memory it takes, with what its buffers have in reserve.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.body.capacity() + self.records.capacity() * size_of::<Record>() + self.event_bytes
    }

    /// Forgets bytes appended since the last finished record.
    pub fn undo_unfinished(&mut self) {
        self.body.truncate(self.records.last().map_or(0, |record| record.end));
    }

    /// The bytes of record `at`.
    #[must_use]
    pub fn bytes(&self, at: usize) -> &[u8] {
        &self.body[self.range(at)]
    }

    /// Where the bytes of record `at` are in the body.
    #[must_use]
    pub fn range(&self, at: usize) -> std::ops::Range<usize> {
        let start = if at == 0 { 0 } else { self.records[at - 1].end };
        start..self.records[at].end
    }

    /// An empty batch with room for about as much as this one has, so that it is filled without growing.
    pub(crate) fn next(&self) -> Self {
        let room = |len: usize| len + len / 8;
        Self {
            body: Vec::with_capacity(room(self.body.len())),
            records: Vec::with_capacity(room(self.records.len())),
            ..Self::default()
        }
    }

    /// Has room for `bytes` and `records` more, and nothing in reserve.
    pub(crate) fn reserve(&mut self, bytes: usize, records: usize) {
        self.body.reserve_exact(bytes);
        self.records.reserve_exact(records);
    }

    /// Takes over the records of `other`, which is empty then and keeps its buffers.
    pub fn append(&mut self, other: &mut RecordBatch) {
        let shift = self.body.len();
        self.body.append(&mut other.body);
        self.records.extend(
            other.records.drain(..).map(|record| Record { end: record.end + shift, route: record.route }),
        );
        self.events.append(&mut other.events);
        self.event_bytes += std::mem::take(&mut other.event_bytes);
        self.ack.merge(std::mem::take(&mut other.ack));
    }

    /// A batch of the records `wanted` (indices in ascending order), without an acknowledgement.
    #[must_use]
    pub fn only(&self, wanted: &[usize]) -> RecordBatch {
        let mut part = RecordBatch::default();
        for &at in wanted {
            part.body.extend_from_slice(self.bytes(at));
            match self.events.get(at) {
                Some(event) => part.push_event(event.clone()),
                None => part.finish_record(self.records[at].route.clone()),
            }
        }
        part
    }

    /// Drops the records and keeps the buffers. The acknowledgement must have been taken out.
    pub fn clear(&mut self) {
        self.body.clear();
        self.records.clear();
        self.events.clear();
        self.event_bytes = 0;
    }

    /// How many records there are, whatever they hold.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}
