//! Why a master gave no answer to an operator's question.

use std::time::Duration;

use http::StatusCode;
use thiserror::Error;

use crate::endpoint::Endpoint;
use crate::transport::{RedirectError, TransportError};

/// Why there is no answer. `text` fields hold the master's own words.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// There is nobody to ask.
    #[error("no master is known")]
    NoMaster,
    /// The last master asked could not be reached, or the connection broke.
    #[error(transparent)]
    Transport {
        /// How the exchange with the endpoint failed.
        #[from]
        source: TransportError,
    },
    /// The whole answer did not come in time.
    #[error("no master gave a whole answer within {limit:?}")]
    Timeout {
        /// How long was waited.
        limit: Duration,
    },
    /// None leads, or the leader is still recovering.
    #[error("{endpoint} leads to no leading master: {text}")]
    NoLeader {
        /// Who says so.
        endpoint: String,
        /// In its words.
        text: String,
    },
    /// Redirects lead in circles, too far, or nowhere.
    #[error("redirects to the leading master do not lead there: {source}")]
    Redirect {
        /// Where they lead instead.
        #[from]
        source: RedirectError,
    },
    /// Credentials are missing or wrong (401).
    #[error("{endpoint} wants other credentials for {call}: {text}")]
    Unauthorized {
        /// Name of the call.
        call: &'static str,
        /// Who wants them.
        endpoint: String,
        /// In its words.
        text: String,
    },
    /// The principal may not ask this (403).
    #[error("{endpoint} does not permit {call}: {text}")]
    Forbidden {
        /// Name of the call.
        call: &'static str,
        /// Who forbids it.
        endpoint: String,
        /// In its words.
        text: String,
    },
    /// There is no such path (404): a master before 1.0, one that is just starting, or no master.
    #[error("{endpoint} does not have the v1 API")]
    NoApi {
        /// Who was asked.
        endpoint: String,
    },
    /// The master does not know the call, or takes it for wrong (400, 501 and the like).
    #[error("{endpoint} answered {call} with status {status}: {text}")]
    Refused {
        /// Name of the call.
        call: &'static str,
        /// Who was asked.
        endpoint: String,
        /// The HTTP status of the answer.
        status: u16,
        /// In its words.
        text: String,
    },
    /// The answer is longer than was allowed.
    #[error("{endpoint} sends more than {limit} bytes")]
    TooLong {
        /// Who sends them.
        endpoint: String,
        /// How many bytes an answer may have.
        limit: usize,
    },
    /// The answer is not what it should be.
    #[error("{endpoint} sent something else than an answer")]
    Decode {
        /// Who sent it.
        endpoint: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer lacks what was asked for.
    #[error("the master's answer lacks what was asked for")]
    Empty,
}

impl OperatorError {
    pub(super) fn of(call: &'static str, endpoint: &Endpoint, status: StatusCode, text: String) -> Self {
        let endpoint = endpoint.to_string();
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized { call, endpoint, text },
            StatusCode::FORBIDDEN => Self::Forbidden { call, endpoint, text },
            StatusCode::NOT_FOUND => Self::NoApi { endpoint },
            StatusCode::SERVICE_UNAVAILABLE => Self::NoLeader { endpoint, text },
            status => Self::Refused { call, endpoint, status: status.as_u16(), text },
        }
    }

    /// Tells whether a person has to act before the same question can be answered: give credentials, or a
    /// right.
    pub fn needs_person(&self) -> bool {
        matches!(self, Self::Unauthorized { .. } | Self::Forbidden { .. })
    }
}
