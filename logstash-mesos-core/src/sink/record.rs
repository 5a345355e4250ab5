//! Encoded events, back to back in one buffer.

use crate::event::{Ack, Text};

/// Records ready for transport.
///
/// The bytes of all records lie in one buffer, so that a bulk request is sent without copying.
#[derive(Clone, Debug, Default)]
pub struct RecordBatch {
    /// The bytes of all records.
    pub body: Vec<u8>,
    /// Where each record ends, and what it is.
    pub records: Vec<Record>,
    /// Told when the batch has arrived.
    pub ack: Ack,
}

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

    /// Forgets bytes appended since the last finished record.
    pub fn undo_unfinished(&mut self) {
        self.body.truncate(self.records.last().map_or(0, |record| record.end));
    }

    /// The bytes of record `at`.
    #[must_use]
    pub fn bytes(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.records[at - 1].end };
        &self.body[start..self.records[at].end]
    }

    /// Number of records.
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
