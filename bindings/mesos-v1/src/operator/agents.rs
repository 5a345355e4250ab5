//! The answer to GET_AGENTS, read as it comes: with 10,000 agents it is some ten megabytes.

use bytes::{Buf as _, BytesMut};
use prost::Message;

use super::OperatorError;
use crate::endpoint::Endpoint;
use crate::proto::AgentInfo;

/// An agent with everything the master says of it.
pub use crate::proto::master::response::get_agents::Agent;

/// What a list of agents says beside the registered ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    /// How many agents are registered.
    pub registered: usize,
    /// Agents that a new leader knows from its predecessor, and that have not come back to it yet.
    pub recovered: Vec<AgentInfo>,
}

/// Why an answer cannot be read.
#[derive(Debug)]
pub(super) enum ReadError {
    TooLong(usize),
    Malformed(Box<dyn std::error::Error + Send + Sync>),
}

impl ReadError {
    pub(super) fn of(self, endpoint: &Endpoint) -> OperatorError {
        let endpoint = endpoint.to_string();
        match self {
            Self::TooLong(limit) => OperatorError::TooLong { endpoint, limit },
            Self::Malformed(source) => OperatorError::Decode { endpoint, source },
        }
    }
}

/// Fields of `Response` and of `GetAgents`.
const GET_AGENTS: u64 = 10;
const AGENTS: u64 = 1;
const RECOVERED_AGENTS: u64 = 2;

/// Takes the answer apart without ever holding more of it than one agent.
#[derive(Debug)]
pub(super) struct AgentReader {
    buffer: BytesMut,
    /// Bytes of the answer before the buffer.
    at: u64,
    /// Where the list ends, once it has begun.
    end: Option<u64>,
    /// Bytes of a field that nobody wants.
    skip: u64,
    limit: usize,
    listed: Listed,
}

impl AgentReader {
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), at: 0, end: None, skip: 0, limit, listed: Listed::default() }
    }

    pub(super) fn push(&mut self, bytes: &[u8], each: &mut impl FnMut(Agent)) -> Result<(), ReadError> {
        self.buffer.extend_from_slice(bytes);
        if self.at + self.buffer.len() as u64 > self.limit as u64 {
            return Err(ReadError::TooLong(self.limit));
        }
        while self.step(each)? {}
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Listed, ReadError> {
        let whole = self.buffer.is_empty() && self.skip == 0 && self.end.is_none_or(|end| self.at >= end);
        if whole { Ok(self.listed) } else { Err(malformed("it ends in the middle")) }
    }

    /// Reads one field. Returns false when the rest of it has to come first.
    fn step(&mut self, each: &mut impl FnMut(Agent)) -> Result<bool, ReadError> {
        let skipped = self.skip.min(self.buffer.len() as u64);
        self.advance(skipped);
        self.skip -= skipped;
        let mut rest = &self.buffer[..];
        let Some(key) = varint(&mut rest)? else { return Ok(false) };
        let before = self.buffer.len();
        let inside = self.end.is_some_and(|end| self.at < end);
        match key & 7 {
            0 => {
                if varint(&mut rest)?.is_none() {
                    return Ok(false);
                }
                let length = before - rest.len();
                self.advance(length as u64);
            }
            1 => self.skip = (before - rest.len()) as u64 + 8,
            5 => self.skip = (before - rest.len()) as u64 + 4,
            2 => {
                let Some(length) = varint(&mut rest)? else { return Ok(false) };
                let header = (before - rest.len()) as u64;
                match (inside, key >> 3) {
                    (false, GET_AGENTS) => {
                        self.advance(header);
                        self.end = Some(self.at.saturating_add(length));
                    }
                    (true, field @ (AGENTS | RECOVERED_AGENTS)) => {
                        let length = usize::try_from(length).unwrap_or(usize::MAX);
                        let Some(message) = rest.get(..length) else {
                            return if length > self.limit {
                                Err(ReadError::TooLong(self.limit))
                            } else {
                                Ok(false)
                            };
                        };
                        let malformed = |error: prost::DecodeError| ReadError::Malformed(error.into());
                        if field == AGENTS {
                            each(Agent::decode(message).map_err(malformed)?);
                            self.listed.registered += 1;
                        } else {
                            self.listed.recovered.push(AgentInfo::decode(message).map_err(malformed)?);
                        }
                        self.advance(header + length as u64);
                    }
                    _ => self.skip = header.saturating_add(length),
                }
            }
            _ => return Err(malformed("a field has an unknown wire type")),
        }
        Ok(true)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    fn advance(&mut self, bytes: u64) {
        // Never more than the buffer holds.
        self.buffer.advance(bytes as usize);
        self.at += bytes;
    }
}

fn malformed(text: &str) -> ReadError {
    ReadError::Malformed(text.into())
}

/// Takes a number off the front, if all of it is there.
fn varint(bytes: &mut &[u8]) -> Result<Option<u64>, ReadError> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Ok(Some(value));
        }
    }
    if bytes.len() < 10 { Ok(None) } else { Err(malformed("a number is too long")) }
}
