//! In which of the records an agent and its tasks are kept.

use crate::ids::AgentId;

/// How many records there are; as fixed as [`shard_of`].
pub(super) const SHARDS: u8 = 64;

/// The record of an agent. Must never change: records would be looked for in the wrong place.
pub(super) fn shard_of(agent_id: &AgentId) -> u8 {
    use sha2::{Digest, Sha256};
    Sha256::digest(agent_id.as_str())[0] % SHARDS
}
