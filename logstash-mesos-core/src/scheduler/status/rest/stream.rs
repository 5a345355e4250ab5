//! What is said of a stream.

use super::super::named;
use crate::protocol::{SourceKind, StreamStatus, StreamTotals};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What came out of streams, over restarts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StreamSum {
    read_bytes: u64,
    events: u64,
    /// Events that ended early, as there was no memory to keep them until their end.
    ended_early: u64,
    /// Bytes that will never become an event, by reason.
    lost: BTreeMap<String, u64>,
}

/// A stream of bytes that is read.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::scheduler) struct Stream {
    agent_id: String,
    /// Null for a file of the host.
    container_id: Option<String>,
    /// The name of the container.
    name: String,
    image: Option<String>,
    /// `stdout` or `stderr`; left out for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'static str>,
    /// The path of the file; left out for standard streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// How it is read; empty while it is not.
    method: String,
    /// Why it is read that way, or why it cannot be read.
    reason: Option<String>,
    /// The place of the first byte that no output has yet.
    offset: u64,
    /// How many bytes there are from it on.
    lag_bytes: u64,
    /// Seconds since the oldest byte that no output has yet was first seen.
    lag_seconds: u64,
    events: u64,
    /// Bytes that will never become an event, by reason.
    lost: BTreeMap<String, u64>,
    total: Option<StreamSum>,
    configurations: Vec<String>,
}

impl StreamSum {
    pub(super) fn of(total: &StreamTotals) -> Self {
        let StreamTotals { read_bytes, events, ended_early, ref lost } = *total;
        Self { read_bytes, events, ended_early, lost: lost.clone() }
    }
}

impl Stream {
    /// A stream of an agent.
    pub(in crate::scheduler) fn of(agent_id: &str, stream: &StreamStatus) -> Self {
        let (standard, path) = match stream.source() {
            SourceKind::Stdout => (Some("stdout"), None),
            SourceKind::Stderr => (Some("stderr"), None),
            _ => (None, Some(stream.path.clone())),
        };
        Self {
            agent_id: agent_id.to_owned(),
            container_id: named(stream.container_id.clone()),
            name: stream.name.clone(),
            image: named(stream.image.clone()),
            stream: standard,
            path,
            method: stream.method.clone(),
            reason: named(stream.reason.clone()),
            offset: stream.offset,
            lag_bytes: stream.lag_bytes,
            lag_seconds: stream.lag_seconds,
            events: stream.events,
            lost: stream.lost.clone(),
            total: stream.total.as_ref().map(StreamSum::of),
            configurations: stream.configurations.clone(),
        }
    }
}
