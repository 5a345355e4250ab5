//! Why a store could not do what it was asked.

use super::key::StateKey;
use thiserror::Error;

/// What a store returns.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a [`StateStore`](super::StateStore) could not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The backend did not answer, or answered that it cannot serve now.
    #[error("{backend} gave no answer for record `{key}`")]
    Unavailable {
        /// Which store was asked.
        backend: String,
        /// The record that was wanted.
        key: String,
        /// What the client library or the operating system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The backend does not let these credentials, or nobody in particular, do this.
    #[error("{backend} refuses access to record `{key}`; {remedy}")]
    Refused {
        /// Which store was asked.
        backend: String,
        /// Name of the record, or of the file that stands for it.
        key: String,
        /// What a person can do.
        remedy: String,
        /// What the backend said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody else wrote the record first.
    #[error("record `{key}` in {backend} was changed by somebody else")]
    Conflict {
        /// Which store was asked.
        backend: String,
        /// Name of the record that was to be written.
        key: StateKey,
    },
    /// The writer has lost the lead. A write that was under way may have taken effect.
    #[error("record `{key}` in {backend} is another scheduler's to write: this one does not lead any more")]
    NotLeading {
        /// Which store was to be written.
        backend: String,
        /// Name of the record that was to be written.
        key: StateKey,
    },
    /// The record is there and cannot be read.
    #[error("record `{key}` cannot be read: {place} {problem}; {remedy}")]
    Corrupt {
        /// Name of the record, or of the file that stands for it.
        key: String,
        /// The file, or the place in the service.
        place: String,
        /// What is wrong with it.
        problem: String,
        /// What a person can do.
        remedy: String,
    },
    /// The value is above the limit that all backends share.
    #[error("a value of {bytes} bytes is too large for record `{key}`: at most {limit} bytes")]
    TooLarge {
        /// Name of the record that was to be written.
        key: StateKey,
        /// Size of the value.
        bytes: usize,
        /// The most bytes that every backend takes, [`MAX_VALUE_BYTES`](super::MAX_VALUE_BYTES).
        limit: usize,
    },
    /// Another process leads on this state, and this one must be alone.
    #[error("{backend} is in use by {holder}; stop it first, or give this program another --state")]
    Locked {
        /// Which store was asked.
        backend: String,
        /// Who leads, in its own words; see [`Leader::holder`](crate::election::Leader::holder).
        holder: String,
    },
    /// The place cannot be a store at all.
    #[error("{backend} cannot hold the state: {problem}")]
    Unusable {
        /// Which store was asked.
        backend: String,
        /// What is wrong, and the remedy.
        problem: String,
        /// What the operating system said.
        source: Option<std::io::Error>,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether another scheduler has the lead: it wrote the record first, or was granted the right to.
    pub fn is_deposed(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::NotLeading { .. })
    }

    /// Whether `expect` did not hold.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }
}
