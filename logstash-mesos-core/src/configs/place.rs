//! Where in the store something about a configuration is.

use super::ConfigKey;
use crate::store::StateKey;
use sha2::{Digest, Sha256};

/// Where something about a configuration is, below `prefix`. Names are longer and stranger than keys may be.
pub(super) fn place(prefix: &str, ConfigKey { kind, name }: &ConfigKey) -> StateKey {
    let hash = hex::encode(Sha256::digest(name));
    StateKey::new(format!("{prefix}/{}/{hash}", kind.name())).expect("made of plain names and hex digits")
}
