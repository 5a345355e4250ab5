//! What an executor says of one stream.

use crate::protocol::{SourceKind, StreamStatus};
use std::collections::BTreeMap;

/// Whether it is there and cannot be read.
pub(super) fn is_unread(stream: &StreamStatus) -> bool {
    stream.method.is_empty() && !stream.reason.is_empty()
}

/// What a stream has lost, and why.
pub(super) fn losses(stream: &StreamStatus) -> String {
    let sorted: BTreeMap<_, _> = stream.lost.iter().filter(|(_, count)| **count > 0).collect();
    sorted.iter().map(|(reason, count)| format!("{count} ({reason})")).collect::<Vec<_>>().join(", ")
}

/// Bytes that a stream has lost, for whatever reason.
pub(super) fn lost(stream: &StreamStatus) -> u64 {
    stream.lost.values().sum()
}

/// What a stream is read from: a path, or one of the standard streams.
pub(super) fn what(stream: &StreamStatus) -> &str {
    match stream.source() {
        SourceKind::Stdout => "stdout",
        SourceKind::Stderr => "stderr",
        _ => &stream.path,
    }
}
