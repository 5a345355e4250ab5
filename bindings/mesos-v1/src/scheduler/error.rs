//! Why a scheduler has no subscription, and what became of its calls.

use std::time::Duration;

use thiserror::Error;

use crate::transport::{RedirectError, TransportError};

/// What an ERROR event asks for. Mesos has no codes, so its words are matched loosely (facts 1.4, 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another instance subscribed with this framework's id. Never subscribe again: the two would push
    /// each other out for ever.
    FailedOver,
    /// The framework was torn down, or was away for longer than its failover timeout. Its id is spent.
    Removed,
    /// The principal may not do this. A person has to act; tried again slowly.
    NotAuthorized,
    /// The framework's description is refused. A person has to act; tried again slowly.
    Refused,
    /// Anything else: tried again.
    Other,
}

impl ErrorKind {
    /// Sorts an ERROR by its text.
    pub fn of(message: &str) -> Self {
        let message = message.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if has(&["failed over"]) {
            Self::FailedOver
        } else if has(&["has been removed"]) {
            Self::Removed
        } else if has(&["authoriz", "authentica", "not allowed"]) {
            Self::NotAuthorized
        } else if has(&[
            "principal",
            "role",
            "capabilit",
            "failover_timeout",
            "invalid",
            "constraint",
            "user",
        ]) {
            Self::Refused
        } else {
            Self::Other
        }
    }

    /// Tells whether the client gives up: the next step is not its to decide.
    pub fn is_final(self) -> bool {
        matches!(self, Self::FailedOver | Self::Removed)
    }
}

/// Why there is no subscription (any more). `text` fields are for logs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// No master could be reached.
    #[error("no master answers: {text}")]
    Unreachable {
        /// The last failure, with its causes.
        text: String,
    },
    /// Masters are there but none leads, or the leader is still recovering (503, 404).
    #[error("no master leads yet: {text}")]
    NoLeader {
        /// The master's words.
        text: String,
    },
    /// Credentials are missing or wrong (401), also after they were read again.
    #[error("the master wants other credentials: {text}")]
    Unauthorized {
        /// The master's words.
        text: String,
    },
    /// The master refused the SUBSCRIBE for good (other 4xx). A person has to act; tried again slowly.
    #[error("the master refused the subscription with status {status}: {text}")]
    Refused {
        /// The HTTP status of the answer.
        status: u16,
        /// The master's words.
        text: String,
    },
    /// The master is older than the v1 API. A person has to act; tried again slowly.
    #[error("the master {master} is Mesos {version}, which lacks the v1 API")]
    TooOld {
        /// Who was asked.
        master: String,
        /// As it says: `0.22.1`.
        version: String,
    },
    /// Redirects lead in circles, too far, or nowhere.
    #[error("redirects to the leading master do not lead there: {source}")]
    Redirect {
        /// Where they lead instead.
        source: RedirectError,
    },
    /// The stream ended or broke.
    #[error("the event stream ended: {text}")]
    StreamEnded {
        /// How, with its causes.
        text: String,
    },
    /// Nothing came for five heartbeat intervals (SCH-4).
    #[error("the master was silent for {silence:?}")]
    Silence {
        /// How long was waited.
        silence: Duration,
    },
    /// The master no longer knows the stream or the framework, as its answer to a call showed (SCH-7).
    #[error("the master no longer knows the subscription: {text}")]
    CallRefused {
        /// The master's words.
        text: String,
    },
    /// The master sent an ERROR event.
    #[error("the master ended the subscription: {text}")]
    Error {
        /// The master's words.
        text: String,
    },
    /// Another master leads now, as whoever watches for that told us.
    #[error("another master leads now")]
    MasterChanged,
}

impl DisconnectReason {
    /// Tells whether a person has to act before an attempt can succeed.
    pub fn needs_person(&self) -> bool {
        matches!(self, Self::Unauthorized { .. } | Self::Refused { .. } | Self::TooOld { .. })
    }
}

/// What became of a call.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no subscription: the call was not sent.
    #[error("{call} was not sent, since there is no subscription")]
    NotSubscribed {
        /// Name of the call.
        call: &'static str,
    },
    /// The call was meant for an earlier subscription and was not sent (SCH-8).
    #[error("{call} was not sent, since it belongs to an earlier subscription")]
    StaleStream {
        /// Name of the call.
        call: &'static str,
    },
    /// The subscription ended while the call was under way.
    #[error("the subscription ended while {call} was under way")]
    Interrupted {
        /// Name of the call.
        call: &'static str,
    },
    /// No answer came.
    #[error("no answer to {call}")]
    Transport {
        /// Name of the call.
        call: &'static str,
        /// How the exchange with the master failed.
        source: TransportError,
    },
    /// The master does not know the stream or framework any more; the client subscribes again (SCH-7).
    #[error("{call} was refused, since the master no longer knows the subscription: {text}")]
    SubscriptionLost {
        /// Name of the call.
        call: &'static str,
        /// The master's words.
        text: String,
    },
    /// The master does not know this type of call (501).
    #[error("{call} is unknown to this master")]
    Unsupported {
        /// Name of the call.
        call: &'static str,
    },
    /// The master cannot take calls now (5xx, 404).
    #[error("{call} met status {status}: {text}")]
    Unavailable {
        /// Name of the call.
        call: &'static str,
        /// The HTTP status of the answer.
        status: u16,
        /// The master's words.
        text: String,
    },
    /// The call is wrong, and will be wrong again.
    #[error("{call} was refused with status {status}: {text}")]
    Refused {
        /// Name of the call.
        call: &'static str,
        /// The HTTP status of the answer.
        status: u16,
        /// The master's words.
        text: String,
    },
}

impl CallError {
    /// Tells whether the master may have carried the call out all the same (SCH-6).
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Interrupted { .. } => true,
            Self::Transport { source, .. } => {
                matches!(source, TransportError::Broken { .. } | TransportError::RequestTimeout { .. })
            }
            _ => false,
        }
    }

    /// Tells whether the same call may succeed later, on this subscription or the next.
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Unsupported { .. } | Self::Refused { .. } | Self::StaleStream { .. })
    }
}

/// Writes an error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_what_they_ask_for() {
        for (message, kind) in [
            ("Framework failed over", ErrorKind::FailedOver),
            ("Framework has been removed", ErrorKind::Removed),
            ("Framework disconnected", ErrorKind::Other),
            ("Not authorized to use roles 'a'", ErrorKind::NotAuthorized),
            ("Authorization failure: timeout", ErrorKind::NotAuthorized),
            (
                "User 'root' is not allowed to run frameworks without --root_submissions set",
                ErrorKind::NotAuthorized,
            ),
            ("Roles 'x' are not present in the master's --roles", ErrorKind::Refused),
            ("Changing framework's principal is not allowed", ErrorKind::NotAuthorized),
            ("The framework failover_timeout (-1secs) is invalid", ErrorKind::Refused),
        ] {
            assert_eq!(ErrorKind::of(message), kind, "{message}");
        }
    }
}
