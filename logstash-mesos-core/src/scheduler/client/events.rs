//! What a scheduler sends for as long as somebody listens: server-sent events, as HTML's standard describes them.

use super::ClientError;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use std::time::Duration;

/// A stream of events of a scheduler. Dropping it ends it.
#[derive(Debug)]
pub struct ServerEvents {
    url: String,
    body: Incoming,
    /// What came and is no whole event yet.
    begun: Vec<u8>,
}

/// One event of a scheduler.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerEvent {
    /// What it is: `overview` or `viewer` at `/api/events`, `subject`, `events` or `ended` at `/api/live`.
    pub name: String,
    /// What it says.
    pub data: Value,
}

impl ServerEvents {
    pub(super) fn new(url: String, body: Incoming) -> Self {
        Self { url, body, begun: Vec::new() }
    }

    /// The next event; none after the last.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoAnswer`] when the connection breaks or is silent for a minute: a scheduler says something every 15
    /// seconds. [`ClientError::Unreadable`] for what is no event.
    ///
    /// # Cancellation safety
    ///
    /// Loses nothing when it is dropped.
    pub async fn next(&mut self) -> Result<Option<ServerEvent>, ClientError> {
        loop {
            while let Some(block) = take_block(&mut self.begun) {
                let read = read(&block);
                let read =
                    read.map_err(|source| ClientError::Unreadable { url: self.url.clone(), source })?;
                if let Some(event) = read {
                    return Ok(Some(event));
                }
            }
            let failed = |source| ClientError::NoAnswer { url: self.url.clone(), source };
            let frame = tokio::time::timeout(SILENCE, self.body.frame()).await;
            let Some(frame) = frame.map_err(|elapsed| failed(elapsed.into()))? else { return Ok(None) };
            let data = frame.map_err(|error| failed(error.into()))?.into_data();
            self.begun.extend_from_slice(&data.unwrap_or_default());
            if self.begun.len() > MOST_BYTES {
                return Err(failed("one event is larger than any can be".into()));
            }
        }
    }
}

/// Takes the first event with its lines, if all of it has come.
fn take_block(begun: &mut Vec<u8>) -> Option<Bytes> {
    let end = begun.windows(2).position(|two| two == b"\n\n")? + 2;
    let rest = begun.split_off(end);
    Some(std::mem::replace(begun, rest).into())
}

/// An event; nothing if these lines are only there to say something.
fn read(block: &[u8]) -> Result<Option<ServerEvent>, serde_json::Error> {
    let text = String::from_utf8_lossy(block);
    let (mut name, mut data) = (String::new(), String::new());
    for line in text.lines() {
        match line.split_once(':') {
            Some(("event", value)) => value.trim_start().clone_into(&mut name),
            Some(("data", value)) => data.push_str(value.strip_prefix(' ').unwrap_or(value)),
            _ => {}
        }
    }
    if data.is_empty() {
        Ok(None)
    } else {
        serde_json::from_str(&data).map(|data| Some(ServerEvent { name, data }))
    }
}

const SILENCE: Duration = Duration::from_secs(60);
const MOST_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_out_however_they_come() {
        let sent = ":\n\nevent: subject\ndata: {\"a\":\ndata: 1}\n\nevent: events\nda";
        let mut begun = Vec::new();
        let mut found = Vec::new();
        for byte in sent.bytes() {
            begun.push(byte);
            while let Some(block) = take_block(&mut begun) {
                found.extend(read(&block).unwrap());
            }
        }
        assert_eq!(found, [ServerEvent { name: "subject".to_owned(), data: serde_json::json!({"a": 1}) }]);
        assert_eq!(begun, b"event: events\nda");
        assert!(read(b"data: {\n\n").is_err());
    }
}
