//! What is asked of a change, and what becomes of it.

use super::checked::Complaint;
use crate::store::StoreError;
use thiserror::Error;

/// What must hold for a configuration to be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// There is none of that name.
    pub only_create: bool,
    /// The present one has this version.
    pub version: Option<String>,
}

/// A configuration was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Hash of the content, for the precondition of the next change.
    pub version: String,
    /// There was none of that name.
    pub created: bool,
    /// What the compiler found that does not hinder.
    pub warnings: Vec<Complaint>,
}

/// Why a configuration was not stored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PutError {
    /// It does not compile.
    #[error("the configuration does not compile: {}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Refused(Vec<Complaint>),
    /// Its name or its conditions cannot be.
    #[error("{0}")]
    Invalid(String),
    /// It is not managed here.
    #[error("`{name}` is managed by {place}; change it there")]
    Managed {
        /// Name of the configuration that was to be changed.
        name: String,
        /// Where it is managed.
        place: String,
    },
    /// The precondition does not hold.
    #[error("{0}")]
    Precondition(String),
    /// It does not fit into the state.
    #[error(
        "the configuration has {bytes} bytes, and at most {limit} can be stored; put patterns and \
         dictionaries into files on the agents and refer to them"
    )]
    TooLarge {
        /// Bytes that the record would have.
        bytes: usize,
        /// Most bytes that a record may have.
        limit: usize,
    },
    /// The state could not be written.
    #[error("the configuration could not be stored")]
    Store(#[source] StoreError),
}

/// Why a configuration was not removed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// It is not managed here.
    #[error("`{name}` is managed by {place}; remove it there")]
    Managed {
        /// Name of the configuration that was to be changed.
        name: String,
        /// Where it is managed.
        place: String,
    },
    /// The configuration has another version than was expected.
    #[error("{0}")]
    Precondition(String),
    /// The state could not be written.
    #[error("the configuration could not be removed")]
    Store(#[source] StoreError),
}
